"""What the report counts of each column while the table is joined, and the few answers that it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from enrich.report.html import Element
    from enrich.spec import Json


CONFIDENCES: Final = ("high", "medium", "low", "none")
HIGH_FROM: Final = 0.9  # how a confidence in numbers is shown in words
MEDIUM_FROM: Final = 0.6
WITH_VALUE: Final = frozenset({"accepted", "human", "kept", "review", "withheld", "not_found", "invalid"})
GOOD: Final = frozenset({"accepted", "human"})
OTHER_REASONS: Final = "other reasons"
_MOST_REASONS: Final = 40  # different reasons kept for one column and status
LONGEST_VALUE: Final = 400  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer to show with its evidence. `citations` as the service gives them: url, title, excerpts."""

    row: int  # from 1
    inputs: Mapping[str, Json]
    value: Json
    reasoning: str | None = None
    citations: Sequence[Mapping[str, Json]] = ()
    processor: str = ""


@dataclass(slots=True)
class Shown:
    """A sample, with what is said of its answer."""

    status: str
    confidence: str
    reason: str
    sample: Sample


@dataclass(slots=True)
class ColumnCounts:
    """What is counted of one column."""

    statuses: Counter[str] = field(default_factory=Counter)
    confidences: Counter[str] = field(default_factory=Counter)
    reasons: dict[tuple[str, str], int] = field(default_factory=dict)
    kinds_of_reason: Counter[str] = field(default_factory=Counter)
    samples: list[Element] = field(default_factory=list)  # as they are shown: an answer may have megabytes
    wants: dict[bool, int] = field(default_factory=dict)  # samples still wanted: of good answers, of doubtful ones


def count_reason(column: ColumnCounts, status: str, reason: str, count: int) -> None:
    """Count a reason; beyond the most that are kept apart, among the others."""
    if (status, reason) not in column.reasons:
        if column.kinds_of_reason[status] >= _MOST_REASONS:
            reason = OTHER_REASONS
        else:
            column.kinds_of_reason[status] += 1
    column.reasons[status, reason] = column.reasons.get((status, reason), 0) + count


def in_words(confidence: str | float | None) -> str:
    """A confidence as one of the words that are counted."""
    if confidence is None:
        return "none"
    if isinstance(confidence, str):
        return confidence if confidence in CONFIDENCES else "none"
    return "high" if confidence >= HIGH_FROM else "medium" if confidence >= MEDIUM_FROM else "low"


def confidence_text(confidence: str | float | None) -> str:
    """A confidence as it is said beside an answer."""
    if confidence is None:
        return "no confidence given"
    return f"confidence {confidence if isinstance(confidence, str) else format(confidence, '.2f')}"
