"""Decisions of people on doubtful answers: from the review file into the ledger.

A decision names its answer by run and field. It is kept by input and field, so that it holds for every row with that
input, outranks every verdict and every later run, and the question is not asked again. Costs nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from enrich.answers.answer import Answer
from enrich.answers.judging import Reader
from enrich.config import Config
from enrich.errors import Fault
from enrich.ledger.store import Ledger
from enrich.planning.results import Results
from enrich.records import Ruled, RunState
from enrich.review.queue import Decision, decided
from enrich.review.sheet import Sheet, SheetLine
from enrich.spec import Field, Json
from enrich.text.hostile import clean, unprotect_cell
from enrich.text.phrases import did_you_mean, either

_SHOWN_CHARS: Final = 60
_SHOWN_VALUES: Final = 8


def read_rulings(path: Path, config: Config, ledger: Ledger, *, who: str, at: int) -> list[Ruled]:
    """The decisions in a review file, held against the config and the ledger: who made them, at which Unix second.

    Raises TableError with every fault and its line; then nothing is to be recorded.
    """
    sheet = Sheet(path)
    rulings = Rulings.read(sheet, config, ledger, who=who, at=at)
    if sheet.faults:
        raise sheet.error()
    return rulings.sound


@dataclass(frozen=True, slots=True)
class Rulings:
    """The decisions in a sheet that are sound; the faults of the others joined those of the sheet.

    `is_whole` says whether every line of the sheet could be told.
    """

    sound: list[Ruled]
    is_whole: bool
    ledger: Ledger

    @classmethod
    def read(
        cls,
        sheet: Sheet,
        config: Config,
        ledger: Ledger,
        on_line: Callable[[SheetLine], None] = lambda line: None,
        *,
        who: str = "",
        at: int = 0,
    ) -> "Rulings":
        """Read a sheet; `on_line` is given every line. Raises TableError for what can't be read at all.

        `who` made them, and `at` which Unix second, matters to the one who takes them into the ledger.
        """
        decisions, is_whole = decided(sheet, on_line)
        judge = _Judge(config, ledger, decisions, who, at)
        sound: list[Ruled] = []
        for decision in decisions:
            found = list(judge.faults(decision))
            sheet.faults.extend(found)
            if not found:
                sound.append(judge.ruling(decision))
        return cls(sound, is_whole, ledger)

    def has_untaken(self) -> bool:
        """Whether any of them is not what the ledger has."""
        taken = self.ledger.decisions([one.input_key for one in self.sound])
        return any(
            held is None or held.said != one.said
            for one in self.sound
            for held in [taken.get(one.input_key, {}).get(one.field_id)]
        )


class _Judge:
    """Holds single decisions against what was asked and answered."""

    def __init__(self, config: Config, ledger: Ledger, decisions: list[Decision], who: str, at: int) -> None:
        self._who = who
        self._at = at
        self._fields: Mapping[str, Field] = {one.name: one for one in config.fields}
        self._reader = Reader(config.fields, {one.name: config.gate_for(one.name) for one in config.fields})
        self._ledger = ledger
        self._results = Results(ledger)
        self._inputs = ledger.inputs_of({decision.run_id for decision in decisions})

    def faults(self, decision: Decision) -> Iterator[Fault]:
        """What keeps a decision from being recorded."""
        fault = decision.line.fault
        if decision.field not in self._fields:
            hint = did_you_mean(decision.field, self._fields) or "give the config that the review file came from"
            yield fault("field", f"the config has no answer {clean(decision.field, _SHOWN_CHARS)!r}", hint)
            return
        if decision.run_id not in self._inputs:
            hint = "give the ledger that the review file came from"
            yield fault("run_id", f"the ledger holds no run {clean(decision.run_id, _SHOWN_CHARS)!r}", hint)
            return
        if decision.ruling == "accept" and self._answer(decision) is None:
            hint = "the question was changed since: correct the value instead, or run again"
            yield fault("decision", "the run has no such answer to accept", hint)
            return
        if decision.ruling == "reject":
            return
        if decision.ruling == "correct" and not decision.correction.strip():
            yield fault("correction", "a correction is missing", "write it, or `reject`")
            return
        field, value = self._fields[decision.field], self._value(decision)
        misfit = self._reader.misfit(field.id, value)
        if misfit:
            column = "correction" if decision.ruling == "correct" else "decision"
            allowed = _allowed(field.schema)
            if allowed and isinstance(value, str):
                misfit = f"{clean(value, _SHOWN_CHARS)!r} is none of the values that it may have"
                hint = did_you_mean(value, allowed) or f"write {either(allowed[:_SHOWN_VALUES])}"
            else:
                hint = "write a value that fits, as JSON where it is not text"
            yield fault(column, misfit, hint)

    def ruling(self, decision: Decision) -> Ruled:
        """A decision that was found sound, as the ledger keeps it."""
        value = None if decision.ruling == "reject" else self._value(decision)
        answer = self._answer(decision)
        return Ruled(
            input_key=self._inputs[decision.run_id],
            field_id=self._fields[decision.field].id,
            ruling=decision.ruling,
            value=msgspec.json.encode(value),
            run_id=decision.run_id,
            note=decision.note,
            at=self._at,
            who=self._who,
            seen=None if answer is None else msgspec.json.encode(answer.value),
        )

    def _value(self, decision: Decision) -> Json:
        if decision.ruling == "accept":
            answer = self._answer(decision)
            return None if answer is None else answer.value
        typed = decision.correction
        text = unprotect_cell(typed)
        if not self._reader.misfit(self._fields[decision.field].id, text):
            return text
        for spelled in (typed, typed.lower(), text):  # spreadsheets save true as TRUE
            try:
                value: Json = msgspec.json.decode(spelled)
            except (msgspec.MsgspecError, RecursionError):
                continue
            return value
        return text

    def _answer(self, decision: Decision) -> Answer | None:
        """The answer that the decision is about, as the run gave it."""
        field_id = self._fields[decision.field].id
        held = self._ledger.held([self._inputs[decision.run_id]])
        for run in held.get(self._inputs[decision.run_id], ()):
            if run.run_id == decision.run_id and run.state is RunState.COMPLETED:
                return self._reader.read(self._results(run), run.field_ids).get(field_id)
        return None


def _allowed(schema: Mapping[str, Json]) -> list[str]:
    """The texts that a schema allows, where it names them; none where it does not."""
    listed = schema.get("enum")
    if isinstance(listed, list):
        return [one for one in listed if isinstance(one, str)]
    parts = next((part for key in ("anyOf", "oneOf") if isinstance(part := schema.get(key), list)), [])
    return [text for part in parts if isinstance(part, dict) for text in _allowed(part)]
