"""A review file as a person gives it back: read as strictly as a table, told by the rows of a spreadsheet.

What spreadsheets honestly do is fine: a byte order mark, semicolons or tabs, any line break, all cells quoted, lines
sorted, columns added or dropped, blank rows, empty cells behind the last column. Excel leaves the empty cells at the
end of lines out, in blocks of 16 rows that have none there; such lines are whole if they lack only what a person may
leave empty. Everything else is a fault, and then nothing of the file counts.
"""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Final

from enrich.dataset.dialect import Dialect, find_newline
from enrich.dataset.streams import no_such_file
from enrich.dataset.strict import RecordReader, quoting_fault
from enrich.errors import Fault, TableError
from enrich.host.files import is_special
from enrich.text.hostile import clean, unprotect_cell
from enrich.text.phrases import did_you_mean

__all__ = ["PERSON", "Sheet", "SheetLine"]

PERSON: Final = ("decision", "correction", "note")
INPUT: Final = "input_"  # before the name of an input
# A program that does not know the byte order mark takes it for a part of the first name: none that it needs.
ANSWER: Final = ("status", "row", "field", "value", "confidence", "reason", "reasoning", "citations")
RUN: Final = ("run_id", "processor")

_NEEDED: Final = ("row", "field", "run_id", *PERSON)
_OURS: Final = frozenset((*ANSWER, *RUN, *PERSON))
_DELIMITERS: Final = ",;\t"
_SAMPLE_BYTES: Final = 256 << 10
_MAX_BLOCK_CHARS: Final = 96 << 20
_BLOCK_ROWS: Final = 16  # of a sheet, which Excel writes with as many cells as the widest of them has
_WRONG: Final = re.compile("[\0\udc80-\udcff]")
_NOT_UTF8: Final = ("not UTF-8", "save it as CSV UTF-8")


