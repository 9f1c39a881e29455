"""Event streams over real sockets: what was complete is given out, and each way to break has its name."""

from __future__ import annotations

import gzip
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from hypothesis import given
from hypothesis import strategies as st

from enrich.api.errors import StreamBreakError, StreamCut, StreamStalled, UnavailableError
from enrich.api.retry import NEVER
from enrich.api.secret import Secret
from enrich.backends.parallel import Client
from enrich.backends.streams import EventStream
from enrich.backends.wire import ErrorEvent, GroupStatusEvent, RunEvent
from tests.api.raw_server import raw_server

pytestmark = [
    pytest.mark.anyio,
    # httpx and httpcore nest generators without closing the inner ones: trio tells of a body left unread.
    pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning"),
]

KEY = Secret("pk-0123456789abcdef")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
UNTIL_CLOSED = HEAD + b"connection: close\r\n\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def run_event(n: int, *, line_end: bytes = b"\n", filler: str = "") -> bytes:
    run = f'{{"run_id":"trun_{n}","status":"completed"}}'
    data = f'{{"type":"task_run.state","event_id":"{n}","run":{run},"output":"é{filler}"}}'
    return b"id: %d%sdata: %s%s%s" % (n, line_end, data.encode(), line_end, line_end)


def chunks(pieces: Iterable[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


class Wire:
    """A server that sends these bytes piece by piece, and then ends the connection in one of several ways."""

    def __init__(self, *pieces: bytes, end: str = "close", pause_s: float = 0.0) -> None:
        self.pieces = pieces
        self.end = end
        self.pause_s = pause_s

    async def __call__(self, stream: ByteStream, request: bytes) -> None:
        for piece in self.pieces:
            await stream.send(piece)
            await anyio.sleep(self.pause_s)
        if self.end == "silence":
            await anyio.sleep_forever()
        if self.end == "reset":
            await anyio.sleep(0.05)  # a reset overtakes what the reader has not read yet
            raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()


async def read(wire: Wire, *, live: bool = False, **options: Any) -> tuple[list[Any], EventStream, Exception | None]:
    """All events of one stream, the stream, and how it broke."""
    events: list[Any] = []
    async with (
        raw_server(wire) as server,
        Client(base_url=server.url, api_key=KEY, retry=NEVER, **options) as client,
        client.open_events("g") if live else client.open_runs("g") as stream,
    ):
        with anyio.fail_after(10):
            try:
                async for batch in stream:
                    assert batch
                    events += batch
            except StreamBreakError as error:
                return events, stream, error
    return events, stream, None


def ids(events: list[Any]) -> list[str | None]:
    return [event.event_id for event in events]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["until closed", "chunked"])
async def test_any_framing_gives_the_same_events(line_end: bytes, size: int, chunked: bool) -> None:
    body = b"\xef\xbb\xbf" + b"".join(run_event(n, line_end=line_end) for n in range(3))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    wire = Wire(CHUNKED, chunks(pieces), b"0\r\n\r\n") if chunked else Wire(UNTIL_CLOSED, *pieces)
    events, stream, broken = await read(wire)
    assert broken is None
    assert [event.run.run_id for event in events] == ["trun_0", "trun_1", "trun_2"]
    assert (ids(events), stream.last_event_id, stream.events) == (["0", "1", "2"], "2", 3)
    assert stream.bytes_read == len(body)


@pytest.mark.parametrize("cut", [0, 1, 5, len(run_event(0)) // 2, len(run_event(0)) - 1])
async def test_half_an_event_is_never_given_out(cut: int) -> None:
    body = run_event(7) + run_event(8)[:cut]
    events, _, broken = await read(Wire(UNTIL_CLOSED, body))
    assert (ids(events), broken) == (["7"], None)  # a cut with a clean end can't be told from an end


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(Wire(CHUNKED, chunks([run_event(7), run_event(8)[:9]])), id="chunked, no last chunk"),
        pytest.param(Wire(CHUNKED, chunks([run_event(7)]) + b"100\r\ndata: "), id="within a chunk"),
        pytest.param(Wire(CHUNKED, chunks([run_event(7)]) + b"xyz\r\n"), id="no chunk"),
        pytest.param(Wire(HEAD + b"content-length: 999\r\n\r\n", run_event(7)), id="shorter than announced"),
        pytest.param(Wire(UNTIL_CLOSED, run_event(7), run_event(8)[:9], end="reset"), id="reset"),
    ],
)
async def test_a_lost_connection_is_a_cut_and_says_where_to_go_on(wire: Wire) -> None:
    events, stream, broken = await read(wire)
    assert isinstance(broken, StreamCut)
    assert ids(events) == ["7"]
    assert (broken.last_event_id, broken.events, broken.bytes_read) == ("7", 1, stream.bytes_read)
    assert broken.__context__ is None
    assert broken.retryable


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"data: {cut\n\n", id="no JSON"),
        pytest.param(b'data: {"type":"task_run.state"}\n\n', id="no run"),
        pytest.param(b"data: [DONE]\n\n", id="another dialect"),
    ],
)
async def test_an_event_that_cannot_be_read_is_a_cut_after_the_good_ones(bad: bytes) -> None:
    events, stream, broken = await read(Wire(UNTIL_CLOSED, run_event(7) + bad + run_event(8)))
    assert ids(events) == ["7"]
    assert isinstance(broken, StreamCut)
    assert "can't be read" in str(broken)
    assert broken.last_event_id == "7"
    with pytest.raises(StreamCut):
        await anext(stream)


async def test_unknown_kinds_and_comments_are_skipped() -> None:
    body = b': ping\n\ndata: {"type":"later.invention","event_id":"9"}\n\n' + run_event(7) + b": ping\n\n"
    events, _, broken = await read(Wire(UNTIL_CLOSED, body))
    assert (ids(events), broken) == (["7"], None)


