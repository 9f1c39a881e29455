"""A cell that is made harmless for a spreadsheet comes back as the text it was, whatever that is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enrich.text.hostile import PROTECTED_PATTERN, neutralise_formula, protect_cell, unprotect_cell
from tests.hostile.judges import calculates

TRICKY = st.text(st.sampled_from("'=+-@;,|\t\n\r\" \u200b\uff1d5.aé"), max_size=14)


@given(st.one_of(st.text(), TRICKY))
@example("'=1")
@example("''=1")
@example("a;'=1")
@example("\t=1")
@example("  =1")
@example("'\t=1")
@example("'-5")
def test_what_is_protected_comes_back(text: str) -> None:
    assert unprotect_cell(protect_cell(text)) == text


@given(st.one_of(st.text(), TRICKY))
def test_no_protected_cell_calculates(text: str) -> None:
    assert calculates(protect_cell(text)) == ""


@given(TRICKY)
def test_the_filter_finds_all_that_is_protected(text: str) -> None:
    import polars as pl

    assert protect_cell(text) == text or pl.Series([text]).str.contains(PROTECTED_PATTERN)[0]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("+1-800-555-0100", "'+1-800-555-0100"),
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("a;=1", "a;'=1"),
        ("'=1", "''=1"),
        ("a;'=1", "a;''=1"),
        ("'tis", "'tis"),
        ("-12.5", "-12.5"),
        ("52.5, -13.4", "52.5, -13.4"),
        ("", ""),
    ],
)
def test_cells_and_their_texts(text: str, cell: str) -> None:
    assert protect_cell(text) == cell
    assert unprotect_cell(cell) == text
    if "'" not in text:
        assert neutralise_formula(text) == cell
