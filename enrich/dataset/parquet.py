"""Parquet in: Arrow batches that go through untouched, with a polars view beside them.

The batch keeps pyarrow's own record batch, so every type (dictionaries, decimals, time zones, nested ones)
and all metadata come out as they went in. The view is for inputs, conditions and text outputs: dictionaries
are decoded, and a column of a type that polars does not have (maps, 256-bit decimals, extensions) is text.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import polars as pl
import pyarrow as pa

from enrich.dataset.formats import TableFormat
from enrich.dataset.streams import reading
from enrich.dataset.tables import (
    BATCH_ROWS,
    Batch,
    FileState,
    Table,
    changed,
    name_faults,
    rereading,
    table_error,
)
from enrich.errors import Fault

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BATCH_BYTES = 32 << 20


class ParquetBatch(Batch):
    """Rows of a Parquet file: `arrow` as they came."""

    def __init__(self, start: int, arrow: pa.RecordBatch) -> None:
        self.start = start
        self.arrow = arrow

    @cached_property
    def _frame(self) -> pl.DataFrame:
        return view(self.arrow)

    @property
    def frame(self) -> pl.DataFrame:
        return self._frame

    def column(self, name: str) -> pl.Series:
        return _series(name, self.arrow.column(name))

    @property
    def height(self) -> int:
        return int(self.arrow.num_rows)


class ParquetTable(Table):
    """A Parquet file. `arrow_schema` is its own schema with all metadata."""

    def __init__(self, path: Path, table_format: TableFormat) -> None:
        """Read the file's footer. Raises TableError."""
        self.path = path
        self.format = table_format
        with reading(path):
            self._state = FileState.of(path)
            with self._open() as file:
                self.arrow_schema: pa.Schema = file.schema_arrow
                self.height = int(file.metadata.num_rows)
                size = sum(file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups))
        self.columns = tuple(self.arrow_schema.names)
        faults = name_faults(list(self.columns), None)
        if not self.columns:
            faults = [Fault("the table has no columns")]
        if faults:
            raise table_error(path, faults)
        self._row_bytes = max(1, size // max(1, self.height))
        self.shown_as_text = frozenset(
            field.name for field in self.arrow_schema if not _is_known(_decoded_type(field.type))
        )
        self.schema = view(_no_rows(self.arrow_schema)).schema

    def takes_answers(self, name: str) -> bool:
        """Whether a value that the table does not have yet can stand in a column.

        It can't in a type that polars does not have, in an ordered dictionary (an Enum among them, which has no values
        but its own), nor in lists and structs without nulls in them, as answers may have.
        """
        arrow_type = self.arrow_schema.field(name).type
        is_ordered = pa.types.is_dictionary(arrow_type) and arrow_type.ordered
        return not is_ordered and name not in self.shown_as_text and _is_nullable(arrow_type)

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[Batch]:
        rows = max(1, min(rows, _BATCH_BYTES // self._row_bytes))
        start = 0
        with rereading(self.path, self._state), self._open() as file:
            for batch in file.iter_batches(rows, use_threads=False):
                yield ParquetBatch(start, batch)
                start += batch.num_rows
        if start != self.height:
            raise changed(self.path)

    def _open(self) -> "pq.ParquetFile":
        import pyarrow.parquet as pq  # 9 MB, which no other table needs

        # Buffered, so that a row group of any size is read a page at a time.
        return pq.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False)


def open_parquet(path: Path, named: TableFormat) -> ParquetTable:
    """Open a Parquet file. Raises TableError."""
    return ParquetTable(path, named)


def view(batch: pa.RecordBatch) -> pl.DataFrame:
    """A record batch as polars has it."""
    columns = zip(batch.schema.names, batch.columns, strict=True)
    return pl.DataFrame([_series(name, array) for name, array in columns])


def _series(name: str, array: pa.Array) -> pl.Series:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if _is_known(array.type):
        return pl.Series(name, array)
    return pl.Series(name, [_text(value) for value in array.to_pylist()], pl.String)


def _decoded_type(arrow_type: pa.DataType) -> pa.DataType:
    return arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type


def _is_known(arrow_type: pa.DataType) -> bool:
    """Whether polars has the type; of some that it lacks it panics."""
    types = pa.types
    if types.is_nested(arrow_type):
        sound = types.is_struct(arrow_type) or types.is_list(arrow_type)
        sound = sound or types.is_large_list(arrow_type) or types.is_fixed_size_list(arrow_type)
        return sound and all(_is_known(arrow_type.field(n).type) for n in range(arrow_type.num_fields))
    if types.is_temporal(arrow_type):
        return not types.is_interval(arrow_type)
    known = (
        types.is_integer,
        types.is_floating,
        types.is_boolean,
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_binary,
        types.is_large_binary,
        types.is_fixed_size_binary,
        types.is_decimal128,
        types.is_null,
    )
    return any(is_type(arrow_type) for is_type in known)


def _is_nullable(arrow_type: pa.DataType) -> bool:
    """Whether everything inside of a value may be null."""
    inner = [arrow_type.field(n) for n in range(arrow_type.num_fields)]
    return all(field.nullable and _is_nullable(field.type) for field in inner)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | dict | tuple):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    # pyarrow makes an array of a list, and an empty table, only once it has loaded pandas: 34 MB.
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
