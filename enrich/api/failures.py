"""What httpx and the sockets below raise for a request that fails, and what each proves about what was sent."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any, Final

import anyio
import httpx

FOREIGN_ERRORS: Final = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    OSError,  # also TimeoutError (our deadline) and ssl.SSLError
    UnicodeError,  # a host name that can't be encoded
)
"""What httpx, anyio and the sockets below raise for a request that fails."""


NEVER_CONNECTED: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    UnicodeError,
)


class RequestProgress:
    """How far a request came, as the transport tells it (httpcore's `trace` extension)."""

    def __init__(self) -> None:
        self.connecting = False
        self.sending = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self.connecting = True
        elif event.endswith(".send_request_headers.started"):
            # A proxy's CONNECT isn't the request: nothing of ours has left for the service with it.
            self.sending = self.sending or info["request"].method != b"CONNECT"

    def proves_unsent(self, error: BaseException) -> bool:
        """Whether this failure happened before any byte of the request could leave."""
        if self.sending:
            return False
        return isinstance(error, NEVER_CONNECTED) or (isinstance(error, TimeoutError) and self.connecting)


def forget_locals(error: BaseException) -> None:
    """Clear the local variables of the frames that an error came through, and those of all it is linked with."""
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        link = left.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        left += [link.__cause__, link.__context__]
        if isinstance(link, BaseExceptionGroup):
            left += link.exceptions


def caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error, or one that it is linked with, is of a kind."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, kind):
            return True
        link = link.__cause__ or link.__context__
    return False
