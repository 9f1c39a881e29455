"""What one command does, step by step: recover what earlier ones left, then compare and ask until nothing is due.

Each pass over the ladder is the same comparison again: an answer too weak for its rung is due on the next one, a task
that was surely not taken is due again. `course` says what is done in which order, `see_through` what becomes of one
batch, `Roster` who runs beside whom. Whoever performs them, the command or a simulation, decides nothing.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from enrich.api.errors import ApiError, ForbiddenError, UnauthorizedError
from enrich.protocol.collect import await_outcomes, collect, collect_extra
from enrich.protocol.effects import AwaitTurn, Entrust, Reload, Script, SpendingStopped, StopRequested, do
from enrich.protocol.resolve import resolve, watch
from enrich.protocol.submit import Render, submit
from enrich.protocol.till import Till
from enrich.protocol.waiting import Waiting
from enrich.records import LedgerTotals, OpenGroup, Task, TaskBatch

MOST_REFUSALS: Final = 12  # more than it takes to find one bad input among a thousand
SAMPLES: Final = 12  # inputs of a batch that are tried alone before its question is taken for what is refused
MOST_VAIN_PASSES: Final = 6  # in a row, of which nothing came: some five hours of settling times
LONGEST_SETTLING: Final = 4  # times the settling time, after passes of which nothing came

_GOLDEN: Final = 0.618034  # its multiples leave no gap, and fall in with no pattern

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Due:
    """What a comparison found due: runs by processor, in batches. `top` is the last rung of the ladder."""

    runs: Mapping[str, int]
    top: str
    batches: Iterable[TaskBatch]

    def total(self) -> int:
        """How many runs are due."""
        return sum(self.runs.values())


def is_settled(due: Due, completed: Mapping[str, int]) -> bool:
    """Whether all that was due has its answers from the top of the ladder, so that nothing can be due again.

    `completed` are the runs that did since, by processor.
    """
    return completed.get(due.top, 0) == due.total() == due.runs.get(due.top, 0)


class Books(Protocol):
    """What the course has to know of the ledger."""

    def open_groups(self) -> list[OpenGroup]: ...

    def totals(self) -> LedgerTotals: ...

    def extras_under_way(self) -> list[str]: ...


# ---------------------------------------------------------------------- steps


class Step(Generic[R]):
    """Something that a command does as a whole; R is what it gives."""

    __slots__ = ()


Course: TypeAlias = Generator[Step[Any], Any, None]


def take(step: Step[R]) -> Generator[Step[Any], Any, R]:
    """Have a step taken; gives what it gives."""
    given: R = yield step
    return given


@dataclass(frozen=True, slots=True)
class Compare(Step[Due]):
    """Hold what is wanted against the ledger again."""


@dataclass(frozen=True, slots=True)
class GiveUp(Step[None]):
    """Ask no more in this command: the service takes nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class InTurn(Step[None]):
    """Attend to these one after the other; a request to stop leaves out the rest."""

    scripts: Iterable[Script[None]]


@dataclass(frozen=True, slots=True)
class Together(Step[Counter[str]]):
    """Recover all of these at once, and send the batches as slots get free, until the asking has ended; wait for all.

    `runs` is how many runs all of it may come to. Gives the runs that completed meanwhile, by processor.
    """

    recovering: Sequence[Script[None]]
    batches: Iterable[Script[None]]
    runs: int


def course(books: Books, due: Due, *, render: Render, settle_s: float, ended: Callable[[], bool]) -> Course:
    """What one command does, step by step. Late runs are looked for each time before anything is sent, and at the end.

    And the settling time doubles when nothing came of a pass. So a service that is always late is not paid once more
    for a batch with every pass. `ended` is whether nothing more may be sent.
    """
    if books.open_groups():  # what is due may change: a late run may answer it
        yield from take(InTurn(_watched(one) for one in _watched_in(books)))
        due = yield from take(Compare())
    vain, made = 0, _runs_made(books)
    while True:
        left = [group for group in books.open_groups() if group.state != "done"]
        runs = due.total() + sum(group.left for group in left)
        patience_s = settle_s * min(2**vain, LONGEST_SETTLING)
        batches = _seen_through(due.batches, render, patience_s)
        completed = yield from take(Together([recover(one, settle_s=settle_s) for one in left], batches, runs))
        yield from take(InTurn(_watched(one) for one in _watched_in(books)))
        if ended() or (not left and is_settled(due, completed)):
            break
        due = yield from take(Compare())
        if not due.total():
            break
        before, made = made, _runs_made(books)
        vain = vain + 1 if made == before else 0
        if vain == MOST_VAIN_PASSES:
            yield from take(GiveUp(f"{vain} requests in a row came to nothing: the service takes no runs"))
            break
    yield from take(InTurn(collect_extra(run_id) for run_id in books.extras_under_way()))


def _seen_through(batches: Iterable[TaskBatch], render: Render, settle_s: float) -> Iterator[Script[None]]:
    for batch in batches:
        yield see_through(batch, render=render, settle_s=settle_s)


