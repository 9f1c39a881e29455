"""What a failure of a real connection proves: raw sockets on loopback do what networks do."""

from __future__ import annotations

import logging
import socket
import traceback
from typing import Any, Self

import anyio
import httpx
import pytest
from anyio.abc import ByteStream

from enrich.api.errors import (
    InvalidError,
    NotSentError,
    TooLargeAnswerError,
    UnauthorizedError,
    UnavailableError,
    UnknownOutcomeError,
)
from enrich.api.retry import NEVER, Retry
from enrich.api.secret import Secret
from enrich.backends.parallel import Client
from tests.api.raw_server import raw_server

pytestmark = [
    pytest.mark.anyio,
    # httpx and httpcore nest generators without closing the inner ones: trio tells of a body left unread.
    pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning"),
]

KEY = Secret("pk-0123456789abcdef")
BODY = b'{"run_ids": ["trun_1"]}'
GROUP = b'{"taskgroup_id": "g", "status": {"num_task_runs": 0}}'
SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def client_of(url: str, **options: Any) -> Client:
    return Client(base_url=url, api_key=KEY, **{"retry": NEVER, **options})


def ok(body: bytes, *, length: int | None = None) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body) if length is None else length,
        body,
    )


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_refused_connection_is_not_sent() -> None:
    async with client_of(f"http://127.0.0.1:{unused_port()}") as client:
        with pytest.raises(NotSentError, match="nothing was sent"):
            await client.add_runs("g", b"{}", timeout_s=5)
        with pytest.raises(NotSentError):
            await client.group("g")


async def test_a_tls_handshake_that_fails_is_not_sent() -> None:
    async def answer(stream: ByteStream, request: bytes) -> None:
        await stream.send(b"HTTP/1.1 400 this is no TLS\r\n\r\n")

    async with raw_server(answer) as server, client_of(server.url.replace("http:", "https:")) as client:
        with pytest.raises(NotSentError):
            await client.add_runs("g", BODY, timeout_s=5)
        assert KEY.reveal().encode() not in b"".join(server.requests)


async def test_a_tls_handshake_without_an_answer_is_not_sent() -> None:
    async def answer(stream: ByteStream, request: bytes) -> None:
        await anyio.sleep_forever()

    async with raw_server(answer) as server, client_of(server.url.replace("http:", "https:")) as client:
        with pytest.raises(NotSentError):
            await client.add_runs("g", BODY, timeout_s=0.2)


BROKEN_ANSWERS = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"HTTP/1.1 20", id="half a head"),
    pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="another protocol"),
    pytest.param(ok(BODY, length=99), id="half a body"),
    pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{run", id="half a chunk"),
    pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", id="no chunk"),
    pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + BODY[:9], id="cut where only the end of the connection ends it"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope", id="no gzip"),
    pytest.param(b"HTTP/1.1 503 Unavailable\r\ncontent-length: 99\r\n\r\n{", id="503 with half a body"),
]


@pytest.mark.parametrize("raw", BROKEN_ANSWERS)
async def test_once_connected_a_broken_answer_leaves_the_outcome_unknown(raw: bytes) -> None:
    async def answer(stream: ByteStream, request: bytes) -> None:
        if raw:
            await stream.send(raw)
        await stream.aclose()

    async with raw_server(answer) as server, client_of(server.url) as client:
        with pytest.raises(UnknownOutcomeError):
            await client.add_runs("g", BODY, timeout_s=5)
        assert len(server.requests) == server.connections == 1
        with pytest.raises(UnavailableError):
            await client.group("g")
        assert len(server.requests) == 2


async def test_a_connection_closed_before_the_request_is_read_leaves_the_outcome_unknown() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)

        async def reset(stream: ByteStream) -> None:
            raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await stream.aclose()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, reset)
            async with client_of(f"http://127.0.0.1:{port}") as client:
                with pytest.raises(UnknownOutcomeError):
                    await client.add_runs("g", b"x" * 5_000_000, timeout_s=5)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("trickle", [False, True], ids=["silent", "a byte at a time"])
async def test_one_deadline_bounds_the_whole_request(trickle: bool) -> None:
    async def answer(stream: ByteStream, request: bytes) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n" if trickle else b"")
        while True:
            await anyio.sleep(0.01)
            if trickle:
                await stream.send(b"{")

    async with raw_server(answer) as server, client_of(server.url, request_timeout_s=0.2) as client:
        with anyio.fail_after(5):
            with pytest.raises(UnknownOutcomeError, match="no answer in time"):
                await client.add_runs("g", BODY, timeout_s=0.2)
            with pytest.raises(UnavailableError, match="no answer in time"):
                await client.group("g")
        assert len(server.requests) == 2


