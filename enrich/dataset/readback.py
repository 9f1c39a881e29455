"""Delimited text just written, read back by another reader than polars, which wrote it: its columns and its rows.

Fast, and strict about the number of cells in each record. What it can't read is left to the strict reader, which names
the line of a fault; a record longer than a block, which is none, is read by it too.
"""

from pathlib import Path
from typing import IO, Final

import pyarrow as pa
import pyarrow.csv as pc

from enrich.dataset.delimited import DelimitedTable
from enrich.dataset.dialect import Dialect
from enrich.dataset.formats import TableFormat
from enrich.dataset.streams import open_utf8
from enrich.dataset.strict import read_header
from enrich.host.files import forget

_BLOCK_BYTES: Final = 256 << 10
_FORGET_BLOCKS: Final = 32


def reread(path: Path, form: TableFormat) -> tuple[tuple[str, ...], int]:
    """The names of the columns and the number of rows. Raises TableError."""
    dialect = Dialect(form.delimiter, form.quote)
    with open_utf8(path, form) as stream:
        header = read_header(path, stream, dialect, form.newline)
    with open_utf8(path, form) as stream:
        stream.read(header.size)
        if not stream.peek(1):  # type: ignore[attr-defined]
            return header.names, 0
        try:
            with path.open("rb") as file:
                return header.names, _rows(pa.PythonFile(stream, "r"), form, len(header.names), file)
        except pa.ArrowInvalid:
            pass
    strict = DelimitedTable(path, form)
    return strict.headers, strict.height


def _rows(stream: pa.PythonFile, form: TableFormat, columns: int, file: IO[bytes]) -> int:
    names = [str(number) for number in range(columns)]
    batches = pc.open_csv(
        stream,
        read_options=pc.ReadOptions(block_size=_BLOCK_BYTES, column_names=names, use_threads=False),
        parse_options=pc.ParseOptions(
            delimiter=form.delimiter,
            quote_char=form.quote or False,
            newlines_in_values=True,
            ignore_empty_lines=columns > 1,
        ),
        # One column is enough: all of them are cut and counted, and a cell of it is all that is kept.
        convert_options=pc.ConvertOptions(include_columns=names[:1], column_types={names[0]: pa.string()}),
    )
    rows = 0
    for number, batch in enumerate(batches, 1):
        rows += batch.num_rows
        if number % _FORGET_BLOCKS == 0:
            forget(file)  # what was read once is not read again
    return rows
