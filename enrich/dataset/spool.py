"""A table that was in memory, as a stream of Arrow batches on disk: every type that Arrow has, as it is.

Private to one call, and written by this very version: no format for files of users.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from enrich.dataset.arrow import ArrowTable
from enrich.dataset.arrow_values import inner_types
from enrich.dataset.formats import TableFormat
from enrich.dataset.streams import reading
from enrich.dataset.tables import FileState

__all__ = ["SpoolTable", "is_spoolable", "open_spool", "read_spool", "spool_writer", "write_spool"]

_SPOOLED_ROWS: Final = 8192  # of one batch, of which parts are taken again and again


class SpoolTable(ArrowTable):
    """A spooled table."""

    def __init__(self, path: Path, table_format: TableFormat) -> None:
        """Read the file to its end. Raises TableError."""
        self.path = path
        self.format = table_format
        with reading(path):
            self.state = FileState.of(path)
            with read_spool(path) as stream:
                self.describe(stream.schema)
            with self.named(None), read_spool(path) as stream:
                self.height = sum(batch.num_rows for batch in stream)

    def parts(self, columns: Sequence[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
        numbers = None if columns is None else [self.columns.index(name) for name in columns]
        with read_spool(self.path, numbers) as stream:
            for batch in stream:
                yield from (batch.slice(at, rows) for at in range(0, batch.num_rows, rows))


def open_spool(path: Path, named: TableFormat) -> SpoolTable:
    """Open a spooled table. Raises TableError."""
    return SpoolTable(path, named)


def read_spool(path: Path, columns: Iterable[int] | None = None) -> pa.RecordBatchReader:
    """The batches of a spooled table, of all its columns or of those with these numbers, in their order."""
    options = None if columns is None else pa.ipc.IpcReadOptions(included_fields=sorted(columns))
    return pa.ipc.open_stream(pa.OSFile(str(path)), options=options)


def is_spoolable(arrow_type: pa.DataType) -> bool:
    """Whether Arrow's stream gives a type back as it was.

    It can't read dictionaries of extensions, forgets one of two extensions around a type, and writing a union inside of
    a list ends the process where it is empty.
    """
    try:
        pa.ipc.read_schema(pa.schema([pa.field("x", arrow_type)]).serialize())
    except pa.ArrowException:
        return False
    return not (_wraps_twice(arrow_type) or any(map(_holds_union, inner_types(arrow_type))))


def _wraps_twice(arrow_type: pa.DataType) -> bool:
    inner, extension = inner_types(arrow_type), pa.BaseExtensionType
    is_wrapper = isinstance(arrow_type, extension) or pa.types.is_dictionary(arrow_type)
    return (is_wrapper and isinstance(inner[0], extension)) or any(map(_wraps_twice, inner))


def _holds_union(arrow_type: pa.DataType) -> bool:
    return pa.types.is_union(arrow_type) or any(map(_holds_union, inner_types(arrow_type)))


def spool_writer(file: Any, schema: pa.Schema) -> pa.RecordBatchStreamWriter:
    """What writes batches as such a stream, to a path or an open file."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    return pa.ipc.new_stream(str(file) if isinstance(file, Path) else file, schema, options=options)


def write_spool(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write batches to a new spool."""
    with spool_writer(path, schema) as writer:
        for batch in batches:
            for at in range(0, batch.num_rows, _SPOOLED_ROWS):
                writer.write_batch(batch.slice(at, _SPOOLED_ROWS))
