"""Event streams of a group: decoded events in batches, and every way a stream can break given a name.

A stream that ends by itself just ends, which proves nothing: a cut can look the same. Who reads it knows
what is still missing, and goes on after `last_event_id`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Self

import httpx
import msgspec

from enrich.api.errors import StreamBreakError, StreamCut, StreamEndless, StreamStalled, sanitised
from enrich.api.failures import FOREIGN_ERRORS
from enrich.api.reading import UnreadableError
from enrich.api.secret import Secret
from enrich.api.sse import MAX_EVENT_BYTES, EventTooLargeError, SseDecoder
from enrich.backends.wire import ErrorBody, ErrorEvent, Event, RunEvent, RunRecord, decode_event

__all__ = ["EventStream", "harmless"]

MAX_IDLE_BYTES: Final = 64 * 1024 * 1024  # without an event: four times the largest one
MAX_LISTED: Final = 500_000  # runs of one group; a submission adds a thousand
MAX_REPEATS: Final = 10_000  # events in a row of a listing, beyond one for each run told of, that tell nothing new


class EventStream:
    """Iterates over lists of events, never empty: those that one read of the body completed.

    Raises StreamCut when the connection breaks or sends what can't be decoded, StreamStalled when nothing
    comes for the idle time of the connection, or nothing that is progress for `stall_s` seconds of waiting:
    a completed event, or any line if `lines_are_progress` (a live stream may have nothing to tell but heartbeats;
    a listing has no reason to pause). Silence after a slow trickle is thus noticed within the sum of both.
    Raises StreamEndless when megabytes come that are no event, and for a listing that tells again and again
    of the same runs, or of more than any group has. Events completed before a break are given out first.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        secret: Secret | None,
        *,
        stall_s: float,
        lines_are_progress: bool,
        max_event_bytes: int = MAX_EVENT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bytes_read = 0  # of the body
        self.events = 0  # given out
        self.last_event_id: str | None = None  # of the last event given out: where to go on
        self._chunks = chunks
        self._secret = secret
        self._stall_s = stall_s
        self._lines_are_progress = lines_are_progress
        self._clock = clock
        self._decoder = SseDecoder(max_event_bytes=max_event_bytes)
        self._listed = None if lines_are_progress else _Listed()
        self._idle_bytes = 0  # since the last event
        self._waited_s = 0.0  # since the last progress; the time that the reader takes doesn't count
        self._broken: str | None = None
        self._broken_as: type[StreamBreakError] = StreamCut

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Event]:
        while self._broken is None:
            events = self._decoded(await self._next_chunk())
            if events:
                self._waited_s = 0.0
                self._idle_bytes = 0
                self.events += len(events)
                self.last_event_id = events[-1].event_id or self.last_event_id
                if self._listed is not None and (why := self._listed.endless(events)):
                    self._broken, self._broken_as = why, StreamEndless
                return events
            if self._idle_bytes > MAX_IDLE_BYTES and self._broken is None:
                raise self._break(StreamEndless, f"no event in {MAX_IDLE_BYTES >> 20} MB")
            if self._waited_s > self._stall_s and self._broken is None:
                raise self._break(StreamStalled, f"no event completed in {self._waited_s:.0f} s")
        raise self._break(self._broken_as, self._broken)

    async def _next_chunk(self) -> bytes:
        since = self._clock()
        try:
            chunk = await anext(self._chunks)
        except httpx.ReadTimeout:
            failure = self._break(StreamStalled, "the stream went silent")
        except FOREIGN_ERRORS as error:
            failure = self._break(StreamCut, f"the stream was cut ({type(error).__name__})")
        else:
            self._waited_s += self._clock() - since
            self.bytes_read += len(chunk)
            self._idle_bytes += len(chunk)
            return chunk
        raise failure

    def _decoded(self, chunk: bytes) -> list[Event]:
        lines = self._decoder.lines
        events: list[Event] = []
        try:
            for completed in self._decoder.feed(chunk):
                event = decode_event(completed.data, last_id=completed.id)
                if event is not None:
                    events.append(self._harmless(event))
        except (UnreadableError, EventTooLargeError) as error:
            self._broken = f"the stream sent what can't be read ({sanitised(str(error), self._secret, limit=200)})"
        if self._lines_are_progress and self._decoder.lines > lines:
            self._waited_s = 0.0
        return events

    def _harmless(self, event: Event) -> Event:
        """The event with its error's words made fit to be shown."""
        if isinstance(event, RunEvent):
            if event.run.error is not None:  # what is kept of a run that failed are words, not values
                text = _harmless_json(event.data, self._secret)
                event = msgspec.structs.replace(event, run=harmless(event.run, self._secret), data=text)
        elif isinstance(event, ErrorEvent):
            event = msgspec.structs.replace(event, error=_harmless_error(event.error, self._secret))
        return event

    def _break(self, kind: type[StreamBreakError], message: str) -> StreamBreakError:
        return kind(message, last_event_id=self.last_event_id, events=self.events, bytes_read=self.bytes_read)


class _Listed:
    """What a listing has told of, to notice when it goes on without telling of anything new."""

    def __init__(self) -> None:
        self._runs: set[int] = set()  # hashes of their ids, which may be long
        self._repeats = 0

    def endless(self, events: Sequence[Event]) -> str:
        """Why no more is to be read, after these events; empty as long as there is something new."""
        before = len(self._runs)
        self._runs.update(hash(event.run.run_id) for event in events if isinstance(event, RunEvent))
        new = len(self._runs) - before
        self._repeats = 0 if new else self._repeats + len(events)
        if self._repeats > MAX_REPEATS + len(self._runs):
            return f"the listing goes on, and tells nothing new for {self._repeats} events"
        return f"the listing has more than {MAX_LISTED} runs" if len(self._runs) > MAX_LISTED else ""


def harmless(run: RunRecord, secret: Secret | None) -> RunRecord:
    """The run with its error's message made fit to be shown, and no part of the key in what else is said of it."""
    if run.error is None:
        return run
    warnings = msgspec.Raw(_harmless_json(run.warnings, secret))
    return msgspec.structs.replace(run, error=_harmless_error(run.error, secret), warnings=warnings)


def _harmless_error(error: ErrorBody, secret: Secret | None) -> ErrorBody:
    message = None if error.message is None else sanitised(error.message, secret)
    ref_id = None if error.ref_id is None else sanitised(error.ref_id, secret)
    detail = msgspec.Raw(_harmless_json(error.detail, secret))
    return ErrorBody(message, ref_id, detail)


def _harmless_json(raw: bytes | msgspec.Raw, secret: Secret | None) -> bytes:
    """JSON without any part of the key in its strings; the same bytes when there is none."""
    text = bytes(raw).decode("utf-8", "replace")
    if secret is None or secret.redact(text) == text:
        return bytes(raw)
    try:
        return msgspec.json.encode(_redacted(msgspec.json.decode(text), secret))
    except RecursionError:
        return b"null"


def _redacted(value: Any, secret: Secret) -> Any:
    if isinstance(value, str):
        return secret.redact(value)
    if isinstance(value, list):
        return [_redacted(one, secret) for one in value]
    if isinstance(value, dict):
        return {secret.redact(name): _redacted(one, secret) for name, one in value.items()}
    return value
