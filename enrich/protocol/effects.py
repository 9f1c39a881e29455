"""What the submission protocol asks of the outside world: a closed set of requests, as plain values.

A script is a generator: it yields an effect and is sent its result, or has its error thrown into it. So every decision
and its place in the order stands in code without I/O, which runs unchanged against the real service
(`enrich.asking.driver`) and against a simulated one (tests/simulation). `Effect[R]` is typed by what it gives: a script
writes `submission_id = yield from do(RecordIntent(intent))`, and that is an `int`.

| effect | may raise |
| --- | --- |
| Now, Say, Settled, Entrust, PlanVisit, EndVisits | |
| Sleep | StopRequested |
| AwaitTurn | StopRequested, SpendingStopped |
| CreateGroup, AddRuns | ApiError |
| ListGroup, FollowEvents, PollGroup, ReadRuns, FetchRun | ApiError, StopRequested |
| LedgerEffect (a subclass) | LedgerError |
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from enrich.protocol.replies import Added, Followed, Listing, ReadRun, RunsRead
from enrich.protocol.visits import Visit, Waited
from enrich.records import Intent, LiveRun, OpenSubmission, Outcome, ServiceKind, Stamp

if TYPE_CHECKING:
    from enrich.ledger.store import Ledger

R = TypeVar("R")


class Effect(Generic[R]):
    """Something to be done outside; R is what it gives."""

    __slots__ = ()


Script: TypeAlias = Generator[Effect[Any], Any, R]


def do(effect: Effect[R]) -> Script[R]:
    """Have an effect performed; gives what it gives."""
    given: R = yield effect
    return given


class StopRequested(Exception):  # noqa: N818 — a request, not an error
    """The command is asked to end: finish what is at hand, start nothing."""


class SpendingStopped(Exception):  # noqa: N818 — an answer to AwaitTurn, not an error
    """Nothing more may be sent by this command: budget, credit, deadline, permission or an unreachable service."""


# ---------------------------------------------------------------------- time


@dataclass(frozen=True, slots=True)
class Now(Effect[Stamp]):
    """The present moment."""


@dataclass(frozen=True, slots=True)
class Say(Effect[None]):
    """Why nothing moves, for whoever looks on."""

    text: str


@dataclass(frozen=True, slots=True)
class Sleep(Effect[None]):
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class PlanVisit(Effect[Visit]):
    """How and when to look next at a group that is waited for."""

    waited: Waited


@dataclass(frozen=True, slots=True)
class EndVisits(Effect[None]):
    """A group is not waited for any more; `age_s` is how long it took, None where it has not ended."""

    submission_id: int
    processor: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class Entrust(Effect[None]):
    """Have another script run beside this one, which does not wait for it."""

    script: Script[None]


# ---------------------------------------------------------------------- permission to spend


@dataclass(frozen=True, slots=True)
class AwaitTurn(Effect[int]):
    """Wait until a POST of `tasks` runs at this price may be sent; reserves the money.

    Gives how many of the tasks may be sent now: fewer than asked when budget or credit is nearly used up. With
    no tasks, it only waits until the service may be asked again.
    """

    tasks: int
    usd_micro: int


Answered = Literal["accepted", "outcome", "found", "refused", "rate", "credit", "believed", "unsent", "unknown"]


@dataclass(frozen=True, slots=True)
class Settled(Effect[None]):
    """Money reserved by AwaitTurn is no longer at stake (`freed`), or was spent (`paid`); or runs turned up that nobody
    had reserved money for (`found`). All in runs.

    `why` tells the owner of the pace how the service answered a POST of `tried` runs, `said` in which words it did not.
    `believed` is the end of a refusal by quota or credit: nothing was created.
    """

    usd_micro: int
    freed: int = 0
    paid: int = 0
    found: int = 0
    tried: int = 0
    why: Answered = "outcome"
    retry_after_s: float | None = None
    said: str = ""


# ---------------------------------------------------------------------- the service


@dataclass(frozen=True, slots=True)
class CreateGroup(Effect[str]):
    """Make a task group: free of charge."""

    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AddRuns(Effect[Added]):
    """The one request that costs: one POST, never repeated by anything below."""

    group_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class ListGroup(Effect[Listing]):
    """Count, list to the end, count again."""

    group_id: str


@dataclass(frozen=True, slots=True)
class FollowEvents(Effect[Followed]):
    """Watch a group for up to `seconds`, until it has no active run or all the `awaited` ones have ended."""

    group_id: str
    cursor: str | None
    seconds: float
    awaited: frozenset[str]  # ids of runs whose end is news


@dataclass(frozen=True, slots=True)
class PollGroup(Effect[Followed]):
    """Ask once for a group's counts, where its events can't be followed; gives Followed without a cursor."""

    group_id: str


@dataclass(frozen=True, slots=True)
class ReadRuns(Effect[RunsRead]):
    """Read a group's runs with their outputs, after `cursor`, chunk by chunk; `reader` is None for the first
    chunk, then what RunsRead gave."""

    group_id: str
    cursor: str | None
    reader: int | None = None


@dataclass(frozen=True, slots=True)
class FetchRun(Effect[ReadRun]):
    """One run by its id, with its output when it has one."""

    run_id: str


# ---------------------------------------------------------------------- the ledger


class LedgerEffect(Effect[R], ABC):
    """A change of the ledger, or a question to it that must see all changes before; may raise LedgerError."""

    __slots__ = ()

    @abstractmethod
    def apply(self, ledger: "Ledger") -> R:
        """Make the change in the ledger's transaction."""