def _runs_made(books: Books) -> int:
    """How many runs the service has made, as far as is known, or refused for good."""
    totals = books.totals()
    return totals.runs_completed + totals.runs_failed + totals.runs_in_flight


def _watched_in(books: Books) -> list[OpenGroup]:
    return [group for group in books.open_groups() if group.watched]


# ---------------------------------------------------------------------- who runs beside whom


class Roster:
    """Who runs beside whom in one step, and who may start next.

    What is attended to in turn is so for a reason: two scripts that watch for late runs may find one each for the same
    task, and the second has to see what the first wrote. What is recovered starts at once. Batches start as slots get
    free, each of which takes memory until it is sent; none once the asking has `ended`. What is waited for has no slot.
    """

    def __init__(
        self, step: InTurn | Together, *, slots: int, ended: Callable[[], bool], stopping: Callable[[], bool]
    ) -> None:
        match step:
            case InTurn(scripts):
                self._at_once: list[Script[None]] = []
                self._slotted, self._free, self._may_not = iter(scripts), 1, stopping
            case Together(recovering, batches):
                self._at_once = list(recovering)
                self._slotted, self._free, self._may_not = iter(batches), slots, ended
        self._holding: set[Script[None]] = set()  # those that have a slot

    def starting(self) -> Iterator[Script[None]]:
        """The scripts that are to start now: to be asked for at first, and each time when one is over."""
        while self._at_once:
            yield self._at_once.pop(0)
        while self._free and not self._may_not():
            script = next(self._slotted, None)
            if script is None:
                break
            self._free -= 1
            self._holding.add(script)
            yield script

    def over(self, script: Script[None]) -> None:
        """A script that was started has ended, whichever way."""
        if script in self._holding:
            self._holding.remove(script)
            self._free += 1


def is_stalled(held: int, running: int) -> bool:
    """Whether all the scripts that run are held up until something settles: then nothing is under way that could."""
    return held >= running


# ---------------------------------------------------------------------- scripts


def see_through(batch: TaskBatch, *, render: Render, settle_s: float) -> Script[None]:
    """Send a batch: permission, submission; in steps where budget, credit, quota or the service want it.

    What was taken is waited for by a script of its own, beside this one.

    What is refused as invalid is searched for the inputs that are. Only when nothing of the batch was ever taken, and
    samples from all over it are refused too, it is the question: no search finds an input then, and it is given up.
    """
    left, batch.tasks = deque([batch.tasks]), ()  # what was sent is let go: the rest may wait for its turn
    refusals, taken = 0, False
    while left:
        granted = yield from do(AwaitTurn(len(left[0]), batch.question.usd_micro))
        tasks = left.popleft()
        if granted < len(tasks):
            left.appendleft(tasks[granted:])
        give_up = not taken and refusals >= MOST_REFUSALS + SAMPLES
        sent = yield from submit(batch, tasks[:granted], render=render, settle_s=settle_s, give_up=give_up)
        del tasks
        if isinstance(sent, list):
            refused = len(sent) > 1
            left.extendleft(reversed(sent))
        else:
            refused = sent.state == "refused"
            if sent.run_ids or sent.tied:
                taken = True
                yield from do(Entrust(collect(sent)))
        del sent
        refusals += refused
        if left and refused and not taken and refusals == MOST_REFUSALS:
            left = _samples_first(left)


def _samples_first(parts: Iterable[tuple[Task, ...]]) -> deque[tuple[Task, ...]]:
    """Some tasks from all over these parts, each by itself, and then the others together."""
    tasks = [task for part in parts for task in part]
    # Not evenly: every third input may be a bad one.
    chosen = {int(len(tasks) * (number * _GOLDEN % 1)) for number in range(1, SAMPLES + 1)}
    others = tuple(task for i, task in enumerate(tasks) if i not in chosen)
    samples = [(tasks[i],) for i in sorted(chosen)]
    return deque([*samples, others] if others else samples)


def recover(group: OpenGroup, *, settle_s: float) -> Script[None]:
    """Bring a submission of an earlier command to its end."""
    if group.state not in ("sending", "unknown"):
        yield from await_outcomes(Waiting.of_group(group))
        return
    submission = yield from do(Reload(group.submission_id))
    waiting = Waiting.of((yield from resolve(submission, settle_s=settle_s)))
    del submission  # what is waited for is put away
    yield from await_outcomes(waiting)


def _watched(group: OpenGroup) -> Script[None]:
    waiting = Waiting.of((yield from watch((yield from do(Reload(group.submission_id))))))
    yield from await_outcomes(waiting)


def settle_failure(error: StopRequested | SpendingStopped | ApiError, till: Till) -> None:
    """One script ended by an error: what the service refuses ends the spending, not the command."""
    match error:
        case UnauthorizedError() | ForbiddenError():
            till.stop("refused", str(error))
        case ApiError():
            # Our own group unknown, a certificate not trusted: nothing to go on spending with.
            till.stop("unreachable", str(error))
        case _:
            pass
