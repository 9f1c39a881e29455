"""The phrases that faults are made of."""

from __future__ import annotations

import pytest

from enrich.text.phrases import did_you_mean, either, printable, shown, some


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("confidance", 'did you mean "confidence"?'),
        ("CONFIDENCE", 'did you mean "confidence"?'),
        ("budgt", 'did you mean "Budget"?'),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_the_nearest_known_word(word: str, said: str) -> None:
    assert did_you_mean(word, ["confidence", "Budget", "basis"]) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "nothing"),
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        ("a", '"a"'),
        ('"', r'"\""'),
        ("é😀", '"é😀"'),
        ("a\n\x1b[2J\u202e", r'"a\n\u001b[2J\u202e"'),
        ("x" * 60, '"' + "x" * 60 + '"'),
        ("x" * 61, '"' + "x" * 59 + '…"'),
        ([], "an empty list"),
        ([1], "a list"),
        ({}, "an empty mapping"),
        ({"a": 1}, "a mapping"),
    ],
)
def test_what_came_in_a_word_or_two(value: object, said: str) -> None:
    assert shown(value) == said


def test_lists_of_words() -> None:
    assert (either(["a"]), either(["a", "b"]), either(["a", "b", "c"])) == ("a", "a or b", "a, b or c")
    assert some(list("abc")) == "a, b, c"
    assert some([str(i) for i in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


def test_nothing_that_a_terminal_acts_on() -> None:
    assert printable("plain é 😀") == "plain é 😀"
    assert printable("a\x1b[2J\x9b\u202e\u2028") == r"a\x1b[2J\x9b\u202e\u2028"
