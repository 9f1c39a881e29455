"""Bodies that stand for more than they are: one layer of gzip is unpacked, in small pieces; all else is not read."""

import gzip
import zlib
from collections.abc import AsyncIterator
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.api.errors import (
    CreditError,
    StreamBreakError,
    UnavailableError,
    UnknownOutcomeError,
    UnreadableAnswerError,
)
from enrich.api.inflating import PIECE_BYTES, EncodingError, Inflater, inflater_of
from enrich.api.retry import NEVER
from enrich.api.secret import Secret
from enrich.backends.parallel import Client
from tests.hostile.evil import evil, lay
from tests.hostile.measuring import MOST_MB, measured

KEY = Secret("pk-0123456789abcdef")
GROUP = b'{"taskgroup_id": "g", "status": {"num_task_runs": 0}}'
EVENTS = b'data: {"type":"task_run.state","run":{"run_id":"trun_1","status":"completed"}}\n\n'
REFUSED = ["gzip, gzip", "gzip, identity, x-gzip", "br", "zstd", "deflate", "compress", "gzip, br", "a-word"]


def bomb(mb: int, layers: int) -> bytes:
    """Some bytes that stand for so many megabytes of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    megabyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)  # stands for itself wherever it is
    data = gzip.compress(b"")[:10] + megabyte * mb
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data


class Body(httpx.AsyncByteStream):
    """A body in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def client_of(body: bytes, encoding: str, *, status: int = 200, kind: str = "application/json") -> Client:
    headers = {"content-encoding": encoding, "content-type": kind}
    transport = httpx.MockTransport(lambda request: httpx.Response(status, headers=headers, stream=Body(body)))
    return Client(base_url="http://127.0.0.1:1", api_key=KEY, retry=NEVER, transport=transport)


@pytest.mark.parametrize("encoding", REFUSED)
@pytest.mark.anyio
async def test_what_was_not_asked_for_is_not_read(encoding: str) -> None:
    async with client_of(GROUP, encoding) as client:
        with pytest.raises(UnreadableAnswerError, match="which was not asked for, and is not read"):
            await client.group("g")
        with pytest.raises(UnknownOutcomeError, match="may have taken effect"):
            await client.add_runs("g", b"{}")
    async with client_of(EVENTS, encoding, kind="text/event-stream") as client:
        with pytest.raises(UnavailableError, match="which was not asked for, and is not read"):
            await client.open_runs("g").__aenter__()


@pytest.mark.parametrize("encoding", REFUSED)
@pytest.mark.anyio
async def test_a_refusal_counts_by_its_status_whatever_it_is_packed_in(encoding: str) -> None:
    async with client_of(b"\0" * 99, encoding, status=402) as client:
        with pytest.raises(CreditError):
            await client.add_runs("g", b"{}")


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "identity, gzip", "identity", ""])
@pytest.mark.anyio
async def test_one_layer_of_gzip_is_unpacked(encoding: str) -> None:
    is_packed = "gzip" in encoding.lower()
    async with client_of(gzip.compress(GROUP) if is_packed else GROUP, encoding) as client:
        assert (await client.group("g")).taskgroup_id == "g"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(bomb(70, 1), id="too-much"),
        pytest.param(b"no gzip", id="none"),
        pytest.param(gzip.compress(GROUP) + b"more", id="more-behind-its-end"),
        pytest.param(gzip.compress(GROUP)[:-20], id="cut"),
    ],
)
@pytest.mark.anyio
async def test_a_bad_body_is_an_unreadable_answer(body: bytes) -> None:
    async with client_of(body, "gzip") as client:
        with pytest.raises(UnreadableAnswerError):
            await client.group("g")
        with pytest.raises(UnreadableAnswerError):
            await client.run_result("trun_1")
        with pytest.raises(UnknownOutcomeError):
            await client.add_runs("g", b"{}")


@pytest.mark.anyio
async def test_a_stream_that_unpacks_to_one_event_without_end_is_cut() -> None:
    async with client_of(bomb(70, 1), "gzip", kind="text/event-stream") as client, client.open_runs("g") as stream:
        with pytest.raises(StreamBreakError, match="an event of more than 4194304 bytes, which is not read"):
            await anext(stream)


@given(st.binary(max_size=5000), st.lists(st.integers(0, 5000)))
def test_gzip_in_any_pieces_unpacks_to_what_was_packed(data: bytes, cuts: list[int]) -> None:
    packed = gzip.compress(data * 300)
    places = sorted({0, len(packed), *(cut for cut in cuts if cut < len(packed))})
    inflater = Inflater()
    pieces = [p for a, b in pairwise(places) for p in inflater.feed(packed[a:b])]
    assert b"".join(pieces) == data * 300
    assert all(len(piece) <= PIECE_BYTES for piece in pieces)


@given(st.lists(st.sampled_from(["", "identity", "gzip", "x-gzip", "br", "zstd", "deflate"]), max_size=4))
def test_an_encoding_is_read_if_it_is_plain_or_one_gzip(encodings: list[str]) -> None:
    layers = [one for one in encodings if one not in ("", "identity")]
    if layers and layers not in (["gzip"], ["x-gzip"]):
        with pytest.raises(EncodingError):
            inflater_of(encodings)
    else:
        assert (inflater_of(encodings) is None) is (not layers)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["POST runs", "GET runs"])
def test_three_kilobytes_that_stand_for_gigabytes_take_no_memory(where: str, tmp_path) -> None:
    packed = bomb(3000, 2)

    def attack(service, call) -> None:
        if call.name == where:
            kind = "text/event-stream" if where == "GET runs" else "application/json"
            call.begin(content_type=kind, content_encoding="gzip, gzip")
            call.send(packed)

    with evil(attack) as service:
        ended = measured(tmp_path, *lay(tmp_path), "--deadline", "3s", environ=service.environ)
    assert ended.peak_mb < MOST_MB, ended.said
    assert "Traceback" not in ended.said
    assert ended.code in (0, 4), ended.said
