"""Runs the generators of `submit` and `collect` against the real service, ledger and clock. Takes no decision.

One effect is one call; its error is thrown back into the generator. The driver adds what is the same for all of them:
a request to stop, which ends every wait, and the counts that progress shows.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import anyio
import msgspec

from enrich.api.errors import ApiError, NotFoundError, StillActiveError, StreamBreakError, TooLargeAnswerError
from enrich.api.reading import UnreadableError, decode_shallow
from enrich.backends.listing import list_group
from enrich.backends.parallel import Client
from enrich.backends.streams import EventStream
from enrich.backends.wire import NULL, ErrorEvent, GroupStatus, GroupStatusEvent, RunEvent, RunResult, RunState
from enrich.host.clock import SYSTEM, Clock
from enrich.ledger.recorder import Recorder
from enrich.protocol.collect import ENDED
from enrich.protocol.effects import (
    Added,
    AddRuns,
    AwaitTurn,
    CreateGroup,
    FetchRun,
    Followed,
    FollowEvents,
    ListedRun,
    ListGroup,
    Listing,
    Now,
    PollGroup,
    ReadRun,
    ReadRuns,
    RecordAccepted,
    RecordAdopted,
    RecordExtraOutcome,
    RecordOutcomes,
    RecordService,
    RunsRead,
    Say,
    Settled,
    Sleep,
    SpendingStopped,
    StopRequested,
)
from enrich.protocol.submit import Protocol
from enrich.protocol.till import Stop, Till
from enrich.records import ServiceKind
from enrich.spec.identity import TASK, input_key
from enrich.text.hostile import clean

CHUNK_BYTES: Final = 4 * 1024 * 1024  # of results held in memory by one reader before they go to the ledger
CHUNK_S: Final = 5.0  # and no longer than this, where the listing stays open and goes on telling of other things
LARGE_BYTES: Final = 1024 * 1024  # of a result that is fetched by its id: larger ones come one after the other
STOP_S: Final = 1.0  # what is being read when the command is asked to end has so long to come
READERS: Final = 3  # groups read at once; bounds memory
SENDERS: Final = 16  # submissions on their way at once, each with its body; bounds memory
POST_DEADLINE_S: Final = 60.0
WORDS_EVERY_S: Final = 30.0  # why nothing moves is told no more often

_KNOWN: Final = ENDED | {"queued", "running", "cancelling"}  # statuses

T = TypeVar("T")


class Driver:
    """One command's hands. `stop` is set when the command is asked to end."""

    def __init__(self, client: Client, recorder: Recorder, till: Till, *, clock: Clock = SYSTEM) -> None:
        self.client = client
        self.recorder = recorder
        self.till = till
        self.clock = clock
        self.stop = anyio.Event()
        self.done = 0  # outcomes in the ledger
        self.failed = 0
        self.paid_micro = 0
        self.paid: Counter[str] = Counter()  # completed runs by processor
        self.extras_paid = 0  # completed runs that are double charges
        self.submitted = 0
        self.bytes_read = 0
        self.result_bytes = 0
        self.groups: list[str] = []
        self._told: set[str] = set()  # runs that have ended, and are not in the ledger yet
        self._words = ""  # why nothing moves, not told yet
        self._words_at = float("-inf")
        self._settled = anyio.Event()
        self._reading_ends = float("inf")  # when what is being read is left, once the command is asked to end
        self._running = 0
        self._held_up = 0
        self._readers: dict[int, _RunsReader] = {}
        self._reading = anyio.Semaphore(READERS)
        self._large = anyio.Semaphore(1)  # from the fetching of a large result until it is written down
        self._sending = anyio.Semaphore(SENDERS)  # from the making of a group to the answer to its POST
        self._made = Counter[str]()  # groups that hold a place among them, each until its first POST

    @property
    def ended(self) -> int:
        """Runs that have ended, as far as is known."""
        return self.done + len(self._told)

    def words(self) -> str:
        """Why nothing moves, if there is something new to tell; each time it is asked for, it has been told."""
        now = anyio.current_time()
        if not self._words or now - self._words_at < WORDS_EVERY_S:
            return ""
        words, self._words, self._words_at = self._words, "", now
        return words

    async def run(self, protocol: Protocol[T]) -> T:
        """Drive a generator to its end; gives what it returns and raises what it raises."""
        self._running += 1
        hands = _Hands()
        try:
            result: Any = None
            error: Exception | None = None
            while True:
                try:
                    effect = protocol.send(result) if error is None else protocol.throw(error)
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
            protocol.close()
            self._put_down(hands)
            for reader in hands.readers:
                await self._close_reader(reader)

    async def _perform(self, effect: Any, hands: "_Hands") -> Any:
        if isinstance(effect, FetchRun):
            self._put_down(hands)  # of what was fetched before nothing was to be written down
            return await self._until_stop(lambda: self._fetch(effect.run_id, hands), grace_s=STOP_S)
        try:
            return await self._perform_other(effect, hands)
        finally:
            self._put_down(hands)

    def _put_down(self, hands: "_Hands") -> None:
        """Let the next large result come."""
        if hands.large:
            hands.large = False
            self._large.release()

    async def _perform_other(self, effect: Any, hands: "_Hands") -> Any:
        match effect:
            case Now():
                return self.clock.stamp()
            case Say(text):
                self._words = text
                return None
            case Sleep(seconds):
                return await self._until_stop(lambda: anyio.sleep(seconds))
            case AwaitTurn():
                return await self._turn(effect)
            case Settled():
                return self._settle(effect)
            case CreateGroup(metadata):
                return await self._create_group(dict(metadata))
            case AddRuns(group_id, body):
                return await self._add_runs(group_id, body)
            case ListGroup(group_id):
                return await self._until_stop(lambda: self._list(group_id), grace_s=STOP_S)
            case FollowEvents():
                return await self._until_stop(lambda: self._follow(effect))
            case PollGroup(group_id):
                group = await self._until_stop(lambda: self.client.group(group_id), grace_s=STOP_S)
                return _poll(group.status)
            case ReadRuns():
                return await self._read(effect, hands.readers)
            case RecordExtraOutcome(completed=completed):
                processor, usd_micro = await self.recorder.record(effect)
                self.extras_paid += completed
                self.paid[processor] += completed
                return processor, usd_micro
            case _:
                self._count(effect)
                return await self.recorder.record(effect)

    # ------------------------------------------------------------------ waiting

    async def _until_stop(self, action: Callable[[], Awaitable[T]], *, grace_s: float = 0.0) -> T:
        """The action's result; raises StopRequested as soon as the command is asked to stop.

        With `grace_s` it has that many seconds more, together with all that is tried from then on: a service that
        never comes to an end does not keep a command that is to end.
        """
        if self.stop.is_set() and self._patience_s(grace_s) <= 0:
            raise StopRequested
        results: list[T] = []
        errors: list[ApiError] = []

        async def act() -> None:
            try:
                results.append(await action())
            except ApiError as error:  # kept out of the task group, which would wrap it
                errors.append(error)
            tasks.cancel_scope.cancel()

        async def watch() -> None:
            await self.stop.wait()
            await anyio.sleep(self._patience_s(grace_s))
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(act)
            tasks.start_soon(watch)
        if errors:
            raise errors[0]
        if not results:
            raise StopRequested
        return results[0]

    def _patience_s(self, grace_s: float) -> float:
        """Seconds for which a reading goes on after the command was asked to stop, by the first that asks."""
        if not grace_s:
            return 0.0
        now = anyio.current_time()
        self._reading_ends = min(self._reading_ends, now + grace_s)
        return self._reading_ends - now

    async def _turn(self, turn: AwaitTurn) -> int:
        while True:
            if self.stop.is_set():
                raise StopRequested
            answer = self.till.ask(turn, anyio.current_time())
            if isinstance(answer, Stop):
                raise SpendingStopped
            if isinstance(answer, int):
                if answer:
                    await self._until_stop(self.client.turn_to_post)
                return answer
            await self._until_stop(partial(self._wait_for_news, answer.seconds, turn))

    async def _wait_for_news(self, seconds: float | None, turn: AwaitTurn) -> None:
        if seconds is not None:
            await anyio.sleep(seconds)
            return
        self._held_up += 1
        try:
            if self._held_up >= self._running:
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
        self.paid_micro += event.paid * event.usd_micro
        self._wake()

    def _count(self, effect: object) -> None:
        match effect:
            case RecordOutcomes(outcomes=outcomes):
                completed = sum([outcome.completed for outcome in outcomes])
                self._told.difference_update([outcome.run_id for outcome in outcomes])
                self.done += len(outcomes)
                self.failed += len(outcomes) - completed
                self.paid[effect.processor] += completed
                self.result_bytes += sum([len(outcome.raw) for outcome in outcomes])
            case RecordAccepted(run_ids=run_ids):
                self.submitted += len(run_ids)
            case RecordAdopted(runs=runs):
                self.submitted += len(runs)
            case _:
                pass

    # ------------------------------------------------------------------ the service

    async def _create_group(self, metadata: dict[str, str]) -> str:
        await self._sending.acquire()
        try:
            group = await self.client.create_group(metadata)
            kind: ServiceKind = "sandbox" if self.client.server_is_sandbox else "service"
            await self.recorder.record(RecordService(kind))  # before anything that costs: the two are never mixed
        except BaseException:
            self._sending.release()
            raise
        self.groups.append(group.taskgroup_id)
        self._made[group.taskgroup_id] += 1
        return group.taskgroup_id

    async def _add_runs(self, group_id: str, body: bytes) -> Added:
        if self._made[group_id]:
            self._made[group_id] -= 1
        else:  # the group was not known to the service yet when it was tried before
            await self._sending.acquire()
        try:
            added = await self.client.add_runs(group_id, body, timeout_s=POST_DEADLINE_S, turn_taken=True)
        finally:
            self._sending.release()
        return Added(tuple(added.run_ids), added.run_cursor)

    async def _list(self, group_id: str) -> Listing:
        found = await list_group(self.client, group_id)
        runs = tuple(ListedRun(run_id, _task_key(run.metadata)) for run_id, run in found.runs.items())
        return Listing(found.before, found.after, runs)

    async def _follow(self, effect: FollowEvents) -> Followed:
        if effect.cursor is None and (at_end := await self._at_end(effect)) is not None:
            return at_end
        ended: set[str] = set()
        cursor, active, counted, broken = effect.cursor, None, None, False
        told = False
        with anyio.move_on_after(effect.seconds) as patience:
            try:
                async with self.client.open_events(effect.group_id, after=effect.cursor) as stream:
                    async for events in stream:
                        told = True
                        for event in events:
                            cursor = event.event_id or cursor
                            if isinstance(event, GroupStatusEvent):
                                counts = _poll(event.status)
                                active, counted = counts.active, counts.count_ended
                            elif isinstance(event, ErrorEvent):
                                broken = True
                            elif event.run.status in ENDED and event.run.run_id in effect.awaited:
                                ended.add(event.run.run_id)
                        self._told.update(ended)
                        if active is False or ended == effect.awaited:
                            break
            except StreamBreakError:
                broken = True
        if not told or (not patience.cancelled_caught and not ended and active is not False):
            broken = True  # refused, silent or too slow all the time; or it ended by itself and told nothing new
        return Followed(frozenset(ended), active, counted, cursor, broken)

    async def _at_end(self, effect: FollowEvents) -> Followed | None:
        """A group in which all has ended needs no following: one small answer instead of an event for each run."""
        try:
            polled = _poll((await self.client.group(effect.group_id)).status)
        except ApiError:
            return None  # whether that matters shows when the events are asked for
        return polled if polled.active is False and (polled.count_ended or 0) >= len(effect.awaited) else None

    async def _read(self, effect: ReadRuns, opened: list[int]) -> RunsRead:
        if effect.reader is None:
            await self._until_stop(self._reading.acquire, grace_s=STOP_S)
            reader = _RunsReader(self.client, effect.group_id, effect.cursor)
            number = id(reader)
            self._readers[number] = reader
            opened.append(number)
            try:
                await self._until_stop(reader.open, grace_s=STOP_S)
            except BaseException:
                opened.remove(number)
                await self._close_reader(number)
                raise
        else:
            number = effect.reader
            reader = self._readers[number]
        try:
            at_end = await self._until_stop(reader.read, grace_s=STOP_S)
        except StopRequested:
            at_end = True
        runs = reader.taken()
        if at_end:
            opened.remove(number)
            await self._close_reader(number)
        return RunsRead(runs, reader.cursor, None if at_end else number)

    async def _close_reader(self, number: int) -> None:
        reader = self._readers.pop(number, None)
        if reader is not None:
            self._reading.release()
            with anyio.CancelScope(shield=True):
                await reader.close()
            self.bytes_read += reader.bytes_read

    async def _fetch(self, run_id: str, hands: "_Hands") -> ReadRun:
        run = await self.client.run(run_id)
        result = RunResult(run)
        if run.status == "completed" or _is_strange(run):
            # Its state says completed: where there is no result, what is known is kept, without an output.
            with suppress(StillActiveError, NotFoundError):
                result = await self._result(run_id, hands)
        read = _as_read(result.run, result.output, msgspec.json.encode(result), fetched=True)
        self.bytes_read += len(read.raw)
        if read.task is None:
            return await self._with_input(read)
        return read

    async def _result(self, run_id: str, hands: "_Hands") -> RunResult:
        """A run's result. Of large ones one is in memory at a time, until it is written down."""
        try:
            return await self.client.run_result(run_id, max_bytes=LARGE_BYTES)
        except TooLargeAnswerError:
            pass
        await self._large.acquire()
        hands.large = True
        return await self.client.run_result(run_id)

    async def _with_input(self, read: ReadRun) -> ReadRun:
        """A run that carries no metadata of ours is known by what it was asked."""
        try:
            raw = await self.client.run_input(read.run_id)
            asked = decode_shallow(bytes(raw), _Asked)
        except (ApiError, UnreadableError):
            return read
        document = msgspec.json.encode(asked.input, order="sorted")
        return msgspec.structs.replace(read, task=_task_key(asked.metadata), input_key=input_key(document))


