"""The review queue `NAME.review.csv`: doubtful answers out to a person, the person's decisions back in.

One line an answer, for a spreadsheet: every cell is text that no spreadsheet calculates (text.py), without
control, bidi or invisible characters, and cut to what a cell holds. So the file is for reading and deciding;
the values themselves stay in the ledger, and a decision names its answer by `run_id` and `field`. The last
three columns are the person's: `decision` (accept, correct or reject), `correction`, `note`.

The file is written some lines at a time, takes the place of an older one only when it is whole, and has its header
even when nothing is in doubt.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

import polars as pl

from enrich.errors import Fault, OutputError, TableError
from enrich.files import is_special, replacing, writing
from enrich.text import ELLIPSIS, FORMULA_PATTERN, clean, neutralise_formula

if TYPE_CHECKING:
    from enrich.spec import Json

__all__ = ["Decision", "ReviewLine", "ReviewWriter", "Ruling", "read_decisions"]

Ruling = Literal["accept", "correct", "reject"]

_ANSWER: Final = ("row", "field", "status", "value", "confidence", "reason", "reasoning", "citations")
_PERSON: Final = ("decision", "correction", "note")
_INPUT: Final = "input_"
_RULINGS: Final[Mapping[str, Ruling]] = {"accept": "accept", "correct": "correct", "reject": "reject"}
_SUSPECT: Final = rf"{FORMULA_PATTERN}|[^\x20-\x7E]"
_HELD_LINES: Final = 1000  # written together
_LONGEST_CELL: Final = 32_000  # characters; common spreadsheets hold 32,767 in a cell
_DELIMITERS: Final = ",;\t"


@dataclass(slots=True, kw_only=True)  # frozen, it would take five times as long to make
class ReviewLine:
    """One doubtful answer with its evidence; `row` counts the data rows of the table from 1."""

    row: int
    inputs: Mapping[str, Json]
    field: str
    status: str
    value: Json
    confidence: str | float | None
    reason: str
    reasoning: str | None
    sources: Sequence[str]  # addresses
    run_id: str
    processor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person wrote beside one answer; `line` is the line of the file where it stands."""

    line: int
    row: str
    field: str
    run_id: str
    ruling: Ruling
    correction: str  # as typed; empty unless the ruling is `correct`
    note: str


class ReviewWriter:
    """Writes the queue; a context manager: the file appears at `path` when the block ends without an error.

    `like` is the table, for those who may read that. Raises OutputError for what the disk refuses.
    """

    def __init__(self, path: Path, *, input_fields: Sequence[str], like: Path | None = None) -> None:
        self._path = path
        self._input_fields = tuple(input_fields)
        self._place = replacing(path, like=like)
        self._held: list[ReviewLine] = []
        self.lines = 0

    def __enter__(self) -> Self:
        self._file = self._place.__enter__()
        named = (_INPUT + field for field in self._input_fields)
        self._write([[name] for name in (*_ANSWER, *named, "run_id", "processor", *_PERSON)])
        return self

    def add(self, lines: Iterable[ReviewLine]) -> None:
        """Append answers."""
        for line in lines:
            self._held.append(line)
            self.lines += 1
            if len(self._held) == _HELD_LINES:
                self._write_held()

    def _write_held(self) -> None:
        lines, self._held = self._held, []
        if not lines:
            return
        nothing = [""] * len(lines)
        self._write(
            [
                [str(line.row) for line in lines],
                [line.field for line in lines],
                [line.status for line in lines],
                [_text(line.value) for line in lines],
                [_text(line.confidence) for line in lines],
                [line.reason for line in lines],
                [line.reasoning or "" for line in lines],
                ["\n".join(line.sources) for line in lines],
                *([_text(line.inputs.get(field)) for line in lines] for field in self._input_fields),
                [line.run_id for line in lines],
                [line.processor for line in lines],
                *[nothing] * len(_PERSON),
            ]
        )

    def _write(self, columns: Sequence[Sequence[str]]) -> None:
        with writing(self._path):
            self._file.write(_csv(columns))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._write_held()
            except OutputError as refused:
                self._place.__exit__(OutputError, refused, refused.__traceback__)
                raise
        self._place.__exit__(kind, error, traceback)


