"""A service that never comes to an end is left, and a command that reads of it heeds a signal at once."""

import itertools
import signal
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from enrich.api.errors import StreamEndless
from enrich.api.retry import NEVER
from enrich.backends.listing import MAX_BYTES, list_group
from enrich.backends.parallel import Client
from enrich.backends.streams import MAX_IDLE_BYTES, MAX_LISTED, MAX_REPEATS, EventStream
from tests.hostile.evil import Call, Evil, evil, lay
from tests.hostile.measuring import HEEDED_S, MOST_MB, Running, measured
from tests.hostile.test_encodings import Body


def event(run_id: str, filler: str = "") -> bytes:
    run = {"run_id": run_id, "status": "running", "warnings": [filler]}
    return b"data: %b\n\n" % msgspec.json.encode({"type": "task_run.state", "run": run})


async def read(pieces: Iterator[bytes], *, live: bool = False) -> EventStream:
    """Read a stream to where it is left, which must not be by its own end."""

    async def chunks():
        for piece in pieces:
            yield piece

    stream = EventStream(chunks(), None, stall_s=60, lines_are_progress=live)
    async for _ in stream:
        pass
    return stream


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        pytest.param(itertools.repeat(event("r") * 100), "tells nothing new", id="one-run"),
        pytest.param(itertools.cycle([event(f"r{n}") for n in range(99)]), "tells nothing new", id="some-runs"),
        pytest.param(
            (b"".join(event(f"r{n}") for n in range(k, k + 1000)) for k in itertools.count(0, 1000)),
            f"more than {MAX_LISTED} runs",
            id="new-runs",
        ),
        pytest.param(itertools.repeat(b":" * 8000 + b"\n\n"), "no event in", id="comments"),
        pytest.param(
            itertools.repeat(b'data: {"type":"weather","wind":"%b"}\n\n' % (b"w" * 60_000)),
            "no event in",
            id="of-another-kind",
        ),
        pytest.param(itertools.repeat(b"data:" + b"x" * 60_000 + b"\n"), "an event of more than", id="one-event"),
        pytest.param(itertools.repeat(b'data: {"type":"error","error":{}}\n\n' * 99), "nothing new", id="errors"),
    ],
)
@pytest.mark.anyio
async def test_a_listing_without_end_is_left(pieces: Iterator[bytes], why: str) -> None:
    with pytest.raises(Exception, match=why) as caught:
        await read(pieces)
    assert caught.value.retryable  # it may have been a proxy on the way


@pytest.mark.anyio
async def test_a_listing_that_tells_everything_twice_is_read_to_its_end() -> None:
    stream = await read(iter([event(f"r{n}") for n in range(3000)] * 2 + [event("r")] * MAX_REPEATS))
    assert stream.events == 2 * 3000 + MAX_REPEATS


@pytest.mark.anyio
async def test_a_live_stream_may_repeat_itself_but_not_be_silent_in_megabytes() -> None:
    stream = await read(iter([event("r")] * (2 * MAX_REPEATS + 9)), live=True)
    assert stream.events == 2 * MAX_REPEATS + 9
    with pytest.raises(StreamEndless):
        await read(itertools.repeat(b":" * 60_000 + b"\n"), live=True)
    assert MAX_IDLE_BYTES <= 100 << 20


