"""Adds a command up: its receipt, its manifest, the way it ended. Pure but for questions to the ledger."""

from collections import Counter

from enrich import __version__
from enrich.answers.join import Tally
from enrich.asking.asking import Asked
from enrich.errors import ExitCode
from enrich.host.interruption import Interruption
from enrich.job import Job
from enrich.ledger.store import Ledger
from enrich.outputs.onward import onward
from enrich.planning.costs import Summary, ladder_of
from enrich.report import DoubleCharge, Manifest, Receipt, Selection, by_question, next_steps
from enrich.spec.money import dollars


def make_receipt(job: Job, ledger: Ledger, summary: Summary, outcome: Asked, tally: Tally) -> Receipt:
    """The books of this command: its table's rows and answers, and what it paid."""
    totals = ledger.totals()
    return Receipt(
        rows_in=job.table.height,
        rows=Counter(tally.rows),
        answers_wanted=job.table.height * len(job.config.fields),
        answers=Counter(tally.answers),
        runs_paid=outcome.completed,
        usd=dollars(outcome.usd_micro),
        runs_by_processor=dict(outcome.paid_by_processor),
        usd_by_processor={name: dollars(usd) for name, usd in outcome.usd_micro_by_processor.items()},
        distinct_inputs=summary.distinct_inputs,
        runs_submitted=outcome.submitted,
        runs_failed=outcome.failed,
        table_runs_paid=tally.cost.runs,
        table_usd=dollars(tally.cost.usd_micro),
        usd_at_stake=dollars(totals.usd_micro_in_flight + totals.usd_micro_unresolved),
        ledger_runs_paid=totals.runs_paid,
        ledger_usd=dollars(totals.usd_micro_paid),
        runs_unpriced=outcome.unpriced,
        table_runs_unpriced=tally.cost.unpriced,
        ledger_runs_unpriced=totals.runs_unpriced,
        double_charges=_double_charges(ledger, outcome),
    )


def make_manifest(
    job: Job, ledger: Ledger, receipt: Receipt, outcome: Asked, stop: Interruption, *, doubtful: int
) -> Manifest:
    """What ran, on what, when, how it ended, and what can follow; `doubtful` lines are in the review file."""
    files, options = job.outputs, job.options
    stopped = "interrupted" if stop.code is not None else outcome.stopped
    return Manifest(
        name=job.config.name,
        version=__version__,
        config=str(job.config.path),
        config_sha256=job.config.sha256,
        table=str(job.table.path),
        ledger=str(job.ledger_path),
        ledger_groups=tuple(ledger.group_ids()),
        selection=Selection(options.where, options.limit, options.sample),
        sandbox=options.sandbox or ledger.service() == "sandbox",
        started_at=job.started_at,
        finished_at=job.clock.moment(),
        exit_code=exit_code(receipt, outcome, stop),
        stopped=stopped,
        output=str(files.table),
        review=str(files.review),
        report=str(files.report),
        processors=tuple(rung.processor for rung in ladder_of(job.config, options.processor)),
        fields={one.name: one.id for one in job.config.fields},
        budget_usd=job.budget,
        groups=outcome.groups,
        doubtful=doubtful,
        next=next_steps(receipt, onward(job), review_file=str(files.review), lines=doubtful, stopped=bool(stopped)),
        receipt=receipt,
    )


def exit_code(receipt: Receipt, outcome: Asked, stop: Interruption) -> ExitCode:
    """How a command that wrote its outputs ended: what a person must look at first comes first."""
    if receipt.double_charges:
        return ExitCode.DOUBLE_CHARGE
    if stop.code is not None:
        return stop.code
    if outcome.refused:
        return ExitCode.REFUSED
    if outcome.stopped or receipt.rows.get("pending"):
        return ExitCode.STOPPED
    return ExitCode.FAILED_ROWS if receipt.rows.get("failed") else ExitCode.DONE


def _double_charges(ledger: Ledger, outcome: Asked) -> tuple[DoubleCharge, ...]:
    """The double charges that this command found, or that were found by one that did not live to report them."""
    found = []
    for extra in ledger.extra_runs():
        if extra.job_id == outcome.job_id and extra.is_charge:
            ids = tuple(run_id for run_id in (extra.first_run_id, extra.run_id) if run_id)
            usd, unpriced = dollars(extra.usd_micro or 0), int(extra.usd_micro is None)
            found.append(DoubleCharge(task_key=extra.task_key, run_ids=ids, usd=usd, unpriced=unpriced))
    return by_question(found)
