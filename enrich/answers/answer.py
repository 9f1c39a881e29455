"""The answers of fields, and what stands in a cell because of them: data that judging, choosing and joining share."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from enrich.answers.results import NO_CITATIONS
from enrich.records import Held
from enrich.spec import Json

Verdict = Literal["accept", "review", "withhold", "not_found", "invalid"]
Status = Literal[
    "accepted", "review", "withheld", "not_found", "invalid", "failed", "pending", "skipped", "kept", "human"
]
STATUS_OF: Final[Mapping[Verdict, Status]] = {
    "accept": "accepted",
    "review": "review",
    "withhold": "withheld",
    "not_found": "not_found",
    "invalid": "invalid",
}


class Answer(msgspec.Struct, frozen=True, gc=False):  # a struct is made five times as fast as a frozen dataclass
    """The value of one field for one input, with its basis and what the gate says of it.

    `citations` is JSON text, an array of {url, title, excerpts}; `strong` answers are not asked again on a higher rung.
    """

    value: Json
    confidence: str | float | None
    reasoning: str
    citations: str
    verdict: Verdict
    reason: str
    strong: bool


Given = tuple[Held, Answer]  # an answer, and the run that gave it


class Choice(msgspec.Struct, frozen=True, gc=False):
    """What stands in a cell: the best answer there is, where it came from, and the status it gets."""

    status: Status
    reason: str = ""
    answer: Answer | None = None
    held: Held | None = None


class Cells(msgspec.Struct, frozen=True):
    """The choices of one field as columns, a place for each input or row: most steps need a part of all of them.

    Where there is no answer the value and confidence are None, the reasoning is empty and there are no citations.
    """

    statuses: list[Status]
    reasons: list[str]
    values: list[Json]
    confidences: list[str | float | None]
    reasonings: list[str]
    citations: list[str]
    runs: list[Held | None]

    @classmethod
    def of(cls, choices: Iterable[Choice]) -> "Cells":
        """The same choices, in their order."""
        cells = cls([], [], [], [], [], [], [])
        for choice in choices:
            answer = choice.answer or _NO_ANSWER
            cells.statuses.append(choice.status)
            cells.reasons.append(choice.reason)
            cells.values.append(answer.value)
            cells.confidences.append(answer.confidence)
            cells.reasonings.append(answer.reasoning)
            cells.citations.append(answer.citations)
            cells.runs.append(choice.held)
        return cells

    def extended(self, more: "Cells") -> "Cells":
        """These, then `more`."""
        return Cells(*(mine + theirs for mine, theirs in zip(_columns(self), _columns(more), strict=True)))

    def gathered(self, places: Sequence[int]) -> "Cells":
        """Those at `places`, in that order; the same place may come several times."""
        return Cells(*([column[place] for place in places] for column in _columns(self)))


def _columns(cells: Cells) -> tuple[list[Any], ...]:
    return msgspec.structs.astuple(cells)


_NO_ANSWER: Final = Answer(None, None, "", NO_CITATIONS, "invalid", "", strong=False)
