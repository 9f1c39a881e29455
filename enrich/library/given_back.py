"""What was enriched on disk, given back as the table in memory that it came from.

A table's own columns are never rebuilt: the answers are set beside them.
"""

import shutil
import sys
import weakref
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa

from enrich.dataset.spool import read_spool
from enrich.library.spooling import to_polars

_PANDAS_TYPES: Final = {pl.Int64: "Int64", pl.Boolean: "boolean", pl.Float64: "float64"}


def given_back(source: Any, output: Path, spool: Path) -> Any:
    """What was enriched, with its answers. The spool is removed when nothing reads from it any more."""
    match source:
        case pl.LazyFrame():
            return _scanned(output, source.collect_schema(), spool)
        case pa.RecordBatchReader():
            stream = read_spool(output)
            schema = _with_own_fields(stream.schema, source.schema)
            batches = _batches(stream, schema)
            weakref.finalize(batches, shutil.rmtree, spool, ignore_errors=True)
            return pa.RecordBatchReader.from_batches(schema, batches)
        case pa.Table():
            result: Any = _beside_arrow(source, _answers(output, source.column_names))
        case pl.DataFrame():
            result = _beside(source, to_polars(_answers(output, source.columns)))
        case _:
            own = [str(name) for name in source.columns]
            result = _beside_pandas(source, own, to_polars(_answers(output, own)))
    shutil.rmtree(spool, ignore_errors=True)
    return result


def _answers(output: Path, own: Sequence[str]) -> pa.Table:
    """The columns of answers in a spool: those that were added, and those that answers went into."""
    with read_spool(output) as stream:
        names = stream.schema.names
    filled = _filled(own, names)
    chosen = [number for number, name in enumerate(names) if name in filled or name not in own]
    with read_spool(output, chosen) as stream:
        return stream.read_all()


def _with_own_fields(output: pa.Schema, own: pa.Schema) -> pa.Schema:
    """The output's schema; the fields of the table's own columns are the very ones that it came with."""
    filled = _filled(own.names, output.names)
    fields = [own.field(one.name) if one.name in own.names and one.name not in filled else one for one in output]
    return pa.schema(fields, own.metadata)


class _Spool:
    """A step of a query that changes nothing, and keeps a folder for as long as there is a query with it."""

    def __init__(self, folder: Path) -> None:
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame


def _scanned(output: Path, schema: pl.Schema, spool: Path) -> pl.LazyFrame:
    """The enriched table as a query; its own columns have the types that they had where no answers went into them."""
    lazy = pl.scan_parquet(output)
    found = lazy.collect_schema()
    own = schema.keys() - _filled(schema.names(), found.names())
    other = [pl.col(name).cast(schema[name]) for name in own if found[name] != schema[name]]
    return lazy.map_batches(
        _Spool(spool),
        predicate_pushdown=True,
        projection_pushdown=True,
        slice_pushdown=True,
        validate_output_schema=False,
        streamable=True,
    ).with_columns(other)


def _batches(stream: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches in a schema that says the same; an extension that Arrow does not know comes back as its storage."""
    with stream:
        for batch in stream:
            columns = [
                array if array.type == field.type else array.cast(field.type)
                for array, field in zip(batch.columns, schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _filled(own: Sequence[str], output: Sequence[str]) -> frozenset[str]:
    """Those of a table's own columns that answers went into."""
    return frozenset(name for name in own if name + "_status" in output and name + "_status" not in own)


def _beside(frame: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """The frame's own columns, untouched, and the answers'; a column that answers went into is theirs."""
    return frame.with_columns(answers)


def _beside_arrow(table: pa.Table, answers: pa.Table) -> pa.Table:
    for name in answers.column_names:
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), answers.field(name), answers[name])
        else:
            table = table.append_column(answers.field(name), answers[name])
    return table


def _beside_pandas(data: Any, own: list[str], answers: pl.DataFrame) -> Any:
    """The answers beside a pandas table's own columns, with its index, its `attrs` and the name of its columns."""
    pandas: Any = sys.modules["pandas"]
    cells = {name: _pandas_cells(answers[name]) for name in answers.columns}
    filled = data.copy(deep=False)
    for place, name in enumerate(own):
        if name in cells:
            filled.isetitem(place, cells[name])
    added = pandas.DataFrame({name: some for name, some in cells.items() if name not in own}, index=data.index)
    result = pandas.concat([filled, added], axis="columns")
    result.attrs = deepcopy(data.attrs)
    result.columns.name = data.columns.name
    return result


def _pandas_cells(column: pl.Series) -> Any:
    pandas: Any = sys.modules["pandas"]
    if (dtype := _PANDAS_TYPES.get(type(column.dtype))) is not None:
        return pandas.array(column.to_list(), dtype=dtype)
    if isinstance(column.dtype, pl.Datetime):
        return pandas.Series(column.to_list(), dtype="datetime64[us, UTC]").array
    if column.is_empty():  # which pandas takes for numbers: it is given the type of a cell
        return pandas.Series(["" if column.dtype == pl.String else []]).array[:0]
    return column.to_list()
