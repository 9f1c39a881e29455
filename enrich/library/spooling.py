"""A table in memory put on disk, from where it is enriched as a file is.

To a stream of Arrow, which holds every type; a LazyFrame to Parquet, which polars writes as a stream.
"""

import errno
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from enrich.dataset.arrow import ArrowBatch, is_known
from enrich.dataset.arrow_values import inner_types
from enrich.dataset.dtypes import held, is_in_arrow, is_in_parquet
from enrich.dataset.formats import SPOOL_SUFFIX
from enrich.dataset.spool import is_spoolable, write_spool
from enrich.dataset.tables import name_faults
from enrich.errors import OutputError, TableError, UsageError

_ROOM_BYTES: Final = 1 << 16  # a disk with less is full
TABLE_NAME: Final = "the table"  # what errors call it


def spool_path(data: Any, folder: Path) -> Path:
    """The file that a table in memory is spooled to: its name tells the format."""
    return folder / f"table{'.parquet' if isinstance(data, pl.LazyFrame) else SPOOL_SUFFIX}"


@contextmanager
def spooling(folder: Path) -> Iterator[None]:
    """Say it where the disk of temporary files is full; all else that goes wrong with a caller's table is theirs."""
    try:
        yield
    except (OSError, PolarsError) as error:
        known = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if known or shutil.disk_usage(folder).free < _ROOM_BYTES:  # polars has no other sign of it than its words
            raise OutputError(
                f"{folder.parent}: the disk of temporary files is full; nothing was sent. Free some space, or set"
                " TMPDIR to a folder with room for the table; then make the same call again"
            ) from error
        raise


def put_on_disk(data: Any, path: Path) -> Any:
    """Write the table to `path`; gives the table, as a polars frame where it could be read only once."""
    match data:
        case pl.LazyFrame():
            _writable(data).sink_parquet(path)
        case pl.DataFrame():
            _spool_arrow(_to_arrow(data), path)
        case pa.Table():
            _spool_arrow(data, path)
        case pa.RecordBatchReader():
            if lacking := _named_types(field for field in data.schema if not is_spoolable(field.type)):
                raise UsageError(f"data: {lacking} can't be put on disk; give a pyarrow Table instead")
            write_spool(path, data.schema, data)
        case _ if _is_pandas(data):
            _spool_arrow(_from_pandas(data), path)
        case _ if hasattr(data, "__arrow_c_stream__"):
            table = _from_stream(data)
            data = to_polars(table)
            _spool_arrow(table, path)
        case _:
            raise _no_table(data)
    return data


def _spool_arrow(table: pa.Table, path: Path) -> None:
    """Write a table; its columns that the stream can't hold stay where they are, and go there as text."""
    for number, field in enumerate(table.schema):
        if not is_spoolable(field.type):
            batches = [ArrowBatch(0, batch, path) for batch in table.select([number]).to_batches()]
            texts = [batch.texts(field.name).to_arrow(compat_level=pl.CompatLevel.oldest()) for batch in batches]
            table = table.set_column(number, field.name, pa.chunked_array(texts, pa.large_string()))
    write_spool(path, table.schema, table.to_batches())


def _named_types(fields: Iterable[pa.Field]) -> str:
    return ", ".join(f"{field.name!r} ({field.type})" for field in fields)


def _from_stream(data: Any) -> pa.Table:
    try:
        return pa.RecordBatchReader.from_stream(data).read_all()
    except (pa.ArrowException, TypeError, ValueError):  # a column, such as a pandas Series, streams too
        raise _no_table(data) from None


def to_polars(table: pa.Table) -> pl.DataFrame:
    """An Arrow table as polars has it. Raises UsageError naming the columns of types that it lacks."""
    if lacking := _named_types(field for field in table.schema if not _is_in_polars(field.type)):
        raise UsageError(f"data: polars has no type for {lacking}; give a pyarrow Table instead")
    try:
        return pl.DataFrame(table)
    except PolarsError:
        raise UsageError("data: polars can't hold this table; give a pyarrow Table instead") from None


