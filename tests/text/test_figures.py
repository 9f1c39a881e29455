"""Numbers read well and never say less than the truth."""

from decimal import Decimal

import pytest

from enrich.text.figures import counted, share_text, span_text, usd_each_text, usd_text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        ("0", "$0.00"),
        ("0.005", "$0.005"),
        ("0.025", "$0.025"),
        ("0.05", "$0.05"),
        ("45.4", "$45.40"),
        ("1234567.895", "$1,234,567.895"),
        ("2.4000", "$2.40"),
    ],
)
def test_dollars_go_to_the_cent_and_further_only_where_there_is_more(usd: str, text: str) -> None:
    assert usd_text(Decimal(usd)) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        pytest.param(0, 10, "0%", id="none"),
        pytest.param(1, 1000, "<1%", id="something is not 0%"),
        pytest.param(999, 1000, ">99%", id="less than all is not 100%"),
        pytest.param(10, 10, "100%", id="all"),
        pytest.param(1, 3, "33%", id="a third"),
        pytest.param(0, 0, "\u2013", id="of nothing"),
    ],
)
def test_shares_never_round_something_away(part: int, whole: int, text: str) -> None:
    assert share_text(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (7.6, "8 s"), (372, "6 min 12 s"), (3725, "1 h 02 min"), (183_600, "2 d 03 h")],
)
def test_spans_show_two_units(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (counted(1, "row"), "1 row"),
        (counted(1250, "row"), "1,250 rows"),
        (counted(0, "query", "queries"), "0 queries"),
    ],
)
def test_nouns_follow_their_number(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        ("0", "$0.00"),
        ("0.0000123", "$0.000012"),
        ("0.0005", "$0.0005"),
        ("0.00999", "$0.01"),
        ("0.011211", "$0.011"),
        ("0.025", "$0.025"),
        ("0.0996", "$0.10"),
        ("0.1249", "$0.125"),
        ("2.4", "$2.40"),
    ],
)
def test_dollars_for_one_of_many_have_two_figures(usd: str, text: str) -> None:
    assert usd_each_text(Decimal(usd)) == text
