"""CSV and TSV in: text, cell for cell, or every fault of the file with its line.

Plain text (see `dialect`) is cut into blocks of whole records, checked with a few passes at C speed, and read
by polars. polars 2.1 is not exact for quotes inside unquoted cells, a lone CR between records, or a byte
order mark at the start of a block, and it names no lines; such a file is read by Python's csv module (see
`records`), strictly, from first to last. The two agree on every plain text (property-tested).
"""

import csv
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, Final

import polars as pl

from enrich.dataset.dialect import Dialect, find_delimiter, find_newline, find_quote
from enrich.dataset.formats import TableFormat
from enrich.dataset.records import MAX_RECORD_BYTES, count_rows, read_header, read_records
from enrich.dataset.streams import CHUNK_BYTES, find_encoding, open_bytes, open_utf8, reading
from enrich.dataset.tables import BATCH_ROWS, Batch, FileState, Table, changed, rereading
from enrich.errors import Fault, TableError

_SAMPLE_BYTES: Final = 256 << 10
_BATCH_CHARACTERS: Final = 4 << 20
_EXCEL_LINE: Final = re.compile(r'"?sep=([,;\t|])"?[\r\n]', re.IGNORECASE)


class TextBatch(Batch):
    """Rows of delimited text: every column is a String, an empty cell is null."""

    def __init__(self, start: int, frame: pl.DataFrame) -> None:
        self.start = start
        self._frame = frame

    @property
    def frame(self) -> pl.DataFrame:
        return self._frame

    @property
    def height(self) -> int:
        return self._frame.height


class DelimitedTable(Table):
    """A sound CSV or TSV file."""

    def __init__(self, path: Path, table_format: TableFormat) -> None:
        """Read the file to its end. Raises TableError with all its faults."""
        self.path = path
        self._state = FileState.of(path)
        self._dialect = Dialect(table_format.delimiter, table_format.quote)
        self.format = table_format
        header = read_header(path, open_utf8(path, table_format), self._dialect, table_format.newline)
        self.columns = header.names
        self.schema = pl.Schema(dict.fromkeys(self.columns, pl.String))
        self._header_size = header.size
        is_sound = header.is_sound and table_format.newline != "\r"
        rows = self._count_plain_rows() if is_sound else None
        self._is_plain = rows is not None
        self.height = self._count_rows_strictly() if rows is None else rows
        self._state.check(path)

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[Batch]:
        start = 0
        with rereading(self.path, self._state):
            for frame in self._plain_frames(rows) if self._is_plain else self._strict_frames(rows):
                yield TextBatch(start, frame)
                start += frame.height
        if start != self.height:
            raise changed(self.path)

    def _blocks(self) -> Iterator[bytes]:
        with open_utf8(self.path, self.format) as stream:
            stream.read(self._header_size)
            yield from record_blocks(stream, self._dialect, blank_rows=len(self.columns) == 1)

    def _count_plain_rows(self) -> int | None:
        """The number of rows, None if the text is not plain."""
        total = 0
        try:
            for block in self._blocks():
                rows = self._dialect.plain_rows(block, len(self.columns))
                if rows is None:
                    return None
                total += rows
        except csv.Error:
            return None
        return total

    def _count_rows_strictly(self) -> int:
        stream = open_utf8(self.path, self.format)
        return count_rows(self.path, stream, self._dialect, self.format.newline)

    def _plain_frames(self, rows: int) -> Iterator[pl.DataFrame]:
        for block in self._blocks():
            yield from _read_plain(block, self.schema, self._dialect).iter_slices(rows)

    def _strict_frames(self, rows: int) -> Iterator[pl.DataFrame]:
        records = read_records(open_utf8(self.path, self.format), self._dialect)
        with closing(records):
            next(records)
            sound = (cells or [""] for cells in records if cells or len(self.columns) == 1)
            while batch := list(_up_to(sound, rows)):
                columns = zip(self.columns, zip(*batch, strict=True), strict=True)
                cells = {name: [cell or None for cell in column] for name, column in columns}
                yield pl.DataFrame(cells, self.schema)


def open_delimited(
    path: Path,
    named: TableFormat,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    quote: str | None = None,
) -> DelimitedTable:
    """Open a CSV or TSV file; what is not given is found in its first bytes. Raises TableError."""
    with reading(path):
        with open_bytes(path, named.compression) as stream:
            codec, bom = find_encoding(path, stream.read(4), encoding)
        found = replace(named, encoding=codec, bom=bom)
        with open_utf8(path, found) as stream:
            sample = stream.read(_SAMPLE_BYTES).decode(errors="replace")
        _check_first_line(path, sample)
        quote = find_quote(sample) if quote is None else quote
        if delimiter is None:
            delimiter = "\t" if named.kind == "tsv" else find_delimiter(sample, quote)
        _check_given(path, delimiter, quote)
        newline = find_newline(sample, delimiter, quote)
        return DelimitedTable(path, replace(found, delimiter=delimiter, quote=quote, newline=newline))


def _check_first_line(path: Path, sample: str) -> None:
    if line := _EXCEL_LINE.match(sample):
        message = f"the first line, sep={line[1]}, tells Excel the delimiter, and is no header"
        raise TableError(str(path), [Fault(message, 1, hint="remove it: the delimiter is found out without it")])


def _check_given(path: Path, delimiter: str, quote: str) -> None:
    faults = []
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in "\r\n\0":
        faults.append(Fault(f"the delimiter {delimiter!r} is not one ASCII character"))
    if len(quote) > 1 or not quote.isascii() or (quote and quote in "\r\n\0" + delimiter):
        faults.append(Fault(f"the quote {quote!r} is not one ASCII character, or empty for none"))
    if faults:
        raise TableError(str(path), faults)


def record_blocks(stream: IO[bytes], dialect: Dialect, *, blank_rows: bool) -> Iterator[bytes]:
    """Blocks of whole records, each record ended by a line break. Raises csv.Error for a record too long.

    Blank lines at the end of the file are left out, unless they are rows.
    """
    rest = b""
    size = CHUNK_BYTES
    while chunk := stream.read(size):
        text = rest + chunk
        end = dialect.record_end(text)
        if end and not blank_rows:
            filled = len(text[:end].rstrip(b"\r\n"))
            end = text.index(b"\n", filled) + 1 if filled else 0
        if end:
            yield text[:end]
        rest = text[end:]
        if len(rest) > MAX_RECORD_BYTES:
            raise csv.Error("a record is too long")
        size = max(CHUNK_BYTES, len(rest))  # so that a long record is looked through a few times only
    if not blank_rows:
        rest = rest.rstrip(b"\r\n")
    if rest:
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def _read_plain(block: bytes, schema: pl.Schema, dialect: Dialect) -> pl.DataFrame:
    # polars takes a block that starts with `x^` for zlib-compressed: an empty line goes first, and is skipped.
    frame = pl.read_csv(
        b"\n" + block,
        has_header=False,
        skip_lines=1,
        schema=schema,
        separator=dialect.delimiter,
        quote_char=dialect.quote or None,
        infer_schema=False,
        extra_columns="raise",
        missing_columns="raise",
    )
    if dialect.quote and dialect.quote.encode() * 2 in block:
        frame = frame.select(pl.when(pl.all() != "").then(pl.all()))  # an empty cell in quotes is empty too
    return frame


def _up_to(records: Iterator[list[str]], rows: int) -> Iterator[list[str]]:
    """At most `rows` records, fewer of long ones."""
    characters = 0
    for record in islice(records, rows):
        yield record
        characters += sum(map(len, record))
        if characters > _BATCH_CHARACTERS:
            return
