"""What is nested without end, or numbers without end: a body that can't be read, which counts by its status alone."""

import json

import httpx
import pytest

from enrich.api.errors import (
    CreditError,
    InvalidError,
    RateLimitedError,
    StatusError,
    UnavailableError,
    UnknownOutcomeError,
    error_of_answer,
)
from enrich.api.reading import UnreadableError
from enrich.api.retry import NEVER
from enrich.api.secret import Secret
from enrich.backends.parallel import Client
from enrich.backends.wire import MAX_VALUES, decode_event
from enrich.config.loading import load
from enrich.errors import ConfigError
from enrich.text.mending import is_deep
from tests.hostile.evil import evil, lay
from tests.hostile.measuring import measured

KEY = Secret("pk-0123456789abcdef")


def deep(levels: int, *, objects: bool = False) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels if objects else b"[" * levels + b"]" * levels


BODIES = {
    **{f"detail-of-{n}": b'{"error":{"message":"no","detail":%b}}' % deep(n) for n in (100, 800, 990, 5000)},
    **{f"objects-of-{n}": b'{"detail":%b}' % deep(n, objects=True) for n in (100, 800, 990, 5000)},
    "a-list-of-800": deep(800),
    "only-the-beginning": b"[" * 800,
    "a-long-integer": b'{"error":{"message":"no","detail":%b}}' % (b"9" * 5000),
    "a-long-message": b'{"error":{"message":%b}}' % (b"9" * 5000),
    "no-number": b'{"error":{"message":"no","detail":NaN}}',
    "infinity": b'{"error":{"message":"no","detail":[-Infinity,1e999]}}',
    "a-key-twice": b'{"error":{"message":"no"},"error":{"message":[]},"error":7}',
    "half-a-pair": b'{"error":{"message":"\\ud800","ref_id":"\\udfff"}}',
    "nul": b'{"error":{"message":"a\\u0000b","detail":{"\\u0000":"\x00"}}}',
    "not-utf-8": b'{"error":{"message":"\xff\xfe"}}',
    "a-loc-of-lists": b'{"detail":[{"loc":[[],{},null],"msg":{}},7,[]]}',
}
KINDS = {402: CreditError, 422: InvalidError, 429: RateLimitedError, 418: UnknownOutcomeError, 503: UnknownOutcomeError}


@pytest.mark.parametrize("status", KINDS)
@pytest.mark.parametrize("word", BODIES)
def test_an_error_body_of_any_shape_counts_by_its_status(word: str, status: int) -> None:
    error = error_of_answer("POST x", costs=True, status=status, headers={}, body=BODIES[word], secret=KEY)
    assert type(error) is KINDS[status]
    assert str(error).startswith(f"POST x: the service answered {status}")
    assert len(str(error)) < 1000
    assert "\x00" not in str(error)
    if isinstance(error, StatusError):
        json.dumps(error.detail)  # may be walked over by whoever takes it


@pytest.mark.parametrize("word", BODIES)
@pytest.mark.anyio
async def test_a_good_answer_of_any_shape_is_read_or_is_not(word: str) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=BODIES[word]))
    async with Client(base_url="http://127.0.0.1:1", api_key=KEY, retry=NEVER, transport=transport) as client:
        with pytest.raises(UnavailableError):
            await client.group("g")
        with pytest.raises(UnavailableError):
            await client.run("r")
        with pytest.raises(UnknownOutcomeError):
            await client.add_runs("g", b"{}")


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        (deep(100), False),
        (deep(101), True),
        (deep(101, objects=True), True),
        (b"[" * 101, True),
        (b"[" + b"[]," * 5000 + b"[]]", False),
        (b'["' + b"[" * 5000 + b'"]', False),
        (b'["\\"' + b"[" * 5000 + b'"]', False),
        (b"]" * 500, False),
    ],
)
def test_how_deep_a_text_is(text: bytes, is_so: bool) -> None:
    assert is_deep(text) is is_so


def test_an_event_of_more_values_than_memory_has_room_for_is_not_read() -> None:
    run = b'{"type":"task_run.state","run":{"run_id":"r","status":"completed","metadata":{%b"z":1}}}'
    values = b"".join(b'"%d":1,' % n for n in range(MAX_VALUES))
    with pytest.raises(UnreadableError, match="values"):
        decode_event(run % values)


@pytest.mark.parametrize("digits", [401, 4301, 50_000])
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_number_without_end_in_a_config_is_a_fault(digits: int, suffix: str, tmp_path) -> None:
    config = {"name": "c", "inputs": {"a": "a"}, "outputs": {"b": {"type": "string"}}, "processor": "core", "budget": 1}
    path = tmp_path / f"c.{suffix}"
    path.write_text(json.dumps(config).replace('"budget": 1', f'"budget": {"9" * digits}'))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "budget" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_config_nested_without_end_is_a_fault(opening: str, suffix: str, tmp_path) -> None:
    path = tmp_path / f"c.{suffix}"
    path.write_text('{"a": ' + opening * 100_000)
    with pytest.raises(ConfigError):
        load(path)


@pytest.mark.slow
def test_a_refusal_with_a_deep_body_is_a_refusal(tmp_path) -> None:
    def attack(service, call) -> None:
        if call.name == "POST runs":
            call.answer(BODIES["detail-of-800"], status=422)

    with evil(attack) as service:
        ended = measured(tmp_path, *lay(tmp_path), environ=service.environ)
        assert service.calls["GET group"] == 0  # nothing is unknown
    assert (ended.code, service.calls["POST runs"]) == (3, 1), ended.said
    assert "Traceback" not in ended.said
