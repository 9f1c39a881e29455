"""Delimited text record by record, strictly: the exact reader for every file, and the one that finds faults.

Python's csv module does the parsing. What it lacks is here: the line on which a record starts, the text of
the record, and for each kind of fault a sentence that says where it is and what to look for.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import RLock
from typing import IO, Final, Self

from enrich.dataset.dialect import Dialect
from enrich.dataset.formats import MAX_OWN_BYTES
from enrich.dataset.streams import say_encoding
from enrich.dataset.tables import table_error
from enrich.errors import Fault, TableError

_QUOTE_HINT: Final = "inside a quoted cell a quote is written twice: is one missing, or left open?"
_LIMIT: Final = RLock()  # who holds it may set the csv module's limit
_MOST: Final = 0.9  # of the rows, which tell what the header should be like
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")


class RecordReader:
    """Iterates over the records of a UTF-8 stream. A blank line is a record without cells.

    Bytes that are not UTF-8 arrive as lone surrogates, to be told as faults. `newline` is the line break
    of the file (lines are counted by it). Raises csv.Error where quotes are wrong; nothing follows then.
    A context manager that closes the stream.
    """

    def __init__(
        self, stream: IO[bytes], dialect: Dialect, newline: str = "\n", *, line: int = 1, most: int = MAX_OWN_BYTES
    ) -> None:
        self.dialect = dialect
        self.newline = newline
        self.most = most
        """Bytes that a record may have."""
        self.line = line
        """The line on which the current record starts."""
        self.raw: list[str] = []
        """The current record as it stands in the file, cut at every kind of line break."""
        self._text = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="")
        self._size = 0
        self._reader = _parse(self._lines(), dialect)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        self.line += line_breaks(self.raw, self.newline)
        self.raw = []
        self._size = 0
        return next(self._reader)

    def _lines(self) -> Iterator[str]:
        for line in bounded_lines(self._text, self.most):
            self.raw.append(line)
            self._size += len(line)
            if self._size > self.most:
                raise csv.Error(f"the record is longer than {self.most >> 20} MB")
            yield line


def read_rows(
    stream: IO[bytes], dialect: Dialect, *, one_column: bool
) -> Generator[tuple[int, list[str | None]], None, None]:
    """(blank lines before it, cells) of each row of a UTF-8 stream that was found sound, its header first.

    A cell is None where nothing stands, and an empty text where two quotes do. A blank line is a row of a table of one
    column, and none of any other. Closes the stream.
    """
    raw: list[str] = []

    def lines() -> Iterator[str]:
        for line in bounded_lines(text, MAX_OWN_BYTES):
            raw.append(line)
            yield line

    blank = 0
    with io.TextIOWrapper(stream, "utf-8", newline="") as text:
        for cells in _parse(lines(), dialect):
            if cells or one_column:
                yield blank, dialect.cells_of("".join(raw), cells or [""])
                blank = 0
            else:
                blank += 1
            raw.clear()


def bounded_lines(text: io.TextIOBase, most: int) -> Iterator[str]:
    """The lines of a text, which is read no further than a record may go: a longer line comes in pieces."""
    return iter(partial(text.readline, most + 1), "")


def _parse(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    """Records, by a parser that takes large cells: its limit is one for the whole process, and is lent for a record."""
    reader = csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        with _LIMIT:
            others = csv.field_size_limit(MAX_OWN_BYTES)
            try:
                record = next(reader, None)
            finally:
                csv.field_size_limit(others)
        if record is None:
            return
        yield record


def line_breaks(raw: list[str], newline: str) -> int:
    """How many lines the pieces of a record end, in a file whose line break is `newline`."""
    return sum(piece.endswith(newline[-1:]) for piece in raw)


@dataclass(frozen=True, slots=True)
class Header:
    """The first record: the names, its size in UTF-8 bytes, and whether `count_rows` will find no fault in it."""

    names: tuple[str, ...]
    cells: tuple[str | None, ...]
    size: int
    is_sound: bool


def read_header(
    path: Path, stream: IO[bytes], dialect: Dialect, newline: str, *, line: int = 1, most: int = MAX_OWN_BYTES
) -> Header:
    """The names of the columns, which stand on the given line. Raises TableError when there are none."""
    with RecordReader(stream, dialect, newline, line=line, most=most) as reader:
        try:
            names = next(reader, None)
        except csv.Error as error:
            raise table_error(path, [quoting_fault(reader, error)]) from None
        if names is None:
            hint = "its first line must name the columns" if line == 1 else f"line {line} must name the columns"
            raise TableError(str(path), [Fault("the file is empty" if line == 1 else "the file ends", hint=hint)])
        if not names:
            hint = "it must name the columns; `csv: {skip: 1}` in the config skips a line above them"
            raise TableError(str(path), [Fault("the line is blank", line, hint=hint)])
        faults = _text_faults(reader)
        raw = "".join(reader.raw)
        size = len(raw.encode(errors="surrogateescape"))
        cells = tuple(dialect.cells_of(raw, names))
        return Header(tuple(names), cells, size, is_sound=not faults and not _stray_break(reader))


def count_rows(
    path: Path,
    stream: IO[bytes],
    dialect: Dialect,
    newline: str,
    *,
    line: int = 1,
    skipped: int = 0,
    most: int = MAX_OWN_BYTES,
) -> int:
    """The number of rows after the header, every record checked. Raises TableError with all faults.

    The header stands on line `line`; `skipped` lines above it were passed over. A record has at most `most` bytes.
    """
    with RecordReader(stream, dialect, newline, line=line, most=most) as reader:
        check = _Check(reader, skipped)
        try:
            check.add_header(next(reader))
            for cells in reader:
                check.add(cells)
        except csv.Error as error:
            check.faults.append(quoting_fault(reader, error))
    if faults := check.all_faults():
        raise table_error(path, faults)
    return check.rows


class _Check:
    """Counts rows and gathers faults."""

    def __init__(self, reader: RecordReader, skipped: int) -> None:
        self.faults: list[Fault] = []
        self.rows = 0
        self._reader = reader
        self._skipped = skipped
        self._header_line = reader.line
        self._header: list[str] = []
        self._ragged: list[Fault] = []
        self._widths: Counter[int] = Counter()
        self._first: dict[int, tuple[int, int]] = {}  # by width: the line, and the rows before it
        self._filled_last: set[int] = set()  # widths of rows that have something in their last cell
        self._after_stray_break = False
        self._hints: set[str] = set()

    def add_header(self, names: list[str]) -> None:
        self._add_text_faults()
        self._header = names
        self._is_cut(self._header_line)

    def add(self, cells: list[str]) -> None:
        self._add_text_faults()
        line = self._reader.line
        if self._is_cut(line):
            return
        if not cells and len(self._header) > 1:
            return  # a blank line between rows is none of them
        width = len(cells or [""])
        self._widths[width] += 1
        if width != len(self._header):
            self._first.setdefault(width, (line, self.rows))
            self._ragged.append(_ragged(line, len(cells), len(self._header)))
            if cells and cells[-1]:
                self._filled_last.add(width)
        self.rows += 1

    def all_faults(self) -> list[Fault]:
        """Everything that is wrong; what is wrong with the header is said once, and not of each row."""
        of_header = self._header_fault()
        return [*self.faults, *(self._ragged if of_header is None else [of_header])]

    def _header_fault(self) -> Fault | None:
        """What makes nearly all rows differ from the header, and alike."""
        if not self._ragged:
            return None
        header = len(self._header)
        width, count = self._widths.most_common(1)[0]
        if width == header:
            return None
        line, before = self._first[width]
        if count < _MOST * (self.rows - before) or (count == 1 and header > 1):
            return None
        if width == header + 1 and width not in self._filled_last:
            message = "the lines below end with a delimiter, and the header does not"
            return Fault(message, self._header_line, hint="end the header with one too")
        if width == header - 1 and not self._header[-1]:
            message = "the header ends with a delimiter, and the lines below do not"
            return Fault(message, self._header_line, hint="take it away")
        if width < header:
            return None
        has = f"{header} {'cell' if header == 1 else 'cells'}"
        message = f"this line has {has}, and those from line {line} have {width}: is line {self._header_line} a title?"
        skip = self._skipped + line - self._header_line
        hint = f"write `csv: {{skip: {skip}}}` in the config, and line {line} names the columns"
        return Fault(message, self._header_line, hint=hint)

    def _add_text_faults(self) -> None:
        """What to do about the encoding is said once: it holds for the whole file."""
        for fault in _text_faults(self._reader):
            self.faults.append(replace(fault, hint="") if fault.hint in self._hints else fault)
            self._hints.add(fault.hint)

    def _is_cut(self, line: int) -> bool:
        """Whether a stray line break ends this record, or ended the one before: that is one fault."""
        after, self._after_stray_break = self._after_stray_break, False
        stray = _stray_break(self._reader)
        if not stray:
            return after
        message = f"a lone {stray} outside quotes, where lines end in {'LF' if 'CR' in stray else 'CR'}"
        self.faults.append(Fault(message, line, hint="quote the cell that holds it"))
        self._after_stray_break = True
        return True


def _stray_break(reader: RecordReader) -> str:
    """The line break that ends the current record, if it is none that ends the file's records."""
    last = reader.raw[-1]
    if reader.newline == "\r":
        return "line feed (LF)" if last.endswith("\n") else ""
    return "carriage return (CR)" if last.endswith("\r") else ""


