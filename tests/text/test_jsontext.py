"""What is said of bytes that are no JSON hangs on no decoder's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.text.jsontext import why_no_json


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b" \n", "it is empty", id="blank"),
        pytest.param(b'{"a": ', "it ends in the middle", id="cut before a value"),
        pytest.param(b'{"a": [1, 2', "it ends in the middle", id="cut in a list"),
        pytest.param(b'{"a": 1,,', "it is no JSON from character 9 on", id="comma too many"),
        pytest.param(b'{"a" 1}', "it is no JSON from character 6 on", id="no colon"),
        pytest.param(b"{'a': 1}", "it is no JSON from character 2 on", id="single quotes"),
        pytest.param(b'{"a": 1} x', "it is no JSON from character 10 on", id="more behind it"),
        pytest.param(b'"\xc3\xa4" \xff', "byte 0xff, the 6. of its bytes, is not UTF-8", id="no UTF-8"),
        pytest.param(b'"\\ud800x"', "\\ud800 is half of a character (a lone surrogate)", id="half a character"),
        pytest.param(b'{"a": NaN}', "NaN is no JSON", id="NaN"),
        pytest.param(b"[-Infinity]", "-Infinity is no JSON", id="infinity"),
        pytest.param(b"[" * 100_000, "it is nested too deep", id="deep"),
        pytest.param(b"1" * 5_000, "it holds a number of thousands of digits", id="digits"),
        pytest.param(b"[1]", "it is a list", id="sound, a list"),
        pytest.param(b"{}", "it is an object of another form", id="sound, an object"),
        pytest.param(b"true", "it is true or false", id="sound, a truth value"),
        pytest.param(b"null", "it is null", id="sound, nothing"),
        pytest.param('{"ä": }', "it is no JSON from character 7 on", id="text"),
    ],
)
def test_it_says_what_is_wrong_and_from_where(text: bytes | str, why: str) -> None:
    assert why_no_json(text) == why


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_it_has_an_answer_to_anything(text: bytes | str) -> None:
    assert why_no_json(text)
