"""Runs the scripts of the protocol against the real service, ledger and clock. Takes no decision.

One effect is one call; its error is thrown back into the script. The driver adds what is the same for all of them: a
request to stop, which ends every wait, and the counts that progress shows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import anyio

from enrich.api.errors import ApiError
from enrich.asking.counts import Counts
from enrich.asking.readers import STOP_S, ReaderPool
from enrich.asking.senders import SenderPool
from enrich.asking.stopping import Stopping
from enrich.backends.groups import Groups
from enrich.host.clock import SYSTEM, Clock
from enrich.ledger.recorder import Recorder
from enrich.protocol.course import is_stalled
from enrich.protocol.effects import (
    AddRuns,
    AwaitTurn,
    CreateGroup,
    Effect,
    EndVisits,
    Entrust,
    FetchRun,
    FollowEvents,
    LedgerEffect,
    ListGroup,
    Now,
    PlanVisit,
    PollGroup,
    ReadRuns,
    RecordExtraOutcome,
    Say,
    Script,
    Settled,
    Sleep,
    SpendingStopped,
    StopRequested,
)
from enrich.protocol.replies import ReadRun
from enrich.protocol.till import Stop, Till
from enrich.protocol.visits import Visit, Visits

WORDS_EVERY_S: Final = 30.0  # why nothing moves is told no more often

T = TypeVar("T")


def _nobody(script: Script[None]) -> None:
    raise AssertionError(f"nobody runs {script!r}")


class Driver:
    """One command's hands."""

    def __init__(
        self, groups: Groups, recorder: Recorder, till: Till, *, clock: Clock = SYSTEM, visits: Visits | None = None
    ) -> None:
        self.groups = groups
        self.recorder = recorder
        self.till = till
        self.clock = clock
        self.counts = Counts()
        self.stopping = Stopping()
        self.visits = visits if visits is not None else Visits()
        self._words = ""  # why nothing moves, not told yet
        self._words_at = float("-inf")
        self._settled = anyio.Event()
        self._running = 0  # scripts, with those entrusted that have not begun
        self._entrusted: set[Script[Any]] = set()
        self._held_up = 0
        self._readers = ReaderPool(groups, self.stopping, self.counts)
        self._senders = SenderPool(groups, recorder)
        self._large = anyio.Semaphore(1)  # from the fetching of a large result until it is written down

    def words(self) -> str:
        """Why nothing moves, if there is something new to tell; each time it is asked for, it has been told."""
        now = anyio.current_time()
        if not self._words or now - self._words_at < WORDS_EVERY_S:
            return ""
        words, self._words, self._words_at = self._words, "", now
        return words

    async def run(self, script: Script[T], *, beside: Callable[[Script[None]], None] = _nobody) -> T:
        """Drive a script to its end; gives what it returns and raises what it raises.

        `beside` is given the scripts that are to run beside it, each of which it has to have run.
        """
        if script in self._entrusted:
            self._entrusted.remove(script)
        else:
            self._running += 1
        hands = _Hands(self._large, beside)
        try:
            result: Any = None
            error: Exception | None = None
            while True:
                try:
                    effect = script.send(result) if error is None else script.throw(error)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                result, error = None, None
                try:
                    result = await self._perform(effect, hands)
                except (ApiError, StopRequested, SpendingStopped) as raised:
                    error = raised
        finally:
            self._running -= 1
            self._wake()
            script.close()
            hands.put_down()
            for reader in hands.readers:
                await self._readers.close(reader)

    # ------------------------------------------------------------------ effects

    async def _perform(self, effect: Effect[Any], hands: "_Hands") -> Any:
        if isinstance(effect, FetchRun):
            hands.put_down()  # of what was fetched before nothing was to be written down
            return await self.stopping.until_stop(lambda: self._fetch(effect.run_id, hands), grace_s=STOP_S)
        try:
            match effect:
                case LedgerEffect():
                    return await self._record(effect)
                case Now():
                    return self.clock.stamp()
                case Say(text):
                    self._words = text
                    return None
                case Sleep(seconds):
                    return await self.stopping.sleep(seconds)
                case AwaitTurn():
                    return await self._turn(effect)
                case Settled():
                    return self._settle(effect)
                case Entrust(script):
                    self._entrusted.add(script)
                    self._running += 1
                    hands.beside(script)
                    return None
                case PlanVisit() | EndVisits():
                    return self._visit(effect)
                case _:
                    return await self._call(effect, hands)
        finally:
            hands.put_down()

    def _visit(self, effect: PlanVisit | EndVisits) -> Visit | None:
        if isinstance(effect, PlanVisit):
            visit = self.visits.plan(effect.waited)
            self.counts.wait(effect.waited.submission_id, 0 if visit.follow else effect.waited.ended)
            return visit
        self.counts.wait(effect.submission_id, 0)
        self.visits.over(effect.submission_id, effect.processor, effect.age_s)
        return None

    async def _call(self, effect: Effect[Any], hands: "_Hands") -> Any:
        """What goes out to the service."""
        groups, until_stop = self.groups, self.stopping.until_stop
        match effect:
            case CreateGroup(metadata):
                group_id = await self._senders.open_batch(metadata)
                self.counts.groups.append(group_id)
                return group_id
            case AddRuns(group_id, body):
                return await self._senders.send(group_id, body)
            case ListGroup(group_id):
                return await until_stop(lambda: groups.list_batch(group_id), grace_s=STOP_S)
            case FollowEvents(group_id, cursor, seconds, awaited):
                tell = self.counts.tell
                return await until_stop(
                    lambda: groups.follow(group_id, cursor=cursor, seconds=seconds, awaited=awaited, tell=tell)
                )
            case PollGroup(group_id):
                return await until_stop(lambda: groups.poll(group_id), grace_s=STOP_S)
            case ReadRuns():
                return await self._readers.read(effect, hands.readers)
            case _:
                raise AssertionError(f"not an effect of the protocol: {effect!r}")

    async def _fetch(self, run_id: str, hands: "_Hands") -> ReadRun:
        read = await self.groups.fetch(run_id, before_large=hands.take_large)
        self.counts.bytes_read += len(read.raw)
        return read

    async def _record(self, effect: LedgerEffect[Any]) -> Any:
        if isinstance(effect, RecordExtraOutcome):
            processor, usd_micro = await self.recorder.record(effect)
            self.counts.note_extra(processor, completed=effect.completed)
            return processor, usd_micro
        self.counts.note(effect)
        return await self.recorder.record(effect)

    # ------------------------------------------------------------------ waiting

    async def _turn(self, turn: AwaitTurn) -> int:
        while True:
            if self.stopping.requested.is_set():
                raise StopRequested
            answer = self.till.reserve(turn, anyio.current_time())
            if isinstance(answer, Stop):
                raise SpendingStopped
            if isinstance(answer, int):
                return answer
            await self.stopping.until_stop(partial(self._wait_for_news, answer.seconds, turn))

    async def _wait_for_news(self, seconds: float | None, turn: AwaitTurn) -> None:
        if seconds is not None:
            await anyio.sleep(seconds)
            return
        self._held_up += 1
        try:
            if is_stalled(self._held_up, self._running):
                self.till.stalled(turn)
                self._wake()
                return
            await self._settled.wait()
        finally:
            self._held_up -= 1

    def _wake(self) -> None:
        self._settled.set()
        self._settled = anyio.Event()

    def _settle(self, event: Settled) -> None:
        self.till.settled(event, anyio.current_time())
        self.counts.usd_micro_paid += event.paid * event.usd_micro
        self._wake()


@dataclass(slots=True)
class _Hands:
    """What one script holds of what is scarce: open readings, and whether it has the turn of large results."""

    turns: anyio.Semaphore  # one, of large results
    beside: Callable[[Script[None]], None]
    readers: list[int] = field(default_factory=list)
    large: bool = False

    async def take_large(self) -> None:
        """Of large results one is in memory at a time, until it is written down."""
        await self.turns.acquire()
        self.large = True

    def put_down(self) -> None:
        """Let the next large result come."""
        if self.large:
            self.large = False
            self.turns.release()
