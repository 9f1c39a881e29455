"""The nouns that all steps share: rows, tasks, submissions, runs, as plain values. Pure.

All times are Unix seconds, money is in millionths of a dollar.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Literal

import msgspec

SubmissionState = Literal["sending", "unknown", "open", "done", "refused"]
ServiceKind = Literal["service", "sandbox"]
Origin = Literal["asked", "adopted", "recovered"]  # by us; by another program, which paid; by us, and found again


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment: `wall` in Unix seconds, `mono` in seconds of the boot named by `boot`.

    A settling time is measured on the monotonic clock of one boot. After a reboot, or when the wall clock has stepped
    back behind a stamp, nothing can be said about the time that passed, and the measuring starts again.
    """

    wall: float
    mono: float
    boot: str


def elapsed_s(since: Stamp, now: Stamp) -> float | None:
    """Seconds that surely passed between two stamps; None where that can't be known."""
    if since.boot != now.boot or now.wall < since.wall or now.mono < since.mono:
        return None
    return now.mono - since.mono


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row: its input (None where there is nothing to ask) and the answers wanted, bit i for field i.

    `left_out` says why nothing is asked for it; it may have an input all the same. `alias` is the key that its input
    would have, had it not been asked about in another form before.
    """

    key: bytes | None
    document: bytes | None
    mask: int
    left_out: str = ""
    alias: bytes | None = None


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """A distinct input of the table; bit i of `mask` says that field i of the config is wanted for it."""

    seq: int
    key: bytes
    document: bytes
    mask: int


class Task(msgspec.Struct, frozen=True, gc=False):
    """One question that is due: an input's key and its canonical JSON, asked for the n-th time.

    `previous` is the interaction id of a weaker attempt whose context the service may build on.
    """

    input_key: bytes
    document: bytes
    generation: int = 0
    previous: str | None = None


class RunState(IntEnum):
    """What is known of one run. Every path ends in COMPLETED, FAILED, RELEASED or REFUSED."""

    SENT = 0  # intent on disk; the service may or may not have it
    ACCEPTED = 1  # the service has it, and no outcome is here yet
    COMPLETED = 2  # its raw result is here
    FAILED = 3  # the service says it failed; not billed
    RELEASED = 4  # it is certain that the service does not have it: free to be sent again
    REFUSED = 5  # refused as invalid: will not be sent again as it is


IN_FLIGHT: Final = frozenset({RunState.SENT, RunState.ACCEPTED})
FAILED: Final = frozenset({RunState.FAILED, RunState.REFUSED})


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every input of a batch: fields and how, as the service wants it."""

    processor: str
    usd_micro: int
    field_ids: tuple[str, ...]
    spec: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)  # beside the input of each run: source policy, location


@dataclass(slots=True)
class TaskBatch:
    """Tasks that travel together, as one group."""

    job_id: int
    job: str
    question: Question
    tasks: tuple[Task, ...]
    group: tuple[str, Stamp] | None = None  # made for it, and when: the service did not know it yet


