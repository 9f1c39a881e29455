"""Asks what is due, once: recovers what earlier commands left, then plans and asks until nothing is due.

Each pass over the ladder is the same comparison again: an answer too weak for its rung is due on the next one, a task
that was surely not taken is due again. `course` says what is done in which order and does no I/O but reading the
ledger; `Rounds` does it, and so does the simulation of the protocol.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
import anyio.to_thread

from enrich.api.errors import ApiError, ForbiddenError, UnauthorizedError
from enrich.asking.driver import Driver
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.planning.comparison import Comparison
from enrich.planning.costs import OPEN_GROUPS, Summary
from enrich.progress import Progress
from enrich.protocol.collect import collect, collect_extra
from enrich.protocol.effects import AwaitTurn, SpendingStopped, StopRequested
from enrich.protocol.submit import Protocol, batch_size, resolve, submit, watch
from enrich.protocol.till import Till
from enrich.records import IN_FLIGHT, Batch, OpenSubmission, Task
from enrich.spec.money import dollars

MOST_REFUSALS: Final = 12  # more than it takes to find one bad input among a thousand
SAMPLES: Final = 12  # inputs of a batch that are tried alone before its question is taken for what is refused
MOST_VAIN_PASSES: Final = 6  # in a row, of which nothing came: some five hours of settling times
LONGEST_SETTLING: Final = 4  # times the settling time, after passes of which nothing came

_TICK_S: Final = 1.0
_GOLDEN: Final = 0.618034  # its multiples leave no gap, and fall in with no pattern


@dataclass(frozen=True, slots=True)
class Plan:
    """What is due: so many runs, in batches."""

    runs: int
    batches: Iterable[Batch]


@dataclass(frozen=True, slots=True)
class Compare:
    """Hold what is wanted against the ledger again; gives a Plan."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Ask no more in this command: the service takes nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class InTurn:
    """Attend to these one after the other; a request to stop leaves out the rest."""

    protocols: Iterable[Protocol[None]]


@dataclass(frozen=True, slots=True)
class Together:
    """Attend to all of these at once, and ask the batches as slots get free, until the asking has ended.

    `runs` is how many runs all of it may come to; `settle_s` is for the batches.
    """

    recovering: Sequence[Protocol[None]]
    batches: Iterable[Batch]
    runs: int
    settle_s: float


Step = Compare | GiveUp | InTurn | Together


def course(ledger: Ledger, plan: Plan, *, settle_s: float, ended: Callable[[], bool]) -> Generator[Step, Any, None]:
    """What one command does, step by step. Late runs are looked for each time before anything is sent, and at the end.

    And the settling time doubles when nothing came of a pass. So a service that is always late is not paid once more
    for a batch with every pass.
    """
    if ledger.open_submissions():  # what is due may change: a late run may answer it
        yield InTurn(_watched(one) for one in _watched_in(ledger))
        plan = yield Compare()
    vain, made = 0, _runs_made(ledger)
    while True:
        left = [submission for submission in ledger.open_submissions() if submission.state != "done"]
        runs = plan.runs + sum(state in IN_FLIGHT for submission in left for state in submission.states)
        patience_s = settle_s * min(2**vain, LONGEST_SETTLING)
        yield Together([recover(one, settle_s=settle_s) for one in left], plan.batches, runs, patience_s)
        yield InTurn(_watched(one) for one in _watched_in(ledger))
        if ended():
            break
        plan = yield Compare()
        if not plan.runs:
            break
        before, made = made, _runs_made(ledger)
        vain = vain + 1 if made == before else 0
        if vain == MOST_VAIN_PASSES:
            yield GiveUp(f"{vain} requests in a row came to nothing: the service takes no runs")
            break
    yield InTurn(collect_extra(run_id) for run_id in ledger.extras_under_way())


def _runs_made(ledger: Ledger) -> int:
    """How many runs the service has made, as far as is known, or refused for good."""
    totals = ledger.totals()
    return totals.runs_completed + totals.runs_failed + totals.runs_in_flight


def _watched_in(ledger: Ledger) -> list[OpenSubmission]:
    return [submission for submission in ledger.open_submissions() if submission.watched]


def settle_failure(error: StopRequested | SpendingStopped | ApiError, till: Till) -> None:
    """One protocol ended by an error: what the service refuses ends the spending, not the command."""
    match error:
        case UnauthorizedError() | ForbiddenError():
            till.stop("refused", str(error))
        case ApiError():
            # Our own group unknown, a certificate not trusted: nothing to go on spending with.
            till.stop("unreachable", str(error))
        case _:
            pass


def is_settled(summary: Summary, completed: Counter[str]) -> bool:
    """Whether all that was due has its answers from the top of the ladder, so that nothing can be due again."""
    top = max(summary.ladder, key=lambda rung: rung.usd_micro).processor
    return completed[top] == summary.due == summary.runs[top]


