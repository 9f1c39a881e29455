"""The decoder gives the events of the WHATWG algorithm, whatever the split of the bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.api.sse import EventTooLargeError, SseDecoder, SseEvent

BOM = b"\xef\xbb\xbf"


def decoded(stream: bytes, size: int | None = None) -> list[SseEvent]:
    decoder = SseDecoder()
    size = size or max(1, len(stream))
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def message(data: bytes, last_id: str = "", event: str = "message") -> SseEvent:
    return SseEvent(event, data, last_id)


CASES = [
    pytest.param(b"", [], id="nothing"),
    pytest.param(b"data: a\n\n", [message(b"a")], id="one event"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [message(b"a"), message(b"b")], id="CRLF"),
    pytest.param(b"data: a\r\rdata: b\r\r", [message(b"a"), message(b"b")], id="CR"),
    pytest.param(b"data: a\r\ndata: b\rdata: c\n\r\n", [message(b"a\nb\nc")], id="line ends mixed"),
    pytest.param(b"data: a\r\n\ndata: b\n\r", [message(b"a"), message(b"b")], id="blank lines mixed"),
    pytest.param(BOM + b"data: a\n\n", [message(b"a")], id="byte order mark"),
    pytest.param(BOM + BOM + b"data: a\n\n", [], id="a second byte order mark is part of the field's name"),
    pytest.param(b"\xefdata: a\n\ndata: b\n\n", [message(b"b")], id="half a byte order mark is no mark"),
    pytest.param(b"\n" + BOM + b"data: a\n\n", [], id="a byte order mark later is data"),
    pytest.param(b": ping\n\n: ping\n\n", [], id="comments"),
    pytest.param(b"id: 7\ndata: a\n\n: ping\n\n:\n\n", [message(b"a", "7")], id="no phantom event of a heartbeat"),
    pytest.param(b"data: a\n: ping\ndata: b\n\n", [message(b"a\nb")], id="a comment inside an event"),
    pytest.param(b"id: 7\n\ndata: a\n\n", [message(b"a", "7")], id="an id without data stays"),
    pytest.param(b"id: 7\ndata: a\n\ndata: b\n\n", [message(b"a", "7"), message(b"b", "7")], id="the id stays"),
    pytest.param(b"id: 7\ndata: a\n\nid\ndata: b\n\n", [message(b"a", "7"), message(b"b")], id="an empty id resets"),
    pytest.param(b"id: 7\nid: 8\0\ndata: a\n\n", [message(b"a", "7")], id="an id with NUL is ignored"),
    pytest.param(b"event: x\ndata: a\n\ndata: b\n\n", [message(b"a", "", "x"), message(b"b")], id="event name"),
    pytest.param(b"event: x\n\ndata: b\n\n", [message(b"b")], id="an event name without data is forgotten"),
    pytest.param(b"data\n\n", [message(b"")], id="data without a colon"),
    pytest.param(b"data:\n\n", [message(b"")], id="empty data"),
    pytest.param(b"data:\ndata\n\n", [message(b"\n")], id="two empty data lines"),
    pytest.param(b"data:a\n\n", [message(b"a")], id="no space"),
    pytest.param(b"data:  a\n\n", [message(b" a")], id="one space is taken"),
    pytest.param(b"data: a:b\n\n", [message(b"a:b")], id="colon in data"),
    pytest.param(b" data: a\n\n", [], id="a space before the field"),
    pytest.param(b"Data: a\n\n", [], id="fields have lower case"),
    pytest.param(b"retry: 10\nfoo: x\ndata: a\n\n", [message(b"a")], id="other fields"),
    pytest.param(b"data: a\n\ndata: b\n", [message(b"a")], id="half an event at the end"),
    pytest.param(b"data: a\n\ndata: b", [message(b"a")], id="half a line at the end"),
    pytest.param(
        "data: a\u2028b\u0085c\x0b\x0c\n\n".encode(),
        [message("a\u2028b\u0085c\x0b\x0c".encode())],
        id="U+2028",
    ),
    pytest.param(b"id: \xff\ndata: \xff\n\n", [message(b"\xff", "\ufffd")], id="bytes that are no UTF-8"),
    pytest.param(b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [message(b"a"), message(b"b")], id="many blank lines"),
]


@pytest.mark.parametrize(("stream", "events"), CASES)
def test_a_stream_gives_the_events_of_the_standard(stream: bytes, events: list[SseEvent]) -> None:
    assert decoded(stream) == events


@pytest.mark.parametrize(("stream", "events"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_chunks_of_any_size_give_the_same_events(stream: bytes, events: list[SseEvent], size: int) -> None:
    assert decoded(stream, size) == events


PIECES = st.sampled_from(
    [
        b"data",
        b"data: ",
        b"id: 1",
        b"id",
        b"event: e",
        b":",
        b" ",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        b"\0",
        BOM,
        b"x",
        "\u2028".encode(),
        b"\xef",
        b"\xbb",
        # Records of the usual shape, and such as are nearly so.
        b"event: e\nid: 2\ndata: x\n\n",
        b"event: e\ndata: x\n\n",
        b"id: 3\ndata: x\n\n",
        b"data: {}\n\n",
        b"event: \nid: \ndata: \n\n",
        b"event: \xff\nid: \xff\ndata: \xff\n\n",
        b"id: 4\nevent: e\ndata: x\n\n",
        b"event: e\nid: 5\0\ndata: x\n\n",
        b"event: e\ndata: x\ndata: y\n\n",
        b"event: e\r\ndata: x\r\n\r\n",
        b"event: e\ndata:x\n\n",
        b"event: e\nid: 6\ndata: x\n",
    ]
)


def by_the_letter(stream: bytes) -> tuple[list[SseEvent], str, int]:
    """The standard's algorithm, written for reading and not for speed: events, last id and number of lines."""
    events = []
    name, last_id = b"", ""
    data = b""
    text = stream.removeprefix(BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = text.split(b"\n")[:-1]
    for line in lines:
        if line == b"":
            if data:
                said = name.decode(errors="replace") or "message"
                events.append(SseEvent(said, data.removesuffix(b"\n"), last_id))
            name, data = b"", b""
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"event":
            name = value
        elif field == b"data":
            data += value + b"\n"
        elif field == b"id" and b"\0" not in value:
            last_id = value.decode(errors="replace")
    return events, last_id, len(lines)


@given(pieces=st.lists(PIECES, max_size=40), cuts=st.lists(st.integers(0, 120), max_size=12))
def test_any_split_of_any_bytes_gives_what_the_standard_says(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    decoder = SseDecoder()
    events = []
    for begin, end in pairwise(bounds):
        events += decoder.feed(stream[begin:end])
    assert (events, decoder.last_id, decoder.lines) == by_the_letter(stream)


def test_an_event_is_given_out_with_the_chunk_that_ends_it() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\r") == [message(b"a")]
    assert decoder.feed(b"\ndata: b\n\n") == [message(b"b")]


def test_lines_count_heartbeats_too() -> None:
    decoder = SseDecoder()
    decoder.feed(b": ping\n\n: pi")
    assert decoder.lines == 2


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(b"x" * 100, id="one line"),
        pytest.param(b"data: " + b"x" * 50 + b"\n", id="many data lines"),
        pytest.param(b"data:" + b"x" * 50 + b"\n", id="many data lines without space"),
    ],
)
def test_an_event_has_a_largest_size(chunk: bytes) -> None:
    decoder = SseDecoder(max_event_bytes=1000)
    fitting = 1000 // len(chunk) - 1
    for _ in range(fitting):
        assert decoder.feed(chunk) == []
    with pytest.raises(EventTooLargeError):
        decoder.feed(chunk * 3)


def test_heartbeats_without_end_take_no_memory() -> None:
    decoder = SseDecoder(max_event_bytes=1000)
    for _ in range(1000):
        assert decoder.feed(b": ping\n") == []
    assert decoder.feed(b"data: a\n\n") == [message(b"a")]
