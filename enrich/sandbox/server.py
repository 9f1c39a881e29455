"""The sandbox on a loopback port: `running` in a thread of this process, `serve` until it is told to stop.

Both stop within a second, open streams or not: streams are asked to end, and what is left is cut.
"""

import asyncio
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from enrich.sandbox.app import create_app
from enrich.sandbox.connection import SandboxProtocol
from enrich.sandbox.service import Service
from enrich.sandbox.settings import SandboxError, SandboxSettings

POLITE_S = 0.2  # how long open requests get to end by themselves
IDLE_CONNECTION_S = 600  # longer than any client keeps one: an idle connection is never closed under a POST


def serve(
    settings: SandboxSettings,
    host: str = "127.0.0.1",
    port: int = 8321,
    on_ready: Callable[[str], None] = lambda base_url: None,
) -> None:
    """Serve until SIGINT or SIGTERM, then return. `on_ready` gets the base URL once requests are answered.

    Port 0 takes a free one. Raises SandboxError for a host that is not this machine, a port in use, or
    a bad setting.
    """
    app = create_app(settings)
    try:
        sock = _listen(host, port)
    except SandboxError:
        _service(app).close()
        raise
    server = _Server(app, on_started=lambda: on_ready(_base_url(sock)))
    asyncio.run(_serve_until_signalled(server, sock))


@contextmanager
def running(settings: SandboxSettings | None = None, *, port: int = 0) -> Iterator[str]:
    """Serve in a thread of this process while the block runs; gives the base URL.

    Raises SandboxError for a bad setting, or if the server does not start.
    """
    app = create_app(settings or SandboxSettings())
    try:
        sock = _listen("127.0.0.1", port)
    except SandboxError:
        _service(app).close()
        raise
    base_url = _base_url(sock)
    started = threading.Event()
    server = _Server(app, on_started=started.set)

    def work() -> None:
        try:
            asyncio.run(server.serve(sockets=[sock]))
        finally:
            started.set()  # also when it failed: nobody may wait for ever

    thread = threading.Thread(target=work, name="enrich-sandbox", daemon=True)
    thread.start()
    started.wait()
    if not server.started:
        raise SandboxError("the sandbox did not start")
    try:
        yield base_url
    finally:
        server.stop_soon()
        thread.join(timeout=5)


class _Server(uvicorn.Server):
    """uvicorn's server that starts and stops at once, and leaves signals to whoever called."""

    def __init__(self, app: Starlette, *, on_started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=SandboxProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_keep_alive=IDLE_CONNECTION_S,
            )
        )
        self._service = _service(app)
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def stop_soon(self) -> None:
        """Begin to stop; from any thread."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signals."""
        yield

    async def main_loop(self) -> None:
        """Keep the date header right until told to stop."""
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)
        self._on_started()
        while not self.should_exit:
            try:
                await asyncio.wait_for(self._stop.wait(), 1.0)
            except TimeoutError:
                await self.on_tick(0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let open requests end for a moment, cut the rest."""
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        self._service.bell.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        tasks = set(self.server_state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=POLITE_S)
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self.lifespan.shutdown()


async def _serve_until_signalled(server: _Server, sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    in_main = threading.current_thread() is threading.main_thread()
    for number in signals if in_main else ():
        loop.add_signal_handler(number, server.stop_soon)
    try:
        await server.serve(sockets=[sock])
    finally:
        for number in signals if in_main else ():
            loop.remove_signal_handler(number)


def _service(app: Starlette) -> Service:
    service = app.state.service
    assert isinstance(service, Service)
    return service


def _listen(host: str, port: int) -> socket.socket:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        ip = ipaddress.ip_address(address)
    except ValueError as error:
        raise SandboxError(f"host {host!r} is not an address of this machine; use 127.0.0.1") from error
    if not ip.is_loopback:
        raise SandboxError(f"host {host!r} can be reached from outside; the sandbox serves 127.0.0.1 or ::1 only")
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    # naming the protocol makes asyncio set TCP_NODELAY: without it each answer waits 40 ms for an ACK
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise SandboxError(f"can't listen on {host}:{port}: {error.strerror}") from error
    return sock


def _base_url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
