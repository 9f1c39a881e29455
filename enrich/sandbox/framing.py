"""Frames of an event stream as bytes of `text/event-stream`."""

from collections.abc import AsyncIterator, Sequence

from enrich.sandbox.streams import Frame

KEEP_ALIVE = b": keep-alive\n\n"


def encode(frames: Sequence[Frame]) -> bytes:
    """Events one after the other; no frames give a comment, which keeps the connection alive."""
    if not frames:
        return KEEP_ALIVE
    return b"".join(b"event: %b\ndata: %b\n\n" % (frame.kind.encode(), frame.data) for frame in frames)


async def plain_bytes(stream: AsyncIterator[Sequence[Frame]]) -> AsyncIterator[bytes]:
    """A stream without faults."""
    async for frames in stream:
        yield encode(frames)
