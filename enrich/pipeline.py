"""The steps in order: config → table → inputs → plan ⇄ submit → collect → answers → join → outputs.

The only file that knows them all. Everything before asking is free; everything after it can be done again from the
ledger without paying.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from anyio import current_time
from anyio.to_thread import run_sync

from enrich.answers.join import Tally
from enrich.asking.asking import Asked, Terms, ask, settling_s
from enrich.backends.opening import check_key, open_service
from enrich.config import Config
from enrich.errors import EnrichError, ExitCode, HeldError, ungrouped
from enrich.host.clock import SYSTEM, Clock
from enrich.host.interruption import Interruption
from enrich.host.memory import give_back
from enrich.inputs.remarks import nothing_to_ask
from enrich.job import Job, Options
from enrich.ledger.groups import check_groups
from enrich.ledger.lock import InstanceLock
from enrich.ledger.refusals import ledger_refusals
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.outputs.books import make_manifest, make_receipt
from enrich.outputs.claims import check_claims, foreign_files, obstacles
from enrich.outputs.onward import onward
from enrich.outputs.standing import find_standing, just_written, marks_of, origin_of
from enrich.outputs.writing import write_report, write_table
from enrich.planning.comparison import Comparison
from enrich.planning.costs import Summary, ladder_of
from enrich.planning.rules import Rules
from enrich.planning.wanted import list_wanted
from enrich.preparing import prepare
from enrich.progress import Progress, QuietProgress
from enrich.records import LedgerTotals
from enrich.report import Manifest, Receipt, manifest_to_keep, showing, write_manifest
from enrich.review.earlier import set_aside_text
from enrich.review.written import Written
from enrich.spec.money import dollars, rank_micro
from enrich.text.figures import counted, usd_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a command did, and where its files are."""

    receipt: Receipt
    exit_code: ExitCode
    stopped: str
    output: Path
    review: Path
    report: Path
    manifest: Path
    decisions_set_aside: dict[str, int]  # of people, on questions that have changed since, by answer
    decisions_kept: Path | None  # a copy of the review file that was replaced: it had decisions that were not taken yet
    notes_kept: Path | None  # a copy of it, with notes and added cells beside answers that no longer stand there
    outputs_written: bool  # by this command; else those of an earlier one still stood, and were left alone
    outputs_written_at: datetime
    doubtful: int  # lines of the review file
    steps: tuple[str, ...]  # what can be done now, with complete commands
    ledger: LedgerTotals
    outcome: Asked
    sandbox: bool  # the answers come from a sandbox: nothing was paid, and they may be invented

    def __repr__(self) -> str:
        """One line: how it ended, what came of the rows, what was paid, where the table is."""
        return showing.report_line(self)

    def __str__(self) -> str:
        """The receipt, and the files."""
        return showing.report_text(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return showing.report_html(self)


Consent = Callable[[Job, Summary], Awaitable[bool]]


class DeclinedError(EnrichError):
    """The person at the terminal did not agree to the cost; nothing was sent."""

    exit_code = ExitCode.USAGE

    def __init__(self) -> None:
        super().__init__("not agreed to: nothing was sent, and nothing was written")


async def _agreed(job: Job, summary: Summary) -> bool:
    return True


async def run(
    config: Path | Config,
    table: Path,
    options: Options,
    *,
    progress: Progress | None = None,
    consent: Consent = _agreed,
    interruption: Interruption | None = None,
    clock: Clock = SYSTEM,
) -> Report:
    """Enrich a table. Raises EnrichError for whatever stops it before the outputs are written.

    `consent` is asked wherever new money may be spent, before anything is sent; by default the call itself is consent.
    What time it is, `clock` says.
    """
    stop = interruption or Interruption()
    shown = progress or QuietProgress()
    ends_at = None if options.deadline_s is None else current_time() + options.deadline_s
    job = await run_sync(partial(prepare, config, table, options, clock=clock))
    with ledger_refusals(job.ledger_path), ExitStack() as held:
        ledger, worklist = open_books(job, held)
        await run_sync(check_claims, job, ledger)
        comparison, summary = await run_sync(compare, job, ledger, worklist, stop.check)
        if summary.set_aside:
            shown.note(set_aside_text(job, summary.set_aside))
        if nothing := nothing_to_ask(str(table), rows=summary.rows, left_out=summary.left_out):
            shown.note(nothing)
        give_back()
        outcome = Asked()
        if summary.due or ledger.open_groups() or ledger.has_unreported_extras():
            if not options.sandbox:
                check_key(options.environ)
            await run_sync(ledger.check_whole)
            agreed = not summary.usd_most() or await consent(job, summary)
            stop.check()
            if not agreed:
                raise DeclinedError
            outcome = await _ask(
                job,
                ledger,
                comparison,
                worklist,
                summary,
                ends_at=ends_at,
                progress=shown,
                interruption=stop,
                clock=clock,
            )
        shown.close()
        give_back()
        return await run_sync(write_outputs, job, ledger, summary, outcome, stop)


async def _ask(
    job: Job,
    ledger: Ledger,
    comparison: Comparison,
    worklist: Worklist,
    summary: Summary,
    *,
    ends_at: float | None,
    progress: Progress,
    interruption: Interruption,
    clock: Clock,
) -> Asked:
    """Ask the service what is due, and collect what is under way, as a job of its own in the ledger."""
    options = job.options
    terms = Terms(
        job_id=start_job(job, ledger),
        name=job.config.name,
        budget=job.budget,
        settle_s=settling_s(options.settle_s, sandbox=options.sandbox),
        runs_per_minute=job.runs_per_minute,
        ends_at=ends_at,
        clock=clock,
    )
    with ungrouped():
        async with open_service(
            options.environ, ledger=job.ledger_path, sandbox=options.sandbox, facts=job.facts
        ) as client:
            return await ask(
                client,
                ledger,
                comparison,
                worklist,
                summary,
                terms=terms,
                progress=progress,
                interruption=interruption,
            )


@contextmanager
def plan(
    config: Path | Config, table: Path, options: Options, *, clock: Clock = SYSTEM
) -> Iterator[tuple[Job, Summary, Worklist]]:
    """What `run` would ask now, with the worklist open for the length of the block. Sends and writes nothing."""
    job = prepare(config, table, options, writes=False, clock=clock)
    with Worklist() as worklist:
        opened = Ledger.reader(job.ledger_path) if job.ledger_path.exists() else Ledger.in_memory()
        with ledger_refusals(job.ledger_path), closing(opened) as ledger:
            check_groups(job.ledger_path, ledger.group_ids)
            _, summary = compare(job, ledger, worklist)
            summary.obstacles = obstacles(job, ledger)
        yield job, summary, worklist


def compare(
    job: Job, ledger: Ledger, worklist: Worklist, check: Callable[[], None] = lambda: None
) -> tuple[Comparison, Summary]:
    """What is due for the table, and why. `check` is called now and then, and may raise to stop."""
    listed = list_wanted(job.rows, ledger, worklist, check)
    rules = Rules(
        ladder=ladder_of(job.config, job.options.processor),
        refresh={one.id: job.config.refresh_for(one.name) for one in job.config.fields},
        price=rank_micro,
        names=ledger.field_names(),
        now=int(job.started_at.timestamp()),
        last_submission=ledger.last_submission(),
        retry_failed=job.options.retry_failed,
        schemas=ledger.field_schemas(),
        sent=ledger.sent_at(),
        watched=ledger.watched(),
    )
    comparison = Comparison(job.config, ledger, rules)
    summary = comparison.compare(worklist, on_chunk=check)
    summary.rows, summary.left_out, summary.placeholders = listed.rows, listed.left_out, listed.placeholders
    return comparison, summary


def open_books(job: Job, held: ExitStack, *, may_lack_groups: bool = False) -> tuple[Ledger, Worklist]:
    """The job's ledger, locked for this process, and a new worklist, for as long as `held` is open.

    Only what asks nothing may open a ledger that lacks groups it paid through.
    """
    Ledger.make_folder(job.ledger_path)
    held.enter_context(InstanceLock(job.ledger_path))
    ledger = held.enter_context(
        closing(Ledger.open(job.ledger_path, may_lack_groups=may_lack_groups, now=job.clock.wall))
    )
    return ledger, held.enter_context(Worklist())


def start_job(job: Job, ledger: Ledger) -> int:
    """Write down that a command begins to ask; gives its id."""
    with ledger.transaction(keeps_answers=True):
        return ledger.start_job(
            name=job.config.name,
            config=str(job.config.path),
            source=str(job.table.path),
            fields={one.id: (one.name, one.schema) for one in job.config.fields},
        )


def write_outputs(job: Job, ledger: Ledger, summary: Summary, outcome: Asked, stop: Interruption) -> Report:
    """The outputs and the books, from what the ledger holds now; outputs that still stand are left alone.

    A command that asked something is over then, and its manifest is in the ledger too. Raises HeldError, with all that
    is to be said of it, where what stands there is not to be replaced.
    """
    try:
        return _write_outputs(job, ledger, summary, outcome, stop)
    except HeldError as held_back:
        _end_held(ledger, outcome)
        raise _explained(held_back, job.options, outcome, stop) from None


def _end_held(ledger: Ledger, outcome: Asked) -> None:
    """Write down that a command ended without outputs; a double charge that it found is left to the next to report."""
    extras = (extra for extra in ledger.extra_runs() if extra.job_id == outcome.job_id)
    if outcome.job_id is not None and not any(extra.is_charge for extra in extras):
        with ledger.transaction(keeps_answers=True):
            ledger.end_job(outcome.job_id, "held: the outputs that stood there say more, or are another job's")


def _explained(held_back: HeldError, options: Options, outcome: Asked, stop: Interruption) -> HeldError:
    """The same with what was paid, why the asking ended, and what to do."""
    paid = f"{counted(outcome.completed, 'run')} paid, {usd_text(dollars(outcome.usd_micro))}: all in the ledger"
    why = "interrupted" if stop.code is not None else outcome.stopped
    chosen = [name for name in ("limit", "sample", "where") if getattr(options, name) is not None]
    without = f" without {' and '.join(f'--{name}' for name in chosen)}" if chosen else ""  # for the other rows
    explained = HeldError(
        f"{held_back}. The outputs were left as they are ({paid}{f'; stopped: {why}' if why else ''}). The same command"
        f"{without} goes on and pays nothing twice; another output (-o) takes what is there now, and --replace puts it"
        " there all the same"
    )
    explained.exit_code = stop.code or held_back.exit_code
    return explained


def _write_outputs(job: Job, ledger: Ledger, summary: Summary, outcome: Asked, stop: Interruption) -> Report:
    def books(tally: Tally, doubtful: int) -> Manifest:
        receipt = make_receipt(job, ledger, summary, outcome, tally)
        receipt.check()
        return make_manifest(job, ledger, receipt, outcome, stop, doubtful=doubtful)

    files, origin, key = job.outputs, origin_of(job, ledger), job.options.key
    may_stand = outcome.job_id is None and not job.options.rewrite
    standing = find_standing(origin, files) if may_stand else None
    written = Written()
    if standing is not None:
        outputs, manifest = standing.outputs, books(standing.tally, standing.outputs.doubtful)
    else:
        if foreign := foreign_files(job, ledger):  # what came there since, or what only the service could tell
            raise HeldError("\n".join(foreign))
        written = Written.read(files.review, job.config, ledger)
        may_lose = job.options.replace
        tally, page, doubtful = write_table(
            job.config, job.table, job.rows, ledger, files, may_lose=may_lose, key=key, written=written
        )
        marks = marks_of(files.table, files.review)
        manifest = books(tally, doubtful)
        write_report(files.report, page, manifest, like=job.table.path, key=key)
        outputs = just_written(origin, (*marks, *marks_of(files.report)), manifest, doubtful)
    manifest = replace(manifest, outputs=outputs)
    write_manifest(files.manifest, manifest, like=job.table.path, key=key)
    if outcome.job_id is not None:
        ending = manifest.stopped or ExitCode(manifest.exit_code).name.lower()
        with ledger.transaction(keeps_answers=True):
            ledger.end_job(outcome.job_id, ending, manifest_to_keep(manifest, key))
    return Report(
        receipt=manifest.receipt,
        exit_code=ExitCode(manifest.exit_code),
        stopped=manifest.stopped,
        output=files.table,
        review=files.review,
        report=files.report,
        manifest=files.manifest,
        decisions_set_aside=dict(summary.set_aside),
        decisions_kept=written.decisions_kept,
        notes_kept=written.notes_kept,
        outputs_written=outputs.written,
        outputs_written_at=outputs.written_at,
        doubtful=outputs.doubtful,
        steps=tuple(_steps(job, manifest, written.decisions_kept)),
        ledger=ledger.totals(),
        outcome=outcome,
        sandbox=manifest.sandbox,
    )


def _steps(job: Job, manifest: Manifest, kept: Path | None) -> Iterator[str]:
    """What can be done now: why it ended early, decisions that were kept aside, and what the manifest says."""
    if manifest.stopped:
        yield f"stopped: {manifest.stopped}"
    if kept is not None:
        yield f"{onward(job, kept).review} takes the decisions that were kept in {kept}"
    yield from manifest.next
