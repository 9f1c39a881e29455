"""Durations as people write them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.text.durations import DURATION_PATTERN, duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("999999999s", timedelta(seconds=999999999)),
        ("5200w", timedelta(weeks=5200)),
    ],
)
def test_a_number_and_a_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert re.search(DURATION_PATTERN, text)


@pytest.mark.parametrize(
    "text",
    ["", "3", "d", "0d", "00d", "-1d", "1.5h", "1 d", "1D", "1y", "1h30m", " 1d", "1d\n", "٣d", "5201w", "9999999999s"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1s"), (59.9, "59s"), (60, "1m"), (90, "90s"), (7200, "2h"), (86400, "1d"), (604800, "1w"), (0, "0s")],
)
def test_in_the_largest_unit_that_says_it_whole(seconds: float, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == text


@given(st.integers(1, 999_999_999))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_duration(duration_text(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