@dataclass(slots=True)
class _Hands:
    """What one generator holds of what is scarce: open readers, and whether it has the turn of large results."""

    readers: list[int] = field(default_factory=list)
    large: bool = False


class _Asked(msgspec.Struct):
    input: Any
    metadata: dict[str, Any] | None = None


class _RunsReader:
    """One open reading of a group's runs."""

    def __init__(self, client: Client, group_id: str, cursor: str | None) -> None:
        self.cursor = cursor
        self.bytes_read = 0
        self._client = client
        self._group_id = group_id
        self._stack = AsyncExitStack()
        self._stream: EventStream | None = None
        self._runs: list[ReadRun] = []

    async def open(self) -> None:
        self._stream = await self._stack.enter_async_context(
            self._client.open_runs(self._group_id, after=self.cursor, include_output=True)
        )

    def taken(self) -> list[ReadRun]:
        """The runs that were read since this was asked for."""
        runs, self._runs = self._runs, []
        return runs

    async def read(self) -> bool:
        """Read the next runs, up to CHUNK_BYTES of them: gives whether the listing is at its end, or brings no more."""
        assert self._stream is not None
        runs = self._runs
        size = 0
        since = anyio.current_time()
        try:
            async for events in self._stream:
                for event in events:
                    self.cursor = event.event_id or self.cursor
                    if isinstance(event, RunEvent):
                        runs.append(_as_read(event.run, event.output, event.data))
                        size += len(event.data)
                if size >= CHUNK_BYTES:
                    return False
                if anyio.current_time() - since >= CHUNK_S:
                    if runs:
                        return False
                    break
        except StreamBreakError:
            pass  # what came is good, and what is missing is known
        return True

    async def close(self) -> None:
        if self._stream is not None:
            self.bytes_read = self._stream.bytes_read
        await self._stack.aclose()