async def test_the_status_of_a_refusal_counts_even_if_its_body_never_comes() -> None:
    async def answer(stream: ByteStream, request: bytes) -> None:
        await stream.send(b"HTTP/1.1 422 No\r\ncontent-length: 99\r\n\r\n{")
        await stream.aclose()

    async with raw_server(answer) as server, client_of(server.url) as client:
        with pytest.raises(InvalidError):
            await client.add_runs("g", BODY, timeout_s=5)


async def test_each_post_has_a_connection_of_its_own_and_gets_share_one() -> None:
    async def answer(stream: ByteStream, request: bytes) -> None:
        await stream.send(ok(BODY if request.startswith(b"POST") else GROUP))

    async with raw_server(answer) as server, client_of(server.url) as client:
        for _ in range(3):
            await client.add_runs("g", BODY, timeout_s=5)
        assert server.connections == 3
        for _ in range(3):
            await client.group("g")
        assert server.connections == 4


async def test_sixty_four_open_streams_leave_room_for_requests() -> None:
    async def answer(stream: ByteStream, request: bytes) -> None:
        if b"/events" in request:
            await stream.send(SSE_HEAD)
            await anyio.sleep_forever()
        await stream.send(ok(BODY if request.startswith(b"POST") else GROUP))

    opened: list[Client] = []
    all_opened = anyio.Event()

    async def hold(client: Client) -> None:
        async with client.open_events("g"):
            opened.append(client)
            if len(opened) == 64:
                all_opened.set()
            await anyio.sleep_forever()

    async with raw_server(answer) as server, client_of(server.url) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(64):
                tasks.start_soon(hold, client)
            with anyio.fail_after(10):
                await all_opened.wait()
                await client.add_runs("g", BODY, timeout_s=5)
                await client.group("g")
            tasks.cancel_scope.cancel()
        assert server.connections == 66


async def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def answer(stream: ByteStream, request: bytes) -> None:
        await stream.send(ok(GROUP))

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
    async with raw_server(answer) as server, client_of(server.url) as client:
        assert (await client.group("g")).taskgroup_id == "g"


async def test_a_proxy_that_refuses_to_connect_proves_that_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def answer(stream: ByteStream, request: bytes) -> None:
        await stream.send(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")

    async with raw_server(answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with client_of("https://api.example") as client:
            with pytest.raises(NotSentError, match="403"):
                await client.add_runs("g", BODY, timeout_s=5)
        assert [request.split()[0] for request in proxy.requests] == [b"CONNECT"]
        assert KEY.reveal().encode() not in b"".join(proxy.requests)


async def test_a_cancelled_call_ends_at_once() -> None:
    async def answer(stream: ByteStream, request: bytes) -> None:
        await anyio.sleep_forever()

    async with raw_server(answer) as server, client_of(server.url, retry=Retry()) as client:
        for call in (client.add_runs("g", BODY, timeout_s=60), client.group("g")):
            with anyio.move_on_after(0.1) as scope:
                await call
            assert scope.cancelled_caught


async def test_the_key_is_in_no_traceback_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    echo = b'{"error": {"message": "bad key %s", "detail": "%s"}}' % ((KEY.reveal().encode(),) * 2)

    async def answer(stream: ByteStream, request: bytes) -> None:
        if b"/cut/" in request:
            await stream.aclose()
        else:
            await stream.send(b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n%s" % (len(echo), echo))

    caplog.set_level(logging.DEBUG)
    shown = []
    async with raw_server(answer) as server, client_of(server.url) as client:
        for call in (
            client.add_runs("cut", BODY, timeout_s=5),
            client.add_runs("g", BODY, timeout_s=5),
            client.group("g"),
            client.create_group({}),
        ):
            with pytest.raises((UnauthorizedError, UnknownOutcomeError)) as raised:
                await call
            error = raised.value
            assert error.__context__ is None
            assert error.__traceback__ is not None
            below_this_test = traceback.walk_tb(error.__traceback__.tb_next)
            shown += traceback.StackSummary.extract(below_this_test, capture_locals=True).format()
            shown += [repr(error), repr(error.__dict__), repr(client.__dict__)]
    text = "".join(shown) + caplog.text
    assert "[redacted]" in text
    assert KEY.reveal()[:8] not in text


class Endless(httpx.AsyncByteStream):
    """More than any answer has."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return b"x" * (1 << 20)


async def test_an_answer_too_large_to_be_read_is_not_asked_for_without_end() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Endless()))
    async with client_of("http://127.0.0.1:1", transport=transport) as client:
        with pytest.raises(TooLargeAnswerError, match="more than 1 MB"):
            await client.run("trun_1")
        with pytest.raises(TooLargeAnswerError, match="more than 64 MB"):
            await client.run_result("trun_1")
        with pytest.raises(UnknownOutcomeError):
            await client.add_runs("g", b"{}", timeout_s=5)
