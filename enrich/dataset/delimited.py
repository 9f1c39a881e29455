"""CSV and TSV in: text, cell for cell, or every fault of the file with its line.

What common exports have beside rows is taken as it is, and comes out again: columns without a name or with one
that stands twice (they pass through, and nothing can be made of them), blank lines between rows, a `sep=;` line
for Excel, titles above the header that the config passes over, two quotes beside nothing.

Plain text (see `dialect`) is cut into blocks of whole records, checked with a few passes at C speed, and read
by polars. polars 2.1 is not exact for quotes inside unquoted cells, a lone CR between records, or a byte
order mark at the start of a block, and it names no lines; such a file is read by Python's csv module (see
`records`), strictly, from first to last. The two agree on every plain text (property-tested).
"""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Final, Self, TypeAlias

import polars as pl

from enrich.dataset.dialect import Dialect, find_delimiter, find_newline, find_quote, lines_of_title
from enrich.dataset.formats import MAX_OWN_BYTES, TableFormat
from enrich.dataset.streams import CHUNK_BYTES, find_encoding, open_bytes, open_utf8, reading
from enrich.dataset.strict import count_rows, read_header, read_rows
from enrich.dataset.tables import BATCH_ROWS, Batch, FileState, Table, changed, column_keys, rereading
from enrich.errors import Fault, TableError

_SAMPLE_BYTES: Final = 256 << 10
_BATCH_CHARACTERS: Final = 4 << 20
_EXCEL_LINE: Final = re.compile(rb'"?sep=([,;\t|])"?(?:\r\n|\n|\r)', re.IGNORECASE)
_LINE: Final = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)")
_LINE_BREAK: Final = re.compile(rb"\r\n|\n|\r")


_Record: TypeAlias = tuple[int, list[str | None]]


class TextBatch(Batch):
    """Rows of delimited text: every column is a String, an empty cell is null.

    `raw` are the cells as they stand in the file, where two quotes are an empty text and nothing is null;
    `blank_lines` has (row, number) of the blank lines before a row, counted from the first of the batch.
    """

    def __init__(
        self,
        start: int,
        raw: pl.DataFrame,
        blank_lines: Sequence[tuple[int, int]] = (),
        *,
        has_quotes_alone: bool = True,
    ) -> None:
        self.start = start
        self.raw = raw
        self.blank_lines = blank_lines
        self._has_quotes_alone = has_quotes_alone  # whether a cell may be an empty text

    @cached_property
    def _frame(self) -> pl.DataFrame:
        if not self._has_quotes_alone:
            return self.raw
        return self.raw.select(pl.when(pl.all() != "").then(pl.all()))

    @property
    def frame(self) -> pl.DataFrame:
        return self._frame

    def part(self, begin: int, end: int) -> Self:
        ends_here = range(begin, end + (end == self.height))
        blank = [(row - begin, number) for row, number in self.blank_lines if row in ends_here]
        return type(self)(self.start + begin, self.raw.slice(begin, end - begin), blank)

    def column(self, name: str) -> pl.Series:
        if not self._has_quotes_alone:
            return self.raw.get_column(name)
        return self.raw.select(pl.when(pl.col(name) != "").then(pl.col(name))).to_series()

    @property
    def height(self) -> int:
        return self.raw.height


class DelimitedTable(Table):
    """A sound CSV or TSV file."""

    def __init__(self, path: Path, table_format: TableFormat) -> None:
        """Read the file to its end. Raises TableError with all its faults."""
        self.path = path
        self._state = FileState.of(path)
        self._dialect = Dialect(table_format.delimiter, table_format.quote)
        self.format = table_format
        self._line = len(_LINE_BREAK.findall(table_format.above)) + 1
        stream = open_utf8(path, table_format)
        most = table_format.record_bytes
        header = read_header(path, stream, self._dialect, table_format.newline, line=self._line, most=most)
        self.columns = column_keys(header.names)
        self.header_cells = header.cells
        self._headers = header.names
        self.schema = pl.Schema(dict.fromkeys(self.columns, pl.String))
        self._header_size = header.size
        is_sound = header.is_sound and table_format.newline != "\r"
        rows = self._count_plain_rows() if is_sound else None
        self._is_plain = rows is not None
        self.height = self._count_rows_strictly() if rows is None else rows
        self._state.check(path)

    @property
    def headers(self) -> tuple[str, ...]:
        return self._headers

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[Batch]:
        height = 0
        with rereading(self.path, self._state):
            for batch in self._plain_batches(rows) if self._is_plain else self._strict_batches(rows):
                yield batch
                height = batch.start + batch.height
        if height != self.height:
            raise changed(self.path)

    def _blocks(self) -> Iterator[bytes]:
        with open_utf8(self.path, self.format) as stream:
            stream.read(self._header_size)
            is_single = len(self.columns) == 1
            yield from record_blocks(stream, self._dialect, blank_rows=is_single, most=self.format.record_bytes)

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
        skipped = self._line - 1 - bool(_EXCEL_LINE.match(self.format.above))
        return count_rows(
            self.path,
            stream,
            self._dialect,
            self.format.newline,
            line=self._line,
            skipped=skipped,
            most=self.format.record_bytes,
        )

    def _plain_batches(self, rows: int) -> Iterator[TextBatch]:
        start = 0
        quotes = self._dialect.quote.encode() * 2
        for block in self._blocks():
            has_quotes_alone = bool(quotes) and quotes in block
            for frame in _read_plain(block, self.schema, self._dialect).iter_slices(rows):
                yield TextBatch(start, frame, has_quotes_alone=has_quotes_alone)
                start += frame.height

    def _strict_batches(self, rows: int) -> Iterator[TextBatch]:
        start = 0
        stream = open_utf8(self.path, self.format)
        with closing(read_rows(stream, self._dialect, one_column=len(self.columns) == 1)) as records:
            next(records)
            while batch := list(_up_to(records, rows)):
                columns = zip(self.columns, zip(*(cells for _, cells in batch), strict=True), strict=True)
                blank_lines = [(row, blank) for row, (blank, _) in enumerate(batch) if blank]
                yield TextBatch(start, pl.DataFrame(dict(columns), self.schema), blank_lines)
                start += len(batch)