@dataclass(frozen=True, slots=True)
class SheetLine:
    """One line: where it begins in the file, its row in a spreadsheet (the header is row 1), and its cells.

    `cells` are by column, without the apostrophes that protect a spreadsheet; `added` those of the columns that the
    person added, in their order. `typed` is the correction as it stands in the file.
    """

    line: int
    row: int
    cells: Mapping[str, str]
    typed: str
    added: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where a person finds it: the row of the sheet and the answer."""
        name = clean(self.cells["field"].strip(), 80)
        return f"sheet row {self.row}, {name}" if name else f"sheet row {self.row}"

    @property
    def is_written_on(self) -> bool:
        """Whether a person wrote anything here."""
        return any(self.cells[name].strip() for name in PERSON) or any(cell.strip() for cell in self.added)

    def fault(self, column: str, message: str, hint: str = "") -> Fault:
        """Something wrong in a cell of this line."""
        return Fault(message, self.line, f"{self.place}: {column}", hint)


@dataclass
class Sheet:
    """The lines of a review file. Iterating gathers `faults`; what was read counts only if there are none in the end.

    Raises TableError for what can't be read at all: no file, or columns that are missing.
    """

    path: Path
    faults: list[Fault] = field(default_factory=list)
    added: tuple[str, ...] = ()  # the names of the columns that the person added, known from the first line on

    def __iter__(self) -> Iterator[SheetLine]:
        if is_special(self.path):
            raise TableError(str(self.path), [Fault("this is no regular file", hint="name a review file")])
        try:
            with self.path.open("rb") as file:
                yield from self._lines(file)
        except FileNotFoundError:
            raise no_such_file(self.path, "`enrich run` writes it beside its output") from None
        except OSError as error:
            raise TableError(str(self.path), [Fault(f"can't be read: {error.strerror}")]) from error

    def error(self) -> TableError:
        """All faults of the sheet, in the order of its lines."""
        return TableError(str(self.path), sorted(self.faults, key=lambda fault: fault.line or 0))

    def _lines(self, file: IO[bytes]) -> Iterator[SheetLine]:
        sample = file.read(_SAMPLE_BYTES).decode(errors="replace").removeprefix("\ufeff")
        file.seek(len(b"\xef\xbb\xbf") if file.seek(0) == 0 and file.read(3) == b"\xef\xbb\xbf" else 0)
        dialect = Dialect(_delimiter(sample), '"')
        with RecordReader(file, dialect, find_newline(sample, dialect.delimiter, '"')) as reader:
            found = self._records(reader)
            header = next(found, None)
            if header is None and self.faults:
                raise self.error()
            columns = _Columns.of(self.path, [] if header is None else header.cells)
            self.added = columns.added
            yield from self._whole(found, columns)

    def _records(self, reader: RecordReader) -> Iterator["_Record"]:
        """The records up to the first whose quotes are wrong: none can be told after it."""
        row = 1
        try:
            for cells in reader:
                yield _Record(reader.line, cells)
                row += 1
        except csv.Error as error:
            self.faults.append(replace(quoting_fault(reader, error), path=f"sheet row {row}"))

    def _whole(self, found: Iterator["_Record"], columns: "_Columns") -> Iterator[SheetLine]:
        records = self._bounded(enumerate(found, 2))
        block, widest = list(islice(records, _BLOCK_ROWS - 1)), columns.count  # the header is a row of the first block
        while block:
            filled = [(row, record) for row, record in block if any(cell.strip() for cell in record.cells)]
            widest = max([widest, *(len(record.cells) for _, record in filled)])
            for row, record in filled:
                yield from self._line(row, record, columns, widest)
            block, widest = list(islice(records, _BLOCK_ROWS)), 0

    def _bounded(self, records: Iterator[tuple[int, "_Record"]]) -> Iterator[tuple[int, "_Record"]]:
        """The records up to those that are too large to be held together: a block of them is."""
        sizes: deque[int] = deque(maxlen=_BLOCK_ROWS)
        for row, record in records:
            sizes.append(sum(map(len, record.cells)))
            if sum(sizes) > _MAX_BLOCK_CHARS:
                said = f"{_BLOCK_ROWS} rows in a row have more than {_MAX_BLOCK_CHARS >> 20} MB"
                self.faults.append(Fault(said, record.line, f"sheet row {row}", "is this the review file?"))
                return
            yield row, record

    def _line(self, row: int, record: "_Record", columns: "_Columns", widest: int) -> Iterator[SheetLine]:
        """The line of a record; none, and a fault, if the record is no whole one."""
        cells = record.cells
        place = f"sheet row {row}"
        count = columns.count
        wrong = _WRONG.search("".join(cells))
        if wrong:
            message, hint = ("a NUL character", "take it out") if wrong[0] == "\0" else _NOT_UTF8
            self.faults.append(Fault(message, record.line, place, hint))
        elif any(cell.strip() for cell in cells[count:]):
            hint = "a cell that holds the delimiter must be quoted"
            self.faults.append(Fault(f"{len(cells)} cells, but the header has {count}", record.line, place, hint))
        elif len(cells) < count and (len(cells) < columns.fewest or len(cells) < widest):
            message = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}, but the header has {count}"
            hint = "are cells missing, or is a line break not quoted?"
            self.faults.append(Fault(message, record.line, place, hint))
        else:
            yield columns.line(row, record)


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class _Columns:
    """The header: where our columns stand, and those that a person added."""

    count: int
    places: Mapping[str, int]
    added_at: tuple[int, ...]
    added: tuple[str, ...]
    fewest: int  # cells that a line must have: those of what a person can't leave empty

    @classmethod
    def of(cls, path: Path, header: Sequence[str]) -> "_Columns":
        if _WRONG.search("".join(header)):
            raise TableError(str(path), [Fault(_NOT_UTF8[0], 1, "", _NOT_UTF8[1])])
        names = [unprotect_cell(name.lstrip("\ufeff")).strip() for name in header]
        while names and not names[-1]:
            names.pop()
        folded = [name.casefold() if name.casefold() in _OURS else name for name in names]
        faults = list(_header_faults(folded))
        if faults:
            raise TableError(str(path), faults)
        places = {name: at for at, name in enumerate(folded) if name in _OURS}
        added = [(at, name) for at, name in enumerate(folded) if name not in _OURS and not name.startswith(INPUT)]
        empty = {*(at for at, _ in added), *(places[name] for name in PERSON)}
        fewest = 1 + max(at for at in range(len(names)) if at not in empty)
        return cls(len(names), places, tuple(at for at, _ in added), tuple(name for _, name in added), fewest)

    def line(self, row: int, record: _Record) -> SheetLine:
        raw = record.cells + [""] * (self.count - len(record.cells))
        cells = {name: unprotect_cell(raw[at]) for name, at in self.places.items()}
        added = tuple(unprotect_cell(raw[at]) for at in self.added_at)
        return SheetLine(record.line, row, cells, raw[self.places["correction"]], added)


def _header_faults(names: Sequence[str]) -> Iterator[Fault]:
    missing = [name for name in _NEEDED if name not in names]
    if any(names) and len(missing) == len(_NEEDED):
        hint = "give the NAME.review.csv that `enrich run` wrote beside its output"
        yield Fault("this is no review file", 1, "", hint)
    elif missing:
        added = [name for name in names if name and name not in _OURS and not name.startswith(INPUT)]
        meant = next((name for name in added if did_you_mean(name, missing)), None)
        hint = "keep the columns of the review file"
        if meant is not None:
            hint += f"; {clean(meant, 40)!r}: {did_you_mean(meant, missing)}"
        yield Fault(f"no column {', '.join(missing)}", 1, "", hint)
    for name in _NEEDED:
        if names.count(name) > 1:
            yield Fault(f"two columns are called {name}", 1, "", "leave one of them")


def _delimiter(sample: str) -> str:
    """The delimiter under which the header has most of our columns."""

    def found(delimiter: str) -> int:
        try:
            header = next(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), [])
        except csv.Error:
            return 0
        return len(_OURS.intersection(name.strip().casefold() for name in header))

    return max(_DELIMITERS, key=found)
