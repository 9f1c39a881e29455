"""The API key: held so that it can't be shown by accident, and taken out of what is printed, logged or written out."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import pairwise
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from enrich.api.spellings import layers, may_hide

__all__ = ["KEY_VARIABLE", "NOT_SENDABLE", "Secret", "is_sendable"]

KEY_VARIABLE: Final = "PARALLEL_API_KEY"
REDACTED: Final = "[redacted]"
NOT_SENDABLE: Final = "an API key is one word of printable ASCII characters; this one isn't"

_SHORTEST_PART: Final = 8  # characters of the key that must not appear in a row
_SHORTEST_KEY: Final = 16  # characters of a key that is looked for
_FEWEST_CHARACTERS: Final = 8  # different ones
# Besides, it has one of these, which words don't have: so many digits, so many changes between small letters,
# capitals and digits, or letters that nobody can pronounce.
_DIGITS: Final = 6
_SWITCHES: Final = 5
_CONSONANTS: Final = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}")
_VOWELS: Final = 0.25  # of the letters; two of five are usual
_RARE: Final = 3
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

    A key that is short, or made of words, is looked for in no text: it would be found in ordinary ones, and what is
    taken out there is lost. Such a key protects nothing; the sandbox takes any.

    Raises ValueError, without the value, for a text that can't be sent as a header: empty, or holding
    anything but printable ASCII without spaces.
    """

    __slots__ = ("_needles", "_parts", "_value", "_whole")

    def __init__(self, value: str) -> None:
        if not is_sendable(value):
            del value  # from what a traceback may show
            raise ValueError(NOT_SENDABLE)
        self._value = value
        known = _is_recognisable(value)
        self._needles = tuple(_Needle(word.encode()) for word in _unescaped_words(value)) if known else ()
        self._whole = tuple(_spellings(value)) if known else ()
        self._parts = _parts(value) if known else frozenset()

    @property
    def is_recognisable(self) -> bool:
        """Whether the key is long and random enough to be looked for."""
        return bool(self._parts)

    def reveal(self) -> str:
        """The key itself: for the request header, and for nothing else."""
        return self._value

    def redact(self, text: str) -> str:
        """A message without any 8 characters of the key in a row, however they are spelled, or its like.

        Escapes, unseen characters, case and base64 hide nothing.
        """
        return _LOOKS_LIKE_A_KEY.sub(rf"\1\2{REDACTED}", _without(text, self._found_parts(text)))

    def _found_parts(self, text: str) -> Iterator[tuple[int, int]]:
        """Where parts of the key stand; overlapping ones are all found."""
        if not self._parts:
            return
        for layer in layers(text):
            small = layer.text.translate(_SMALL)
            for at in range(len(small) - _SHORTEST_PART + 1):
                if small[at : at + _SHORTEST_PART] in self._parts:
                    yield layer.origin(at, at + _SHORTEST_PART)

    def is_in(self, text: str) -> bool:
        """Whether a text holds the whole key, however it is spelled."""
        return any(True for _ in self._found_whole(text))

    def redact_body(self, body: bytes) -> bytes:
        """Data without the whole key, however it is spelled; the same object where it isn't in there.

        JSON stays JSON. Where nothing is found it takes about a microsecond a kilobyte.
        """
        if not any(needle.is_in(body) for needle in self._needles) and not (self._needles and may_hide(body)):
            return body
        text = body.decode("utf-8", "surrogateescape")
        found = list(self._found_whole(text))
        return _without(text, found).encode("utf-8", "surrogateescape") if found else body

    def _found_whole(self, text: str) -> Iterator[tuple[int, int]]:
        for layer in layers(text) if self._whole else ():
            for word in self._whole:
                at = layer.text.find(word)
                while at >= 0:
                    yield layer.origin(at, at + len(word))
                    at = layer.text.find(word, at + 1)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret can't be pickled or copied")


def is_sendable(value: str) -> bool:
    """Whether a text can be a key: one word of printable ASCII."""
    return _PRINTABLE.fullmatch(value) is not None


def _is_recognisable(value: str) -> bool:
    """Whether a key is long and random enough that a text which holds it can only mean the key."""
    if len(value) < _SHORTEST_KEY or len(set(value.lower())) < _FEWEST_CHARACTERS:
        return False
    kinds = [_kind(character) for character in value if character.isalnum()]
    switches = sum(one != other for one, other in pairwise(kinds))
    digits = sum(character.isdigit() for character in value)
    return digits >= _DIGITS or switches >= _SWITCHES or _is_no_word(value.lower())


def _is_no_word(letters: str) -> bool:
    """Whether letters are none that anybody could pronounce: consonants in a row, few vowels, many rare letters."""
    vowels, rare, all_letters = (sum(map(letters.count, kind)) for kind in ("aeiouy", "jqxz", ascii_lowercase))
    return bool(_CONSONANTS.search(letters)) or vowels <= _VOWELS * all_letters or rare >= _RARE


def _kind(character: str) -> int:
    return 0 if character.isdigit() else 1 + character.isupper()


def _spellings(value: str) -> list[str]:
    """The key as it is, and what base64 makes of it: all else is a matter of escapes."""
    return [value, *_base64_spellings(value)]


def _unescaped_words(value: str) -> list[str]:
    """For each spelling the longest word in it that no ordinary escape changes."""
    return list(dict.fromkeys(max(re.split(r"[^A-Za-z0-9]+", one), key=len) or one for one in _spellings(value)))


def _base64_spellings(value: str) -> list[str]:
    """What base64 makes of the key alone, and behind one byte or two, in both alphabets."""
    spellings = []
    for before in range(3):
        text = b64encode(bytes(before) + value.encode()).decode()
        certain = text[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]  # not of what stands around it
        spellings += [certain, certain.replace("+", "-").replace("/", "_")]
    return list(dict.fromkeys(spellings))


def _parts(value: str) -> frozenset[str]:
    """All parts of the key that must not be shown, in every spelling, in small letters."""
    spellings = [spelling.translate(_SMALL) for spelling in _spellings(value)]
    last = _SHORTEST_PART - 1
    return frozenset(one[at : at + _SHORTEST_PART] for one in spellings for at in range(len(one) - last))


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with a mark in place of each span."""
    pieces: list[str] = []
    end = 0
    for start, stop in _merged(sorted(spans)):
        pieces += (text[end:start], REDACTED)
        end = stop
    return "".join([*pieces, text[end:]])


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order of their start, joined where they touch."""
    merged: list[tuple[int, int]] = []
    for start, stop in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged
