"""The groups and runs that the service has, and how they change as time goes by.

Nothing runs in the background: a run's whole life (when it starts, when it ends and how) is drawn when it
is created, from the seed, its task and how often that task was asked before; its status follows from the
clock. Runs can be added with effect at a later time. A cursor into a group's runs is a number of runs in
order of creation; into its events, a number of runs in order of their end.
"""

import heapq
import uuid
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf
from typing import Literal

from enrich.sandbox.dice import chance
from enrich.sandbox.journal import Journal, JournaledBatch, JournaledGroup
from enrich.sandbox.requests import RunRequest

Status = Literal["queued", "running", "completed", "failed", "cancelled", "action_required"]
Outcome = Literal["completed", "failed", "cancelled", "action_required", "stuck"]

QUEUED_SHARE = 0.3  # a run waits for at most this share of its latency before it starts


@dataclass(slots=True, eq=False)
class Run:
    """One run. `nth` counts the runs of its task, from 0; `index` is its place in its group."""

    run_id: str
    request: RunRequest
    group: "Group | None"
    index: int
    number: int  # how many runs the service had when this one was created
    nth: int
    element_basis: bool
    created_at: float
    started_at: float = 0.0
    finished_at: float = 0.0
    outcome: Outcome = "completed"
    is_nameless: bool = False  # shown without its metadata

    def status(self, now: float) -> Status:
        """The status at a time, not before the run's creation."""
        if now >= self.finished_at and self.outcome != "stuck":
            return self.outcome
        return "running" if now >= self.started_at else "queued"

    def modified_at(self, now: float) -> float:
        """When the status last changed, as seen at a time."""
        if now >= self.finished_at:
            return self.finished_at
        return self.started_at if now >= self.started_at else self.created_at

    @property
    def identity(self) -> tuple[str, str]:
        """What its draws depend on: the task, and how often it was asked before."""
        return self.request.task, str(self.nth)


@dataclass(slots=True)
class Batch:
    """Runs that were or will be added together; `number` is the service's count of run ids before it."""

    group: "Group | None"
    requests: Sequence[RunRequest]
    number: int
    element_basis: bool
    at: float


@dataclass(slots=True, eq=False)
class Group:
    """A task group: its runs in order of creation, and those that have ended in order of their end."""

    group_id: str
    metadata: bytes
    created_at: float
    runs: list[Run] = field(default_factory=list)
    ended: list[Run] = field(default_factory=list)
    _to_start: list[tuple[float, int]] = field(default_factory=list)
    _to_end: list[tuple[float, int]] = field(default_factory=list)
    _ended_as: Counter[str] = field(default_factory=Counter)
    _modified_at: float = 0.0

    def add(self, run: Run) -> None:
        """Take in a run that has just been created."""
        self.runs.append(run)
        heapq.heappush(self._to_start, (run.started_at, run.index))
        heapq.heappush(self._to_end, (run.finished_at, run.index))
        self._modified_at = max(self._modified_at, run.created_at)

    def advance(self, now: float) -> None:
        """Let what was due by `now` happen. `now` never goes back."""
        while self._to_start and self._to_start[0][0] <= now:
            self._modified_at = max(self._modified_at, heapq.heappop(self._to_start)[0])
        while self._to_end and self._to_end[0][0] <= now:
            at, index = heapq.heappop(self._to_end)
            self._modified_at = max(self._modified_at, at)
            self.ended.append(self.runs[index])
            self._ended_as[self.runs[index].outcome] += 1

    def next_change(self) -> float:
        """When the next run starts or ends; infinity if nothing is under way."""
        starts = self._to_start[0][0] if self._to_start else inf
        return min(starts, self._to_end[0][0] if self._to_end else inf)

    def counts(self) -> dict[str, int]:
        """How many runs have each status, as of the last `advance`; statuses without runs are left out."""
        queued = len(self._to_start)
        counts = {"queued": queued, "running": len(self._to_end) - queued, **self._ended_as}
        return {status: count for status, count in counts.items() if count}

    def modified_at(self) -> float:
        """When the group last changed, as of the last `advance`."""
        return max(self._modified_at, self.created_at)

    def is_active(self) -> bool:
        """Whether any run is under way, as of the last `advance`."""
        return bool(self._to_end)

    def created_by(self, time: float) -> int:
        """How many of the runs were created by a time."""
        return bisect_right(self.runs, time, key=lambda run: run.created_at)


