"""A door in front of a service: shut, it refuses connections as a machine does on which nobody listens."""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Door:
    """Passes bytes between a port of its own and the service's. `shut` counts how often it shut by itself."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._service = (parts.hostname or "", parts.port or 0)
        self._listener: socket.socket | None = None
        self._port = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._mark = b""
        self._times = 0
        self._seconds = 0.0
        self.shut = 0
        self.open()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Let connections in, on the same port as before."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(64)
        self._port = listener.getsockname()[1]
        self._listener = listener
        self._start(self._accept, listener)

    def close(self) -> None:
        """Refuse connections."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def shut_after(self, mark: bytes, *, times: int, seconds: float) -> None:
        """Shut for a while as soon as a request that contains `mark` was answered, so many times."""
        self._mark, self._times, self._seconds = mark, times, seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._times = 0
        self.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._start(self._relay, client)

    def _relay(self, client: socket.socket) -> None:
        marked = threading.Event()
        with client, socket.create_connection(self._service) as server:
            answers = threading.Thread(target=self._pass_answers, args=(server, client, marked), daemon=True)
            answers.start()
            with contextlib.suppress(OSError):
                while data := client.recv(65536):
                    if self._mark and self._mark in data:
                        marked.set()
                    server.sendall(data)
            _end(server)
            answers.join()

    def _pass_answers(self, server: socket.socket, client: socket.socket, marked: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if marked.is_set():
                    marked.clear()
                    self._shut_for_a_while()
                client.sendall(data)
        _end(client)

    def _shut_for_a_while(self) -> None:
        with self._lock:
            if self._times == 0 or self._listener is None:
                return
            self._times -= 1
            self.shut += 1
            self.close()
        timer = threading.Timer(self._seconds, self.open)
        timer.daemon = True
        timer.start()


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