def _as_read(run: RunState, output: msgspec.Raw, raw: bytes, *, fetched: bool = False) -> ReadRun:
    status = run.status
    if _is_strange(run) and (fetched or output != NULL):  # paid for or not: what it brought tells
        status = "failed" if output == NULL else "completed"
    return ReadRun(
        run.run_id,
        _task_key(run.metadata),
        status,
        raw if status in ENDED else b"",
        output != NULL,
        None if status == "completed" else _words(run),
        modified_at=run.modified_at,
    )


def _is_strange(run: RunState) -> bool:
    """Whether a run has ended in a way that is not known here."""
    return run.is_active is False and run.status not in _KNOWN


def _words(run: RunState) -> str | None:
    """Why a run has no answers, None for one that may have."""
    said = run.error.message if run.error is not None and run.error.message else ""
    match run.status:
        case "failed":
            return said or "the run failed, and the service does not say why"
        case "cancelled":
            return said or "the run was cancelled at the service"
        case "action_required":
            return said or "the run asks for an action that a batch can't take (action_required)"
        case _ if _is_strange(run):
            return said or f"the run ended as {clean(run.status, 40)!r}, which is not known here"
        case _:
            return None


def _task_key(metadata: Mapping[str, Any] | None) -> str | None:
    task = (metadata or {}).get(TASK)
    return task if isinstance(task, str) else None


def _poll(status: GroupStatus) -> Followed:
    counts = status.task_run_status_counts
    ended = None if counts is None else sum(number for name, number in counts.items() if name in ENDED)
    return Followed(frozenset(), status.is_active, ended, None, broken=False)
