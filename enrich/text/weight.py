"""How heavy JSON is as objects in memory, told from its bytes before any of it is decoded. Pure.

A value of three bytes becomes an object of a hundred, and one more in each step that looks at it: what is sent as
sixteen megabytes may take two gigabytes to read. What is far heavier than any real result is kept as it came, unread.
"""

import re
from typing import Final

MAX_BYTES: Final = 8 << 20  # a real result has less than 1 MB
MAX_VALUES: Final = 200_000  # and some thousands of them

_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_TEXTS_A_VALUE: Final = 2  # its name and itself


def most_values(data: bytes) -> int:
    """How many values JSON has, at most: what separates them may stand in texts, too."""
    return len(data) - len(data.translate(None, b",[{")) + 1


def why_too_heavy(data: bytes) -> str:
    """Why JSON is too heavy to be read, in words; empty where it is not."""
    if len(data) > MAX_BYTES:
        return f"it has {len(data) / (1 << 20):,.1f} MB, and at most {MAX_BYTES >> 20} MB are read"
    if len(data) > MAX_VALUES and _has_too_many(data):
        return f"it has more than {MAX_VALUES:,} values"
    return ""


def _has_too_many(data: bytes) -> bool:
    most = most_values(data)
    if most <= MAX_VALUES:
        return False
    texts = (data.count(b'"') - data.count(b'\\"')) // 2  # at least
    if texts > _TEXTS_A_VALUE * MAX_VALUES:
        return True
    return most - sum(most_values(text[0]) - 1 for text in _TEXT.finditer(data)) > MAX_VALUES
