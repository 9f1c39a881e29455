"""Task groups as the protocol sees them: a verb for each effect that goes out to the service, in the protocol's words.

What the service sends (events, listings, states, results) is put into those words here and nowhere else. What follows
from it is for the protocol to say.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

import anyio
import msgspec

from enrich.api.errors import ApiError, NotFoundError, StillActiveError, StreamBreakError, TooLargeAnswerError
from enrich.api.reading import UnreadableError, decode_shallow
from enrich.backends.listing import list_group
from enrich.backends.metadata import task_in_metadata
from enrich.backends.parallel import Client
from enrich.backends.streams import EventStream
from enrich.backends.wire import NULL, ErrorEvent, Event, GroupStatus, GroupStatusEvent, RunEvent, RunRecord, RunResult
from enrich.protocol.endings import ENDED, is_strange, settled_status
from enrich.protocol.replies import Added, Followed, Listing, ReadRun
from enrich.records import ServiceKind
from enrich.spec.canonical import canonical_json
from enrich.spec.identity import input_key
from enrich.text.hostile import clean

CHUNK_BYTES: Final = 4 * 1024 * 1024  # of results held in memory by one reading before they go to the ledger
CHUNK_S: Final = 5.0  # and no longer than this, where the listing stays open and goes on telling of other things
LARGE_BYTES: Final = 1024 * 1024  # of a result that is fetched by its id: larger ones come one after the other


class Groups:
    """The groups of one service, by its client."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def kind(self) -> ServiceKind:
        """What answers: known when something has."""
        return "sandbox" if self.client.server_is_sandbox else "service"

    async def open_batch(self, metadata: Mapping[str, str]) -> str:
        """Make a group, which is free; gives its id. Raises ApiError."""
        return (await self.client.create_group(metadata)).taskgroup_id

    async def send(self, group_id: str, body: bytes, *, timeout_s: float) -> Added:
        """Add runs to a group: exactly one HTTP request. Raises ApiError."""
        added = await self.client.add_runs(group_id, body, timeout_s=timeout_s)
        return Added(tuple(added.run_ids), added.run_cursor)

    async def list_batch(self, group_id: str) -> Listing:
        """Count, list to the end, count again. Raises ApiError."""
        return (await list_group(self.client, group_id)).listing()

    async def follow(
        self,
        group_id: str,
        *,
        cursor: str | None,
        seconds: float,
        awaited: frozenset[str],
        tell: Callable[[Collection[str]], None],
    ) -> Followed:
        """Watch a group's events for so long, until it has no active run or all the `awaited` ones have ended.

        `tell` hears at once of the ids of those that have. Raises ApiError where the events can't be had.
        """
        if cursor is None and (at_end := await self._at_end(group_id, len(awaited))) is not None:
            return at_end
        heard = _Heard(cursor, awaited)
        with anyio.move_on_after(seconds) as patience:
            try:
                async with self.client.open_events(group_id, after=cursor) as stream:
                    async for events in stream:
                        heard.add(events)
                        tell(heard.ended)
                        if heard.is_enough():
                            break
            except StreamBreakError:
                heard.failed = True
        return heard.followed(timed_out=patience.cancelled_caught)

    async def _at_end(self, group_id: str, awaited: int) -> Followed | None:
        """A group in which all has ended needs no following: one small answer instead of an event for each run."""
        try:
            polled = await self.poll(group_id)
        except ApiError:
            return None  # whether that matters shows when the events are asked for
        return polled if polled.active is False and (polled.count_ended or 0) >= awaited else None

    async def poll(self, group_id: str) -> Followed:
        """Ask once for a group's counts. Raises ApiError."""
        return _counts((await self.client.group(group_id)).status)

    def read(self, group_id: str, cursor: str | None) -> "Reading":
        """A reading of a group's results behind the cursor, not open yet."""
        return Reading(self.client, group_id, cursor)

    async def fetch(self, run_id: str, *, before_large: Callable[[], Awaitable[None]]) -> ReadRun:
        """One run, with its output if it has one; a large one only when `before_large` has let it. Raises ApiError."""
        run = await self.client.run(run_id)
        result = RunResult(run)
        if run.status == "completed" or is_strange(run.status, active=run.is_active):
            # Its state says completed: where there is no result, what is known is kept, without an output.
            with suppress(StillActiveError, NotFoundError):
                result = await self._result(run_id, before_large)
        read = as_read(result.run, result.output, msgspec.json.encode(result), fetched=True)
        return await self._with_input(read) if read.task is None else read

    async def _result(self, run_id: str, before_large: Callable[[], Awaitable[None]]) -> RunResult:
        try:
            return await self.client.run_result(run_id, max_bytes=LARGE_BYTES)
        except TooLargeAnswerError:
            pass
        await before_large()
        return await self.client.run_result(run_id)

    async def _with_input(self, read: ReadRun) -> ReadRun:
        """A run that carries no metadata of ours is known by what it was asked."""
        try:
            raw = await self.client.run_input(read.run_id)
            sent = decode_shallow(bytes(raw), _SentInput)
        except (ApiError, UnreadableError):
            return read
        document = canonical_json(sent.input)
        return msgspec.structs.replace(read, task=task_in_metadata(sent.metadata), input_key=input_key(document))


