"""What a well-behaved server never does to a connection: cut it, reset it, go silent on it.

`SandboxProtocol` lets a call reach the transport under its request; `Connection` is that transport. Under
another server (an in-process test client) there is none, and cutting raises what the caller would see.
"""

import asyncio
import socket
import struct

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_LINGER_NOT = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: closing sends RST instead of FIN


class SandboxProtocol(H11Protocol):
    """uvicorn's protocol, with the transport in the state of each request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the transport where `Connection.of` finds it."""
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class NoAnswer(Response):
    """Instead of an answer: the connection is closed, reset, or left open in silence."""

    def __init__(self, connection: "Connection", how: str) -> None:
        super().__init__()
        self._connection = connection
        self._how = how

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer nothing, and wait until the client has noticed."""
        if self._how == "close":
            await self._connection.close()
        elif self._how == "reset":
            await self._connection.reset()
        while (await receive())["type"] != "http.disconnect":
            pass


class Connection:
    """The connection that a request came by."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._transport = transport

    @classmethod
    def of(cls, request: Request) -> "Connection":
        """The connection of `request`."""
        return cls(getattr(request.state, "transport", None))

    async def close(self) -> None:
        """Close at once after what was written, without a word: the client sees the end of the connection."""
        await self._flushed()
        self._there().close()

    async def reset(self) -> None:
        """Reset: the client sees an error instead of an end."""
        await self._flushed()
        transport = self._there()
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        transport.abort()

    async def _flushed(self) -> None:
        transport = self._there()
        # asyncio tells nobody when a buffer has run empty, so ask
        while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def _there(self) -> asyncio.Transport:
        if self._transport is None:
            raise ConnectionResetError("the sandbox cut the connection")
        return self._transport
