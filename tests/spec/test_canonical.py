"""The form in which values are asked about: what differs in it is another question, and paid for."""

import math
from typing import Any

import pytest

from enrich.spec.canonical import document, is_normal, normal_text, normal_value, old_value

DECOMPOSED, COMPOSED = "Zu\u0308rich", "Z\u00fcrich"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        pytest.param("Basel", "Basel", id="plain"),
        pytest.param(" \tBasel\n", "Basel", id="blanks at the ends"),
        pytest.param("New  York", "New  York", id="blanks inside"),
        pytest.param(DECOMPOSED, COMPOSED, id="decomposed"),
        pytest.param("\ufeffBasel\u200b", "Basel", id="unseen at the ends"),
        pytest.param("\u00adBasel", "Basel", id="a soft hyphen"),
        pytest.param("\ue000", "\ue000", id="a private character is seen"),
        pytest.param("\ufe0f", "", id="a selector alone"),
        pytest.param("\u2764\ufe0f", "\u2764\ufe0f", id="a selector after its character"),
        pytest.param("\u200b\u00a0", "", id="nothing to be seen"),
        pytest.param("   ", "", id="blank"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_normal_form_of_a_text(text: str, normal: str) -> None:
    assert normal_text(text) == normal
    assert normal_text(normal) == normal
    assert normal_value(text) == (normal or None)
    if text.strip() == text and text and is_normal(text):
        assert normal == text


@pytest.mark.parametrize(
    ("value", "normal", "old"),
    [
        pytest.param(7, 7, 7, id="a number"),
        pytest.param(0, 0, 0, id="zero"),
        pytest.param(0.5, 0.5, 0.5, id="a fraction"),
        pytest.param(False, False, False, id="false"),
        pytest.param(None, None, None, id="nothing"),
        pytest.param(math.nan, None, None, id="no number"),
        pytest.param(math.inf, None, None, id="infinite"),
        pytest.param([], None, None, id="an empty list"),
        pytest.param({}, None, None, id="an empty object"),
        pytest.param([DECOMPOSED, " a "], [COMPOSED, " a "], [DECOMPOSED, " a "], id="texts in a list"),
        pytest.param({"a": [{"b": DECOMPOSED}]}, {"a": [{"b": COMPOSED}]}, {"a": [{"b": DECOMPOSED}]}, id="deep"),
        pytest.param({DECOMPOSED: 1}, {DECOMPOSED: 1}, {DECOMPOSED: 1}, id="keys stay"),
        pytest.param([None, 1, True], [None, 1, True], [None, 1, True], id="other things in a list"),
        pytest.param("\u200bx ", "x", "\u200bx", id="a text"),
        pytest.param(" ", None, None, id="a blank text"),
    ],
)
def test_a_value_as_it_is_and_as_it_was_asked_about(value: Any, normal: Any, old: Any) -> None:
    assert (normal_value(value), old_value(value)) == (normal, old)


def test_a_document_has_its_keys_in_order_and_leaves_out_what_is_none() -> None:
    values = {"b": 1, "a": {"d": None, "c": COMPOSED}, "e": None, "f": False}
    assert document(values) == f'{{"a":{{"c":"{COMPOSED}","d":null}},"b":1,"f":false}}'.encode()
