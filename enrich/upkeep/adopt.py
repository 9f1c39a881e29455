"""Joins the results of a group that another program made: they carry no metadata of ours, so their inputs tell.

An input is the same if it is the same JSON: the order of keys, blanks around texts and empty values make no difference,
and the program may have sent it as text that holds JSON, or, for a config with a single input field, as that field's
bare text. Of a result those fields are taken whose name stands in the config and whose value fits the config's schema.
It is entered in the ledger as a run that cost nothing here: what the other program paid is not in our books. Nothing is
sent but GETs.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from anyio.to_thread import run_sync

from enrich.answers.judging import Reader
from enrich.api.errors import ApiError, StreamBreakError
from enrich.asking.asking import Asked
from enrich.asking.driver import Driver
from enrich.backends.groups import Groups
from enrich.backends.listing import GroupListing, list_whole_group
from enrich.backends.metadata import identity_in_metadata
from enrich.backends.opening import open_service
from enrich.backends.parallel import Client
from enrich.backends.wire import NULL, RunEvent
from enrich.errors import EnrichError, ExitCode, ungrouped
from enrich.host.clock import SYSTEM, Clock
from enrich.host.interruption import Interruption
from enrich.job import Job, Options
from enrich.ledger.recorder import open_recorder
from enrich.ledger.refusals import ledger_refusals
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.outputs.claims import refuse_foreign
from enrich.pipeline import Report, compare, open_books, start_job, write_outputs
from enrich.preparing import prepare
from enrich.progress import Progress, QuietProgress
from enrich.protocol.effects import FetchRun, LedgerEffect, ReadRuns, RecordService, Script, do
from enrich.protocol.endings import ENDED
from enrich.protocol.replies import ReadRun
from enrich.protocol.till import Till
from enrich.records import Intent, Outcome, Stamp
from enrich.spec.canonical import document, normal_text, normal_value, old_value
from enrich.spec.identity import input_key
from enrich.text.figures import counted

SHOWN: Final = 3  # inputs that are in no row, shown so that the difference can be seen
_READINGS: Final = 5  # of a listing of inputs that breaks off


@dataclass(slots=True)
class Adoption:
    """What became of a group's runs, each counted once."""

    group_id: str
    runs: int = 0
    adopted: int = 0
    known: int = 0  # adopted before
    own: int = 0  # made by this program: `enrich recover` is for them
    unmatched: int = 0  # their input is in no row
    unfit: int = 0  # no field of theirs fits the config
    not_completed: int = 0  # failed, or still under way
    examples: list[str] = field(default_factory=list)  # of inputs that are in no row


class NothingAdoptedError(EnrichError):
    """No result of the group could be joined; nothing was written."""

    exit_code = ExitCode.USAGE

    def __init__(self, found: Adoption, fields: Iterable[str]) -> None:
        why = [
            f"{number} {words}"
            for number, words in (
                (found.not_completed, "did not complete"),
                (found.own, "were made by enrich (`enrich recover` is for them)"),
                (found.unmatched, "have an input that is in no row"),
                (found.unfit, f"have none of the answers {', '.join(fields)} in a form that fits"),
            )
            if number
        ]
        example = f". An input of theirs: {found.examples[0]}" if found.examples else ""
        reasons = f"of {counted(found.runs, 'run')} {', '.join(why)}" if why else "it has no runs"
        super().__init__(f"group {found.group_id}: nothing to join, and nothing was written: {reasons}{example}")


async def adopt(
    group_id: str,
    config: Path,
    table: Path,
    options: Options,
    *,
    progress: Progress | None = None,
    clock: Clock = SYSTEM,
) -> tuple[Adoption, Report]:
    """Join a group's results to a table and write it, as `run` would that has nothing to ask.

    Raises EnrichError; where the service refuses, an ApiError.
    """
    shown = progress or QuietProgress()
    job = await run_sync(partial(prepare, config, table, options, clock=clock))
    with ledger_refusals(job.ledger_path), ExitStack() as held, ungrouped():
        ledger, worklist = open_books(job, held, may_lack_groups=True)
        await run_sync(refuse_foreign, job, ledger)
        await run_sync(ledger.check_whole)
        _, summary = await run_sync(compare, job, ledger, worklist)
        async with (
            open_service(options.environ, ledger=job.ledger_path, sandbox=options.sandbox, facts=job.facts) as client,
            open_recorder(ledger) as recorder,
        ):
            work = _Work(group_id, job, worklist, Driver(Groups(client), recorder, Till(), clock=clock), shown)
            found = await work.adopt(ledger)
        if not found.adopted and not found.known:
            raise NothingAdoptedError(found, (one.name for one in job.config.fields))
        shown.close()
        asked = Asked(job_id=work.job_id, groups=(group_id,))
        return found, await run_sync(write_outputs, job, ledger, summary, asked, Interruption())


