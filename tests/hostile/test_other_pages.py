"""What a page in a browser, a rebound name, or another user of this machine gets from the sandbox: nothing."""

import http.client
import socket
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from starlette.types import Message

from enrich.sandbox import SandboxSettings, running
from enrich.sandbox.guard import Guard
from tests.hostile.measuring import Running

PATHS = ["/v1/tasks/groups/none", "/sandbox/runs", "/sandbox/bill", "/sandbox/requests", "/nowhere", "/"]
KEY = {"x-api-key": "a-key"}


class Server(NamedTuple):
    address: str  # host:port

    def ask(self, path: str, headers: dict[str, str], *, method: str = "GET", body: bytes | None = None) -> int:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.putrequest(method, path, skip_host="host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(SandboxSettings(api_key="a-key")) as base_url:
        yield Server(urlsplit(base_url).netloc)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", "localhost.", "10.0.0.1", "", "a@127.0.0.1"]
)
def test_a_name_that_was_made_to_lead_here_is_refused(server: Server, host: str, path: str) -> None:
    assert server.ask(path, {**KEY, "host": host}) == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9", "LOCALHOST", "[::1]:8321", "127.1.2.3:80"])
def test_this_machine_has_several_names(server: Server, host: str) -> None:
    assert server.ask("/sandbox/bill", {**KEY, "host": host}) == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "header",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
def test_a_page_of_somebody_else_is_refused(server: Server, header: dict[str, str], path: str) -> None:
    assert server.ask(path, {**KEY, **header}) == 403


def test_its_own_page_and_no_page_are_answered(server: Server) -> None:
    assert server.ask("/sandbox/bill", {**KEY, "origin": f"http://{server.address}"}) == 200
    assert server.ask("/sandbox/bill", {**KEY, "sec-fetch-site": "none"}) == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", [{}, {"x-api-key": ""}, {"x-api-key": "another"}, {"x-api-key": "a-key2"}], ids=str)
def test_the_key_is_wanted_whatever_is_asked_for(server: Server, key: dict[str, str], path: str) -> None:
    assert server.ask(path, key) == 401


def test_a_key_is_wanted_also_where_any_will_do() -> None:
    with running(SandboxSettings()) as base_url:
        server = Server(urlsplit(base_url).netloc)
        assert [server.ask("/sandbox/runs", given) for given in ({}, {"x-api-key": "any"})] == [401, 200]


def test_a_body_that_says_it_is_too_large_is_not_read(server: Server) -> None:
    with socket.create_connection(server.address.split(":"), timeout=10) as connection:
        head = f"POST /v1/tasks/groups HTTP/1.1\r\nhost: {server.address}\r\nx-api-key: a-key\r\n"
        connection.sendall(f"{head}content-length: {300 << 20}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.anyio
async def test_a_body_is_read_no_further_than_its_bound() -> None:
    given: list[int] = []
    sent: list[Message] = []

    async def app(scope, receive, send) -> None:
        while True:
            await receive()

    async def receive() -> Message:
        given.append(1000)
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    guard = Guard(app, is_key=lambda key: key == "k", max_body_bytes=10_000)
    headers = [(b"host", b"127.0.0.1"), (b"x-api-key", b"k"), (b"transfer-encoding", b"chunked")]
    with pytest.raises(Exception, match="413"):
        await guard({"type": "http", "headers": headers}, receive, send)
    assert sum(given) == 11_000
    assert sent == []


@pytest.mark.slow
def test_a_body_without_a_length_takes_no_more_memory_than_its_bound(tmp_path) -> None:
    command = Running(tmp_path, "sandbox", "--port", "0")
    command.wait_for(lambda: "http://" in command.said())
    address = urlsplit(command.said().split()[0]).netloc
    with socket.create_connection(address.split(":"), timeout=30) as connection:
        connection.sendall(f"POST /v1/tasks/groups HTTP/1.1\r\nhost: {address}\r\nx-api-key: k\r\n".encode())
        connection.sendall(b"transfer-encoding: chunked\r\n\r\n")
        piece = b"%x\r\n%b\r\n" % (1 << 20, b" " * (1 << 20))
        sent = 0
        try:
            while sent < 300:
                connection.sendall(piece)
                sent += 1
        except OSError:  # it has answered, and reads no more
            pass
    command.signal(2)
    ended = command.ended()
    assert ended.peak_mb < 350, ended.said
