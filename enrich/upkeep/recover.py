"""Rebuilds a ledger from the service's own records: every run carries enough metadata to be tied to its task again.

A group is listed until the listing is complete, its runs are entered as submissions that the service has accepted, and
what has ended is read like the results of any command. What the ledger knows already is left as it is, so it can be
done again, and on a ledger that only lacks a part. Nothing is sent but GETs: recovery is free. What has not ended yet
is collected by the next `enrich run`.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

import anyio
from anyio.to_thread import run_sync

from enrich.api.environment import Environment
from enrich.api.errors import NotFoundError
from enrich.asking.driver import Driver
from enrich.backends.groups import Groups
from enrich.backends.listing import GroupListing, IncompleteListingError, list_whole_group
from enrich.backends.metadata import TaskIdentity, identity_in_metadata
from enrich.backends.opening import check_service, open_service
from enrich.backends.parallel import Client
from enrich.errors import ExitCode, UsageError, ungrouped
from enrich.host.clock import SYSTEM, Clock
from enrich.ledger.groups import groups_file, read_groups, replace_groups
from enrich.ledger.lock import InstanceLock
from enrich.ledger.place import check_place
from enrich.ledger.recorder import open_recorder
from enrich.ledger.refusals import ledger_refusals
from enrich.ledger.salvage import known_groups, salvaged_decisions, set_aside
from enrich.ledger.store import Ledger
from enrich.progress import Progress, QuietProgress
from enrich.protocol.collect import collect_extra
from enrich.protocol.endings import ENDED
from enrich.protocol.reading import read_ended
from enrich.protocol.till import Till
from enrich.records import Intent, LiveRun, OpenSubmission, RunState, ServiceKind, Stamp
from enrich.report import DoubleCharge, by_question
from enrich.spec.money import dollars, known_price_micro

GROUPS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverRequest:
    """What to recover into which ledger. Without `groups`, those that are left of the ledger name themselves."""

    ledger: Path
    environ: Mapping[str, str]
    groups: Sequence[str] = ()
    replace: bool = False
    sandbox: bool = False
    facts: Path | None = None
    clock: Clock = SYSTEM

    def __post_init__(self) -> None:
        object.__setattr__(self, "environ", Environment.of(self.environ))


@dataclass(slots=True)
class Recovery:
    """What a recovery found. Runs are counts."""

    ledger: Path
    aside: Path | None = None  # where the ledger that was there is now
    decisions: int = 0  # of people, taken over from it
    groups: int = 0
    listed: int = 0  # runs of ours in these groups
    known: int = 0  # of them, in the ledger already
    completed: int = 0
    failed: int = 0
    extras: int = 0  # more runs of a task that has one
    foreign: int = 0  # runs without metadata of ours, and not in the ledger
    untied: int = 0  # of them, completed: if they were ours, to ask again is to pay again
    untied_groups: list[str] = field(default_factory=list)
    usd: Decimal = Decimal(0)  # of the completed ones
    unpriced: int = 0  # of them, those whose price is not known any more
    double_charges: Sequence[DoubleCharge] = ()  # one a question
    unknown_groups: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)  # why, a group each

    @property
    def to_collect(self) -> int:
        """Runs of ours whose outcome is not there yet."""
        return self.listed - self.known - self.completed - self.failed - self.extras

    @property
    def exit_code(self) -> ExitCode:
        """How the command ends: what a person must look at first comes first."""
        if self.double_charges:
            return ExitCode.DOUBLE_CHARGE
        if self.unknown_groups:
            return ExitCode.USAGE
        if self.incomplete:
            return ExitCode.STOPPED
        return ExitCode.FAILED_ROWS if self.untied else ExitCode.DONE


@dataclass(frozen=True, slots=True)
class OwnRun:
    """A run of ours as the service lists it."""

    run_id: str
    identity: TaskIdentity
    status: str


@dataclass(frozen=True, slots=True)
class Entered:
    """What was entered for one group."""

    submissions: tuple[OpenSubmission, ...]  # with something to read
    known: int
    extras: tuple[OwnRun, ...]  # double charges
    held: frozenset[str]  # ids of runs that the ledger had


async def recover(request: RecoverRequest, *, progress: Progress | None = None) -> Recovery:
    """Rebuild what a ledger lacks. Raises LedgerError, UsageError, or, where the service refuses, ApiError.

    A ledger that can't be trusted is refused, unless `replace` allows to set it aside.
    """
    check_service(request.environ, sandbox=request.sandbox, facts=request.facts)
    await run_sync(check_place, request.ledger)
    groups = list(dict.fromkeys(request.groups)) or list(await run_sync(known_groups, request.ledger))
    if not groups:
        raise UsageError(
            f"{request.ledger}: nothing here names a group; give them with --group ID, or --manifest NAME.run.json. "
            "The service's console lists them too"
        )
    recovery = Recovery(request.ledger)
    shown = progress or QuietProgress()
    Ledger.make_folder(request.ledger)
    with ledger_refusals(request.ledger), InstanceLock(request.ledger), ungrouped(), ExitStack() as held:
        ledger = (
            None
            if request.replace
            else held.enter_context(closing(await run_sync(_open, request.ledger, request.clock)))
        )
        async with open_service(
            request.environ, ledger=request.ledger, sandbox=request.sandbox, facts=request.facts
        ) as client:
            ordered = await _oldest_first(client, groups, recovery, shown)
            if not ordered:
                return recovery
            if ledger is None:  # now that the service answers, and knows what to rebuild from
                ledger = held.enter_context(closing(await run_sync(_replace, request.ledger, recovery, request.clock)))
            async with open_recorder(ledger) as recorder:
                work = _Work(Driver(Groups(client), recorder, Till(), clock=request.clock), recovery, shown)
                await work.recover_all(ordered)
            await run_sync(_relist, request.ledger, ledger, work.done, work.lost)
    return recovery


async def _oldest_first(client: Client, groups: Sequence[str], recovery: Recovery, progress: Progress) -> list[str]:
    """The groups in the order in which they were made: of two runs of one task, the first one counts."""
    made: dict[str, str] = {}
    runs = 0
    for group_id in groups:
        try:
            group = await client.group(group_id)
        except NotFoundError:
            recovery.unknown_groups.append(group_id)
        else:
            made[group_id] = group.created_at or ""
            runs += group.status.num_task_runs
    progress.start(runs)
    return sorted(made, key=lambda group_id: made[group_id])


def _replace(path: Path, recovery: Recovery, clock: Clock) -> Ledger:
    """A new ledger in the place of the one there is, with what people decided."""
    events = salvaged_decisions(path)
    recovery.aside = set_aside(path, clock.moment())
    ledger = _open(path, clock)
    with ledger.transaction():
        ledger.record_events(events)
    latest = {(event.input_key, event.field_id): event.ruled for event in events}
    recovery.decisions = sum(ruled is not None for ruled in latest.values())
    return ledger


def _open(path: Path, clock: Clock) -> Ledger:
    ledger = Ledger.open(path, may_lack_groups=True, now=clock.wall)
    try:
        ledger.check_whole()
    except BaseException:
        ledger.close()
        raise
    return ledger


def _relist(path: Path, ledger: Ledger, done: Sequence[str], lost: Iterable[str]) -> None:
    """A group that was read to the end and has no run of ours need not be looked for again.

    One that is ours by its name, and whose runs can't be tied, stays on the list: no command pays again unawares.
    """
    held = ledger.group_ids()
    with ledger.transaction(keeps_answers=True):
        ledger.record_looked(set(done).difference(held))
    listed = groups_file(path)
    gone = {*done, *held}
    left = [group_id for group_id in (*read_groups(listed), *lost) if group_id not in gone]
    replace_groups(listed, dict.fromkeys([*held, *left]))


class _Work:
    """One recovery under way."""

    def __init__(self, driver: Driver, recovery: Recovery, progress: Progress) -> None:
        self.done: list[str] = []  # groups read to the end
        self.lost: list[str] = []  # groups that are ours by their name, with completed runs of which none can be tied
        self._driver = driver
        self._recovery = recovery
        self._progress = progress
        self._slots = anyio.Semaphore(GROUPS_AT_ONCE)

    async def recover_all(self, groups: Sequence[str]) -> None:
        client = self._driver.groups.client
        job_id = await self._driver.recorder.record(_Begin(self._driver.groups.kind))
        async with anyio.create_task_group() as tasks:
            for group_id in groups:
                try:
                    listing = await list_whole_group(client, group_id)
                except IncompleteListingError as error:
                    self._recovery.incomplete.append(str(error))
                    continue
                own = own_runs(listing)
                entered: Entered = await self._driver.recorder.record(
                    _Enter(job_id, group_id, own, self._driver.clock.stamp())
                )
                self._count(listing, own, entered)
                if listing.group_id in self._recovery.untied_groups and not (own or entered.held & listing.runs.keys()):
                    self.lost += [group_id] if listing.name else []
                    continue
                await self._slots.acquire()
                tasks.start_soon(self._read, group_id, own, entered)
        self._recovery.completed = self._driver.counts.done - self._driver.counts.failed
        self._recovery.failed = self._driver.counts.failed
        self._recovery.usd = dollars(self._driver.counts.usd_micro_paid)
        paid = self._driver.counts.completed.items()
        self._recovery.unpriced = sum(runs for processor, runs in paid if known_price_micro(processor) is None)
        self._recovery.double_charges = await self._driver.recorder.record(_End(job_id))
        self._progress.close()

    def _count(self, listing: GroupListing, own: Sequence[OwnRun], entered: Entered) -> None:
        recovery = self._recovery
        recovery.groups += 1
        recovery.listed += len(own)
        recovery.known += entered.known
        recovery.extras += len(entered.extras)
        others = listing.runs.keys() - {run.run_id for run in own} - entered.held
        untied = sum(listing.runs[run_id].status == "completed" for run_id in others)
        recovery.foreign += len(others)
        recovery.untied += untied
        if untied:
            recovery.untied_groups.append(listing.group_id)

    async def _read(self, group_id: str, own: Sequence[OwnRun], entered: Entered) -> None:
        try:
            ended = {run.run_id for run in own if run.status in ENDED}
            for submission in entered.submissions:
                await self._driver.run(read_ended(submission, ended.intersection(submission.tied)))
            for run in entered.extras:
                if run.status in ENDED:
                    await self._driver.run(collect_extra(run.run_id))
            self.done.append(group_id)
        finally:
            self._slots.release()
            counts = self._driver.counts
            self._progress.update(done=counts.done, failed=counts.failed, usd=dollars(counts.usd_micro_paid))


def own_runs(listing: GroupListing) -> list[OwnRun]:
    """The runs of a listing that carry whole metadata of ours; completed ones first, then the oldest.

    So what was paid for stands for its task where the service has several runs of it.
    """
    own = []
    for run in listing.runs.values():
        identity = identity_in_metadata(run.metadata or {}, run.processor or "")
        if identity is not None:
            own.append((run.status != "completed", run.created_at or "", OwnRun(run.run_id, identity, run.status)))
    return [run for *_, run in sorted(own, key=lambda entry: entry[:2])]


@dataclass(frozen=True, slots=True)
class _Begin:
    """The job in whose name things are entered; gives its id. Raises LedgerError for the other kind of service."""

    kind: ServiceKind

    def apply(self, ledger: Ledger) -> int:
        ledger.record_service(self.kind)
        return ledger.start_job(name="recover", config="", source="", fields={})


@dataclass(frozen=True, slots=True)
class _End:
    """The job is over; gives the double charges that it has to report."""

    job_id: int

    def apply(self, ledger: Ledger) -> Sequence[DoubleCharge]:
        ledger.end_job(self.job_id, ExitCode.DONE.name.lower())
        return by_question(
            DoubleCharge(
                task_key=extra.task_key,
                run_ids=tuple(run_id for run_id in (extra.first_run_id, extra.run_id) if run_id),
                usd=dollars(extra.usd_micro or 0),
                unpriced=int(extra.usd_micro is None),
            )
            for extra in ledger.extra_runs()
            if extra.job_id == self.job_id and extra.is_charge
        )


@dataclass(frozen=True, slots=True)
class _Enter:
    """Enter the runs of one group that the ledger lacks, as submissions that were accepted. Gives Entered."""

    job_id: int
    group_id: str
    runs: Sequence[OwnRun]
    now: Stamp

    def apply(self, ledger: Ledger) -> Entered:
        held = ledger.submissions_of(self.group_id)
        places = {task: (one, n) for one in held for task, n in one.tasks.items()}
        known_ids = {extra.run_id for extra in ledger.extra_runs()}
        known_ids.update(*(one.run_ids for one in held), *(one.tied for one in held))
        known, late = 0, set[int]()
        new: dict[str, OwnRun] = {}  # by task key
        extras: list[OwnRun] = []
        for run in self.runs:
            place = places.get(run.identity.task)
            if run.run_id in known_ids or (place is not None and _is_awaited(*place)):
                known += 1
            elif run.identity.task in new or _live(ledger, run.identity) is not None:
                extras.append(run)
            elif place is not None and _is_free(*place):
                ledger.record_adopted(place[0].submission_id, {place[1]: run.run_id})
                late.add(place[0].submission_id)
            else:
                new[run.identity.task] = run
        made = [self._enter(ledger, part) for part in _alike(new.values())]
        for run in extras:
            live = _live(ledger, run.identity)
            assert live is not None
            ledger.record_extra(live.submission_id, live.n, run.run_id)
        to_read = tuple(ledger.submission(submission_id) for submission_id in (*made, *sorted(late)))
        return Entered(to_read, known, tuple(extras), frozenset(known_ids))

    def _enter(self, ledger: Ledger, runs: Sequence[OwnRun]) -> int:
        """One submission of runs that were asked the same; gives its id."""
        first = runs[0].identity
        submission_id = ledger.record_intent(
            Intent(
                job_id=self.job_id,
                group_id=self.group_id,
                processor=first.processor,
                field_ids=first.field_ids,
                usd_micro=known_price_micro(first.processor),
                body_hash=b"",  # the body itself is gone
                stamp=self.now,
                tasks=tuple((run.identity.input_key, run.identity.generation) for run in runs),
                origin="recovered",
            )
        )
        ledger.record_adopted(submission_id, {n: run.run_id for n, run in enumerate(runs)})
        ledger.record_resolved(submission_id)
        return submission_id


def _is_awaited(submission: OpenSubmission, n: int) -> bool:
    """Whether the next `enrich run` finds out by itself which run stands for a task."""
    state = submission.states[n]
    return state is RunState.SENT or (state is RunState.ACCEPTED and n not in submission.tied.values())


def _is_free(submission: OpenSubmission, n: int) -> bool:
    """Whether a task was given up as surely not taken, so that a late run of it can be adopted."""
    return submission.state in ("open", "done") and submission.states[n] is RunState.RELEASED


def _live(ledger: Ledger, task: TaskIdentity) -> LiveRun | None:
    return ledger.run_of_task(task.input_key, task.field_ids, task.processor, task.generation)


def _alike(runs: Iterable[OwnRun]) -> list[list[OwnRun]]:
    """Runs that were asked the same of the same processor, together."""
    parts: dict[tuple[str, tuple[str, ...]], list[OwnRun]] = {}
    for run in runs:
        parts.setdefault((run.identity.processor, run.identity.field_ids), []).append(run)
    return list(parts.values())