def ask(batch: Batch, *, settle_s: float) -> Protocol[None]:
    """The life of a batch: permission, submission, results; in steps where budget, credit or the service want it.

    What is refused as invalid is searched for the inputs that are. Only when nothing of the batch was ever taken, and
    samples from all over it are refused too, it is the question: no search finds an input then, and it is given up.
    """
    left, batch.tasks = deque([batch.tasks]), ()  # what was sent is let go: results may take hours
    refusals, taken = 0, False
    while left:
        granted = yield AwaitTurn(len(left[0]), batch.question.usd_micro)
        tasks = left.popleft()
        if granted < len(tasks):
            left.appendleft(tasks[granted:])
        give_up = not taken and refusals >= MOST_REFUSALS + SAMPLES
        sent = yield from submit(batch, tasks[:granted], settle_s=settle_s, give_up=give_up)
        del tasks
        if isinstance(sent, list):
            refused = len(sent) > 1
            left.extendleft(reversed(sent))
        else:
            refused = sent.state == "refused"
            taken = taken or bool(sent.run_ids or sent.tied)
            yield from collect(sent)
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


def recover(submission: OpenSubmission, *, settle_s: float) -> Protocol[None]:
    """Bring a submission of an earlier command to its end."""
    if submission.state in ("sending", "unknown"):
        submission = yield from resolve(submission, settle_s=settle_s)
    yield from collect(submission)


def _watched(submission: OpenSubmission) -> Protocol[None]:
    submission = yield from watch(submission)
    yield from collect(submission)


class Rounds:
    """The asking part of one command."""

    def __init__(
        self,
        driver: Driver,
        ledger: Ledger,
        progress: Progress,
        *,
        job_id: int,
        job: str,
        settle_s: float,
    ) -> None:
        self._driver = driver
        self._ledger = ledger
        self._progress = progress
        self._job_id = job_id
        self._job = job
        self._settle_s = settle_s
        self._slots = anyio.Semaphore(OPEN_GROUPS)

    async def ask_all(self, comparison: Comparison, worklist: Worklist, summary: Summary) -> None:
        """Ask until nothing is due, or nothing more may be asked. `summary` is the comparison made before."""
        steps = course(self._ledger, self._plan(worklist, summary), settle_s=self._settle_s, ended=self._ended)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._show)
            result: Plan | None = None
            all_settled = False
            while True:
                try:
                    step = steps.send(result)
                except StopIteration:
                    break
                result = None
                match step:
                    case Compare() if all_settled:
                        result = Plan(0, ())
                    case Compare():
                        summary = await anyio.to_thread.run_sync(comparison.compare, worklist)
                        result = self._plan(worklist, summary)
                    case GiveUp(reason):
                        self._driver.till.stop("unreachable", reason)
                    case InTurn(protocols):
                        await self._in_turn(protocols)
                    case Together():
                        paid = self._driver.paid.copy()
                        await self._together(step)
                        all_settled = not step.recovering and is_settled(summary, self._driver.paid - paid)
            self._update()
            tasks.cancel_scope.cancel()

    def _ended(self) -> bool:
        return self._driver.stop.is_set() or self._driver.till.stopped is not None

    def _plan(self, worklist: Worklist, summary: Summary) -> Plan:
        return Plan(summary.due, self._batches(worklist, summary))

    def _batches(self, worklist: Worklist, summary: Summary) -> Iterator[Batch]:
        for number, question in enumerate(summary.questions):
            for due in worklist.batches(number, batch_size(question.usd_micro)):
                yield Batch(self._job_id, self._job, question, tuple(due))

    async def _in_turn(self, protocols: Iterable[Protocol[None]]) -> None:
        for protocol in protocols:
            if self._driver.stop.is_set():
                break
            await self._attend(protocol)

    async def _together(self, step: Together) -> None:
        self._progress.start(self._driver.done + step.runs, done=self._driver.done)
        async with anyio.create_task_group() as tasks:
            for protocol in step.recovering:
                tasks.start_soon(self._attend, protocol)
            for batch in step.batches:
                await self._slots.acquire()
                if self._ended():
                    self._slots.release()
                    break
                tasks.start_soon(self._ask, batch, step.settle_s)

    async def _ask(self, batch: Batch, settle_s: float) -> None:
        try:
            await self._attend(ask(batch, settle_s=settle_s))
        finally:
            self._slots.release()

    async def _attend(self, protocol: Protocol[None]) -> None:
        try:
            await self._driver.run(protocol)
        except (StopRequested, SpendingStopped, ApiError) as error:
            settle_failure(error, self._driver.till)

    async def _show(self) -> None:
        while True:
            self._update()
            await anyio.sleep(_TICK_S)

    def _update(self) -> None:
        driver = self._driver
        if words := driver.words():
            self._progress.note(words)
        self._progress.update(
            done=driver.ended,
            failed=driver.failed,
            usd=dollars(driver.paid_micro),
            at_stake=dollars(driver.till.at_stake),
        )
