"""What makes two inputs one question: the form in which the values of an input document are asked about. Pure.

A text is in NFC (an accented letter is one character) and has at its ends no blanks and nothing that shows nothing: a
no-break or zero-width space, a byte order mark, a soft hyphen, a bidi mark, a control character. A value in which
nothing can be seen is none. A value that was in this form before is left as it is, so that what was asked about it is
found again. Until 0.2.0 only blanks were taken from the ends (`old_value`).

An input document is the canonical JSON of those values: keys in order, no blanks, UTF-8, and what holds nothing left
out. Equal inputs are equal bytes, whoever writes them: the table's reader, what reads a run's input back from the
service, and what takes over another program's runs. A difference would make paid work be missed without a word.
"""

import math
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

__all__ = ["ENCODER", "canonical_json", "document", "is_normal", "normal_text", "normal_value", "old_value"]

# Of these nothing is seen at an end: controls, blanks of all kinds, and what Unicode calls ignorable.
_UNSEEN_RANGES: Final = (
    *((0x00, 0x20), (0x7F, 0xA0), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x1680, 0x1680)),
    *((0x17B4, 0x17B5), (0x180E, 0x180E), (0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x206F), (0x2800, 0x2800)),
    *((0x3000, 0x3000), (0x3164, 0x3164), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF9, 0xFFFB)),
)
# These belong to the character before them; alone they show nothing either.
_SELECTOR_RANGES: Final = ((0x180B, 0x180D), (0x180F, 0x180F), (0xFE00, 0xFE0F), (0xE0000, 0xE0FFF))


ENCODER: Final = msgspec.json.Encoder(order="sorted")
"""Writes canonical JSON."""


def canonical_json(value: Any) -> bytes:
    """A JSON value in the one way in which it is hashed, whatever order and spacing it came in."""
    return ENCODER.encode(value)


def document(values: Mapping[str, Any]) -> bytes:
    """The input document of these values: those that are None are left out."""
    return canonical_json({name: value for name, value in values.items() if value is not None})


def _characters(ranges: Iterable[tuple[int, int]]) -> frozenset[str]:
    return frozenset(chr(code) for first, last in ranges for code in range(first, last + 1))


_UNSEEN: Final = _characters(_UNSEEN_RANGES)
_UNSEEN_ALONE: Final = _UNSEEN | _characters(_SELECTOR_RANGES)
_CUT: Final = "".join(sorted(_UNSEEN))


def normal_text(text: str) -> str:
    """A text as it is asked about; empty where nothing of it can be seen."""
    text = text.strip()
    if not text or is_normal(text):
        return text
    text = unicodedata.normalize("NFC", text)
    return "" if _UNSEEN_ALONE.issuperset(text) else text.strip(_CUT)


def is_normal(text: str) -> bool:
    """Whether a text that is not empty, and has no blanks at its ends, is in its normal form."""
    is_normalized = text.isascii() or unicodedata.is_normalized("NFC", text)
    return is_normalized and text[0] not in _UNSEEN_ALONE and text[-1] not in _UNSEEN_ALONE


def normal_value(value: Any) -> Any:
    """A JSON value as it is asked about, None where it is left out."""
    if type(value) is str:
        return normal_text(value) or None
    if isinstance(value, list | dict):
        return _composed(value) or None
    return _finite(value)


def old_value(value: Any) -> Any:
    """A JSON value as it was asked about until 0.2.0."""
    if type(value) is str:
        return value.strip() or None
    if isinstance(value, list | dict):
        return value or None
    return _finite(value)


def _finite(value: Any) -> Any:
    return None if type(value) is float and not math.isfinite(value) else value


def _composed(value: Any) -> Any:
    """Lists and objects with their texts in NFC; keys, and blanks inside, stay."""
    if type(value) is str:
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [_composed(one) for one in value]
    if isinstance(value, dict):
        return {key: _composed(one) for key, one in value.items()}
    return value
