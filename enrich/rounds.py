"""Asks what is due, once: recovers what earlier commands left, then plans and asks until nothing is due.

Each pass over the ladder is the same comparison again: an answer too weak for its rung is due on the next one, a task
that was surely not taken is due again.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

import anyio
import anyio.to_thread

from enrich.api.errors import ApiError, ForbiddenError, UnauthorizedError
from enrich.collect import collect, collect_extra
from enrich.drive import Driver
from enrich.due import OPEN_GROUPS, Comparison, Summary, dollars
from enrich.effects import AwaitTurn, SpendingStopped, StopRequested
from enrich.ledger import Ledger, OpenSubmission, Worklist
from enrich.progress import Progress
from enrich.submit import Batch, Protocol, Task, batch_size, resolve, submit, watch

MOST_REFUSALS: Final = 12  # more than it takes to find one bad input among a thousand

_TICK_S: Final = 1.0


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
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._show)
            await self._watch_all()
            if self._ledger.extra_runs() or self._ledger.open_submissions():
                summary = await anyio.to_thread.run_sync(comparison.compare, worklist)
            while True:
                await self._round(worklist, summary)
                if self._ended():
                    break
                summary = await anyio.to_thread.run_sync(comparison.compare, worklist)
                if not summary.due:
                    break
            await self._watch_all()
            await self._collect_extras()
            self._update()
            tasks.cancel_scope.cancel()

    def _ended(self) -> bool:
        return self._driver.stop.is_set() or self._driver.till.stopped is not None

    async def _round(self, worklist: Worklist, summary: Summary) -> None:
        left = self._ledger.open_submissions()
        waiting = sum(len(submission.tasks) for submission in left if submission.state != "done")
        self._progress.start(self._driver.done + waiting + summary.due, done=self._driver.done)
        async with anyio.create_task_group() as tasks:
            for submission in left:
                if submission.state != "done":
                    tasks.start_soon(self._attend, recover(submission, settle_s=self._settle_s))
            for batch in self._batches(worklist, summary):
                await self._slots.acquire()
                if self._ended():
                    self._slots.release()
                    break
                tasks.start_soon(self._ask, batch)

    def _batches(self, worklist: Worklist, summary: Summary) -> Iterator[Batch]:
        for number, question in enumerate(summary.questions):
            for due in worklist.batches(number, batch_size(question.usd_micro)):
                rows = tuple(Task(one.key, one.document, one.generation, one.previous) for one in due)
                yield Batch(self._job_id, self._job, question, rows)

    async def _ask(self, batch: Batch) -> None:
        try:
            await self._attend(ask(batch, settle_s=self._settle_s))
        finally:
            self._slots.release()

    async def _attend(self, protocol: Protocol[None]) -> None:
        """Drive one submission; what the service refuses ends the spending, not the command."""
        try:
            await self._driver.run(protocol)
        except (StopRequested, SpendingStopped):
            pass
        except (UnauthorizedError, ForbiddenError) as error:
            self._driver.till.stop("refused", str(error))
        except ApiError as error:
            # Our own group unknown, a certificate not trusted: nothing to go on spending with.
            self._driver.till.stop("unreachable", str(error))

    async def _watch_all(self) -> None:
        """Look for late runs of submissions that once were unknown: before anything is sent, and at the end."""
        for submission in self._ledger.open_submissions():
            if submission.watched and not self._driver.stop.is_set():
                await self._attend(_watched(submission))

    async def _collect_extras(self) -> None:
        for run_id in self._driver.extras:
            await self._attend(collect_extra(run_id))

    async def _show(self) -> None:
        while True:
            self._update()
            await anyio.sleep(_TICK_S)

    def _update(self) -> None:
        driver = self._driver
        self._progress.update(done=driver.ended, failed=driver.failed, usd=dollars(driver.paid_micro))


def ask(batch: Batch, *, settle_s: float) -> Protocol[None]:
    """The life of a batch: permission, submission, results; in steps where budget, credit or the service want it."""
    left = deque([batch.tasks])
    refusals = 0  # in a row: when nothing of a batch is valid, it is the question, and no search finds an input
    while left:
        tasks = left.popleft()
        granted = yield AwaitTurn(len(tasks), batch.question.usd_micro)
        if granted < len(tasks):
            left.appendleft(tasks[granted:])
        sent = yield from submit(batch, tasks[:granted], settle_s=settle_s, give_up=refusals >= MOST_REFUSALS)
        if isinstance(sent, list):
            refusals += len(sent) > 1
            left.extendleft(reversed(sent))
        else:
            refusals = refusals + 1 if sent.state == "refused" else 0
            yield from collect(sent)


def recover(submission: OpenSubmission, *, settle_s: float) -> Protocol[None]:
    """Bring a submission of an earlier command to its end."""
    if submission.state in ("sending", "unknown"):
        submission = yield from resolve(submission, settle_s=settle_s)
    yield from collect(submission)


def _watched(submission: OpenSubmission) -> Protocol[None]:
    submission = yield from watch(submission)
    yield from collect(submission)
