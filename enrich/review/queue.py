"""The review queue `NAME.review.csv`: doubtful answers out to a person, the person's decisions back in.

One line an answer, for a spreadsheet: every cell is text that no spreadsheet calculates (text.py), without
control, bidi or invisible characters, and cut to what a cell holds. So the file is for reading and deciding;
the values themselves stay in the ledger, and a decision names its answer by `run_id` and `field`. The last
three columns are the person's: `decision` (accept, correct or reject), `correction`, `note`. What makes a cell
harmless is taken off when a person gives it back (review_sheet.py).

The file is written some lines at a time, takes the place of an older one only when it is whole, and has its header
even when nothing is in doubt.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from enrich.errors import Fault, OutputError
from enrich.host.files import replacing, writing
from enrich.records import Ruling
from enrich.review.sheet import ANSWER, INPUT, PERSON, RUN, Sheet, SheetLine
from enrich.text.hostile import ELLIPSIS, PROTECTED_PATTERN, clean, neutralise_formula, protect_cell
from enrich.text.phrases import did_you_mean

if TYPE_CHECKING:
    from enrich.spec import Json

__all__ = ["Decision", "ReviewLine", "ReviewWriter", "Ruling", "decided", "free_name", "read_decisions"]


_RULINGS: Final[Mapping[str, Ruling]] = {"accept": "accept", "correct": "correct", "reject": "reject"}
_SUSPECT: Final = rf"{PROTECTED_PATTERN}|[^\x20-\x7E]"
_HELD_LINES: Final = 1000  # written together
_HELD_CHARS: Final = 4 << 20  # and no more than this of them
_LONGEST_CELL: Final = 32_000  # characters; common spreadsheets hold 32,767 in a cell
_LONGEST_HELD: Final = 2 * _LONGEST_CELL  # of which what no cell shows is taken out before it is cut
_MARK: Final = b"\xef\xbb\xbf"  # without it Excel takes UTF-8 for the code page of the machine


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
    decision: str = ""  # what a person wrote already
    correction: Json = None
    note: str = ""
    added: Sequence[str] = ()  # in the columns that people added


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person wrote beside one answer, and on which line."""

    line: SheetLine
    field: str
    run_id: str
    ruling: Ruling
    correction: str  # as it stands in the file; empty unless the ruling is `correct`
    note: str


class ReviewWriter:
    """Writes the queue; a context manager: the file appears at `path` when the block ends without an error.

    `like` is the table, for those who may read that. Raises OutputError for what the disk refuses.
    """

    def __init__(
        self, path: Path, *, input_fields: Sequence[str], added: Sequence[str] = (), like: Path | None = None
    ) -> None:
        self._path = path
        self._input_fields = tuple(input_fields)
        self._added = tuple(added)
        self._place = replacing(path, like=like)
        self._held: list[list[str]] = []  # the cells of lines, before they are made harmless
        self._held_chars = 0
        self.lines = 0

    def __enter__(self) -> Self:
        self._file = self._place.__enter__()
        named = (INPUT + field for field in self._input_fields)
        with writing(self._path):
            self._file.write(_MARK)
        self._write([[name] for name in (*ANSWER, *named, *RUN, *PERSON, *map(_Typed, self._added))])
        return self

    def add(self, lines: Iterable[ReviewLine]) -> None:
        """Append answers."""
        for line in lines:
            cells = self._cells(line)
            self._held.append(cells)
            self._held_chars += sum(map(len, cells))
            self.lines += 1
            if len(self._held) == _HELD_LINES or self._held_chars > _HELD_CHARS:
                self._write_held()

    def _cells(self, line: ReviewLine) -> list[str]:
        return [
            line.status,
            str(line.row),
            line.field,
            _held(_text(line.value)),
            _held(_text(line.confidence)),
            _held(line.reason),
            _held(line.reasoning or ""),
            _held("\n".join(line.sources)),
            *[_held(_text(line.inputs.get(field))) for field in self._input_fields],
            line.run_id,
            line.processor,
            line.decision,
            _typed(line.correction),
            _Typed(line.note),
            *map(_Typed, line.added or [""] * len(self._added)),
        ]

    def _write_held(self) -> None:
        lines, self._held = self._held, []
        self._held_chars = 0
        if lines:
            self._write([*zip(*lines, strict=True)])

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
    """The decided lines of a review file. Raises TableError with every fault."""
    sheet = Sheet(path)
    decisions, _ = decided(sheet)
    if sheet.faults:
        raise sheet.error()
    return decisions


