"""Holds a ledger against the service's groups, and an output against the ledger. Sends nothing but GETs: free.

What the ledger says of a run must be what the service lists, and every run that the service lists under one of our
tasks must be in the ledger. An output must be what would be written now: it is written once more, elsewhere, and the
two are compared cell by cell.
"""

import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.to_thread import run_sync

from enrich.api.environment import Environment
from enrich.api.errors import NotFoundError
from enrich.backends.listing import GroupListing, IncompleteListingError, list_whole_group
from enrich.backends.metadata import TaskIdentity, identity_in_metadata
from enrich.backends.opening import open_service
from enrich.backends.parallel import Client
from enrich.dataset import Table, open_table
from enrich.errors import ExitCode, UsageError, ungrouped
from enrich.job import Options
from enrich.ledger.distinct import Distinct
from enrich.ledger.groups import groups_file, read_groups
from enrich.ledger.lock import InstanceLock
from enrich.ledger.refusals import ledger_refusals
from enrich.ledger.store import Ledger
from enrich.outputs.writing import write_table
from enrich.preparing import prepare
from enrich.protocol.endings import ENDED
from enrich.records import OpenSubmission, RunState
from enrich.report import DoubleCharge, Selection, by_question
from enrich.spec.money import dollars, known_price_micro
from enrich.upkeep.cut_answers import find_cut_answers

SHOWN: Final = 20  # differences of a kind that are told one by one; the rest is counted
GROUPS_AT_ONCE: Final = 8
CUT: Final = "answer with the key cut out of it"
CUT_AND_GONE: Final = "answer with [redacted] in it, which the service no longer has"
RUN_COLUMN: Final = "enrich_run_id"
_CELL_CHARS: Final = 80

