"""The key is shown by `reveal` alone."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.api.secret import Secret, key_from

VALUE = "pk-live_0123456789+abcdef/XYZ="


def test_no_ordinary_way_shows_it() -> None:
    secret = Secret(VALUE)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", repr({"key": secret})):
        assert VALUE[:8] not in shown
    assert secret.reveal() == VALUE


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_cannot_be_taken_along(leave: object) -> None:
    assert callable(leave)
    with pytest.raises(TypeError, match="pickled"):
        leave(Secret(VALUE))


@pytest.mark.parametrize("value", ["", "two words", "line\nbreak", "tab\t", "schlüssel", "nul\0", "pk-1\r\nx: y"])
def test_a_key_that_cannot_be_a_header_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as raised:
        Secret(value)
    assert not value or value not in "".join(traceback.format_exception(raised.value))


def test_the_key_comes_from_the_environment_given() -> None:
    assert key_from({}) is None
    assert key_from({"PARALLEL_API_KEY": "  "}) is None
    key = key_from({"PARALLEL_API_KEY": f" {VALUE}\n"})
    assert key is not None
    assert key.reveal() == VALUE
    with pytest.raises(ValueError, match=r"PARALLEL_API_KEY: .* isn't"):
        key_from({"PARALLEL_API_KEY": "a b"})


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        pytest.param("nothing here", "nothing here", id="nothing"),
        pytest.param(f"key {VALUE}!", "key [redacted]!", id="whole"),
        pytest.param(f"{VALUE}{VALUE}", "[redacted]", id="twice"),
        pytest.param(f"{VALUE[:8]} {VALUE[-8:]}", "[redacted] [redacted]", id="parts of 8"),
        pytest.param(VALUE[:7], VALUE[:7], id="7 characters tell too little"),
        pytest.param("pk-live_0123456789%2Babcdef%2fXYZ%3D", "[redacted]", id="URL-encoded"),
        pytest.param(VALUE.upper(), "[redacted]", id="another case"),
        pytest.param("x-api-key: sk_live_ABCDEFGHIJKLMNOP end", "x-api-key: [redacted] end", id="another key"),
        pytest.param("Authorization: Bearer eyJhbGciOi.J9abcdefgh==", "Authorization: Bearer [redacted]", id="bearer"),
        pytest.param("invalid API key: check your settings", "invalid API key: check your settings", id="plain words"),
    ],
)
def test_texts_are_redacted(text: str, redacted: str) -> None:
    assert Secret(VALUE).redact(text) == redacted


def test_a_short_key_is_redacted_as_a_whole() -> None:
    assert Secret("abc").redact("xabcx ab") == "x[redacted]x ab"


@given(before=st.text(max_size=20), begin=st.integers(0, 22), size=st.integers(8, 30), after=st.text(max_size=20))
def test_no_part_of_8_survives_wherever_it_stands(before: str, begin: int, size: int, after: str) -> None:
    shown = Secret(VALUE).redact(before + VALUE[begin : begin + size] + after)
    assert not [at for at in range(len(VALUE) - 7) if VALUE[at : at + 8] in shown]


def test_bodies_keep_their_identity_unless_they_hold_the_key() -> None:
    secret = Secret('pk-"quoted"-key')
    body = b'{"a": 1}'
    assert secret.redact_body(body) is body
    assert secret.redact_body(b'{"a": "pk-\\"quoted\\"-key"}') == b'{"a": "[redacted]"}'


@given(
    before=st.binary(max_size=30),
    after=st.binary(max_size=300),
    word=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12),
    part=st.integers(1, 12),
)
def test_the_whole_key_is_found_in_any_body_and_nothing_else(before: bytes, after: bytes, word: str, part: int) -> None:
    secret = Secret(word)
    key = word.encode()
    after += key[:1] * 9 if part > 6 else b""
    assert key not in secret.redact_body(before + key + after).replace(b"[redacted]", b"\0")
    other = before + key[:part] + after
    assert (secret.redact_body(other) is other) or any(
        spelled in other for spelled in (key, quote(word, safe="").encode(), json.dumps(word)[1:-1].encode())
    )


def test_the_key_is_found_after_any_number_of_its_letters() -> None:
    secret = Secret(VALUE)
    for letter in set(VALUE):
        for n in (1, 7, 8, 9, 100, 5000):
            body = letter.encode() * n + VALUE.encode()
            assert secret.redact_body(body).endswith(b"[redacted]")
