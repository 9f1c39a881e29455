"""Whether a table can be written at all: tried through the writer itself, before anything is paid for.

The first rows go through the real encoder, and the texts of all rows are looked through where a byte that is not
UTF-8 would stop the writing, or the asking.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from enrich.dataset.arrow import ArrowBatch, ArrowTable
from enrich.dataset.encoders import Outlet, arrow_writer, make_encoder, output_format
from enrich.dataset.formats import TableFormat
from enrich.dataset.layout import Layout
from enrich.dataset.tables import Batch, Table
from enrich.errors import OutputError
from enrich.spec.columns import AnswerColumn

_ROWS: Final = 64
_REFUSALS: Final = (pa.ArrowException, PolarsError, ValueError, TypeError, OverflowError, OSError)


def try_writing(path: Path, table: Table, columns: Sequence[AnswerColumn], *, asked: Iterable[str] = ()) -> None:
    """Raise OutputError where a column can't be written to `path`, naming it and what to do.

    Raises TableError for a text that is not UTF-8 in a column that is written as text, or is one of `asked`.
    """
    layout, form = Layout(table, columns), output_format(path, table)
    if isinstance(table, ArrowTable):
        table.check_texts(asked if form.kind in ("parquet", "spool") else table.columns)
    batch = next(table.batches(_ROWS), None)
    try:
        encoder = make_encoder(Outlet(io.BytesIO()), form, layout, neutralise=True)
        if batch is not None:
            encoder.write(batch, layout.typed(_no_answers(columns, batch.height)))
        encoder.close()
    except _REFUSALS as error:
        raise OutputError("; ".join(_reasons(path, form, table, batch)) or _unknown(path, form)) from error


def _no_answers(columns: Sequence[AnswerColumn], height: int) -> pl.DataFrame:
    return pl.DataFrame([pl.Series(one.name, [None] * height, one.dtype) for one in columns])


def _reasons(path: Path, form: TableFormat, table: Table, batch: Batch | None) -> Iterator[str]:
    """Which of the table's columns can't be written, each by itself, and what to do."""
    for name in table.columns:
        try:
            _write_alone(name, form, table, batch)
        except _REFUSALS:
            kind = table.arrow_schema.field(name).type if isinstance(table, ArrowTable) else table.schema[name]
            yield (
                f"{path}: column {name!r} is {kind}, which can't be written as {form.kind}; give it another type, such "
                "as text, or leave it out"
            )


def _write_alone(name: str, form: TableFormat, table: Table, batch: Batch | None) -> None:
    if form.kind in ("parquet", "spool") and isinstance(table, ArrowTable):
        schema = pa.schema([table.arrow_schema.field(name)])
        with arrow_writer(io.BytesIO(), form, schema) as writer:
            if isinstance(batch, ArrowBatch):
                writer.write_table(pa.Table.from_batches([batch.arrow.select([name])], schema))
    elif batch is not None:
        batch.json(name)
        batch.texts(name)


def _unknown(path: Path, form: TableFormat) -> str:
    return f"{path}: the table's columns can't be written together as {form.kind}; give another kind of output"