def read_decisions(path: Path) -> list[Decision]:
    """The decided lines of a review file, also as a spreadsheet saves it (BOM, semicolons or tabs).

    Lines without a decision are passed over. Raises TableError with every fault.
    """
    faults: list[Fault] = []
    decisions: dict[tuple[str, str], Decision] = {}
    for line, cells in _read(path):
        found = _fault(line, cells)
        if found is not None:
            faults.append(found)
            continue
        decision = _decision(line, cells)
        other = decisions.setdefault((decision.run_id, decision.field), decision)
        if (other.ruling, other.correction) != (decision.ruling, decision.correction):
            hint = "leave one of them"
            faults.append(Fault(f"another decision than on line {other.line}", line, "decision", hint))
    if faults:
        raise TableError(str(path), faults)
    return list(decisions.values())


def _fault(line: int, cells: Mapping[str, str]) -> Fault | None:
    """What is wrong with a line that a person wrote on, before anything is known of its answer."""
    said, correction = cells["decision"].strip().lower(), cells["correction"].strip()
    if not said:
        hint = "write `correct` beside a correction, or take the correction out"
        return Fault("a correction without a decision", line, "decision", hint)
    if said not in _RULINGS:
        hint = "write accept, correct or reject, or leave it empty"
        return Fault(f"not a decision: {clean(said, 40)!r}", line, "decision", hint)
    if correction and said != "correct":
        hint = "write `correct` beside a correction, or take the correction out"
        return Fault(f"a correction beside `{said}`", line, "decision", hint)
    if not cells["run_id"].strip() or not cells["field"].strip():
        return Fault("no run_id or no field, so the answer can't be found", line, "run_id")
    return None


def _decision(line: int, cells: Mapping[str, str]) -> Decision:
    ruling = _RULINGS[cells["decision"].strip().lower()]
    return Decision(
        line=line,
        row=cells["row"],
        field=cells["field"].strip(),
        run_id=cells["run_id"].strip(),
        ruling=ruling,
        correction=cells["correction"] if ruling == "correct" else "",
        note=cells["note"],
    )


def _read(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line on which a person wrote a decision or a correction, as (line number, cells by column)."""
    needed = ("row", "field", "run_id", *_PERSON)
    if is_special(path):
        raise TableError(str(path), [Fault("this is no regular file", hint="name a review file")])
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(_DELIMITERS, key=header.count)
            rows = csv.reader(file, delimiter=delimiter)
            columns = next(rows, [])
            missing = [column for column in needed if column not in columns]
            if missing:
                hint = "keep the columns of the review file"
                raise TableError(str(path), [Fault(f"no column {', '.join(missing)}", 1, "", hint)])
            written = [columns.index(column) for column in ("decision", "correction")]
            for cells in rows:  # of half a million a person has written on some
                if any(cells[at].strip() for at in written if at < len(cells)):
                    yield rows.line_num, dict(zip_longest(columns, cells[: len(columns)], fillvalue=""))
    except UnicodeDecodeError as error:
        raise TableError(str(path), [Fault("not UTF-8", hint="save it as CSV UTF-8")]) from error
    except (OSError, csv.Error) as error:
        raise TableError(str(path), [Fault(f"can't be read: {error}")]) from error


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _csv(columns: Sequence[Sequence[str]]) -> bytes:
    """Columns of texts, of one length, as lines of harmless cells."""
    height = len(columns[0])
    cells = _harmless([text for column in columns for text in column])
    frame = pl.DataFrame([cells.slice(n * height, height).alias(str(n)) for n in range(len(columns))])
    out = io.BytesIO()
    frame.select(pl.when(pl.all() != "").then(pl.all())).write_csv(out, include_header=False)
    return out.getvalue()


def _harmless(texts: Sequence[str]) -> pl.Series:
    """The texts as cells: the few that may not stand in one are found first."""
    try:
        cells = pl.Series("", texts, pl.String)
    except UnicodeEncodeError:  # a lone surrogate
        return pl.Series("", list(map(_cell, texts)), pl.String)
    suspects = (cells.str.contains(_SUSPECT) | (cells.str.len_bytes() > _LONGEST_CELL)).arg_true().to_list()
    return cells.scatter(suspects, [_cell(texts[at]) for at in suspects]) if suspects else cells


def _cell(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        text = "\n".join(clean(line) for line in text.splitlines())
    cell = neutralise_formula(text)
    return cell if len(cell) <= _LONGEST_CELL else cell[: _LONGEST_CELL - 1] + ELLIPSIS