class Reading:
    """One open reading of a group's runs with their outputs, in chunks; `cursor` is behind the last run."""

    def __init__(self, client: Client, group_id: str, cursor: str | None) -> None:
        self.cursor = cursor
        self.bytes_read = 0  # known when it is closed
        self._client = client
        self._group_id = group_id
        self._stack = AsyncExitStack()
        self._stream: EventStream | None = None
        self._runs: list[ReadRun] = []

    async def open(self) -> None:
        """Raises ApiError where the listing can't be had."""
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
                        runs.append(as_read(event.run, event.output, event.data))
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
        """Read no more."""
        if self._stream is not None:
            self.bytes_read = self._stream.bytes_read
        await self._stack.aclose()


class _SentInput(msgspec.Struct):
    input: Any
    metadata: dict[str, Any] | None = None


class _Heard:
    """What the events of a group have told so far."""

    def __init__(self, cursor: str | None, awaited: frozenset[str]) -> None:
        self.ended: set[str] = set()
        self.failed = False
        self._awaited = awaited
        self._cursor = cursor
        self._active: bool | None = None
        self._count_ended: int | None = None
        self._told = False

    def add(self, events: Sequence[Event]) -> None:
        """Take note of events."""
        self._told = True
        for event in events:
            self._cursor = event.event_id or self._cursor
            if isinstance(event, GroupStatusEvent):
                counts = _counts(event.status)
                self._active, self._count_ended = counts.active, counts.count_ended
            elif isinstance(event, ErrorEvent):
                self.failed = True
            elif event.run.status in ENDED and event.run.run_id in self._awaited:
                self.ended.add(event.run.run_id)

    def is_enough(self) -> bool:
        """Whether nothing more is awaited."""
        return self._active is False or self.ended == self._awaited

    def followed(self, *, timed_out: bool) -> Followed:
        """All of it."""
        return Followed(
            frozenset(self.ended),
            self._active,
            self._count_ended,
            self._cursor,
            told=self._told,
            failed=self.failed,
            timed_out=timed_out,
        )


def as_read(run: RunRecord, output: msgspec.Raw, raw: bytes, *, fetched: bool = False) -> ReadRun:
    """A run with its outcome, by its state and output; `raw` is what is kept of it."""
    has_output = output != NULL
    status = settled_status(run.status, active=run.is_active, has_output=has_output, fetched=fetched)
    return ReadRun(
        run.run_id,
        task_in_metadata(run.metadata),
        status,
        raw if status in ENDED else b"",
        has_output,
        None if status == "completed" else _words(run),
        modified_at=run.modified_at,
    )


def _words(run: RunRecord) -> str | None:
    """Why a run has no answers, None for one that may have."""
    said = run.error.message if run.error is not None and run.error.message else ""
    match run.status:
        case "failed":
            return said or "the run failed, and the service does not say why"
        case "cancelled":
            return said or "the run was cancelled at the service"
        case "action_required":
            return said or "the run asks for an action that a batch can't take (action_required)"
        case _ if is_strange(run.status, active=run.is_active):
            return said or f"the run ended as {clean(run.status, 40)!r}, which is not known here"
        case _:
            return None


def _counts(status: GroupStatus) -> Followed:
    counts = status.task_run_status_counts
    ended = None if counts is None else sum(number for name, number in counts.items() if name in ENDED)
    return Followed(frozenset(), status.is_active, ended, None)
