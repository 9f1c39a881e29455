r"""A text as whoever reads it decodes it: what stands there plainly, and what escapes and unseen characters hide.

`layers` undoes, one round after another, what JSON, URLs, HTML and terminals undo: `\u0061`, `\x61`, `\/`, `%61`,
`&#97;`, `&sol;`, full-width letters, characters that nobody sees, escape sequences. Each layer knows which part of the
text each of its parts came from, so that what is found there can be taken out of the text itself. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from html.entities import html5
from typing import Final

from enrich.text.hostile import INVISIBLE

__all__ = ["Layer", "layers", "may_hide"]

_ROUNDS: Final = 4  # an escape of an escape of an escape
_HEX: Final = "[0-9a-fA-F]"
_FULL_WIDTH: Final = 0xFEE0  # from ! to ~, this far behind the plain ones

_TOKEN: Final = re.compile(
    rf"\\u(?P<u>{_HEX}{{4}})|\\u\{{(?P<braced>{_HEX}{{1,6}})\}}|\\U(?P<long>{_HEX}{{8}})|\\x(?P<x>{_HEX}{{2}})"
    rf"|\\(?P<plain>[/\"'\\])|%u(?P<pu>{_HEX}{{4}})|%(?P<percent>[0-7]{_HEX})|(?P<bytes>(?:%[89a-fA-F]{_HEX}){{2,4}})"
    rf"|&\#(?P<decimal>[0-9]{{1,7}});?|&\#[xX](?P<entity>{_HEX}{{1,6}});?|&(?P<name>[A-Za-z]{{2,31}});"
    rf"|(?P<wide>[\uff01-\uff5e])|(?P<unseen>(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|{INVISIBLE.pattern})"
)

# What could hide a letter or digit in UTF-8, in JSON or not, by its first byte. Ordinary escapes (\u00e9, %2F, &amp;)
# hide none. The bytes that occur are found in one pass, and only they are looked at: one pattern of all is far slower.
_HIDING: Final = {
    pattern[:1] if pattern[:1] != b"\\" else pattern[1:2]: re.compile(pattern)
    for pattern in (
        rb"\\(?:u(?:00[0-9]|00[aA][dD]|03|06|07|11|17|18|200|202|206|3164|[dD][89a-fA-F]|[fF][eEfF]|\{)|U0000|x[0-9a-fA-F])",
        rb"%(?:u00|25|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|[eE]2%8[01]|[eE][fF]%[bB]|[cC]2%(?:[89]|[aA][dD])|[cC][dD]%8"
        rb"|[dD]8%9|[dD][cC]%8|[eE]1%(?:85|9[eE]|[aA]0)|[eE]3%85|[fF]0%9|[fF]3%[aA]0)",
        rb"&#",
        b"\xc2[\x80-\x9f\xad]",
        b"\xcd\x8f",
        b"\xd8\x9c",
        b"\xdc\x8f",
        b"\xe1(?:\x85|\x9e[\xb4\xb5]|\xa0[\x8b-\x8f])",
        b"\xe2(?:\x80[\x8b-\x8f\xaa-\xae]|\x81[\xa0-\xaf])",
        b"\xe3\x85\xa4",
        b"\xef[\xb8\xbb-\xbf]",
        b"\xf0(?:\x9b\xb2|\x9d\x85)",
        b"\xf3\xa0",
    )
}
_CONTROLS: Final = bytes({*range(32), 127} - set(b"\t\n\r"))
_ORDINARY: Final = bytes(set(range(256)) - set(b"".join(_HIDING)) - set(_CONTROLS))


def may_hide(body: bytes) -> bool:
    """Whether UTF-8 has anything that `layers` would decode to a letter or a digit, or leave out between them."""
    odd = body.translate(None, _ORDINARY)
    if not odd:
        return False
    return any(first in odd and pattern.search(body) for first, pattern in _HIDING.items()) or bool(
        odd.translate(None, bytes(set(range(256)) - set(_CONTROLS)))
    )


class Layer:
    """A decoded text; `origin` tells which part of the first text a part of it came from."""

    __slots__ = ("_below", "_lengths", "_origins", "_starts", "text")

    def __init__(self, text: str, below: Layer | None, pieces: Sequence[tuple[int, int, int]]) -> None:
        self.text = text
        self._below = below
        self._starts = [start for start, _, _ in pieces]
        self._origins = [origin for _, origin, _ in pieces]
        self._lengths = [length for _, _, length in pieces]  # of an escape; 0 where the text stands as it was

    def origin(self, start: int, stop: int) -> tuple[int, int]:
        """Where in the first text the characters from `start` to before `stop` came from."""
        if self._below is None:
            return start, stop
        return self._below.origin(self._origin(start, 0), self._origin(stop - 1, 1))

    def _origin(self, at: int, after: int) -> int:
        piece = bisect_right(self._starts, at) - 1
        length = self._lengths[piece]
        if length:
            return self._origins[piece] + length * after
        return self._origins[piece] + at - self._starts[piece] + after


def layers(text: str) -> Iterator[Layer]:
    """The text itself, then each round of decoding that changes it."""
    layer = Layer(text, None, ())
    for _ in range(_ROUNDS):
        yield layer
        above = _decoded(layer)
        if above is None:
            return
        layer = above
    yield layer


def _decoded(layer: Layer) -> Layer | None:
    """The next layer; None where nothing is left to decode."""
    parts: list[str] = []
    pieces: list[tuple[int, int, int]] = []
    size = done = 0
    text = layer.text
    for match in _TOKEN.finditer(text):
        shown = _READ[match.lastgroup or ""](match[match.lastgroup or ""])
        if shown is None:
            continue
        start, end = match.span()
        if start > done:
            parts.append(text[done:start])
            pieces.append((size, done, 0))
            size += start - done
        if shown:
            parts.append(shown)
            pieces.append((size, start, end - start))
            size += len(shown)
        done = end
    if not done:
        return None
    parts.append(text[done:])
    pieces.append((size, done, 0))
    return Layer("".join(parts), layer, pieces)


def _code(base: int) -> Callable[[str], str | None]:
    def read(digits: str) -> str | None:
        code = int(digits, base)
        return chr(code) if code <= 0x10FFFF else None

    return read


def _utf8(escaped: str) -> str | None:
    try:
        return bytes.fromhex(escaped.replace("%", "")).decode()
    except UnicodeDecodeError:
        return None


def _named(name: str) -> str | None:
    character = html5.get(name + ";", "")
    return character if len(character) == 1 else None


_HEXADECIMAL: Final = _code(16)
_READ: Final[dict[str, Callable[[str], str | None]]] = {
    **dict.fromkeys(("u", "braced", "long", "x", "pu", "percent", "entity"), _HEXADECIMAL),
    "decimal": _code(10),
    "plain": lambda character: character,
    "bytes": _utf8,
    "name": _named,
    "wide": lambda character: chr(ord(character) - _FULL_WIDTH),
    "unseen": lambda _: "",
}
