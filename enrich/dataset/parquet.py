"""Parquet in: the file's own Arrow batches, in bounded memory.

What a row takes in memory is no matter of the file's size: a value that stands once in a dictionary may be that of
every row, and a run of equal numbers takes no room. It is told from the number of values, and from the longest one of
a dictionary.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from polars.exceptions import PolarsError

from enrich.dataset.arrow import ArrowTable
from enrich.dataset.dtypes import has_wide_integers
from enrich.dataset.formats import TableFormat
from enrich.dataset.streams import reading
from enrich.dataset.tables import FileState, table_error
from enrich.errors import Fault, TableError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BATCH_BYTES: Final = 16 << 20
_WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8}
_OF_A_DICTIONARY: Final = frozenset({"PLAIN_DICTIONARY", "RLE_DICTIONARY"})


class ParquetTable(ArrowTable):
    """A Parquet file."""

    def __init__(self, path: Path, table_format: TableFormat) -> None:
        """Read the file's footer. Raises TableError."""
        self.path = path
        self.format = table_format
        with reading(path):
            self.state = FileState.of(path)
            try:
                with self._open() as file:
                    schema = file.schema_arrow
                    self.height = int(file.metadata.num_rows)
            except pa.ArrowNotImplementedError:
                if faults := _wide_integers(path):
                    raise table_error(path, faults) from None
                raise
        self.describe(schema)
        self._row_bytes: dict[tuple[str, ...] | None, int] = {}

    def parts(self, columns: Sequence[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
        wanted = None if columns is None else tuple(columns)
        if wanted not in self._row_bytes:
            self._row_bytes[wanted] = self._most_bytes(wanted)
        rows = max(1, min(rows, _BATCH_BYTES // max(1, self._row_bytes[wanted])))
        with self._open() as file:
            yield from file.iter_batches(rows, columns=columns, use_threads=False)

    def _open(self, *, dictionaries: Sequence[str] | None = None) -> "pq.ParquetFile":
        import pyarrow.parquet as pq  # 9 MB, which no other table needs

        # Buffered, so that a row group of any size is read a page at a time.
        return pq.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False, read_dictionary=dictionaries)

    def _most_bytes(self, columns: tuple[str, ...] | None) -> int:
        """Bytes in memory of a row with these columns (None: all), in the row group where they are most."""
        with reading(self.path), self._open() as file, self._open(dictionaries=_flat_texts(file)) as packed:
            groups = (file.metadata.row_group(n) for n in range(file.num_row_groups))
            return max((self._bytes_in(packed, n, group, columns) for n, group in enumerate(groups)), default=1)

    def _bytes_in(self, file: "pq.ParquetFile", number: int, group: Any, columns: tuple[str, ...] | None) -> int:
        """Bytes in memory of a row of a row group. Raises TableError where no row of a column can be held.

        That is told from the average of the group: a record of one column has as many bytes as one of text.
        """
        total = 0
        for chunk in map(group.column, range(group.num_columns)):
            path = chunk.path_in_schema
            if columns is not None and not any(path == name or path.startswith(f"{name}.") for name in columns):
                continue
            row = self._bytes_of(file, number, chunk) // max(1, group.num_rows)
            if row > self.format.record_bytes:
                has = f"column {path.partition('.')[0]!r} has {row >> 20} MB a row in row group {number}"
                message = f"{has}, at most {self.format.record_bytes >> 20} MB"
                raise TableError(str(self.path), [Fault(message, hint="write smaller values, or leave the column out")])
            total += row
        return total

    def _bytes_of(self, file: "pq.ParquetFile", number: int, chunk: Any) -> int:
        """Bytes in memory of a column chunk, at most; of text inside of lists and structs, at least."""
        if (width := _WIDTHS.get(chunk.physical_type)) is not None:
            return int(chunk.num_values) * width
        size = int(chunk.total_uncompressed_size)
        if _OF_A_DICTIONARY.isdisjoint(chunk.encodings) or chunk.path_in_schema not in _flat_texts(file):
            return size
        batches = file.iter_batches(1, row_groups=[number], columns=[chunk.path_in_schema], use_threads=False)
        first = next(batches, None)
        if first is None or not pa.types.is_dictionary(first[0].type) or not _is_text(first[0].type):
            return size
        longest = pc.max(pc.binary_length(first[0].dictionary)).as_py() or 0
        return max(size, longest * int(chunk.num_values))


def _wide_integers(path: Path) -> list[Fault]:
    """The columns with integers of 128 bits, which polars writes and Arrow lacks: one of them hides all the schema."""
    try:
        schema = pl.scan_parquet(path, glob=False).collect_schema()
    except PolarsError:
        return []
    hint = "write it as another type, such as text"
    wide = [name for name, dtype in schema.items() if has_wide_integers(dtype)]
    return [Fault(f"column {name!r} ({schema[name]}) can't be read", hint=hint) for name in wide]


def _flat_texts(file: "pq.ParquetFile") -> list[str]:
    """The columns of text or bytes that stand in no list or struct."""
    return [field.name for field in file.schema_arrow if _is_text(field.type)]


def _is_text(dtype: pa.DataType) -> bool:
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    return any(
        is_so(dtype)
        for is_so in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def open_parquet(path: Path, named: TableFormat) -> ParquetTable:
    """Open a Parquet file. Raises TableError."""
    return ParquetTable(path, named)
