"""Text from the open web is harmless no terminal obeys it, no spreadsheet calculates it."""

# ruff: noqa: RUF001 (look-alike characters are the point)

import json
import sys
import unicodedata
from time import process_time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.text.hostile import FORMULA_PATTERN, clean, neutralise_formula

# Signs of Arabic, Kaithi and Egyptian script: of category Cf, and yet they show.
VISIBLE_FORMATS = {
    *range(0x600, 0x606),
    0x6DD,
    *range(0x890, 0x892),
    0x8E2,
    0x110BD,
    0x110CD,
    *range(0x13430, 0x13440),
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("Zürich, 東京 – “ok” 🙂", "Zürich, 東京 – “ok” 🙂", id="ordinary text stays"),
        pytest.param("a\nb\r\nc\rd\te", "a b c d e", id="line breaks and tabs become spaces"),
        pytest.param("a\x0bb\x0cc\x85d\u2028e\u2029f", "a b c d e f", id="the rarer line breaks too"),
        pytest.param("\x1b[31mred\x1b[0m", "red", id="colour"),
        pytest.param("\x9b31mred\x9b0m", "red", id="colour, 8-bit"),
        pytest.param("\x1b[2J\x1b[1;1Hnew screen", "new screen", id="clear the screen"),
        pytest.param("\x1b[?1049h\x1b[>4;2mx", "x", id="private modes"),
        pytest.param("a\x1b[38;5", "a", id="CSI cut short"),
        pytest.param("\x1b]0;title\x07x", "x", id="window title, BEL"),
        pytest.param("\x1b]0;title\x1b\\x", "x", id="window title, ST"),
        pytest.param("\x9d0;title\x9cx", "x", id="window title, 8-bit"),
        pytest.param("\x1b]52;c;ZXZpbA==\x07x", "x", id="clipboard"),
        pytest.param("\x1b]8;;http://evil/\x1b\\text\x1b]8;;\x1b\\", "text", id="hyperlink"),
        pytest.param("\x1bPq#0;2;0\x1b\\x", "x", id="DCS (sixel)"),
        pytest.param('\x90$q"p\x9cx', "x", id="DCS, 8-bit"),
        pytest.param("\x1b_Gf=24\x1b\\x", "x", id="APC (kitty)"),
        pytest.param("\x1b^pm\x1b\\\x1bXsos\x1b\\x", "x", id="PM and SOS"),
        pytest.param("\x1b]0;no end", "0;no end", id="a control string without end keeps its text"),
        pytest.param("\x1bcreset \x1b(0lines", "reset lines", id="reset and character set"),
        pytest.param("end\x1b", "end", id="bare ESC"),
        pytest.param("\x1b\x1b[31[31mx", "31mx", id="sequences in sequences leave no new one"),
        pytest.param("a\x00\x07\x08\x7f\x80\x9fb", "ab", id="other C0 and C1"),
        pytest.param("pay\u202elive\u202c\u2066x\u2069\u200e\u200f\u061c", "paylivex", id="bidi"),
        pytest.param("a\u200bb\u200c\u200d\u2060\ufeff\xadc", "abc", id="zero width"),
        pytest.param("x\U000e0041\U000e0042\ufe0f\U000e0100", "x", id="tags and variation selectors"),
        pytest.param("a\ud800b\udfff", "a\ufffdb\ufffd", id="lone surrogates"),
    ],
)
def test_what_is_left_is_only_shown(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(("limit", "shown"), [(None, "abcdef"), (6, "abcdef"), (5, "abcd…"), (1, "…"), (0, "")])
def test_a_limit_counts_the_ellipsis(limit: int | None, shown: str) -> None:
    assert clean("abcdef", limit) == shown


def test_every_control_format_and_surrogate_code_point_is_gone() -> None:
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and code not in VISIBLE_FORMATS:
            assert clean(f"a{chr(code)}b") in {"ab", "a b", "a\ufffdb", "a"}, hex(code)


HOSTILE = st.text(st.one_of(st.sampled_from("\x1b\x9b\x9d\x90\x9c\x07[]P\\;m0a\r\n\u202e"), st.characters()))


@given(HOSTILE)
def test_cleaned_text_is_encodable_has_one_line_and_stays_as_it_is(text: str) -> None:
    shown = clean(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(character) == "Cc" for character in shown)
    assert clean(shown) == shown


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("Acme - a company = good @ work", "Acme - a company = good @ work", id="signs within text"),
        pytest.param("=1+1", "'=1+1", id="equals"),
        pytest.param("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0", id="plus"),
        pytest.param("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0", id="minus"),
        pytest.param("@SUM(1,2)", "'@SUM(1,2)", id="at"),
        pytest.param("\t=1", "'\t'=1", id="tab"),
        pytest.param("\tx", "'\tx", id="tab before text"),
        pytest.param("\r=1", "'\r'=1", id="CR"),
        pytest.param("\n=1", "'\n'=1", id="LF"),
        pytest.param("＝1", "'＝1", id="full-width equals"),
        pytest.param("＋1", "'＋1", id="full-width plus"),
        pytest.param("－1", "'－1", id="full-width minus"),
        pytest.param("＠x", "'＠x", id="full-width at"),
        pytest.param("  =1", "'  =1", id="after blanks"),
        pytest.param("\xa0\u3000=1", "'\xa0\u3000=1", id="after other blanks"),
        pytest.param("\ufeff\u200b=1", "'\ufeff\u200b=1", id="after invisible characters"),
        pytest.param("\x00\x1f=1", "'\x00\x1f=1", id="after controls that a CSV loses"),
        pytest.param('"=1"', '\'"=1"', id="after a quote"),
        pytest.param("”＂=1", "'”＂=1", id="after curly and full-width quotes"),
        pytest.param("a;=1", "a;'=1", id="after a semicolon"),
        pytest.param("a,=1,b,@x", "a,'=1,b,'@x", id="after commas"),
        pytest.param("a\t=1", "a\t'=1", id="after a tab"),
        pytest.param("a\r\n=1", "a\r\n'=1", id="after a line break"),
        pytest.param('a| "=1', "a| \"'=1", id="after a bar, blanks and quotes"),
        pytest.param("=1;=2", "'=1;'=2", id="at the start and after"),
        pytest.param("- one\n- two", "'- one\n'- two", id="bullets"),
        pytest.param("'=1", "'=1", id="already text"),
        pytest.param("-12.5", "-12.5", id="negative number"),
        pytest.param("+3", "+3", id="positive number"),
        pytest.param("-1.2e-5", "-1.2e-5", id="exponent"),
        pytest.param("-7%", "-7%", id="percentage"),
        pytest.param("-12,345.67", "-12,345.67", id="grouped digits"),
        pytest.param("52.5, -13.4", "52.5, -13.4", id="coordinates"),
        pytest.param("-52.5, -13.4", "-52.5, -13.4", id="southern coordinates"),
        pytest.param("https://m/@52.1,-13.4,15z", "https://m/@52.1,-13.4,15z", id="a map's address"),
        pytest.param("+1-800-555-0100", "'+1-800-555-0100", id="phone number: it would be calculated"),
        pytest.param("-2+3", "'-2+3", id="arithmetic"),
        pytest.param("-2,cmd|'/c calc'!A0", "'-2,cmd|'/c calc'!A0", id="a number before a formula"),
        pytest.param("-5 °C", "'-5 °C", id="number with a unit"),
        pytest.param('["a", "=1", -2]', '["a", "\\u003d1", -2]', id="JSON array"),
        pytest.param('{"x": "a;@b", "-y": -1}', '{"x": "a;\\u0040b", "\\u002dy": -1}', id="JSON object"),
        pytest.param("[x];=1", "[x];'=1", id="brackets that are not JSON"),
    ],
)
def test_a_cell_that_would_calculate_becomes_text(text: str, cell: str) -> None:
    assert neutralise_formula(text) == cell


