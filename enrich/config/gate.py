"""How sure an answer must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, PlainValidator, WithJsonSchema, model_validator
from pydantic import Field as Key
from pydantic_core import PydanticCustomError

from enrich.config.values import expected, one_of, wrong
from enrich.text.phrases import did_you_mean

__all__ = ["WORD_SCORES", "Gate", "GateLevel", "Threshold", "score", "threshold"]

GateLevel: TypeAlias = Literal["accept", "review", "withhold"]
ConfidenceWord: TypeAlias = Literal["high", "medium", "low"]

# Where words and numbers of confidence meet, and the only place. A word counts as its number, whether the
# service says it or a gate names it: so a gate of words judges numbers, and a gate of numbers judges words.
# 0.9 and 0.6 are the vendor's advice for numeric confidences.
WORD_SCORES: Final[Mapping[ConfidenceWord, float]] = {"high": 0.9, "medium": 0.6, "low": 0.0}

TOO_STRICT: Final = "lower review, or raise accept"


def score(confidence: object) -> float | None:
    """A confidence as a number from 0 to 1; None for what is none: absent, an unknown word, out of range."""
    if isinstance(confidence, str):
        word = confidence.strip().casefold()
        for known, number in WORD_SCORES.items():
            if word == known:
                return number
        try:
            confidence = float(word)
        except ValueError:
            return None
    if isinstance(confidence, bool) or not isinstance(confidence, (int, float)):
        return None
    return float(confidence) if 0 <= confidence <= 1 else None


def _checked_threshold(value: object) -> ConfidenceWord | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    words: tuple[ConfidenceWord, ...] = get_args(ConfidenceWord)
    for word in words:
        if value == word:
            return word
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    percent = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?)%?", str(value))
    if percent and 1 < float(percent[1]) <= 100:
        hint = f"{percent[1]} percent is {float(percent[1]) / 100:g}"
    raise expected("high, medium, low or a number from 0 to 1", value, hint)


Threshold: TypeAlias = Annotated[
    ConfidenceWord | float,
    PlainValidator(_checked_threshold),
    WithJsonSchema({"anyOf": [{"enum": [*WORD_SCORES]}, {"type": "number", "minimum": 0, "maximum": 1}]}),
]


def threshold(value: object) -> float | None:
    """The number that a threshold in a config stands for; None if it is none."""
    try:
        return _number(_checked_threshold(value))
    except PydanticCustomError:
        return None


def _number(value: ConfidenceWord | float) -> float:
    return WORD_SCORES[value] if isinstance(value, str) else value


def _at_most(limit: ConfidenceWord | float, value: ConfidenceWord | float) -> ConfidenceWord | float:
    return value if _number(value) <= _number(limit) else limit


class Gate(BaseModel):
    """From which confidence an answer is accepted, and from which it goes to review; the rest is withheld."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    accept: Threshold = Key(default="high", description="The confidence from which an answer is accepted.")
    review: Threshold = Key(
        default_factory=lambda data: _at_most(data["accept"], "medium"),
        description="The confidence from which an answer goes to review. Below it, answers are withheld.",
    )
    missing: Annotated[GateLevel, one_of(*get_args(GateLevel))] = Key(
        default="review", description="What happens to an answer without a confidence."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if _number(self.review) > _number(self.accept):
            message = f"review ({self.review}) is stricter than accept ({self.accept})"
            raise wrong(message, TOO_STRICT, key="review")
        return self

    def level(self, confidence: str | float | None) -> GateLevel:
        """What the gate says of a confidence, a word or a number; what is neither counts as missing."""
        number = score(confidence)
        if number is None:
            return self.missing
        if number >= _number(self.accept):
            return "accept"
        return "review" if number >= _number(self.review) else "withhold"

    def overridden(self, accept: Threshold | None, review: Threshold | None) -> Gate:
        """This gate with an answer's own thresholds; an inherited review is no stricter than its accept."""
        strict = self.accept if accept is None else accept
        lax = _at_most(strict, self.review) if review is None else review
        return Gate(accept=strict, review=lax, missing=self.missing)
