"""A man in the middle on loopback: hands on what client and service say, writes it down, may change it."""

import http.client
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_OF_EACH_CONNECTION = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


@dataclass(slots=True)
class Reply:
    """An answer of the service, whole; it may be changed in place."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Middleman:
    """`requests` are the bytes of each request with its head; `change` sees every answer before the client does."""

    upstream: str
    change: Callable[[str, str, Reply], None] = lambda method, path, reply: None
    on_request: Callable[[], None] = lambda: None
    path_upstream: Callable[[str], str] = lambda path: path
    requests: list[bytes] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)  # of the test's own code
    base_url: str = ""

    def environ(self, key: str = "a-key-for-a-test") -> dict[str, str]:
        """The environment of a command that speaks to the service through this."""
        return {"PARALLEL_BASE_URL": self.base_url, "PARALLEL_API_KEY": key}

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The service's answer, changed."""
        self.on_request()
        address = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        try:
            connection.request(method, self.path_upstream(path), body or None, _handed_on(headers))
            answer = connection.getresponse()
            reply = Reply(answer.status, _handed_on(dict(answer.getheaders())), answer.read())
        finally:
            connection.close()
        self.change(method, path, reply)
        return reply


@contextmanager
def between(upstream: str, **options: Any) -> Iterator[Middleman]:
    """A middleman before the service at `upstream`, at an address of its own while the block runs."""
    man = Middleman(upstream, **options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _hand_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            man.requests.append(f"{self.requestline}\r\n{self.headers}".encode() + body)
            try:
                reply = man.ask(self.command, self.path, dict(self.headers.items()), body)
            except Exception as error:
                man.failures.append(error)
                reply = Reply(401, {}, b"")  # ends the command at once
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = _hand_on

        def log_message(self, format: str, *args: object) -> None:
            pass

        def log_error(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        man.base_url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield man
        finally:
            server.shutdown()
            thread.join()
            if man.failures:
                raise man.failures[0]


Tamper = Callable[[dict[str, Any]], bytes | None]
"""Changes `{"run": …, "output": …}` in place, or gives the bytes that stand in its place."""


def tampering(upstream: str, tampers: Mapping[str, Tamper]) -> Callable[[str, str, Reply], None]:
    """A `change` that tampers with what the service says of a run, wherever it says it, by the company asked about."""

    @cache
    def tamper_of(run_id: str) -> Tamper | None:
        asked = urllib.request.Request(f"{upstream}/v1/tasks/runs/{run_id}/input", headers={"x-api-key": "the test's"})
        with urllib.request.urlopen(asked) as answer:
            return tampers.get(json.loads(answer.read())["input"]["company"])

    def tampered(text: bytes) -> bytes:
        document = json.loads(text)
        bare = "run_id" in document
        said = {"run": document} if bare else document
        tamper = tamper_of(said["run"]["run_id"]) if "run" in said else None
        if tamper is None:
            return text
        return tamper(said) or json.dumps(said["run"] if bare else said).encode()

    def change(method: str, path: str, reply: Reply) -> None:
        if method != "GET" or reply.status != 200:
            return
        if reply.headers.get("content-type", "").startswith("text/event-stream"):
            lines = reply.body.split(b"\n")
            reply.body = b"\n".join(
                b"data: " + tampered(line[5:]) if line.startswith(b"data:") else line for line in lines
            )
        elif path.startswith(("/v1/tasks/runs/", "/v1beta/tasks/runs/")) and not path.endswith("/input"):
            reply.body = tampered(reply.body)

    return change


def _handed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_EACH_CONNECTION}
