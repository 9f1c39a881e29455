"""The body of an answer: bounded, and unpacked at most once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from enrich.api.inflating import EncodingError, inflater_of


class UnreadableBody(httpx.StreamError):
    """An answer in an encoding that is not read."""


class TooLargeBody(UnreadableBody):
    """An answer that is larger than any that is asked for."""


async def whole_body(response: httpx.Response, *, limit: int) -> bytes:
    """The body; UnreadableBody for one that is larger than the limit, or can't be unpacked."""
    parts: list[bytes] = []
    size = 0
    async with aclosing(pieces_of(response)) as pieces:
        async for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if size > limit:
                raise TooLargeBody(f"an answer of more than {limit >> 20} MB, which is not read")
    return b"".join(parts)


async def pieces_of(response: httpx.Response) -> AsyncGenerator[bytes]:
    """The body as it comes, unpacked; httpx would unpack any number of layers, and each of them at once."""
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    try:
        inflater = inflater_of(response.headers.get_list("content-encoding", split_commas=True))
        async for chunk in stream:
            if inflater is None:
                yield chunk
            else:
                for piece in inflater.feed(chunk):
                    yield piece
    except EncodingError as error:
        raise UnreadableBody(str(error)) from None