async def test_all_kinds_of_events_and_their_words_made_harmless() -> None:
    error = f'{{"ref_id":"r","message":"\\u001b[31mkey {KEY.reveal()}\\u202e"}}'
    run = f'{{"run_id":"r","status":"failed","error":{error}}}'
    body = "".join(
        f"data: {data}\n\n"
        for data in (
            '{"type":"task_group_status","event_id":"1","status":{"num_task_runs":4,"is_active":true}}',
            f'{{"type":"task_run.state","event_id":"2","run":{run}}}',
            f'{{"type":"error","error":{error}}}',
        )
    )
    events, _, _ = await read(Wire(UNTIL_CLOSED, body.encode()), live=True)
    counts, failed, reported = events
    assert isinstance(counts, GroupStatusEvent)
    assert counts.status.num_task_runs == 4
    assert isinstance(failed, RunEvent)
    assert failed.run.error is not None
    assert isinstance(reported, ErrorEvent)
    assert failed.run.error.message == reported.error.message == "key [redacted]"
    assert KEY.reveal().encode() not in failed.data


TOLD = st.sampled_from(
    [
        "",
        "nothing",
        KEY.reveal(),
        f"Bearer {KEY.reveal()}",
        KEY.reveal()[:-1],
        b64encode(KEY.reveal().encode()).decode(),
    ]
)


@given(
    told=st.lists(st.tuples(TOLD, st.sampled_from([b"\n", b"\r\n"])), max_size=6),
    cuts=st.lists(st.integers(0, 900), max_size=6),
)
def test_wherever_reads_end_events_are_those_that_came(told: list[tuple[str, bytes]], cuts: list[int]) -> None:
    body = b"".join(run_event(n, line_end=end, filler=text) for n, (text, end) in enumerate(told))
    bounds = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})

    async def reads() -> AsyncIterator[bytes]:
        for begin, end in pairwise(bounds):
            yield body[begin:end]

    async def kept() -> list[bytes]:
        stream = EventStream(reads(), KEY, stall_s=60, lines_are_progress=False)
        return [event.data async for events in stream for event in events if isinstance(event, RunEvent)]

    came = [run_event(n, filler=text).partition(b"data: ")[2].rstrip() for n, (text, _) in enumerate(told)]
    assert anyio.run(kept) == came


async def test_silence_is_a_stall() -> None:
    wire = Wire(UNTIL_CLOSED, run_event(7), end="silence")
    events, _, broken = await read(wire, live=True, idle_s=0.1)
    assert ids(events) == ["7"]
    assert isinstance(broken, StreamStalled)
    assert broken.last_event_id == "7"
    assert broken.__context__ is None


@pytest.mark.parametrize("live", [False, True])
async def test_bytes_that_complete_nothing_are_a_stall(live: bool) -> None:
    wire = Wire(UNTIL_CLOSED, run_event(7), *[b"x"] * 500, pause_s=0.02)
    events, _, broken = await read(wire, live=live, idle_s=5.0, stall_s=0.2)
    assert ids(events) == ["7"]
    assert isinstance(broken, StreamStalled)


async def test_heartbeats_keep_a_live_stream_but_not_a_snapshot() -> None:
    wire = Wire(UNTIL_CLOSED, *[b": ping\n\n"] * 20, run_event(7), pause_s=0.02)
    events, _, broken = await read(wire, live=True, stall_s=0.2)
    assert (ids(events), broken) == (["7"], None)
    events, _, broken = await read(wire, live=False, stall_s=0.2)
    assert events == []
    assert isinstance(broken, StreamStalled)


async def test_the_time_that_the_reader_takes_is_no_stall() -> None:
    big = run_event(8, filler="x" * 3_000_000)
    async with (
        raw_server(Wire(UNTIL_CLOSED, run_event(7), big)) as server,
        Client(base_url=server.url, api_key=KEY, retry=NEVER, stall_s=0.15) as client,
        client.open_runs("g") as stream,
    ):
        assert ids(await anext(stream)) == ["7"]
        await anyio.sleep(0.3)
        assert ids(await anext(stream)) == ["8"]


async def test_a_stream_can_be_left_early_and_its_connection_is_closed() -> None:
    closed = anyio.Event()

    async def answer(stream: ByteStream, request: bytes) -> None:
        try:
            await stream.send(UNTIL_CLOSED)
            while True:
                await stream.send(run_event(1))
        except anyio.BrokenResourceError:
            closed.set()

    async with raw_server(answer) as server, Client(base_url=server.url, api_key=KEY) as client:
        async with client.open_runs("g") as stream:
            await anext(stream)
        with anyio.fail_after(5):
            await closed.wait()


async def test_a_compressed_stream_is_decoded() -> None:
    head = HEAD + b"content-encoding: gzip\r\nconnection: close\r\n\r\n"
    events, _, broken = await read(Wire(head, gzip.compress(run_event(7) + run_event(8))))
    assert (ids(events), broken) == (["7", "8"], None)


async def test_an_answer_that_is_no_stream_is_refused() -> None:
    wire = Wire(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>")
    await refused(wire, "expected an event stream, not 'text/html'")


async def test_a_head_that_never_comes_is_unavailable() -> None:
    await refused(Wire(HEAD, end="silence"), "no answer in time", request_timeout_s=0.1)


async def refused(wire: Wire, why: str, **options: Any) -> None:
    async with (
        raw_server(wire) as server,
        Client(base_url=server.url, api_key=KEY, retry=NEVER, **options) as client,
    ):
        with pytest.raises(UnavailableError, match=why):
            await client.open_runs("g").__aenter__()