def _is_in_polars(arrow_type: pa.DataType) -> bool:
    """Whether polars has a type, if not as one that answers could go into; of some others it panics."""
    types = pa.types
    if types.is_fixed_size_list(arrow_type) and not arrow_type.list_size:
        return False
    if isinstance(arrow_type, pa.BaseExtensionType) and types.is_dictionary(arrow_type.storage_type):
        return False
    wrapped = (
        isinstance(arrow_type, pa.BaseExtensionType) or types.is_dictionary(arrow_type) or types.is_map(arrow_type)
    )
    lists = types.is_list(arrow_type) or types.is_large_list(arrow_type) or types.is_fixed_size_list(arrow_type)
    if wrapped or lists or types.is_struct(arrow_type):
        # Of narrow decimals inside of others polars makes a column that ends the process when it is used.
        return not any(_is_narrow(inner) or not _is_in_polars(inner) for inner in inner_types(arrow_type))
    return is_known(arrow_type) or types.is_binary_view(arrow_type) or types.is_decimal32(arrow_type)


def _is_narrow(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_decimal32(arrow_type) or pa.types.is_decimal64(arrow_type))


def _no_table(data: object) -> UsageError:
    what = "a polars, pyarrow or pandas table, or one with the Arrow stream interface"
    return UsageError(f"data: expected {what}, got {type(data).__name__}")


_Polars = TypeVar("_Polars", pl.DataFrame, pl.LazyFrame)


def _writable(frame: _Polars) -> _Polars:
    """The columns that Arrow can hold, in types that it has; Python objects stay where they are.

    Raises UsageError naming columns of other types.
    """
    schema = frame.collect_schema()
    if isinstance(frame, pl.LazyFrame):
        if lacking := _named_columns(schema, [name for name, dtype in schema.items() if not is_in_parquet(dtype)]):
            raise UsageError(f"data: {lacking} can't be streamed to disk, as a LazyFrame is; collect it first")
    elif lacking := _named_columns(schema, [name for name, dtype in schema.items() if not is_in_arrow(dtype)]):
        raise UsageError(f"data: {lacking} can't be given to Arrow; cast it to another type")
    names = [name for name, dtype in schema.items() if dtype != pl.Object]
    others = {name: held(schema[name]) for name in names}
    return frame.select(names).with_columns(pl.col(name).cast(to) for name, to in others.items() if to != schema[name])


def _named_columns(schema: pl.Schema, names: Iterable[str]) -> str:
    return ", ".join(f"{name!r} ({schema[name]})" for name in names)


def _to_arrow(frame: pl.DataFrame) -> pa.Table:
    return _writable(frame).to_arrow(compat_level=pl.CompatLevel.oldest())


def _is_pandas(data: object) -> bool:
    return type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns")


def _from_pandas(data: Any) -> pa.Table:
    """A pandas DataFrame as Arrow has it; columns of values that have no type in common are text."""
    names = [str(name) for name in data.columns]
    if faults := name_faults(names, None):
        raise TableError(TABLE_NAME, faults)
    return pa.table({name: _from_pandas_series(data.iloc[:, n]) for n, name in enumerate(names)})


def _from_pandas_series(column: Any) -> pa.ChunkedArray | pa.Array:
    if column.dtype == object and column.isna().all():
        return pa.nulls(len(column))
    try:
        series = cast(pl.Series, pl.from_pandas(column))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _as_texts([None if lacks else str(value) for value, lacks in zip(column, column.isna(), strict=True)])
    return _to_arrow(series.to_frame("")).column(0)


def _as_texts(texts: list[str | None]) -> pa.Array:
    """Texts as they are; half a character, which is no text, as bytes that are refused where they would be sent."""
    held = pa.array(
        [None if text is None else text.encode("utf-8", "surrogatepass") for text in texts], pa.large_binary()
    )
    return pa.Array.from_buffers(pa.large_string(), len(held), held.buffers(), held.null_count)