def _text_faults(reader: RecordReader) -> list[Fault]:
    """NUL characters and bytes that are not UTF-8 in the reader's current record."""
    faults = []
    for number, text in enumerate(reader.raw):
        wrong = None if text.isascii() else _NOT_UTF8.search(text)
        if "\0" not in text and not wrong:
            continue
        line = reader.line + line_breaks(reader.raw[:number], reader.newline)
        if "\0" in text:
            faults.append(Fault("a NUL character", line, hint=f"if the file is UTF-16, {say_encoding('utf-16')}"))
        if wrong:
            message = f"the byte {ord(wrong[0]) - 0xDC00:02X} is not UTF-8"
            hint = f"if the file is Windows-1252, {say_encoding('windows-1252')}"
            faults.append(Fault(message, line, hint=hint))
    return faults


def _ragged(line: int, cells: int, header: int) -> Fault:
    message = f"{cells} {'cell' if cells == 1 else 'cells'}, but the header has {header}"
    hint = "a cell that holds the delimiter must be quoted" if cells > header else "are cells missing?"
    return Fault(message, line, hint=hint)


def quoting_fault(reader: RecordReader, error: csv.Error) -> Fault:
    """What is wrong with the quotes of the reader's current record, on the line where the quote opens."""
    text = "".join(reader.raw)
    wrong = _wrong_quote(text, reader.dialect) if len(text) <= reader.most else None
    if wrong is None:
        return Fault(f"{error}, from this line on", reader.line, hint=_QUOTE_HINT)
    cell, opened, closed = wrong
    line = reader.line + text.count(reader.newline[-1:], 0, opened)
    if closed is None:
        return Fault(f"a quote is opened here, in cell {cell}, and never closed", line, hint=_QUOTE_HINT)
    end = reader.line + text.count(reader.newline[-1:], 0, closed)
    where = "" if end == line else f" on line {end}"
    message = f"cell {cell} opens with a quote, and text follows its closing quote{where}"
    return Fault(message, line, hint=_QUOTE_HINT)


def _wrong_quote(text: str, dialect: Dialect) -> tuple[int, int, int | None] | None:
    """(number of the cell, where its quote opens, where it closes if it does) of the first wrong cell."""
    if not dialect.quote:
        return None
    q = re.escape(dialect.quote)
    quoted = rf"{q}[^{q}]*+(?:{q}{q}[^{q}]*+)*+{q}"
    position, number = 0, 1
    while position <= len(text) and (match := dialect.cell.match(text, position)):
        position = match.end() + 1
        number += 1
    if position > len(text):
        return None
    closing = re.compile(quoted).match(text, position)
    return number, position, closing.end() if closing else None
