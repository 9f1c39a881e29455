r"""JSON as services really write it, made strict: one odd character must not cost a result that was paid for.

Python's own encoder writes `NaN`, `Infinity` and lone surrogates (`"\ud800"`), others leave control characters in
strings, and a web page may be quoted with any of them. Strict readers refuse the whole text. Here the surrogate becomes
U+FFFD, a control character is escaped, a number that is none, or is outside of what a double holds, becomes a string of
the same letters, and what is nested more than a hundred deep becomes null. What is too heavy to be read is not mended.
Pure.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final

from enrich.text.weight import why_too_heavy

__all__ = ["is_deep", "mended"]

_DEEPEST: Final = 100  # levels: no answer has more than ten, and whoever walks over one may go down by recursion
_LONGEST_INTEGER: Final = 300  # digits; a double ends at 308
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def mended(data: bytes) -> bytes | None:
    """The same document as strict JSON, None if it is none at all, or too heavy."""
    if why_too_heavy(data):
        return None
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        document = _DECODER.decode(_cut_deep(text))
    except (ValueError, RecursionError):
        return None
    compact = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return _SURROGATE.sub("\ufffd", compact).encode()


def is_deep(data: bytes) -> bool:
    """Whether a text is nested more than a hundred deep, if it is JSON."""
    if data.count(b"[") + data.count(b"{") <= _DEEPEST:
        return False
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(data.decode("utf-8", "replace")):
        depth += (match[0] in "[{") - (match[0] in "]}")
        if depth > _DEEPEST:
            return True
    return False


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_INTEGER else text


_DECODER: Final = json.JSONDecoder(strict=False, parse_constant=str, parse_float=_float, parse_int=_integer)


def _cut_deep(text: str) -> str:
    """The text with null for every array and object below the deepest level that is read."""
    parts: list[str] = []
    depth = done = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth == _DEEPEST + 1:
                parts += text[done : match.start()], "null"
        elif match[0] in "]}":
            if depth == _DEEPEST + 1:
                done = match.end()
            depth -= 1
    return "".join(parts) + text[done:] if depth <= _DEEPEST else text
