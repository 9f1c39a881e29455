"""A gate of words judges numbers and a gate of numbers judges words; what is neither is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from enrich.config import WORD_SCORES, Gate, GateLevel, score
from enrich.config.loading import parse
from enrich.spec import Json


@pytest.mark.parametrize(
    ("confidence", "number"),
    [
        pytest.param("high", 0.9, id="high"),
        pytest.param("medium", 0.6, id="medium"),
        pytest.param("low", 0.0, id="low"),
        pytest.param(" High ", 0.9, id="case-and-blanks"),
        pytest.param(0.75, 0.75, id="number"),
        pytest.param(0, 0.0, id="zero"),
        pytest.param(1, 1.0, id="one"),
        pytest.param("0.93", 0.93, id="number-in-text"),
        pytest.param(None, None, id="none"),
        pytest.param("", None, id="empty"),
        pytest.param("very high", None, id="unknown-word"),
        pytest.param("highest", None, id="longer-word"),
        pytest.param(95, None, id="percent"),
        pytest.param(-0.1, None, id="below-zero"),
        pytest.param(1.0001, None, id="above-one"),
        pytest.param(float("nan"), None, id="not-a-number"),
        pytest.param("nan", None, id="not-a-number-in-text"),
        pytest.param(float("inf"), None, id="infinity"),
        pytest.param(True, None, id="true"),
        pytest.param(["high"], None, id="list"),
    ],
)
def test_a_confidence_is_a_number_from_0_to_1_or_none(confidence: object, number: float | None) -> None:
    assert score(confidence) == number


WORDS = Gate(accept="high", review="medium")
NUMBERS = Gate(accept=0.8, review=0.5)
WITHHOLDING = Gate(accept="high", review="medium", missing="withhold")
TRUSTING = Gate(accept="high", review="medium", missing="accept")
LAX = Gate(accept="low", review="low")
STRICT = Gate(accept=0.95, review=0.9)


@pytest.mark.parametrize(
    ("gate", "confidence", "level"),
    [
        (WORDS, "high", "accept"),
        (WORDS, "medium", "review"),
        (WORDS, "low", "withhold"),
        (WORDS, 0.9, "accept"),
        (WORDS, 0.8999, "review"),
        (WORDS, 0.6, "review"),
        (WORDS, 0.5999, "withhold"),
        (WORDS, 0, "withhold"),
        (WORDS, 1, "accept"),
        (WORDS, None, "review"),
        (WORDS, "very high", "review"),
        (WORDS, 1.5, "review"),
        (NUMBERS, "high", "accept"),
        (NUMBERS, "medium", "review"),
        (NUMBERS, "low", "withhold"),
        (NUMBERS, 0.8, "accept"),
        (NUMBERS, 0.79, "review"),
        (NUMBERS, 0.49, "withhold"),
        (WITHHOLDING, None, "withhold"),
        (WITHHOLDING, "no idea", "withhold"),
        (WITHHOLDING, "high", "accept"),
        (TRUSTING, None, "accept"),
        (TRUSTING, "low", "withhold"),
        (LAX, "low", "accept"),
        (LAX, 0.0, "accept"),
        (LAX, None, "review"),
        (STRICT, "high", "review"),
        (STRICT, 0.95, "accept"),
        (STRICT, "medium", "withhold"),
    ],
)
def test_levels(gate: Gate, confidence: str | float | None, level: GateLevel) -> None:
    assert gate.level(confidence) == level


THRESHOLDS = st.sampled_from(list(WORD_SCORES)) | st.floats(0, 1)


@given(THRESHOLDS, THRESHOLDS, THRESHOLDS, THRESHOLDS)
def test_more_confidence_never_gets_a_worse_level(one: str, other: str, less: str, more: str) -> None:
    accept, review = sorted([one, other], key=lambda t: score(t) or 0, reverse=True)
    gate = Gate(accept=accept, review=review)
    less, more = sorted([less, more], key=lambda t: score(t) or 0)
    ranks = {"withhold": 0, "review": 1, "accept": 2}
    assert ranks[gate.level(less)] <= ranks[gate.level(more)]


def test_review_follows_accept_down_and_is_never_stricter() -> None:
    assert Gate(accept=0.5) == Gate(accept=0.5, review=0.5)
    assert Gate(accept=0.7) == Gate(accept=0.7, review="medium")
    with pytest.raises(ValidationError):
        Gate(accept="medium", review=0.61)


@pytest.mark.parametrize(
    ("common", "own", "gate"),
    [
        pytest.param({}, {}, Gate(accept="high", review="medium"), id="none"),
        pytest.param({}, {"accept": "low"}, Gate(accept="low", review="low"), id="accept-takes-review-down"),
        pytest.param({}, {"accept": 0.95}, Gate(accept=0.95, review="medium"), id="accept-leaves-review"),
        pytest.param({}, {"review": "low"}, Gate(accept="high", review="low"), id="review"),
        pytest.param(
            {"accept": 0.8, "review": 0.7, "missing": "withhold"},
            {"accept": "medium", "review": "low"},
            Gate(accept="medium", review="low", missing="withhold"),
            id="both",
        ),
    ],
)
def test_an_answer_has_thresholds_of_its_own(common: dict[str, Json], own: dict[str, Json], gate: Gate) -> None:
    raw: dict[str, Json] = {
        "name": "a",
        "inputs": {"a": "b"},
        "outputs": {"x": {"type": "string", **own}, "y": {"type": "string"}},
        "processor": "core",
        "confidence": common,
    }
    config = parse(raw)
    assert config.gate_for("x") == gate
    assert config.gate_for("y") == config.confidence
    assert config.fields[0].schema == {"type": "string"}
