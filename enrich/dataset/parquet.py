"""Parquet in: the file's own Arrow batches, in bounded memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from enrich.dataset.arrow import ArrowBatch, ArrowTable
from enrich.dataset.formats import TableFormat
from enrich.dataset.streams import reading
from enrich.dataset.tables import BATCH_ROWS, FileState, changed, rereading, table_error
from enrich.errors import Fault

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BATCH_BYTES = 32 << 20


class ParquetTable(ArrowTable):
    """A Parquet file."""

    def __init__(self, path: Path, table_format: TableFormat) -> None:
        """Read the file's footer. Raises TableError."""
        self.path = path
        self.format = table_format
        with reading(path):
            self._state = FileState.of(path)
            with self._open() as file:
                schema = file.schema_arrow
                self.height = int(file.metadata.num_rows)
                size = sum(file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups))
        self.describe(schema)
        self._row_bytes = max(1, size // max(1, self.height))

    def batches_of(self, columns: Sequence[str] | None, rows: int = BATCH_ROWS) -> Iterator[ArrowBatch]:
        rows = max(1, min(rows, _BATCH_BYTES // self._row_bytes))
        start = 0
        with rereading(self.path, self._state), self._open() as file:
            for batch in self._sound(file, file.iter_batches(rows, columns=columns, use_threads=False)):
                yield ArrowBatch(start, batch, self.path)
                start += batch.num_rows
        if start != self.height:
            raise changed(self.path)

    def _sound(self, file: "pq.ParquetFile", batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches; raises TableError naming the columns that can't be read."""
        try:
            yield from batches
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            faults = [_unreadable(name) for name in self.columns if not _is_readable(file, name)]
            if not faults:
                raise
            raise table_error(self.path, faults) from None

    def _open(self) -> "pq.ParquetFile":
        import pyarrow.parquet as pq  # 9 MB, which no other table needs

        # Buffered, so that a row group of any size is read a page at a time.
        return pq.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False)


def _is_readable(file: "pq.ParquetFile", name: str) -> bool:
    try:
        for _ in file.iter_batches(columns=[name], use_threads=False):
            pass
    except (pa.ArrowException, OSError):
        return False
    return True


def _unreadable(name: str) -> Fault:
    hint = "write the file again, such columns as plain text or bytes"
    return Fault(f"column {name!r} can't be read: it is damaged, or its text is not UTF-8", hint=hint)


def open_parquet(path: Path, named: TableFormat) -> ParquetTable:
    """Open a Parquet file. Raises TableError."""
    return ParquetTable(path, named)
