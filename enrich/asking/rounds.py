"""Takes the steps of one command's course: the async part, with what is shown meanwhile."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import anyio
import anyio.lowlevel
import anyio.to_thread

from enrich.api.errors import ApiError
from enrich.asking.driver import Driver
from enrich.backends.bodies import render_body
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.planning.comparison import Comparison
from enrich.planning.costs import Summary
from enrich.progress import Progress
from enrich.protocol.course import Compare, Due, GiveUp, InTurn, Roster, Together, course, settle_failure
from enrich.protocol.effects import Script, SpendingStopped, StopRequested
from enrich.protocol.submit import batch_size
from enrich.records import TaskBatch
from enrich.spec.money import dollars

SLOTS: Final = 32  # batches that are being sent, or wait for their turn: twice as many as are on the wire
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

    async def go(self, comparison: Comparison, worklist: Worklist, summary: Summary) -> None:
        """Ask until nothing is due, or nothing more may be asked. `summary` is the comparison made before."""
        due = self._due(worklist, summary)
        steps = course(self._ledger, due, render=render_body, settle_s=self._settle_s, ended=self._ended)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._show)
            counts = self._driver.counts
            given: Due | Counter[str] | None = None
            while True:
                try:
                    step = steps.send(given)
                except StopIteration:
                    break
                given = None
                match step:
                    case Compare():
                        given = self._due(worklist, await anyio.to_thread.run_sync(comparison.compare, worklist))
                    case GiveUp(reason):
                        self._driver.till.stop("unreachable", reason)
                    case InTurn():
                        await self._attend_to(step)
                    case Together(runs=runs):
                        self._progress.start(counts.done + runs, done=counts.done)
                        completed = counts.completed.copy()
                        await self._attend_to(step)
                        given = counts.completed - completed
            self._update()
            tasks.cancel_scope.cancel()

    def _ended(self) -> bool:
        return self._driver.stopping.requested.is_set() or self._driver.till.stopped is not None

    def _due(self, worklist: Worklist, summary: Summary) -> Due:
        top = max(summary.ladder, key=lambda rung: rung.usd_micro).processor
        return Due(summary.runs, top, self._batches(worklist, summary))

    def _batches(self, worklist: Worklist, summary: Summary) -> Iterator[TaskBatch]:
        for number, question in enumerate(summary.questions):
            for due in worklist.batches(number, batch_size(question.usd_micro)):
                yield TaskBatch(self._job_id, self._job, question, tuple(due))

    async def _attend_to(self, step: InTurn | Together) -> None:
        roster = Roster(step, slots=SLOTS, ended=self._ended, stopping=self._driver.stopping.requested.is_set)

        async def fill() -> None:
            for script in roster.starting():
                tasks.start_soon(attend, script)
                del script  # what it has sent is let go before it ends
                await anyio.lowlevel.checkpoint()  # the first are on their way before the last are made

        async def attend(script: Script[None]) -> None:
            try:
                await self._attend(script, beside)
            finally:
                roster.over(script)
            await fill()

        def beside(script: Script[None]) -> None:
            tasks.start_soon(attend, script)

        async with anyio.create_task_group() as tasks:
            await fill()

    async def _attend(self, script: Script[None], beside: Callable[[Script[None]], None]) -> None:
        try:
            await self._driver.run(script, beside=beside)
        except (StopRequested, SpendingStopped, ApiError) as error:
            settle_failure(error, self._driver.till)

    async def _show(self) -> None:
        while True:
            self._update()
            await anyio.sleep(_TICK_S)

    def _update(self) -> None:
        counts = self._driver.counts
        if words := self._driver.words():
            self._progress.note(words)
        self._progress.update(
            done=counts.ended,
            failed=counts.failed,
            usd=dollars(counts.usd_micro_paid),
            at_stake=dollars(self._driver.till.at_stake),
        )
