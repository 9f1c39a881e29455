"""The phrases that faults are made of: what came, and what may have been meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

__all__ = ["did_you_mean", "either", "printable", "shown", "some"]

_MAX_SHOWN_CHARS: Final = 60
_MAX_LISTED: Final = 10


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?` for the nearest known word, else empty."""
    folded = {name.casefold(): name for name in reversed(list(known))}
    near = get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return f'did you mean "{folded[near[0]]}"?' if near else ""


def shown(value: object) -> str:
    """What came, in a word or two: `"abc"`, `12`, `true`, `nothing`, `a list`, `a mapping`."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        cut = len(value) > _MAX_SHOWN_CHARS
        text = json.dumps(value[: _MAX_SHOWN_CHARS - 1] + "…" if cut else value, ensure_ascii=False)
        return printable(text)
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    text = json.dumps(value) if isinstance(value, (bool, int, float)) else str(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 1]}…"


def printable(text: str) -> str:
    """The text with what a terminal would act on, or not show, as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def either(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def some(names: Sequence[str]) -> str:
    """The first few of many names."""
    text = ", ".join(names[:_MAX_LISTED])
    return text if len(names) <= _MAX_LISTED else f"{text} and {len(names) - _MAX_LISTED} more"