_STATUS: Final[Mapping[RunState, frozenset[str]]] = {
    RunState.COMPLETED: frozenset({"completed"}),
    RunState.FAILED: ENDED - {"completed"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputToCheck:
    """An output with what it was made of."""

    path: Path
    config: Path
    table: Path
    selection: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What to verify: all groups of the ledger, or those that are named; and an output, if there is one."""

    ledger: Path
    environ: Mapping[str, str]
    groups: Sequence[str] = ()
    output: OutputToCheck | None = None
    sandbox: bool = False
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep  # between the readings of a group that is not whole

    def __post_init__(self) -> None:
        object.__setattr__(self, "environ", Environment.of(self.environ))


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be: what kind of thing, where, and what stands on either side."""

    kind: str
    where: str
    what: str


@dataclass(slots=True)
class Verification:
    """What was compared, and what differs. Runs are counts."""

    ledger: Path
    groups: int = 0
    runs_ledger: int = 0
    runs_service: int = 0
    foreign: int = 0  # made by another program, and not in the ledger
    waiting: int = 0  # in the ledger and at the service, without an outcome here yet
    usd_ledger: Decimal = Decimal(0)
    usd_service: Decimal = Decimal(0)  # completed runs of ours, at today's prices
    unpriced_ledger: int = 0  # completed runs whose price is not known: they are in no sum of dollars
    unpriced_service: int = 0
    output: Path | None = None
    rows: int = 0  # of the output, compared
    cells: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # differences by kind
    differences: list[Difference] = field(default_factory=list)  # the first of each kind
    double_charges: list[DoubleCharge] = field(default_factory=list)

    def add(self, difference: Difference) -> None:
        """Count a difference, and keep it if it is among the first of its kind."""
        self.counts[difference.kind] += 1
        if self.counts[difference.kind] <= SHOWN:
            self.differences.append(difference)

    @property
    def exit_code(self) -> ExitCode:
        """How the command ends: what a person must look at first comes first."""
        if self.double_charges:
            return ExitCode.DOUBLE_CHARGE
        return ExitCode.FAILED_ROWS if self.counts else ExitCode.DONE


async def verify(request: VerifyRequest) -> Verification:
    """Compare. Raises LedgerError for a damaged ledger, UsageError, or ApiError where the service refuses."""
    found = Verification(request.ledger)
    with (
        ledger_refusals(request.ledger),
        closing(await run_sync(Ledger.reader, request.ledger)) as ledger,
        InstanceLock(request.ledger),
        ungrouped(),
    ):
        await run_sync(_check, ledger)
        if request.output is not None:
            await run_sync(_compare_output, request.output, request, ledger, found)
        known = [*ledger.group_ids(), *read_groups(groups_file(request.ledger))]
        groups = list(request.groups) or list(dict.fromkeys(known))
        if groups:
            async with open_service(request.environ, ledger=request.ledger, sandbox=request.sandbox) as client:
                await _Books(ledger, client, found, request.sleep).compare_all(groups, wherever=not request.groups)
                await _find_cut_answers(ledger, client, request, found)
        found.double_charges[:] = by_question(found.double_charges)
    return found


async def _find_cut_answers(ledger: Ledger, client: Client, request: VerifyRequest, found: Verification) -> None:
    """Tell the answers that an earlier version stored with the key cut out, by row where the output names their run."""
    cut = await find_cut_answers(ledger, client)
    rows = {} if request.output is None or not cut else await run_sync(_rows_of_runs, request.output.path)
    for one in cut:
        for name, text in one.answers.items():
            row = rows.get(one.run_id)
            where = f"{one.run_id}, {name}" if row is None else f"row {row}, {name}, {one.run_id}"
            kind = CUT if one.is_there else CUT_AND_GONE
            found.add(Difference(kind, where, f"the ledger has {text}"))


def _rows_of_runs(path: Path) -> dict[str, int]:
    """The first row of each run that an output names."""
    rows: dict[str, int] = {}
    for batch in open_table(path, is_ours=True).batches():
        if RUN_COLUMN not in batch.frame.columns:
            return {}
        for place, run_ids in enumerate(batch.values(RUN_COLUMN)):
            for run_id in str(run_ids or "").split(", "):
                rows.setdefault(run_id, batch.start + place + 1)
    return rows


def _check(ledger: Ledger) -> None:
    ledger.check_whole()
    ledger.check_results()


# ---------------------------------------------------------------------- the service


class _Books:
    """The ledger's account of some groups beside the service's."""

    def __init__(
        self, ledger: Ledger, client: Client, found: Verification, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._sleep = sleep
        self._found = found
        self._extras = {extra.run_id: extra for extra in ledger.extra_runs()}
        self._extras_left = {*self._extras}  # in no listing so far

    async def compare_all(self, groups: Sequence[str], *, wherever: bool) -> None:
        """Compare group by group, in any order, some at once; with `wherever`, also groups that hold extra runs only.

        No submission of the ledger names such a group: the service says of each run where it is.
        """
        slots = anyio.CapacityLimiter(GROUPS_AT_ONCE)
        with Distinct() as tasks_seen:
            async with anyio.create_task_group() as running:
                for group_id in groups:
                    running.start_soon(self._compare, group_id, slots, tasks_seen)
            compared = {*groups}
            for run_id in sorted(self._extras_left) if wherever else ():
                if run_id not in self._extras_left:  # in a group that was compared for another one
                    continue
                try:
                    run = await self._client.run(run_id)
                except NotFoundError:
                    self._found.add(Difference("run unknown to the service", run_id, "is in the ledger, as an extra"))
                    continue
                place = run.taskgroup_id
                if place is None:
                    self._compare_group(GroupListing("", "", 1, 1, {run_id: run}), tasks_seen)
                elif place not in compared:
                    compared.add(place)
                    await self._compare(place, slots, tasks_seen)

    async def _compare(self, group_id: str, slots: anyio.CapacityLimiter, tasks_seen: Distinct) -> None:
        async with slots:
            try:
                listing = await list_whole_group(self._client, group_id, sleep=self._sleep)
            except UsageError as error:
                self._found.add(Difference("group unknown to the service", group_id, str(error)))
                return
            except IncompleteListingError as error:
                self._found.add(Difference("group could not be listed", group_id, str(error)))
                return
        self._compare_group(listing, tasks_seen)

    def _compare_group(self, listing: GroupListing, tasks_seen: Distinct) -> None:
        found = self._found
        account = _Account.of(self._ledger.submissions_of(listing.group_id))
        self._extras_left.difference_update(listing.runs)
        found.groups += bool(listing.group_id)
        found.runs_ledger += len(account.ids) + sum(run_id in self._extras for run_id in listing.runs)
        found.runs_service += len(listing.runs)
        found.usd_ledger += dollars(account.usd_micro)
        found.unpriced_ledger += account.unpriced
        paid: dict[str, list[str]] = {}  # ids by task, of the runs that cost something, or may yet
        tasks: dict[str, TaskIdentity] = {}
        for run_id, run in listing.runs.items():
            identity = identity_in_metadata(run.metadata or {}, run.processor or "")
            if run_id in self._extras:
                extra = self._extras[run_id]
                if extra.state is RunState.COMPLETED:
                    found.usd_ledger += dollars(extra.usd_micro or 0)
                    found.unpriced_ledger += extra.usd_micro is None
            else:
                self._compare_run(listing.group_id, run_id, run.status, identity, account)
            if identity is None:
                continue
            if run.status == "completed":
                price = known_price_micro(identity.processor)
                found.usd_service += dollars(price or 0)
                found.unpriced_service += price is None
            if run.status == "completed" or run.status not in ENDED:
                paid.setdefault(identity.task, []).append(run_id)
                tasks[identity.task] = identity
        for run_id in sorted(account.ids - listing.runs.keys()):
            found.add(Difference("run unknown to the service", f"{listing.group_id} {run_id}", "is in the ledger"))
        elsewhere = tasks_seen.seen_before({task.encode(): run_ids[0] for task, run_ids in paid.items()})
        for task, run_ids in paid.items():
            self._find_double_charge(tasks[task], run_ids, elsewhere.get(task.encode()))

    def _compare_run(
        self, group_id: str, run_id: str, status: str, identity: TaskIdentity | None, account: "_Account"
    ) -> None:
        found, where = self._found, f"{group_id} {run_id}"
        if run_id not in account.ids:
            if identity is None:
                found.foreign += 1
            elif identity.task in account.awaited:
                found.waiting += 1
            else:
                found.add(Difference("run unknown to the ledger", where, f"{status}, task {identity.task}"))
            return
        state = account.states.get(run_id, RunState.ACCEPTED)
        expected = _STATUS.get(state)
        if expected is None:
            found.waiting += 1
        elif status not in expected:
            found.add(Difference("state", where, f"{state.name.lower()} in the ledger, {status} at the service"))
        task = account.tasks.get(run_id)
        if task is not None and (identity is None or identity.task != task):
            theirs = "no task of ours" if identity is None else identity.task
            found.add(Difference("task", where, f"{task} in the ledger, {theirs} at the service"))

    def _find_double_charge(self, task: TaskIdentity, run_ids: Sequence[str], elsewhere: str | None) -> None:
        too_many = len(run_ids) - (elsewhere is None)  # runs of this group, and a first one in another
        if too_many == 0:
            return
        ids = tuple(run_ids) if elsewhere is None else (elsewhere, *run_ids)
        price = known_price_micro(task.processor)
        usd, unpriced = too_many * dollars(price or 0), too_many if price is None else 0
        self._found.double_charges.append(
            DoubleCharge(task_key=task.task, run_ids=ids, usd=usd, runs=too_many, unpriced=unpriced)
        )


@dataclass(frozen=True, slots=True)
class _Account:
    """What the ledger says of one group."""

    ids: frozenset[str]
    states: Mapping[str, RunState]  # by run id, where it is known which run it is
    tasks: Mapping[str, str]  # task by run id, of the runs that we asked
    awaited: frozenset[str]  # tasks whose run is still to be told by the service
    usd_micro: int
    unpriced: int  # completed runs whose price is not known

    @classmethod
    def of(cls, submissions: Sequence[OpenSubmission]) -> "_Account":
        """The account of all submissions of a group."""
        ids: set[str] = set()
        states: dict[str, RunState] = {}
        tasks: dict[str, str] = {}
        awaited: set[str] = set()
        usd_micro = unpriced = 0
        for one in submissions:
            task_of = {n: task for task, n in one.tasks.items()}
            ids |= one.run_ids | one.tied.keys()
            states |= {run_id: one.states[n] for run_id, n in one.tied.items()}
            if one.origin != "adopted":  # what another program asked, and we adopted, carries no task of ours
                tasks |= {run_id: task_of[n] for run_id, n in one.tied.items()}
            told = set(one.tied.values())
            awaited |= {
                task
                for task, n in one.tasks.items()
                if n not in told and one.states[n] in (RunState.SENT, RunState.ACCEPTED)
            }
            completed = one.states.count(RunState.COMPLETED)
            usd_micro += one.usd_micro * completed
            unpriced += completed if one.price_micro is None else 0
        return cls(frozenset(ids), states, tasks, frozenset(awaited), usd_micro, unpriced)


# ---------------------------------------------------------------------- the output


def _compare_output(output: OutputToCheck, request: VerifyRequest, ledger: Ledger, found: Verification) -> None:
    """Write what the output should be, and compare."""
    chosen = output.selection
    with tempfile.TemporaryDirectory(prefix="enrich-verify-") as folder:
        options = Options(
            output=Path(folder) / output.path.name,
            where=chosen.where,
            limit=chosen.limit,
            sample=chosen.sample,
            sandbox=request.sandbox,
            environ=request.environ,
        )
        job = prepare(output.config, output.table, options)
        write_table(job.config, job.table, job.rows, ledger, job.outputs, key=options.key)
        found.output = output.path
        actual, expected = (
            open_table(path, **job.config.csv.reading(), is_ours=True) for path in (output.path, job.outputs.table)
        )
        for difference in compare_tables(actual, expected, found):
            found.add(difference)


def compare_tables(actual: Table, expected: Table, found: Verification) -> Iterator[Difference]:
    """What differs between an output and what it should be, cell by cell; counts what was compared."""
    for name in expected.columns:
        if name not in actual.columns:
            yield Difference("column missing in the output", name, "")
    for name in actual.columns:
        if name not in expected.columns:
            yield Difference("column not of this config or table", name, "")
    if actual.height != expected.height:
        what = f"{actual.height} rows in the output, {expected.height} in the table"
        yield Difference("number of rows", str(actual.path), what)
        return
    common = [name for name in expected.columns if name in actual.columns]
    if common != [name for name in actual.columns if name in common]:
        yield Difference("order of columns", str(actual.path), "")
    found.rows, found.cells = expected.height, expected.height * len(common)
    for number, (should, stands) in enumerate(zip(_rows(expected, common), _rows(actual, common), strict=True), 1):
        if should != stands:
            for name, one, other in zip(common, should, stands, strict=True):
                if one != other and not (one != one and other != other):  # noqa: PLR0124 — NaN
                    what = f"{_shown(other)} in the output, {_shown(one)} by the ledger"
                    yield Difference("cell", f"row {number}, {name}", what)


def _rows(table: Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for batch in table.batches():
        yield from zip(*(batch.values(name) for name in names), strict=True)


def _shown(value: Any) -> str:
    text = "empty" if value is None else repr(value)
    return text if len(text) <= _CELL_CHARS else text[: _CELL_CHARS - 1] + "…"