@dataclass(frozen=True, slots=True)
class RecordService(LedgerEffect[None]):
    """Raises LedgerError when the ledger holds results of the other kind."""

    kind: ServiceKind

    def apply(self, ledger: "Ledger") -> None:
        ledger.record_service(self.kind)


@dataclass(frozen=True, slots=True)
class RecordIntent(LedgerEffect[int]):
    """Gives the submission's id."""

    intent: Intent

    def apply(self, ledger: "Ledger") -> int:
        return ledger.record_intent(self.intent)


@dataclass(frozen=True, slots=True)
class RecordAccepted(LedgerEffect[None]):
    submission_id: int
    run_ids: tuple[str, ...]
    runs_cursor: str | None

    def apply(self, ledger: "Ledger") -> None:
        ledger.record_accepted(self.submission_id, self.run_ids, self.runs_cursor)


@dataclass(frozen=True, slots=True)
class RecordNotCreated(LedgerEffect[None]):
    submission_id: int
    detail: str

    def apply(self, ledger: "Ledger") -> None:
        ledger.record_not_created(self.submission_id, self.detail)


@dataclass(frozen=True, slots=True)
class RecordRefused(LedgerEffect[None]):
    submission_id: int
    detail: str

    def apply(self, ledger: "Ledger") -> None:
        ledger.record_refused(self.submission_id, self.detail)


@dataclass(frozen=True, slots=True)
class RecordUnknown(LedgerEffect[None]):
    submission_id: int
    stamp: Stamp
    detail: str
    doubted: bool = False  # refused by quota or credit

    def apply(self, ledger: "Ledger") -> None:
        ledger.record_unknown(self.submission_id, self.stamp, self.detail, doubted=self.doubted)


@dataclass(frozen=True, slots=True)
class RecordAdopted(LedgerEffect[int]):
    """Gives how many of the runs were not known, as double charges."""

    submission_id: int
    runs: Mapping[int, str]

    def apply(self, ledger: "Ledger") -> int:
        return ledger.record_adopted(self.submission_id, self.runs)


@dataclass(frozen=True, slots=True)
class RecordResolved(LedgerEffect[None]):
    submission_id: int

    def apply(self, ledger: "Ledger") -> None:
        ledger.record_resolved(self.submission_id)


@dataclass(frozen=True, slots=True)
class RecordOutcomes(LedgerEffect[None]):
    submission_id: int
    processor: str
    outcomes: Sequence[Outcome]
    runs_cursor: str | None

    def apply(self, ledger: "Ledger") -> None:
        ledger.record_outcomes(self.submission_id, self.outcomes, runs_cursor=self.runs_cursor)


@dataclass(frozen=True, slots=True)
class RecordExtra(LedgerEffect[int | None]):
    """Gives the run's price in millionths of a dollar; None when it was known."""

    submission_id: int
    n: int
    run_id: str

    def apply(self, ledger: "Ledger") -> int | None:
        return ledger.record_extra(self.submission_id, self.n, self.run_id)


@dataclass(frozen=True, slots=True)
class RecordExtraOutcome(LedgerEffect[tuple[str, int]]):
    """Gives (processor, price in millionths of a dollar) of the run."""

    run_id: str
    completed: bool
    raw: bytes

    def apply(self, ledger: "Ledger") -> tuple[str, int]:
        return ledger.record_extra_outcome(self.run_id, completed=self.completed, raw=self.raw)


@dataclass(frozen=True, slots=True)
class EndWatch(LedgerEffect[None]):
    submission_id: int

    def apply(self, ledger: "Ledger") -> None:
        ledger.end_watch(self.submission_id)


@dataclass(frozen=True, slots=True)
class FindLiveRun(LedgerEffect[LiveRun | None]):
    """A question to the ledger: which run stands for a task now; None where there is none, or it failed."""

    submission_id: int
    n: int

    def apply(self, ledger: "Ledger") -> LiveRun | None:
        return ledger.live_run(self.submission_id, self.n)


@dataclass(frozen=True, slots=True)
class Reload(LedgerEffect[OpenSubmission]):
    """A question to the ledger: the submission as it stands."""

    submission_id: int

    def apply(self, ledger: "Ledger") -> OpenSubmission:
        return ledger.submission(self.submission_id)
