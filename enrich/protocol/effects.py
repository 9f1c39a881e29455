"""What the submission protocol asks of the outside world: a closed set of requests, as plain values.

`submit` and `collect` are generators: they yield an effect and are sent its result, or have its error thrown
into them. So every decision and its place in the order stands in code without I/O, which runs unchanged
against the real service (`drive`) and against a simulated one (tests/simulation).

| effect | result | may raise |
| --- | --- | --- |
| Now | Stamp | |
| Say | None | |
| Sleep | None | StopRequested |
| AwaitTurn | None | StopRequested, SpendingStopped |
| Settled | None | |
| CreateGroup | group id | ApiError |
| AddRuns | Added | ApiError |
| ListGroup | Listing | ApiError, StopRequested |
| FollowEvents | Followed | ApiError, StopRequested |
| PollGroup | Followed | ApiError, StopRequested |
| ReadRuns | RunsRead, one a chunk | ApiError, StopRequested |
| FetchRun | FetchedRun | ApiError, StopRequested |
| Transition (a subclass) | what the ledger's method gives | LedgerError |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from enrich.records import Intent, LiveRun, OpenSubmission, Outcome, ServiceKind, Stamp

if TYPE_CHECKING:
    from enrich.ledger.store import Ledger


class StopRequested(Exception):  # noqa: N818 — a request, not an error
    """The command is asked to end: finish what is at hand, start nothing."""


class SpendingStopped(Exception):  # noqa: N818 — an answer to AwaitTurn, not an error
    """Nothing more may be sent by this command: budget, credit, deadline, permission or an unreachable service."""


# ---------------------------------------------------------------------- time


@dataclass(frozen=True, slots=True)
class Now:
    """The present moment."""


@dataclass(frozen=True, slots=True)
class Say:
    """Why nothing moves, for whoever looks on."""

    text: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait so many seconds."""

    seconds: float


# ---------------------------------------------------------------------- permission to spend


@dataclass(frozen=True, slots=True)
class AwaitTurn:
    """Wait until a POST of `tasks` runs at this price may be sent; reserves the money.

    Gives how many of the tasks may be sent now: fewer than asked when budget or credit is nearly used up. With
    no tasks, it only waits until the service may be asked again.
    """

    tasks: int
    usd_micro: int


@dataclass(frozen=True, slots=True)
class Settled:
    """Money reserved by AwaitTurn is no longer at stake (`freed`), or was spent (`paid`); or runs turned up that nobody
    had reserved money for (`found`). All in runs.

    `why` tells the owner of the pace how the service answered, `said` in which words it did not.
    """

    usd_micro: int
    freed: int = 0
    paid: int = 0
    found: int = 0
    why: Literal["accepted", "outcome", "found", "refused", "rate", "credit", "unsent", "unknown"] = "outcome"
    retry_after_s: float | None = None
    said: str = ""


# ---------------------------------------------------------------------- the service


@dataclass(frozen=True, slots=True)
class CreateGroup:
    """Make a task group: free of charge."""

    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AddRuns:
    """The one request that costs: one POST, never repeated by anything below."""

    group_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Added:
    """A readable 2xx answer to AddRuns."""

    run_ids: tuple[str, ...]
    runs_cursor: str | None


@dataclass(frozen=True, slots=True)
class ListGroup:
    """Count, list to the end, count again."""

    group_id: str


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run as a listing shows it; `task` is our task key from its metadata, None where it has none."""

    run_id: str
    task: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a listing of a group gave, with the group's own count of its runs before and after."""

    before: int
    after: int
    runs: tuple[ListedRun, ...]


@dataclass(frozen=True, slots=True)
class FollowEvents:
    """Watch a group for up to `seconds`, until it has no active run or all the `awaited` ones have ended."""

    group_id: str
    cursor: str | None
    seconds: float
    awaited: frozenset[str]  # ids of runs whose end is news


@dataclass(frozen=True, slots=True)
class Followed:
    """What the events told: awaited runs that ended, whether the group is still active (None: not said), the
    group's count of ended runs (None: not said), whether the stream broke, was refused, or ended without news."""

    ended: frozenset[str]
    active: bool | None
    count_ended: int | None
    cursor: str | None
    broken: bool


@dataclass(frozen=True, slots=True)
class PollGroup:
    """Ask once for a group's counts, where its events can't be followed; gives Followed without a cursor."""

    group_id: str


@dataclass(frozen=True, slots=True)
class ReadRuns:
    """Read a group's runs with their outputs, after `cursor`, chunk by chunk; `reader` is None for the first
    chunk, then what RunsRead gave."""

    group_id: str
    cursor: str | None
    reader: int | None = None


