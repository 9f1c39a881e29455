"""Frames of an event stream as bytes of `text/event-stream`, well-formed or as the faults will have them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from enrich.sandbox.connection import Connection
from enrich.sandbox.faults import Fault, FaultPlan
from enrich.sandbox.problems import error_body
from enrich.sandbox.streams import Frame

KEEP_ALIVE = b": keep-alive\n\n"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_ENDS = {"crlf": (b"\r\n",), "cr": (b"\r",), "mixed": (b"\n", b"\r\n", b"\r")}
_CUTS = ("cut-clean", "cut-half", "cut-close", "cut-reset")


def encode(frames: Sequence[Frame]) -> bytes:
    """Events one after the other; no frames give a comment, which keeps the connection alive."""
    if not frames:
        return KEEP_ALIVE
    return b"".join(b"event: %b\ndata: %b\n\n" % (frame.kind.encode(), frame.data) for frame in frames)


def stream_bytes(
    stream: AsyncIterator[Sequence[Frame]],
    plan: FaultPlan,
    connection: Connection,
    pause: Callable[[float], Awaitable[None]],
) -> AsyncIterator[bytes]:
    """A stream as it goes out. `pause` sleeps for some seconds, or until the sandbox closes."""
    if not plan:
        return _plain(stream)
    return _Faulty(plan, connection, pause).bytes_of(stream)


async def _plain(stream: AsyncIterator[Sequence[Frame]]) -> AsyncIterator[bytes]:
    async for frames in stream:
        yield encode(frames)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes events in an unusual but valid form."""

    line_ends: Sequence[bytes]
    heartbeats: bool
    split_data: bool

    def event(self, frame: Frame, number: int) -> bytes:
        """One event; `number` counts the events, from 0. The line end changes only between events."""
        data = msgspec.json.format(frame.data, indent=1) if self.split_data else frame.data
        lines = [b"id: %b" % frame.event_id.encode()] if self.heartbeats and frame.event_id else []
        lines += [b"event: " + frame.kind.encode(), *(b"data: " + line for line in data.split(b"\n")), b""]
        if self.heartbeats:
            lines += [b": heartbeat", b""]
        end = self.line_ends[number % len(self.line_ends)]
        return end.join(lines) + end


class _Faulty:
    """One stream with the faults that strike it; each has its occasion when the stream is opened."""

    def __init__(self, plan: FaultPlan, connection: Connection, pause: Callable[[float], Awaitable[None]]) -> None:
        line_ends = plan.take("line-ends")
        self._writer = _Writer(
            line_ends=_LINE_ENDS[line_ends.word] if line_ends else (b"\n",),
            heartbeats=plan.take("heartbeats") is not None,
            split_data=plan.take("split-data") is not None,
        )
        self._cuts = [fault for name in _CUTS if (fault := plan.take(name)) is not None]
        self._silence = plan.take("silence")
        self._slow = plan.take("slow-bytes")
        self._pieces = plan.take("tiny-chunks")
        self._byte_order_mark = plan.take("byte-order-mark")
        self._duplicates = plan.take("duplicates")
        self._reordered = plan.take("reordered")
        self._error = plan.take("error-events")
        self._unknown = plan.take("unknown-events")
        self._connection = connection
        self._pause = pause

    async def bytes_of(self, stream: AsyncIterator[Sequence[Frame]]) -> AsyncIterator[bytes]:
        """The body, in the pieces in which it is sent."""
        if self._silence is not None:
            await self._pause(self._silence.number)
        if self._byte_order_mark is not None:
            yield BYTE_ORDER_MARK
        async for content in self._events(stream):
            async for piece in self._in_pieces(content):
                yield piece

    async def _events(self, stream: AsyncIterator[Sequence[Frame]]) -> AsyncIterator[bytes]:
        """Event by event, up to the cut if there is one."""
        cut = min(self._cuts, key=lambda fault: fault.number, default=None)
        number = 0
        async for frames in stream:
            if not frames:
                yield self._writer.line_ends[0].join((b": keep-alive", b"", b""))
            for frame in self._changed(frames, is_first=number == 0):
                content = self._writer.event(frame, number)
                if cut is not None and number >= cut.number:
                    if cut.kind.name == "cut-half":
                        yield _half(content)
                    await self._end(cut)
                    return
                yield content
                number += 1

    async def _end(self, cut: Fault) -> None:
        if cut.kind.name == "cut-close":
            await self._connection.close()
        elif cut.kind.name == "cut-reset":
            await self._connection.reset()
        else:
            return
        await asyncio.get_running_loop().create_future()  # what is left of the answer must not be sent

    def _changed(self, frames: Sequence[Frame], *, is_first: bool) -> Iterator[Frame]:
        if is_first and frames and self._error is not None:
            yield _error_frame()
        for frame in reversed(frames) if self._reordered is not None else frames:
            yield from self._repeated(frame)

    def _repeated(self, frame: Frame) -> Iterable[Frame]:
        if self._unknown is not None:
            yield _UNKNOWN
        yield frame
        if self._duplicates is not None:
            yield frame

    async def _in_pieces(self, content: bytes) -> AsyncIterator[bytes]:
        if self._slow is not None:
            for byte in content:
                yield bytes((byte,))
                await self._pause(self._slow.number)
        elif self._pieces is not None:
            size = max(1, int(self._pieces.number))
            for start in range(0, len(content), size):
                yield content[start : start + size]
                await asyncio.sleep(0)  # let it go out as a piece
        else:
            yield content


_UNKNOWN = Frame("task_group.weather", None, b'{"type":"task_group.weather","outlook":{"sunny":true}}')


def _error_frame() -> Frame:
    body = error_body("Internal error while streaming; the sandbox was told to say so.")
    return Frame("error", None, msgspec.json.encode({"type": "error", "error": body}))


def _half(content: bytes) -> bytes:
    """The first part of an event: into its first character of several bytes, else half of it."""
    for place, byte in enumerate(content):
        if byte >= 0xC0:
            return content[: place + 1]
    return content[: len(content) // 2]
