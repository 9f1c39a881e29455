"""Raw results → best answer and verdict per field. Pure: bytes in, answers out.

A result is kept as the service sent it and read each time, so a gate, an evidence column or an output format can change
without asking again. Readings are tolerant (results.py), verdicts are not: a value that does not fit its schema, or has
no room in its column, is never forced into it.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from enrich.answers.answer import STATUS_OF, Answer, Cells, Choice, Given, Verdict
from enrich.answers.choosing import after_a_person, as_it_is, by_a_person
from enrich.answers.results import NO_CITATIONS, Basis, Content, Opened, Unread, basis_of_elements, open_result
from enrich.config import Gate
from enrich.records import Held, Ruled
from enrich.spec import Field, Json, Room, column_type, room_of
from enrich.spec.validator import validator_of
from enrich.text.hostile import clean

_TOO_DEEP: Final = "does not fit its schema: it is nested too deeply"
_LEVELS_KEPT: Final = 1000
_LONGEST_CONFIDENCE: Final = 40  # characters of a confidence that a reason repeats
_PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_SAYS_NOTHING: Final = frozenset({"title", "description", "default", "examples"})


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
            statuses=[STATUS_OF[one.verdict] for one in judged],
            reasons=[one.reason for one in judged],
            values=[_shown(value, one) for value, one in zip(values, judged, strict=True)],
            confidences=confidences,
            reasonings=[one.reasoning or "" for one in found],
            citations=[str(one.citations, "utf-8") for one in found],
            runs=[*runs],
        )

    def answer(self, content: Content, basis: Mapping[str, Basis] | None) -> Answer:
        """The answer in an opened result; `basis` is None where the run completed without an output.

        Content that is a text is no object of answers: that is what it says, for a person to read.
        """
        if basis is None:
            return Answer(None, None, "", NO_CITATIONS, "invalid", "the run completed without an output", strong=False)
        if isinstance(content, Unread):
            reason = f"the result is kept, and was not read: {content.why}"
            return Answer(None, None, "", NO_CITATIONS, "invalid", reason, strong=False)
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


def _gate_reason(level: Verdict, confidence: str | float | None) -> str:
    if level == "accept":
        return ""
    said = "no confidence given" if confidence is None else f"confidence {clean(str(confidence), _LONGEST_CONFIDENCE)}"
    return said + (" is below what is accepted" if level == "review" else " is below what is reviewed")