def decided(sheet: Sheet, on_line: Callable[[SheetLine], None] = lambda line: None) -> tuple[list[Decision], bool]:
    """The decided lines of a sheet, and whether all of its lines could be told.

    What is wrong with a decision joins the faults of the sheet. Lines without one are passed over; `on_line` is given
    every line. Raises TableError for what can't be read at all.
    """
    decisions: dict[tuple[str, str], Decision] = {}
    undecided = 0  # faults of decisions
    for line in sheet:
        on_line(line)
        if not line.cells["decision"].strip() and not line.cells["correction"].strip():
            continue
        fault = _fault(line)
        if fault is not None:
            undecided += 1
            sheet.faults.append(fault)
            continue
        decision = _decision(line)
        other = decisions.setdefault((decision.run_id, decision.field), decision)
        if (other.ruling, other.correction) != (decision.ruling, decision.correction):
            undecided += 1
            where = f"sheet row {other.line.row}"
            sheet.faults.append(line.fault("decision", f"another decision than in {where}", "leave one of them"))
    return list(decisions.values()), len(sheet.faults) == undecided


def free_name(path: Path, what: str) -> Path:
    """A path beside a review file that nothing has: `t.review.csv` gives `t.WHAT.review.csv`, `t.WHAT-2.review.csv`."""
    stem = path.name.removesuffix(".review.csv")
    numbers = chain([""], (f"-{n}" for n in count(2)))
    names = (path.with_name(f"{stem}.{what}{number}.review.csv") for number in numbers)
    return next(one for one in names if not one.exists() and not one.is_symlink())


def _fault(line: SheetLine) -> Fault | None:
    """What is wrong with a line that a person wrote on, before anything is known of its answer."""
    said, correction = line.cells["decision"].strip().lower(), line.cells["correction"].strip()
    if not said:
        hint = "write `correct` beside a correction, or take the correction out"
        return line.fault("decision", "a correction without a decision", hint)
    if said not in _RULINGS:
        meant = did_you_mean(said, _RULINGS)
        hint = meant or "write accept, correct or reject, or leave it empty"
        return line.fault("decision", f"not a decision: {clean(said, 40)!r}", hint)
    if correction and said != "correct":
        hint = "write `correct` beside a correction, or take the correction out"
        return line.fault("decision", f"a correction beside `{said}`", hint)
    if not line.cells["run_id"].strip() or not line.cells["field"].strip():
        return line.fault("run_id", "no run_id or no field, so the answer can't be found")
    return None


def _decision(line: SheetLine) -> Decision:
    ruling = _RULINGS[line.cells["decision"].strip().lower()]
    return Decision(
        line=line,
        field=line.cells["field"].strip(),
        run_id=line.cells["run_id"].strip(),
        ruling=ruling,
        correction=line.typed if ruling == "correct" else "",
        note=line.cells["note"],
    )


class _AsJson(str):
    """The text of a value that is no text: it stays the same JSON when it is made harmless."""

    __slots__ = ()


class _Typed(str):
    """A text that a person wrote: nothing is taken out of it."""

    __slots__ = ()


def _typed(value: Json) -> str:
    """A correction as a person writes it."""
    return _Typed(value) if isinstance(value, str) else _text(value)


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else _AsJson(json.dumps(value, ensure_ascii=False))


def _held(text: str) -> str:
    """As much of a text as may come to stand in a cell."""
    return text if len(text) <= _LONGEST_HELD else type(text)(text[: _LONGEST_HELD - 1] + ELLIPSIS)


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
    if isinstance(text, _Typed):
        return protect_cell(text)
    harmless = neutralise_formula if isinstance(text, _AsJson) else protect_cell
    if not (text.isascii() and text.isprintable()):
        text = "\n".join(clean(line) for line in text.splitlines())
    cell = harmless(text)
    return cell if len(cell) <= _LONGEST_CELL else cell[: _LONGEST_CELL - 1] + ELLIPSIS
