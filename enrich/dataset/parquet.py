"""Parquet in: the file's own Arrow batches, in bounded memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from enrich.dataset.arrow import ArrowTable
from enrich.dataset.formats import TableFormat
from enrich.dataset.streams import reading
from enrich.dataset.tables import FileState

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
            self.state = FileState.of(path)
            with self._open() as file:
                schema = file.schema_arrow
                self.height = int(file.metadata.num_rows)
                size = sum(file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups))
        self.describe(schema)
        self._row_bytes = max(1, size // max(1, self.height))

    def parts(self, columns: Sequence[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
        rows = max(1, min(rows, _BATCH_BYTES // self._row_bytes))
        with self._open() as file:
            yield from file.iter_batches(rows, columns=columns, use_threads=False)

    def _open(self) -> "pq.ParquetFile":
        import pyarrow.parquet as pq  # 9 MB, which no other table needs

        # Buffered, so that a row group of any size is read a page at a time.
        return pq.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False)


def open_parquet(path: Path, named: TableFormat) -> ParquetTable:
    """Open a Parquet file. Raises TableError."""
    return ParquetTable(path, named)