class _Work:
    """One adoption under way."""

    def __init__(self, group_id: str, job: Job, worklist: Worklist, driver: Driver, progress: Progress) -> None:
        self.job_id: int | None = None
        self._group_id = group_id
        self._job = job
        self._worklist = worklist
        self._driver = driver
        self._progress = progress
        self._found = Adoption(group_id)
        config = job.config
        self._reader = Reader(config.fields, {one.name: config.gate_for(one.name) for one in config.fields})

    async def adopt(self, ledger: Ledger) -> Adoption:
        """Match the inputs, then read the results of those that match."""
        client, found = self._driver.groups.client, self._found
        listing = await list_whole_group(client, self._group_id)
        found.runs = len(listing.runs)
        foreign = self._foreign(listing)
        keys = await self._matched(client, foreign)
        known = {run_id for one in ledger.submissions_of(self._group_id) for run_id in one.tied}
        found.known = len(keys.keys() & known)
        wanted = {run_id: key for run_id, key in keys.items() if run_id not in known}
        await self._driver.recorder.record(RecordService(self._driver.groups.kind))
        if wanted:
            self.job_id = await run_sync(start_job, self._job, ledger)
            self._progress.start(len(wanted))
            processors = {run_id: listing.runs[run_id].processor or "" for run_id in wanted}
            await self._driver.run(self._read(self.job_id, wanted, processors))
        return found

    def _foreign(self, listing: GroupListing) -> set[str]:
        """The completed runs that carry no metadata of ours; the others are counted."""
        chosen = set()
        for run in listing.runs.values():
            if identity_in_metadata(run.metadata or {}, run.processor or "") is not None:
                self._found.own += 1
            elif run.status != "completed":
                self._found.not_completed += 1
            else:
                chosen.add(run.run_id)
        return chosen

    async def _matched(self, client: Client, foreign: set[str]) -> dict[str, bytes]:
        """Input keys of the runs whose input is in the table."""
        keys: dict[str, bytes] = {}

        def match(run_id: str, asked: bytes) -> None:
            document, *older = documents_of(asked, self._job.config.inputs, self._job.config.empty)
            key = self._worklist.find(map(input_key, (document, *older)))
            if key is not None:
                keys[run_id] = key
                return
            self._found.unmatched += 1
            if len(self._found.examples) < SHOWN:
                self._found.examples.append(document.decode())

        await _read_inputs(client, self._group_id, foreign, match)
        return keys

    def _read(self, job_id: int, wanted: Mapping[str, bytes], processors: Mapping[str, str]) -> Script[None]:
        """Read the results, and enter each as it comes."""
        left = dict(wanted)
        reader: int | None = None
        try:
            while True:
                chunk = yield from do(ReadRuns(self._group_id, None, reader))
                yield from self._enter(job_id, chunk.runs, left, processors)
                reader = chunk.reader
                if reader is None:
                    break
        except ApiError as error:
            if not error.retryable:
                raise
        for run_id in sorted(left):  # what the stream did not bring
            run = yield from do(FetchRun(run_id))
            yield from self._enter(job_id, [run], left, processors)
        self._found.not_completed += len(left)

    def _enter(
        self, job_id: int, runs: Iterable[ReadRun], left: dict[str, bytes], processors: Mapping[str, str]
    ) -> Script[None]:
        parts: dict[tuple[str, tuple[str, ...]], list[tuple[bytes, ReadRun]]] = {}
        for run in runs:
            if run.run_id not in left or run.status not in ENDED or not run.has_output:
                continue
            key = left.pop(run.run_id)
            fitting = self._fitting(run.raw)
            if fitting:
                parts.setdefault((processors[run.run_id], fitting), []).append((key, run))
            else:
                self._found.unfit += 1
        for (processor, field_ids), results in parts.items():
            yield from do(_Enter(job_id, self._group_id, processor, field_ids, tuple(results), self._job.clock.stamp()))
            self._found.adopted += len(results)
        self._progress.update(done=self._found.adopted + self._found.unfit, failed=0, usd=Decimal(0))

    def _fitting(self, raw: bytes) -> tuple[str, ...]:
        """The config's fields that a result has, in a form that fits their schema."""
        answers = self._reader.read(raw, [one.id for one in self._job.config.fields])
        return tuple(sorted(field_id for field_id, answer in answers.items() if answer.verdict != "invalid"))


