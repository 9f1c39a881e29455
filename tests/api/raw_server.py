"""A server of raw bytes on loopback: whatever a service or a network may do to a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, TaskGroup


class RawServer:
    """Speaks no protocol: each connection is given to `answer` with the request that came on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connections = 0
        self.requests: list[bytes] = []


Answer = Callable[[ByteStream, bytes], Awaitable[None]]


@asynccontextmanager
async def raw_server(answer: Answer) -> AsyncIterator[RawServer]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    server = RawServer(f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}")

    async def serve(stream: ByteStream) -> None:
        server.connections += 1
        async with stream:
            try:
                while request := await read_request(stream):
                    server.requests.append(request)
                    await answer(stream, request)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass

    tasks: TaskGroup
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield server
        tasks.cancel_scope.cancel()


async def read_request(stream: ByteStream) -> bytes:
    """One request with its body; empty at the end of the connection, what came if it is no HTTP."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        if end and len(body) >= length:
            return data
        try:
            data += await stream.receive()
        except anyio.EndOfStream:
            return b""
        if data.startswith(b"\x16"):  # a TLS client says hello
            return data