@dataclass(frozen=True, slots=True)
class Intent:
    """One POST about to be sent: written down, synced, before a socket is opened."""

    job_id: int
    group_id: str
    processor: str
    field_ids: tuple[str, ...]
    usd_micro: int | None  # None: not known, for runs that are recovered; adopted ones cost nothing here
    body_hash: bytes
    stamp: Stamp
    tasks: tuple[tuple[bytes, int], ...]  # (input key, generation), in the order of the body
    origin: Origin = "asked"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How run `n` of a submission ended. `raw` is the event as it came, `error` the service's words.

    `at` is when, in Unix seconds; without it, or when it lies far ahead, the moment of recording counts. `usd_micro` is
    what it cost, where that is not the price at which it was asked.
    """

    n: int
    run_id: str
    completed: bool
    raw: bytes
    error: str | None = None
    at: int | None = None
    usd_micro: int | None = None


@dataclass(slots=True)
class OpenSubmission:
    """A submission with something left to learn, as the ledger has it."""

    submission_id: int
    group_id: str
    state: SubmissionState
    watched: bool
    processor: str
    field_ids: tuple[str, ...]
    price_micro: int | None  # None: not known
    since: Stamp
    runs_cursor: str | None
    run_ids: frozenset[str]  # as the service named them; their order means nothing
    tasks: dict[str, int] = field(default_factory=dict)  # task key -> n
    inputs: dict[bytes, int] = field(default_factory=dict)  # input key -> n
    tied: dict[str, int] = field(default_factory=dict)  # run id -> n
    states: list[RunState] = field(default_factory=list)  # by n
    doubted: bool = False  # refused by quota or credit, which may have taken effect all the same
    origin: Origin = "asked"

    @property
    def usd_micro(self) -> int:
        """What a run of it adds to sums of money: nothing where its price is not known."""
        return self.price_micro or 0

    @classmethod
    def accepted(
        cls,
        submission_id: int,
        intent: Intent,
        task_keys: Iterable[str],
        run_ids: Iterable[str],
        runs_cursor: str | None,
    ) -> "OpenSubmission":
        """What the ledger has once it was told of an intent and that the service made all of its runs."""
        return cls(
            submission_id,
            intent.group_id,
            "open",
            watched=False,
            processor=intent.processor,
            field_ids=tuple(sorted(intent.field_ids)),
            price_micro=intent.usd_micro,
            since=intent.stamp,
            runs_cursor=runs_cursor,
            run_ids=frozenset(run_ids),
            tasks={key: n for n, key in enumerate(task_keys)},
            inputs={key: n for n, (key, _) in enumerate(intent.tasks)},
            states=[RunState.ACCEPTED] * len(intent.tasks),
            origin=intent.origin,
        )


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """As much of a submission with something left to learn as is held while it waits; `OpenSubmission` has the rest."""

    submission_id: int
    group_id: str
    state: SubmissionState
    watched: bool
    processor: str
    price_micro: int | None  # None: not known
    since: Stamp
    runs_cursor: str | None
    left: int  # runs without an outcome here, as far as the service has or may have them
    outcomes: int


class Held(msgspec.Struct, frozen=True, gc=False):
    """One run the ledger holds for an input."""

    submission_id: int
    n: int
    generation: int
    state: RunState
    field_ids: frozenset[str]
    processor: str
    run_id: str | None
    at: int | None
    block_id: int | None
    slot: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Learnt:
    """What refusals have taught of the account's quota: so many runs in so many seconds, and when."""

    runs: float
    window_s: float
    at: float


@dataclass(frozen=True, slots=True)
class LiveRun:
    """The run that stands for a task now; it has not failed."""

    submission_id: int
    n: int
    run_id: str | None
    state: RunState


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """What a ledger, or one job in it, adds up to. Runs are counts, dollars are millionths.

    Runs whose price is not known are counted, and add nothing to the dollars.
    """

    runs_completed: int
    runs_paid: int  # completed, and asked by us: what another program paid for was free
    runs_failed: int
    usd_micro_paid: int
    runs_in_flight: int
    usd_micro_in_flight: int
    runs_unresolved: int
    usd_micro_unresolved: int
    runs_unpriced: int = 0  # of the paid ones, those whose price is not known


@dataclass(frozen=True, slots=True)
class ExtraRun:
    """A run that the service made although its task had one: a double charge, unless one of the two failed."""

    run_id: str
    first_run_id: str | None
    task_key: str
    usd_micro: int | None  # None: not known
    found_at: int
    state: RunState
    job_id: int  # the command that found it, or that has to report it
    first_state: RunState

    @property
    def is_charge(self) -> bool:
        """Whether the task was paid for twice, as far as is known: a run that failed is not billed."""
        return RunState.FAILED not in (self.state, self.first_state)


Ruling = Literal["accept", "correct", "reject"]


@dataclass(frozen=True, slots=True)
class Ruled:
    """What a person said of an answer; `value` is JSON: what stands in the cell, null for a rejected answer.

    `seen` is the answer that was looked at, as JSON; None where it could not be told.
    """

    input_key: bytes
    field_id: str
    ruling: Ruling
    value: bytes
    run_id: str
    note: str
    at: int
    who: str = ""
    seen: bytes | None = None

    @property
    def said(self) -> tuple[Ruling, bytes, str, str]:
        """What makes it another decision than the one before: the ruling, the value, the run, the note."""
        return self.ruling, self.value, self.run_id, self.note


@dataclass(frozen=True, slots=True)
class DecisionEvent:
    """One thing that was said of an answer: what holds of it from then on, until something else is said.

    `ruled` is None where nothing is decided any more. `based_on` is the event that held until then, `undoes` the one
    that was taken back; `origin` is the way by which it came.
    """

    event_id: int
    at: int
    who: str
    origin: str
    input_key: bytes
    field_id: str
    ruled: Ruled | None
    based_on: int | None
    undoes: int | None