async def _read_inputs(client: Client, group_id: str, wanted: set[str], take: Callable[[str, bytes], None]) -> None:
    """Hand the input of each wanted run to `take`, once: from the listing, or by the run's id where that lacks it."""
    left = set(wanted)
    for _ in range(_READINGS):
        try:
            async with client.open_runs(group_id, include_input=True) as stream:
                async for events in stream:
                    for event in events:
                        if isinstance(event, RunEvent) and event.run.run_id in left and event.input != NULL:
                            left.discard(event.run.run_id)
                            take(event.run.run_id, _asked(event.input))
            break
        except StreamBreakError:
            continue
    for run_id in sorted(left):
        take(run_id, _asked(await client.run_input(run_id)))


class _RunInput(msgspec.Struct):
    input: msgspec.Raw = NULL


def _asked(raw: msgspec.Raw) -> bytes:
    """What a run was asked about, raw JSON."""
    try:
        return bytes(msgspec.json.decode(raw, type=_RunInput).input)
    except msgspec.MsgspecError:
        return bytes(raw)


def documents_of(asked: bytes, inputs: Collection[str], empty: Collection[str] = ()) -> tuple[bytes, ...]:
    """An input as this program would have written it: canonical JSON, its values in their normal form.

    Then as it would have been until 0.2.0, where that is another. What can't be read as an input of ours comes back as
    it is, and is in no table. `empty` as configured.
    """
    value = _decoded(asked)
    if isinstance(value, str):
        text = value.strip()
        inner = _decoded(text.encode("utf-8", "surrogatepass"))
        if isinstance(inner, dict):
            value = inner
        elif len(inputs) == 1:
            value = dict.fromkeys(inputs, text)
    if not isinstance(value, dict):
        return (asked,)
    nothing = {normal_text(text).casefold() for text in empty}
    left = {name: one for name, one in value.items() if not (isinstance(one, str) and _folded(one) in nothing)}
    return tuple(dict.fromkeys(document({name: form(one) for name, one in left.items()}) for form in _FORMS))


_FORMS: Final = (normal_value, old_value)


def _folded(text: str) -> str:
    return normal_text(text).casefold()


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class _Enter(LedgerEffect[None]):
    """Enter results that another program paid for, as runs that are over."""

    job_id: int
    group_id: str
    processor: str
    field_ids: tuple[str, ...]
    results: tuple[tuple[bytes, ReadRun], ...]  # with the key of the input of each
    now: Stamp

    def apply(self, ledger: Ledger) -> None:
        submission_id = ledger.record_intent(
            Intent(
                job_id=self.job_id,
                group_id=self.group_id,
                processor=self.processor,
                field_ids=self.field_ids,
                usd_micro=0,  # the other program paid
                body_hash=b"",
                stamp=self.now,
                tasks=tuple(self._tasks(ledger)),
                origin="adopted",
            )
        )
        runs = [run for _, run in self.results]
        ledger.record_adopted(submission_id, {n: run.run_id for n, run in enumerate(runs)})
        ledger.record_resolved(submission_id)
        outcomes = [Outcome(n, run.run_id, completed=True, raw=run.raw, at=run.at) for n, run in enumerate(runs)]
        ledger.record_outcomes(submission_id, outcomes)

    def _tasks(self, ledger: Ledger) -> Iterator[tuple[bytes, int]]:
        """Input and generation of each: of one input's results each is a task of its own."""
        held = ledger.held([key for key, _ in self.results])
        asked = frozenset(self.field_ids)
        next_: dict[bytes, int] = {}
        for key, _ in self.results:
            if key not in next_:
                alike = (run for run in held.get(key, ()) if run.processor == self.processor and run.field_ids == asked)
                next_[key] = max((run.generation for run in alike), default=-1) + 1
            yield key, next_[key]
            next_[key] += 1
