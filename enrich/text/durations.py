"""Durations as people write them: `30s`, `15m`, `12h`, `7d`, `2w`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

__all__ = ["DURATION_PATTERN", "duration_text", "parse_duration"]

_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_LONGEST: Final = timedelta(weeks=52 * 100)

DURATION_PATTERN: Final = r"^[1-9][0-9]{0,8}[smhdw]$"


def parse_duration(text: str) -> timedelta:
    """The duration that `text` says; ValueError if it says none, zero, or more than a century."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhdw])", text, re.ASCII)
    if match is None:
        raise ValueError(text)
    duration = int(match[1]) * _UNITS[match[2]]
    if duration > _LONGEST:
        raise ValueError(text)
    return duration


def duration_text(duration: timedelta) -> str:
    """`duration` in the largest unit that says it whole; parts of a second are dropped."""
    seconds = int(duration.total_seconds())
    for letter, unit in reversed(_UNITS.items()):
        size = int(unit.total_seconds())
        if seconds % size == 0 and seconds >= size:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"
