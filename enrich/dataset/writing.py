"""Tables out: the original columns as they came, the answers beside them, in a file that is whole or not.

In its own format a table comes out with its cells unchanged: Parquet's Arrow batches and NDJSON's lines go
through untouched, delimited text keeps its dialect, encoding and line breaks. In another format the original
values are written as `cells` has them.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import polars as pl

from enrich.dataset.encoders import Encoder, Outlet, make_encoder, output_format
from enrich.dataset.layout import Layout
from enrich.dataset.ndjson import NdjsonTable
from enrich.dataset.parquet import ParquetTable
from enrich.dataset.paths import refuse_input, refuse_names
from enrich.dataset.readback import reread
from enrich.dataset.spool import SpoolTable
from enrich.dataset.streams import open_utf8, reading
from enrich.dataset.tables import Batch, Table
from enrich.errors import OutputError, TableError
from enrich.host.files import Files, NewFile, writing
from enrich.spec.columns import AnswerColumn

_TABLES: Final[dict[str, type[NdjsonTable | ParquetTable | SpoolTable]]] = {
    "ndjson": NdjsonTable,
    "parquet": ParquetTable,
    "spool": SpoolTable,
}


class TableWriter:
    """Writes a table's batches, in order, with answers. A context manager: `close` makes the file appear.

    Leaving the block by an exception, or `abort`, leaves what stood at `path`. Raises OutputError.
    """

    def __init__(
        self,
        path: Path,
        like: Table,
        columns: Sequence[AnswerColumn],
        *,
        neutralise: bool = True,
        files: Files | None = None,
    ) -> None:
        self.format = output_format(path, like)
        self._path = path
        self._like = like
        self._layout = Layout(like, columns)
        self._rows = 0
        self._is_closed = False
        refuse_input(path, like)
        refuse_names(path, like)
        self._new = NewFile(path, files or Files(), like=like.path)
        self._outlet = Outlet(self._new.file)
        try:
            with writing(path):
                self._encoder: Encoder = make_encoder(self._outlet, self.format, self._layout, neutralise=neutralise)
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, batch: Batch, answers: pl.DataFrame) -> None:
        """Add the rows of `batch` with their answers: a row each, the columns named as they were given."""
        if batch.start != self._rows or answers.height != batch.height:
            expected = f"row {self._rows} with {batch.height} rows of answers comes next"
            raise ValueError(f"{expected}; got row {batch.start} with {answers.height}")
        with writing(self._path):
            self._encoder.write(batch, self._layout.typed(answers))
        self._new.flow()
        self._rows += batch.height

    def close(self) -> None:
        """Finish the file, read it back, put it in its place. Nothing is left to do the second time."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._check_rows()
            with writing(self._path):
                self._encoder.close()
            self._new.sync()
            self._verify()
            self._new.commit()
        except BaseException:
            self.abort()
            raise
        self._outlet.shut()

    def abort(self) -> None:
        """Give the file up: what stood at `path` still stands."""
        self._is_closed = True
        self._outlet.shut()
        self._new.discard()

    def _check_rows(self) -> None:
        if self._rows != self._like.height:
            raise ValueError(f"{self._rows} rows were written of {self._like.height}")

    def _verify(self) -> None:
        try:
            with reading(self._new.temporary):
                columns, height = self._reread()
        except TableError as error:
            raise self._unreadable(str(error)) from error
        if height != self._rows:
            raise self._unreadable(f"{height} rows instead of {self._rows}")
        names = self._layout.headers
        if self.format.kind == "ndjson":  # its columns are the keys of the rows that are there
            columns = names if set(columns) == set(names) else columns
        if columns != names:
            raise self._unreadable(f"columns {', '.join(columns)}")

    def _reread(self) -> tuple[tuple[str, ...], int]:
        if self.format.kind in ("csv", "tsv"):
            return reread(self._new.temporary, self.format.of_ours())
        if self.format.kind == "ndjson" and not self._rows:  # no rows, no keys: an empty file
            with open_utf8(self._new.temporary, self.format) as stream:
                return self._layout.names, len(stream.read(1))
        written = _TABLES[self.format.kind](self._new.temporary, self.format.of_ours())
        return written.columns, written.height

    def _unreadable(self, found: str) -> OutputError:
        return OutputError(
            f"{self._path}: the new file could not be read back ({found}); the old one is unchanged; "
            "check the disk, then run the same command again"
        )
