"""The key is shown by `reveal` alone."""

from __future__ import annotations

import copy
import itertools
import pickle
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.api.environment import Environment
from enrich.api.secret import Secret

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


def test_the_key_comes_from_the_environment_given_and_leaves_it() -> None:
    assert Environment({}).secret is None
    assert Environment({"PARALLEL_API_KEY": "  "}).secret is None
    environ = Environment({"PARALLEL_API_KEY": f" {VALUE}\n", "PARALLEL_BASE_URL": "http://127.0.0.1:1", "HOME": "/x"})
    assert environ.key is not None
    assert environ.key.reveal() == VALUE
    assert dict(environ) == {"PARALLEL_BASE_URL": "http://127.0.0.1:1"}
    assert repr(environ) == str(environ) == "Environment(PARALLEL_BASE_URL, PARALLEL_API_KEY=…)"
    assert Environment.of(environ) is environ
    wrong = Environment({"PARALLEL_API_KEY": "a b"})
    assert (wrong.key, wrong.key_fault.partition(":")[0]) == (None, "PARALLEL_API_KEY")
    assert "a b" not in wrong.key_fault


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


WORDS = (
    *("any", "key", "high", "run", "status", "null", "1", "output", "headquarters", "any-word-will-do"),
    *("internationalization", "correct-horse-battery-staple", "company-key-2024", "a" * 40),
)


@pytest.mark.parametrize("word", WORDS)
def test_a_key_that_is_short_or_made_of_words_is_looked_for_nowhere(word: str) -> None:
    secret = Secret(word)
    text = f"In {word}, or as {word.upper()}: Germany, high, status of the run"
    assert not secret.is_recognisable
    assert secret.redact(text) == text
    assert not secret.is_in(text)
    assert secret.redact_body(text.encode()) == text.encode()


@given(st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=32, max_size=64))
def test_a_long_key_of_letters_and_digits_is_recognised_unless_it_repeats_itself(key: str) -> None:
    kinds = [c.isdigit() + 2 * c.isupper() for c in key]
    if len(set(key.lower())) > 8 and sum(a != b for a, b in itertools.pairwise(kinds)) > 5:
        assert Secret(key).is_recognisable


@given(before=st.text(max_size=20), begin=st.integers(0, 22), size=st.integers(8, 30), after=st.text(max_size=20))
def test_no_part_of_8_survives_wherever_it_stands(before: str, begin: int, size: int, after: str) -> None:
    shown = Secret(VALUE).redact(before + VALUE[begin : begin + size] + after)
    assert not [at for at in range(len(VALUE) - 7) if VALUE[at : at + 8] in shown]


def test_bodies_keep_their_identity_unless_they_hold_the_key() -> None:
    secret = Secret('pk-"quoted"-0123456789')
    body = b'{"a": 1, "b": "M\\u00fcller %C3%BC &amp; \xe2\x80\x9cx\xe2\x80\x9d"}'
    assert secret.redact_body(body) is body
    assert secret.redact_body(b'{"a": "pk-\\"quoted\\"-0123456789"}') == b'{"a": "[redacted]"}'


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=40).filter(
    lambda word: Secret(word).is_recognisable
)


@given(before=st.binary(max_size=30), after=st.binary(max_size=300), word=KEYS, part=st.integers(1, 12))
def test_the_whole_key_is_found_in_any_body_and_nothing_else(before: bytes, after: bytes, word: str, part: int) -> None:
    secret = Secret(word)
    key = word.encode()
    after += key[:1] * 9 if part > 6 else b""
    assert key not in secret.redact_body(before + key + after).replace(b"[redacted]", b"\0")
    other = b"x" + key[:part] + b"x"
    assert secret.redact_body(other) is other


ESCAPES = {
    "plain": lambda c: c,
    "JSON": lambda c: f"\\u{ord(c):04x}",
    "JSON in JSON": lambda c: f"\\\\u{ord(c):04X}",
    "Python": lambda c: f"\\x{ord(c):02x}",
    "long": lambda c: f"\\U{ord(c):08x}",
    "braces": lambda c: f"\\u{{{ord(c):x}}}",
    "URL": lambda c: f"%{ord(c):02x}",
    "URL in URL": lambda c: f"%25{ord(c):02X}",
    "HTML": lambda c: f"&#{ord(c)};",
    "HTML, hexadecimal": lambda c: f"&#x{ord(c):x};",
    "HTML in JSON": lambda c: f"\\u0026#{ord(c)};",
    "full width": lambda c: chr(ord(c) + 0xFEE0),
    "full width in JSON": lambda c: f"\\u{ord(c) + 0xFEE0:04x}",
    "nothing behind": lambda c: c + "\u200b",
    "nothing behind, in JSON": lambda c: c + "\\u200d",
    "nothing behind, in a URL": lambda c: c + "%E2%80%8B",
    "nothing behind, in HTML": lambda c: c + "&#8203;",
    "a soft hyphen": lambda c: c + "\xad",
    "a mark": lambda c: c + "\ufeff",
    "a control": lambda c: c + "\x01",
    "a control in JSON": lambda c: c + "\\u0007",
    "a colour": lambda c: c + "\x1b[31m",
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_no_escape_and_no_unseen_character_hides_the_key(escape: Callable[[str], str]) -> None:
    secret = Secret(VALUE)
    for hidden in (range(len(VALUE)), [14], [0], [len(VALUE) - 1]):
        text = "".join(escape(c) if at in hidden else c for at, c in enumerate(VALUE))
        body = f'{{"a": "say {text}, Zoë", "b": 1}}'
        shown = secret.redact_body(body.encode()).decode()
        assert shown.startswith('{"a": "say [redacted]')
        assert shown.endswith(', Zoë", "b": 1}')
        assert secret.is_in(body)
        assert secret.redact(body).startswith('{"a": "say [redacted]')


@given(choices=st.lists(st.sampled_from(list(ESCAPES)), min_size=len(VALUE), max_size=len(VALUE)))
def test_no_mixture_of_them_hides_it(choices: list[str]) -> None:
    text = "".join(ESCAPES[choice](c) for choice, c in zip(choices, VALUE, strict=True))
    shown = Secret(VALUE).redact_body(f'["x {text} y"]'.encode()).decode()
    assert shown.startswith('["x [redacted]')
    assert shown.endswith(' y"]')
    assert len(shown) <= len('["x [redacted] y"]') + 12


@given(st.text(), st.text(st.sampled_from("\\u0061%41&#;x\u200b=+/abAB019"), max_size=40))
def test_a_text_without_the_key_stays_as_it_is(one: str, other: str) -> None:
    text = one + other
    assert Secret(VALUE).redact_body(text.encode(errors="replace")) == text.encode(errors="replace")


def test_the_key_is_found_after_any_number_of_its_letters() -> None:
    secret = Secret(VALUE)
    for letter in set(VALUE):
        for n in (1, 7, 8, 9, 100, 5000):
            body = letter.encode() * n + VALUE.encode()
            assert secret.redact_body(body).endswith(b"[redacted]")
