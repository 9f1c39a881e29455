"""How heavy JSON is, told before it is decoded: never less than it is, and no heavier for what stands in a text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.text.mending import mended
from enrich.text.weight import MAX_BYTES, MAX_VALUES, most_values, why_too_heavy

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(',[{"\\a', max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(',[{"\\a', max_size=3), inner, max_size=4),
    max_leaves=20,
)
TOO_MANY = f"it has more than {MAX_VALUES:,} values"


def values_in(document: Any) -> int:
    if isinstance(document, dict):
        return 1 + sum(map(values_in, document.values()))
    return 1 + sum(map(values_in, document)) if isinstance(document, list) else 1


@given(JSON)
def test_there_are_never_more_values_than_is_said(document: Any) -> None:
    assert values_in(document) <= most_values(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"[" + b"1," * (MAX_VALUES - 2) + b"1]", "", id="as-many-values-as-are-read"),
        pytest.param(b"[" + b"1," * (MAX_VALUES - 1) + b"1]", TOO_MANY, id="one-more"),
        pytest.param(b"[" + b'"",' * (2 * MAX_VALUES) + b"1]", TOO_MANY, id="texts"),
        pytest.param(b"[" + b'{"a":"b"},' * MAX_VALUES + b"1]", TOO_MANY, id="objects-with-texts"),
        pytest.param(b'["' + b",[{" * MAX_VALUES + b'"]', "", id="in-a-text"),
        pytest.param(b'["' + b'\\",' * MAX_VALUES + b'"]', "", id="in-a-text-behind-quotes"),
        pytest.param(b"[" + b'"\\\\",' * MAX_VALUES + b"1]", TOO_MANY, id="behind-texts-of-backslashes"),
        pytest.param(b'["' + b"x" * (MAX_BYTES - 4) + b'"]', "", id="as-many-bytes-as-are-read"),
        pytest.param(b'["' + b"x" * MAX_BYTES + b'"]', "it has 8.0 MB, and at most 8 MB are read", id="more-bytes"),
        pytest.param(b'"' + b"," * (MAX_VALUES + 1), TOO_MANY, id="no-JSON"),
    ],
)
def test_what_is_too_heavy(data: bytes, why: str) -> None:
    assert why_too_heavy(data) == why


def test_what_is_too_heavy_is_not_mended() -> None:
    assert mended(b"[NaN," + b"1," * 1000 + b"1]") is not None
    assert mended(b"[NaN," + b"1," * MAX_VALUES + b"1]") is None