FORMULAS = st.text(st.sampled_from("=+-@＝a1.,;|\t\r\n \"'\ufeff\\[]{}%e"), max_size=12)


@given(FORMULAS)
def test_doing_it_twice_changes_nothing(text: str) -> None:
    cell = neutralise_formula(text)
    assert neutralise_formula(cell) == cell


@given(FORMULAS)
def test_only_apostrophes_are_added(text: str) -> None:
    cell = neutralise_formula(text)
    if not (text[:1] in ("[", "{") and "\\u00" in cell):
        assert cell.replace("'", "") == text.replace("'", "")


@given(
    st.recursive(st.none() | st.integers() | FORMULAS, lambda inner: st.lists(inner) | st.dictionaries(FORMULAS, inner))
)
def test_json_stays_the_same_json(value: object) -> None:
    if isinstance(value, list | dict):
        assert json.loads(neutralise_formula(json.dumps(value, ensure_ascii=False))) == value


@given(st.lists(FORMULAS, min_size=1, max_size=20))
def test_polars_finds_every_cell_that_changes(texts: list[str]) -> None:
    found = pl.Series(texts).str.contains(FORMULA_PATTERN).to_list()
    for text, is_found in zip(texts, found, strict=True):
        assert is_found or neutralise_formula(text) == text


@pytest.mark.parametrize(
    "unit",
    ["\n", ",-1", '"', "-", "-1", "-1,", "[", "\x9d", "\x1b]", "\x1b[0", "-1 ", "-1,1e", "= ", ";"],
    ids=ascii,
)
def test_a_megabyte_of_anything_takes_linear_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit)) + "x"
    started = process_time()
    clean(text)
    neutralise_formula(text)
    assert process_time() - started < 5