@pytest.mark.anyio
async def test_a_listing_of_more_than_is_held_in_memory_proves_nothing() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/runs"):
            pieces = [event(f"r{n}", "x" * 1_000_000) for n in range(MAX_BYTES // 1_000_000 + 2)]
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Body(*pieces))
        return httpx.Response(200, json={"taskgroup_id": "g", "status": {"num_task_runs": 3}})

    transport = httpx.MockTransport(respond)
    async with Client(base_url="http://127.0.0.1:1", api_key=None, retry=NEVER, transport=transport) as client:
        with pytest.raises(StreamEndless, match="the listing has more than 128 MB"):
            await list_group(client, "g")


# --- as processes ----------------------------------------------------------------------------------------


def repeating(service: Evil, call: Call) -> None:
    run_id = service.of_group(call.path.split("/")[4])[0]
    call.stream(itertools.repeat(service.event(run_id, output=False).replace(b"completed", b"running") * 100))


def with_new_runs(service: Evil, call: Call) -> None:
    call.stream(b"".join(event(f"x{n}") for n in range(k, k + 500)) for k in itertools.count(0, 500))


@pytest.mark.slow
@pytest.mark.parametrize("endless", [repeating, pytest.param(with_new_runs, marks=pytest.mark.nightly)])
def test_a_listing_without_end_does_not_keep_a_command(endless, tmp_path) -> None:
    def attack(service: Evil, call: Call) -> None:
        if call.name == "GET runs":
            endless(service, call)

    with evil(attack) as service:
        ended = measured(tmp_path, *lay(tmp_path), environ=service.environ)
    assert ended.code == 0, ended.said  # what the listing did not tell, the run itself did
    assert ended.peak_mb < MOST_MB


@pytest.mark.slow
@pytest.mark.parametrize("endless", [repeating, with_new_runs])
def test_a_listing_without_end_proves_nothing_of_a_lost_answer(endless, tmp_path) -> None:
    def attack(service: Evil, call: Call) -> None:
        if call.name == "GET runs":
            endless(service, call)
        elif call.name == "POST runs":
            service.respond(call) if service.calls["POST runs"] > 1 else call.answer(b"", status=503)

    with evil(attack) as service:
        ended = measured(tmp_path, *lay(tmp_path), "--deadline", "4s", environ=service.environ)
        assert service.calls["POST runs"] == 1
    assert ended.code == 4, ended.said


def by_the_byte(service: Evil, call: Call) -> None:
    """An answer, or a stream, of which a byte comes now and then."""

    def slowly() -> Iterator[bytes]:
        for n in service.event("trun_0") if service.runs else b"{}":
            yield bytes([n])
            service.closing.wait(0.5)

    if call.name in ("GET runs", "GET events"):
        call.stream(slowly())
    else:
        call.begin(content_length="100000")
        for piece in slowly():
            call.send(piece)


def in_silence(service: Evil, call: Call) -> None:
    call.begin(content_type="text/event-stream")
    service.closing.wait()


def with_comments(service: Evil, call: Call) -> None:
    def slowly() -> Iterator[bytes]:
        while not service.closing.wait(0.01):
            yield b":\n" * 100

    call.stream(slowly())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "how"),
    [
        pytest.param("GET runs", by_the_byte, id="a-listing-by-the-byte"),
        pytest.param("GET events", by_the_byte, id="events-by-the-byte"),
        pytest.param("GET group", by_the_byte, id="counts-by-the-byte"),
        pytest.param("GET result", by_the_byte, id="a-result-by-the-byte"),
        pytest.param("GET runs", in_silence, id="a-listing-in-silence"),
        pytest.param("GET runs", with_comments, id="a-listing-of-comments"),
    ],
)
def test_a_signal_is_heeded_whatever_is_being_read(where: str, how, tmp_path) -> None:
    def attack(service: Evil, call: Call) -> None:
        if call.name == where:
            how(service, call)
        elif where == "GET events" and call.name == "GET group":
            call.answer(b'{"taskgroup_id":"g","status":{"num_task_runs":1,"is_active":true}}')
        elif where == "GET result" and call.name == "GET runs":
            call.stream(iter([]))

    with evil(attack) as service:
        command = Running(tmp_path, *lay(tmp_path), environ=service.environ)
        command.wait_for(lambda: service.calls[where])
        command.signal(signal.SIGINT)
        ended = command.ended()
    assert ended.code == 130, ended.said
    assert ended.own_seconds < HEEDED_S
    assert "Traceback" not in ended.said
    assert (tmp_path / "out.csv").read_text().count("\n") == 2
