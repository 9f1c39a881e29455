"""The API key: held so that it can't be shown by accident, and taken out of every text that might echo it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from string import ascii_lowercase, ascii_uppercase
from typing import Final
from urllib.parse import quote

__all__ = ["KEY_VARIABLE", "Secret", "key_from"]

KEY_VARIABLE: Final = "PARALLEL_API_KEY"
REDACTED: Final = "[redacted]"

_SHORTEST_PART: Final = 8  # characters of the key that must not appear in a row
_SMALL: Final = str.maketrans(ascii_uppercase, ascii_lowercase)  # keeps every other character, and the length
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
# Credentials that aren't ours to know, by what stands before them: "x-api-key: abc…", "Bearer abc…".
_LOOKS_LIKE_A_KEY: Final = re.compile(
    r"(?i)\b(x-api-key|api[ _-]?key|authorization|bearer|token)(\W{1,4}(?:bearer\s+)?)[\w\-.~+/]{16,}=*"
)


# Printable ASCII in JSON and prose, the rarest first, roughly: what isn't named is rarer still.
_RAREST_FIRST: Final = b"QZXJKVYqzjUWGHOFLNBRDPMxkETICASvywbgfp7689345_2-01muhdclrsnitoa/e.,:"


_EXPECTED_GAP: Final = 64  # bytes between two of the letter: where they are closer, it isn't rare


class _Needle:
    """A word to look for in many kilobytes of text that hardly ever hold it.

    `word in body` takes 2 ns a byte for a word of many different letters. To look for its rarest letter
    first, which C does 16 bytes at a time, takes a tenth of that.
    """

    __slots__ = ("_at", "_letter", "word")

    def __init__(self, word: bytes) -> None:
        self.word = word
        self._at = min(range(len(word)), key=lambda at: _RAREST_FIRST.find(word[at : at + 1]))
        self._letter = word[self._at : self._at + 1]

    def is_in(self, body: bytes) -> bool:
        found = body.find(self._letter, self._at)
        tries = 8 + len(body) // _EXPECTED_GAP
        while found >= 0 and tries:
            if body.startswith(self.word, found - self._at):
                return True
            found = body.find(self._letter, found + 1)
            tries -= 1
        return found >= 0 and body.find(self.word, found - self._at) >= 0


class Secret:
    """A key that only `reveal` shows. Its `str`, `repr` and format say nothing; it can't be pickled.

    Raises ValueError, without the value, for a text that can't be sent as a header: empty, or holding
    anything but printable ASCII without spaces.
    """

    __slots__ = ("_needles", "_parts", "_size", "_value")

    def __init__(self, value: str) -> None:
        if not _PRINTABLE.fullmatch(value):
            raise ValueError("an API key is one word of printable ASCII characters; this one isn't")
        self._value = value
        self._needles = tuple(_Needle(spelling.encode()) for spelling in _spellings(value))
        self._size, self._parts = _parts(value)

    def reveal(self) -> str:
        """The key itself: for the request header, and for nothing else."""
        return self._value

    def redact(self, text: str) -> str:
        """The text without the key, any 8 characters of it in a row, also URL-encoded or in base64, or its like."""
        pieces: list[str] = []
        end = 0
        for start, stop in _merged(self._found(text)):
            pieces += (text[end:start], REDACTED)
            end = stop
        pieces.append(text[end:])
        return _LOOKS_LIKE_A_KEY.sub(rf"\1\2{REDACTED}", "".join(pieces))

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Where parts of the key stand; overlapping ones are all found."""
        size, parts, small = self._size, self._parts, text.translate(_SMALL)
        for at in range(len(small) - size + 1):
            if small[at : at + size] in parts:
                yield at, at + size

    def is_in(self, body: bytes) -> bool:
        """Whether these bytes hold the whole key, in any spelling that `redact_body` knows."""
        return any(needle.is_in(body) for needle in self._needles)

    def redact_body(self, body: bytes) -> bytes:
        """Raw JSON without the whole key; the same object when it isn't in there (some 0.3 µs a kilobyte)."""
        for needle in self._needles:
            if needle.is_in(body):
                body = body.replace(needle.word, REDACTED.encode())
        return body

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret can't be pickled or copied")


def key_from(environ: Mapping[str, str]) -> Secret | None:
    """The key in PARALLEL_API_KEY, None if it is unset or blank; ValueError if it can't be a key."""
    text = environ.get(KEY_VARIABLE, "").strip()
    if not text:
        return None
    try:
        return Secret(text)
    except ValueError as error:
        raise ValueError(f"{KEY_VARIABLE}: {error}") from None


def _spellings(value: str) -> list[str]:
    """The key as it is, URL-encoded, as a JSON string in two styles, and in base64: two spellings for most keys."""
    as_json = json.dumps(value)[1:-1]
    spellings = [value, quote(value, safe=""), as_json, as_json.replace("/", "\\/")]
    return list(dict.fromkeys(spellings + _base64_spellings(value)[:1]))


def _base64_spellings(value: str) -> list[str]:
    """What base64 makes of the key alone, and behind one byte or two, in both alphabets; none of a short key."""
    if len(value) < _SHORTEST_PART:
        return []
    spellings = []
    for before in range(3):
        text = b64encode(bytes(before) + value.encode()).decode()
        certain = text[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]  # not of what stands around it
        spellings += [certain, certain.replace("+", "-").replace("/", "_")]
    return list(dict.fromkeys(spellings))


def _parts(value: str) -> tuple[int, frozenset[str]]:
    """How long a part of the key is that must not be shown, and all of them, in every spelling, in small letters."""
    size = min(_SHORTEST_PART, len(value))
    spellings = [spelling.translate(_SMALL) for spelling in (*_spellings(value), *_base64_spellings(value))]
    return size, frozenset(one[at : at + size] for one in spellings for at in range(len(one) - size + 1))


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order of their start, joined where they touch."""
    merged: list[tuple[int, int]] = []
    for start, stop in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged
