"""Raw results → best answer and verdict per field. Pure: bytes in, answers out.

A result is kept as the service sent it and read each time, so a gate, an evidence column or an output format can change
without asking again. Readings are tolerant (results.py), verdicts are not: a value that does not fit its schema, or has
no room in its column, is never forced into it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from enrich.answers.results import NO_CITATIONS, Basis, Opened, basis_of_elements, open_result
from enrich.config import Gate
from enrich.records import Held, Ruled
from enrich.spec import Field, Json, Room, column_type, room_of
from enrich.spec.validator import validator_of
from enrich.text.hostile import clean

Verdict = Literal["accept", "review", "withhold", "not_found", "invalid"]
Status = Literal[
    "accepted", "review", "withheld", "not_found", "invalid", "failed", "pending", "skipped", "kept", "human"
]

_STATUS: Final[Mapping[Verdict, Status]] = {
    "accept": "accepted",
    "review": "review",
    "withhold": "withheld",
    "not_found": "not_found",
    "invalid": "invalid",
}
_WORTH: Final[Mapping[Verdict, int]] = {"review": 3, "not_found": 2, "withhold": 1, "invalid": 0, "accept": 4}
_TOO_DEEP: Final = "does not fit its schema: it is nested too deeply"
_CUT: Final = b"[redacted]"
_LEVELS_KEPT: Final = 1000
_LONGEST_CONFIDENCE: Final = 40  # characters of a confidence that a reason repeats
_LONGEST_DECISION: Final = 100  # characters of a decision that a reason repeats
_PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_SAYS_NOTHING: Final = frozenset({"title", "description", "default", "examples"})


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


class Reader:
    """Reads results for the fields of one config: their schemas are compiled once, their gates looked up once.

    `rooms` are, by field, those of columns that the table has already, into which answers go.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        gates: Mapping[str, Gate],
        rooms: Mapping[str, Room] = MappingProxyType({}),
    ) -> None:
        self._judges = {field.id: _Judge(field, gates[field.name], rooms.get(field.name)) for field in fields}

    def cells(self, raws: Iterable[bytes], runs: Sequence[Held]) -> list[Cells]:
        """For each field of the config its cells in the results of these runs, of which each has all the fields."""
        opened = [open_result(raw) for raw in raws]
        return [judge.cells(opened, runs) for judge in self._judges.values()]

    def ruled(self, decisions: Mapping[str, Ruled]) -> dict[str, Choice]:
        """The choices that people made, by field id, of those fields that this config wants."""
        made = {
            field_id: by_a_person(ruled, self._judges[field_id].misfit)
            for field_id, ruled in decisions.items()
            if field_id in self._judges
        }
        return {field_id: choice for field_id, choice in made.items() if choice is not None}

    def after_people(
        self, choices: Sequence[Choice], decisions: Mapping[str, Ruled], answers: Mapping[str, Sequence[Given]]
    ) -> list[Choice]:
        """The choices of an input, by field of the config, after what people decided of it.

        `answers` are all that there are for the input, by field id.
        """
        return [
            after_a_person(choice, decisions[field_id], judge.misfit, answers.get(field_id, ()))
            if field_id in decisions
            else choice
            for (field_id, judge), choice in zip(self._judges.items(), choices, strict=True)
        ]

    def misfit(self, field_id: str, value: Json) -> str:
        """Why a value can't stand for a field; empty where it can."""
        return self._judges[field_id].misfit(value)

    def read(self, raw: bytes, field_ids: Iterable[str]) -> dict[str, Answer]:
        """The answers of a result by field id, of those fields that this config wants."""
        content, basis = open_result(raw)
        judges = self._judges
        return {field_id: judges[field_id].answer(content, basis) for field_id in field_ids if field_id in judges}


class _Judged(msgspec.Struct, frozen=True, gc=False):
    """What is said of a value with its confidence."""

    verdict: Verdict
    reason: str
    strong: bool


_NOT_FOUND: Final = {strong: _Judged("not_found", "no source says so", strong) for strong in (True, False)}


class _Judge:
    """Makes the answers of one field: values held against its schema, their confidence against its gate."""

    def __init__(self, field: Field, gate: Gate, room: Room | None) -> None:
        self._name = field.name
        self._types = _types_that_fit(field.schema)
        self._validator = validator_of(field.schema)
        self._rooms = [one for one in (room_of(column_type(field.schema)), room) if one is not None]
        self._gate = gate
        self._levels: dict[str | float | None, _Judged] = {}

    def cells(self, opened: Sequence[Opened], runs: Sequence[Held]) -> Cells:
        """The cells of the field in opened results, all at once where all of them are as they should be."""
        name = self._name
        try:
            values = [content[name] for content, _ in opened]  # type: ignore[index]
            found = [basis[name] for _, basis in opened]  # type: ignore[index]
        except (KeyError, TypeError):
            answers = (self.answer(content, basis) for content, basis in opened)
            return Cells.of(as_it_is(run, answer) for run, answer in zip(runs, answers, strict=True))
        confidences = [one.confidence for one in found]
        judged = list(map(self._judged, values, confidences))
        return Cells(
            statuses=[_STATUS[one.verdict] for one in judged],
            reasons=[one.reason for one in judged],
            values=[_shown(value, one) for value, one in zip(values, judged, strict=True)],
            confidences=confidences,
            reasonings=[one.reasoning or "" for one in found],
            citations=[str(one.citations, "utf-8") for one in found],
            runs=[*runs],
        )

    def answer(self, content: dict[str, Any] | str | None, basis: Mapping[str, Basis] | None) -> Answer:
        """The answer in an opened result; `basis` is None where the run completed without an output.

        Content that is a text is no object of answers: that is what it says, for a person to read.
        """
        if basis is None:
            return Answer(None, None, "", NO_CITATIONS, "invalid", "the run completed without an output", strong=False)
        name = self._name
        found = basis.get(name)
        if found is None:
            found = basis_of_elements(name, basis)
        if found is None:
            confidence, reasoning, citations = None, "", NO_CITATIONS
        else:
            confidence, reasoning, citations = found.confidence, found.reasoning or "", str(found.citations, "utf-8")
        if type(content) is not dict or name not in content:
            shown, reason = None, "the result has no value for this field"
            if type(content) is str:
                shown, reason = content, "the result has no value for this field: it is no JSON object"
            return Answer(shown, confidence, reasoning, citations, "invalid", reason, strong=False)
        judged = self._judged(content[name], confidence)
        value = _shown(content[name], judged)
        return Answer(value, confidence, reasoning, citations, judged.verdict, judged.reason, judged.strong)

    def _judged(self, value: Json, confidence: str | float | None) -> _Judged:
        level = self._levels.get(confidence) or self._level(confidence)
        if value is None or (type(value) is str and not value.strip()):
            return _NOT_FOUND[level.strong]
        misfit = self.misfit(value)
        return _Judged("invalid", misfit, strong=False) if misfit else level

    def misfit(self, value: Json) -> str:
        """Why a value can't stand in the field's column; empty where it can."""
        if type(value) not in self._types and not self._validator.is_valid(value):
            try:
                error = next(self._validator.iter_errors(value))
            except ValueError:  # a limit of the validator
                return _TOO_DEEP
            return f"does not fit its schema: {error.message}"[:300]
        for room in self._rooms:
            if not room.holds(value):
                return f"does not fit its column, which is {room.dtype}"[:300]
        return ""

    def _level(self, confidence: str | float | None) -> _Judged:
        level = self._gate.level(confidence)
        judged = _Judged(level, _gate_reason(level, confidence), strong=level == "accept")
        if len(self._levels) < _LEVELS_KEPT:  # words are few; numbers may be many
            self._levels[confidence] = judged
        return judged


def _shown(value: Json, judged: _Judged) -> Json:
    """The value as it stands in an answer: readers of the review file have limits of their own."""
    return None if judged.verdict == "not_found" or judged.reason is _TOO_DEEP else value


def _types_that_fit(schema: Mapping[str, Json]) -> frozenset[type]:
    """Python types whose every value fits a schema: what asks for a plain type alone needs no validator."""
    named = schema.get("type")
    if not schema.keys() <= _SAYS_NOTHING | {"type"}:
        return frozenset()
    names = named if isinstance(named, list) else [named]
    return frozenset(kind for name in names if isinstance(name, str) for kind in _PYTHON_TYPES.get(name, ()))


def choose(
    candidates: Sequence[tuple[Held, Answer]], *, pending: bool, failed: Held | None, too_long: str | None = None
) -> Choice:
    """The answer that stands for a field: among strong ones the newest, else the best of the doubtful.

    Tonight's doubt never replaces last month's certainty: where a doubtful, failed or pending attempt is newer than
    a strong answer, that one is `kept`. `candidates` are all answers held for the field, in any order.
    """
    strong = max((pair for pair in candidates if pair[1].strong), key=_age, default=None)
    if strong is not None:
        held, answer = strong
        newer = any(_age(pair) > _age(strong) for pair in candidates)
        newer_failure = failed is not None and (failed.at or 0, failed.submission_id) > _age(strong)
        if answer.verdict == "accept" and (newer or newer_failure or pending):
            return Choice("kept", "an older accepted answer stands", answer, held)
        return as_it_is(held, answer)
    if candidates:
        return as_it_is(*max(candidates, key=lambda pair: (_WORTH[pair[1].verdict], *_age(pair))))
    if pending:
        return Choice("pending", "asked, no answer yet")
    if failed is not None:
        return Choice("failed", failed.error or "the run failed", None, failed)
    if too_long is not None:
        return Choice("failed", too_long)
    return Choice("pending", "not asked yet")


def as_it_is(held: Held, answer: Answer) -> Choice:
    """An answer as the choice of its field, by its own verdict."""
    return Choice(_STATUS[answer.verdict], answer.reason, answer, held)


def by_a_person(ruled: Ruled, misfit: Callable[[Json], str], answers: Sequence[Given] = ()) -> Choice | None:
    """A person's decision as the choice of a field: it outranks every verdict, and later runs.

    An answer that was accepted keeps its confidence, reasoning, citations and run, if it is among `answers`; else the
    person's note is the reasoning. None where the value no longer fits the field, of which `misfit` says why.
    """
    value = msgspec.json.decode(ruled.value)
    if value is not None and misfit(value):
        return None
    reason = f"decided by a person: {ruled.ruling}"
    held, confirmed = _confirmed(ruled, answers)
    if confirmed is not None:
        answer = msgspec.structs.replace(confirmed, verdict="accept", reason="", strong=True)
        return Choice("human", reason, answer, held)
    return Choice("human", reason, Answer(value, None, ruled.note, NO_CITATIONS, "accept", "", strong=True), None)


def _confirmed(ruled: Ruled, answers: Sequence[Given]) -> Given | tuple[None, None]:
    """The answer that a person accepted, with its run, as that gave it."""
    if ruled.ruling == "accept":
        for held, answer in answers:
            if held.run_id == ruled.run_id and _is_of(ruled.value, msgspec.json.encode(answer.value)):
                return held, answer
    return None, None


def _is_of(accepted: bytes, value: bytes) -> bool:
    """Whether a value is the one that was accepted: perhaps when an earlier version had cut a key out of it."""
    if accepted == value or _CUT not in accepted:
        return accepted == value
    return re.fullmatch(b".*".join(map(re.escape, accepted.split(_CUT))), value, re.DOTALL) is not None


def after_a_person(
    choice: Choice, ruled: Ruled, misfit: Callable[[Json], str], answers: Sequence[Given] = ()
) -> Choice:
    """What stands for a field after a person's decision: that, or why it can't.

    The answer that the person decided on does not stand either then, and waits for another decision.
    """
    made = by_a_person(ruled, misfit, answers)
    if made is not None:
        return made
    value = clean(ruled.value.decode(), _LONGEST_DECISION)
    reason = f"decided by a person: {value} {misfit(msgspec.json.decode(ruled.value))}"
    return Choice(choice.status if choice.answer is None else "invalid", reason, choice.answer, choice.held)


def set_aside(
    fields: Sequence[Field], names: Mapping[str, str], decided: Mapping[str, Ruled], mask: int
) -> Iterator[tuple[Field, Ruled]]:
    """The newest decision on an earlier question of each field that is wanted and has none on the question as it is.

    `names` are those of all fields that were ever asked, `decided` the decisions on one input, both by field id.
    """
    for i, one in enumerate(fields):
        if not mask >> i & 1 or one.id in decided:
            continue
        earlier = [ruled for field_id, ruled in decided.items() if names.get(field_id) == one.name]
        if earlier:
            yield one, max(earlier, key=lambda ruled: ruled.at)


def _age(pair: tuple[Held, Answer]) -> tuple[int, int]:
    return (pair[0].at or 0, pair[0].submission_id)


def _gate_reason(level: Verdict, confidence: str | float | None) -> str:
    if level == "accept":
        return ""
    said = "no confidence given" if confidence is None else f"confidence {clean(str(confidence), _LONGEST_CONFIDENCE)}"
    return said + (" is below what is accepted" if level == "review" else " is below what is reviewed")