class Registry:
    """All groups and runs, kept in memory and, if there is a journal, on disk."""

    def __init__(
        self,
        *,
        seed: int,
        latency_s: tuple[float, float],
        slow_share: float,
        slow_s: tuple[float, float],
        outcome_of: Callable[[Run], Outcome],
        is_nameless: Callable[[Run], bool],
        clock: Callable[[], float],
        journal: Journal | None,
    ) -> None:
        self.groups: dict[str, Group] = {}
        self.runs: dict[str, Run] = {}
        self._seed = seed
        self._latency_s = latency_s
        self._slow_share = slow_share
        self._slow_s = slow_s
        self._outcome_of = outcome_of
        self._is_nameless = is_nameless
        self._clock = clock
        self._latest = 0.0
        self._asked: defaultdict[str, int] = defaultdict(int)
        self._promised = 0  # run ids given out, of runs that are here or will be
        self._pending: list[tuple[float, int, Batch]] = []
        self._journal = journal
        self._nonce = journal.nonce if journal is not None else uuid.uuid4().hex
        if journal is not None:
            self._replay(journal.entries())

    def now(self) -> float:
        """The time, which never goes back; whatever was due by it has happened."""
        self._latest = max(self._latest, self._clock())
        while self._pending and self._pending[0][0] <= self._latest:
            self._create(heapq.heappop(self._pending)[2])
        return self._latest

    def next_pending(self) -> float:
        """When the next batch that was added with a delay takes effect; infinity if there is none."""
        return self._pending[0][0] if self._pending else inf

    def create_group(self, metadata: bytes) -> Group:
        """A new group; it is in the journal when this returns."""
        group_id = f"tgrp_{self._id(b'group', len(self.groups))}"
        entry = JournaledGroup(group=group_id, metadata=metadata, at=self.now())
        if self._journal is not None:
            self._journal.write_group(entry)
        return self._add_group(entry)

    def add_runs(
        self,
        group: Group | None,
        requests: Sequence[RunRequest],
        *,
        element_basis: bool,
        delay_s: float = 0.0,
    ) -> list[str]:
        """Create runs, at once or `delay_s` later, and give their ids; the journal has them by then."""
        at = self.now() + delay_s
        batch = Batch(group, requests, self._promised, element_basis, at)
        if self._journal is not None:
            self._journal.write_batch(
                JournaledBatch(group.group_id if group else None, batch.number, element_basis, at, requests)
            )
        self._promise(batch)
        self.now()
        return [self._run_id(batch.number + offset) for offset in range(len(requests))]

    def run_count(self) -> int:
        """How many runs the service has."""
        return len(self.runs)

    def active_runs(self, now: float) -> Iterator[Run]:
        """The runs that have not ended by `now`."""
        return (run for run in self.runs.values() if now < run.finished_at)

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()

    def _promise(self, batch: Batch) -> None:
        if not batch.requests:
            return
        self._promised += len(batch.requests)
        heapq.heappush(self._pending, (batch.at, batch.number, batch))

    def _create(self, batch: Batch) -> None:
        for offset, request in enumerate(batch.requests):
            number = batch.number + offset
            run = Run(
                run_id=self._run_id(number),
                request=request,
                group=batch.group,
                index=len(batch.group.runs) if batch.group else 0,
                number=len(self.runs),
                nth=self._asked[request.task],
                element_basis=batch.element_basis,
                created_at=batch.at,
            )
            self._asked[request.task] += 1
            run.outcome = self._outcome_of(run)
            run.is_nameless = self._is_nameless(run)
            latency = self._latency_of(run)
            run.started_at = batch.at + latency * QUEUED_SHARE * chance(self._seed, "queue", *run.identity)
            run.finished_at = inf if run.outcome == "stuck" else batch.at + latency
            self.runs[run.run_id] = run
            if batch.group is not None:
                batch.group.add(run)

    def _latency_of(self, run: Run) -> float:
        is_slow = self._slow_share > chance(self._seed, "slow", *run.identity) if self._slow_share else False
        low, high = self._slow_s if is_slow else self._latency_s
        return low + (high - low) * chance(self._seed, "latency", *run.identity)

    def _add_group(self, entry: JournaledGroup) -> Group:
        group = Group(entry.group, entry.metadata, entry.at)
        self.groups[group.group_id] = group
        return group

    def _replay(self, entries: Iterator[JournaledGroup | JournaledBatch]) -> None:
        """Take everything from the journal; the heap brings the batches into order of taking effect."""
        for entry in entries:
            if isinstance(entry, JournaledGroup):
                self._add_group(entry)
            else:
                group = self.groups[entry.group] if entry.group is not None else None
                self._promise(Batch(group, entry.requests, entry.number, entry.element_basis, entry.at))

    def _run_id(self, number: int) -> str:
        return f"trun_{self._id(b'run', number)}"

    def _id(self, kind: bytes, number: int) -> str:
        return blake2b(b"%b %d" % (kind, number), digest_size=16, key=self._nonce.encode()).hexdigest()