def open_delimited(
    path: Path,
    named: TableFormat,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    quote: str | None = None,
    skip: int = 0,
) -> DelimitedTable:
    """Open a CSV or TSV file; what is not given is found in its first bytes. Raises TableError.

    `skip` lines above the header are passed over, and come out again.
    """
    with reading(path):
        with open_bytes(path, named.compression) as stream:
            codec, bom = find_encoding(path, stream.read(4), encoding)
        found = replace(named, encoding=codec, bom=bom)
        with open_utf8(path, found) as stream:
            raw = stream.read(_SAMPLE_BYTES)
        above = _lines_above(path, raw, skip)
        sample = raw[len(above) :].decode(errors="replace")
        quote = find_quote(sample) if quote is None else quote
        if delimiter is None:
            for_excel = _EXCEL_LINE.match(above)
            found_out = "\t" if named.kind == "tsv" else find_delimiter(sample, quote)
            delimiter = for_excel[1].decode() if for_excel else found_out
        _check_given(path, delimiter, quote)
        newline = find_newline(sample, delimiter, quote)
        table = DelimitedTable(path, replace(found, delimiter=delimiter, quote=quote, newline=newline, above=above))
        if len(table.columns) == 1 and (lines := lines_of_title(sample, quote)):
            line = len(_LINE_BREAK.findall(above)) + 1
            asked = f"is line {line} a title? Write `csv: {{skip: {skip + lines}}}` in the config"
            table.title = f"{asked}, and line {line + lines} names the columns"
        return table


def _lines_above(path: Path, sample: bytes, skip: int) -> bytes:
    """What stands above the header: a line for Excel, and so many lines that are passed over."""
    for_excel = _EXCEL_LINE.match(sample)
    end = for_excel.end() if for_excel else 0
    for number in range(skip):
        line = _LINE.match(sample, end)
        if line is None:
            message = f"`csv: {{skip: {skip}}}` skips more lines than the file has before its header ({number})"
            raise TableError(str(path), [Fault(message, hint="the line after those that are skipped is the header")])
        end = line.end()
    return sample[:end]


def _check_given(path: Path, delimiter: str, quote: str) -> None:
    faults = []
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in "\r\n\0":
        faults.append(Fault(f"the delimiter {delimiter!r} is not one ASCII character"))
    if len(quote) > 1 or not quote.isascii() or (quote and quote in "\r\n\0" + delimiter):
        faults.append(Fault(f"the quote {quote!r} is not one ASCII character, or empty for none"))
    if faults:
        raise TableError(str(path), faults)


def record_blocks(
    stream: IO[bytes], dialect: Dialect, *, blank_rows: bool, chunk_bytes: int = CHUNK_BYTES, most: int = MAX_OWN_BYTES
) -> Iterator[bytes]:
    """Blocks of whole records, each record ended by a line break. Raises csv.Error for one of more than `most` bytes.

    So much is read at once, or as much as there is of a longer record. Blank lines at the end of the file are left out,
    unless they are rows.
    """
    rest = b""
    size = chunk_bytes
    while chunk := stream.read(size):
        text = rest + chunk
        end = dialect.record_end(text)
        if end and not blank_rows:
            filled = len(text[:end].rstrip(b"\r\n"))
            end = text.index(b"\n", filled) + 1 if filled else 0
        if end:
            yield text[:end]
        rest = text[end:]
        if len(rest) > most:
            raise csv.Error("a record is too long")
        # As much again, so that a long record is looked through a few times only, and no further than it may go.
        size = max(chunk_bytes, min(len(rest), most - len(rest)))
    if not blank_rows:
        rest = rest.rstrip(b"\r\n")
    if rest:
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def _read_plain(block: bytes, schema: pl.Schema, dialect: Dialect) -> pl.DataFrame:
    # polars takes a block that starts with `x^` for zlib-compressed: an empty line goes first, and is skipped.
    return pl.read_csv(
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


def _up_to(records: Iterator[_Record], rows: int) -> Iterator[_Record]:
    """At most `rows` records, fewer of long ones."""
    characters = 0
    for record in islice(records, rows):
        yield record
        characters += sum(len(cell or "") for cell in record[1])
        if characters > _BATCH_CHARACTERS:
            return