class ReadRun(msgspec.Struct, frozen=True, gc=False):
    """A run with its outcome: `raw` is the whole event as it came."""

    run_id: str
    task: str | None
    status: str
    raw: bytes
    has_output: bool
    error: str | None
    input_key: bytes | None = None  # told by FetchRun where the run carries no metadata of ours
    modified_at: str | None = None  # in the service's words

    @property
    def at(self) -> int | None:
        """When it ended, in Unix seconds, by the service's clock; None where it does not say so."""
        try:
            moment = datetime.fromisoformat(self.modified_at or "")
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class RunsRead:
    """A chunk of a group's runs. `reader` is None when the stream is at its end, whole or broken: either
    way an end proves nothing."""

    runs: Sequence[ReadRun]
    cursor: str | None
    reader: int | None


@dataclass(frozen=True, slots=True)
class FetchRun:
    """One run by its id, with its output when it has one."""

    run_id: str


# ---------------------------------------------------------------------- the ledger


@dataclass(frozen=True, slots=True)
class RecordService:
    """Raises LedgerError when the ledger holds results of the other kind."""

    kind: ServiceKind

    def apply(self, ledger: Ledger) -> None:
        ledger.record_service(self.kind)


@dataclass(frozen=True, slots=True)
class RecordIntent:
    """Gives the submission's id."""

    intent: Intent

    def apply(self, ledger: Ledger) -> int:
        return ledger.record_intent(self.intent)


@dataclass(frozen=True, slots=True)
class RecordAccepted:
    submission_id: int
    run_ids: tuple[str, ...]
    runs_cursor: str | None

    def apply(self, ledger: Ledger) -> None:
        ledger.record_accepted(self.submission_id, self.run_ids, self.runs_cursor)


@dataclass(frozen=True, slots=True)
class RecordNotCreated:
    submission_id: int
    detail: str

    def apply(self, ledger: Ledger) -> None:
        ledger.record_not_created(self.submission_id, self.detail)


@dataclass(frozen=True, slots=True)
class RecordRefused:
    submission_id: int
    detail: str

    def apply(self, ledger: Ledger) -> None:
        ledger.record_refused(self.submission_id, self.detail)


@dataclass(frozen=True, slots=True)
class RecordUnknown:
    submission_id: int
    stamp: Stamp
    detail: str

    def apply(self, ledger: Ledger) -> None:
        ledger.record_unknown(self.submission_id, self.stamp, self.detail)


@dataclass(frozen=True, slots=True)
class RecordAdopted:
    """Gives how many of the runs were not known, as double charges."""

    submission_id: int
    runs: Mapping[int, str]

    def apply(self, ledger: Ledger) -> int:
        return ledger.record_adopted(self.submission_id, self.runs)


@dataclass(frozen=True, slots=True)
class RecordResolved:
    submission_id: int

    def apply(self, ledger: Ledger) -> None:
        ledger.record_resolved(self.submission_id)


@dataclass(frozen=True, slots=True)
class RecordOutcomes:
    submission_id: int
    processor: str
    outcomes: Sequence[Outcome]
    runs_cursor: str | None

    def apply(self, ledger: Ledger) -> None:
        ledger.record_outcomes(self.submission_id, self.outcomes, runs_cursor=self.runs_cursor)


@dataclass(frozen=True, slots=True)
class RecordExtra:
    """Gives the run's price in millionths of a dollar; None when it was known."""

    submission_id: int
    n: int
    run_id: str

    def apply(self, ledger: Ledger) -> int | None:
        return ledger.record_extra(self.submission_id, self.n, self.run_id)


@dataclass(frozen=True, slots=True)
class RecordExtraOutcome:
    """Gives (processor, price in millionths of a dollar) of the run."""

    run_id: str
    completed: bool
    raw: bytes

    def apply(self, ledger: Ledger) -> tuple[str, int]:
        return ledger.record_extra_outcome(self.run_id, completed=self.completed, raw=self.raw)


@dataclass(frozen=True, slots=True)
class EndWatch:
    submission_id: int

    def apply(self, ledger: Ledger) -> None:
        ledger.end_watch(self.submission_id)


@dataclass(frozen=True, slots=True)
class FindLiveRun:
    """A question to the ledger: which run stands for a task now; None where there is none, or it failed."""

    submission_id: int
    n: int

    def apply(self, ledger: Ledger) -> LiveRun | None:
        return ledger.live_run(self.submission_id, self.n)


@dataclass(frozen=True, slots=True)
class Reload:
    """A question to the ledger: the submission as it stands."""

    submission_id: int

    def apply(self, ledger: Ledger) -> OpenSubmission:
        return ledger.submission(self.submission_id)


Transition = (
    RecordService
    | RecordIntent
    | RecordAccepted
    | RecordNotCreated
    | RecordRefused
    | RecordUnknown
    | RecordAdopted
    | RecordResolved
    | RecordOutcomes
    | RecordExtra
    | RecordExtraOutcome
    | EndWatch
    | FindLiveRun
    | Reload
)
Effect = (
    Now
    | Say
    | Sleep
    | AwaitTurn
    | Settled
    | CreateGroup
    | AddRuns
    | ListGroup
    | FollowEvents
    | PollGroup
    | ReadRuns
    | FetchRun
    | Transition
)
