"""Tables in memory: `enrich.enrich(data, config)` gives back the same kind of table with its answers.

A frame takes the same road as a file: it is spooled to a private one and enriched from there, so the ledger, the
promises and the memory are the same: to a stream of Arrow, which holds every type, a LazyFrame to Parquet, which polars
writes as a stream. A table's own columns are never rebuilt: the answers are set beside them.
What streams (LazyFrame, RecordBatchReader) comes back as a stream from the spool, which goes when its last reader does.
Importing this module also gives polars frames the method `df.enrich(config)`.
"""

import errno
import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from enrich.dataset import default_output
from enrich.dataset.arrow import ArrowBatch, is_known
from enrich.dataset.arrow_values import inner_types
from enrich.dataset.dtypes import held, is_in_arrow, is_in_parquet
from enrich.dataset.formats import SPOOL_SUFFIX
from enrich.dataset.spool import is_spoolable, read_spool, write_spool
from enrich.dataset.tables import name_faults
from enrich.errors import ExitCode, OutputError, TableError, UsageError
from enrich.library.arguments import as_options, as_path, in_python, seal, spelled
from enrich.library.calls import Given, Plan, plan, run
from enrich.pipeline import Report
from enrich.progress import BarProgress, Progress, QuietProgress, open_progress

__all__ = ["ArrowStream", "IncompleteWarning", "enrich", "plan_of"]

_ROOM_BYTES: Final = 1 << 16  # a disk with less is full
_TABLE: Final = "the table"  # what errors call it
_PANDAS_TYPES: Final = {pl.Int64: "Int64", pl.Boolean: "boolean", pl.Float64: "float64"}


class ArrowStream(Protocol):
    """Whatever speaks the Arrow C stream interface: a pandas DataFrame, among others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatchReader, ArrowStream)


class IncompleteWarning(UserWarning):
    """The table came back with rows that are still to be asked: the text says why, and the same call goes on."""


def enrich(
    data: Frame,
    config: Given,
    *,
    files: str | Path | None = None,
    progress: bool = True,
    on_report: Callable[[Report], None] | None = None,
    **options: Any,
) -> Frame:
    """Enrich a table in memory; gives a table of the same kind, with typed answer columns.

    Takes a polars DataFrame or LazyFrame, a pyarrow Table or RecordBatchReader, or whatever has the Arrow stream
    interface (pandas), which comes back as what it was if it is a pandas DataFrame, else as a polars one. A LazyFrame
    is streamed to disk, and what comes back reads from there. `files` is a folder in which review file, report and
    manifest are kept; `on_report` is given the Report; `options` are those of `enrich.run`.

    Raises EnrichError as `enrich.run` does, and what reading `data` itself raises (a query on a file that is gone);
    warns with IncompleteWarning when rows are left pending.
    """
    seal(options)
    with in_python():
        as_options(options)  # a wrong one should not cost the spooling of a large table
        spool = Path(tempfile.mkdtemp(prefix="enrich-"))
    table = _place(data, spool)
    try:
        folder = spool if files is None else as_path("files", files)
        with _spooling(spool):
            source = _spool(data, table)
        with _named(table):
            report = run(
                config,
                table,
                output=default_output(folder / table.name, sandbox=options.get("sandbox") is True),
                progress=_progress() if progress else QuietProgress(),
                **options,
            )
        table.unlink()
        _tell(report, on_report)
        return cast(Frame, _result(source, report.output, spool))
    except BaseException:
        shutil.rmtree(spool, ignore_errors=True)
        raise


def plan_of(data: Any, config: Given, **options: Any) -> Plan:
    """What `enrich` would ask now of a table in memory, by the same options; it is spooled as there, and left alone."""
    seal(options)
    with in_python():
        as_options(options)
    if isinstance(data, pa.RecordBatchReader):
        raise UsageError(
            "data: a RecordBatchReader can be read once only, and not by a plan; give a Table or a LazyFrame"
        )
    with in_python():
        folder = tempfile.TemporaryDirectory(prefix="enrich-")
    with folder as spool:
        table = _place(data, Path(spool))
        with _spooling(Path(spool)):
            _spool(data, table)
        with _named(table):
            return plan(config, table, **options)


# --- from memory to disk


def _place(data: Any, folder: Path) -> Path:
    """The file that a table in memory is spooled to: its name tells the format."""
    return folder / f"table{'.parquet' if isinstance(data, pl.LazyFrame) else SPOOL_SUFFIX}"


@contextmanager
def _spooling(folder: Path) -> Iterator[None]:
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


def _spool(data: Any, path: Path) -> Any:
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
            data = _to_polars(table)
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


def _to_polars(table: pa.Table) -> pl.DataFrame:
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
        raise TableError(_TABLE, faults)
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


# --- from disk to memory


def _result(source: Any, output: Path, spool: Path) -> Any:
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
            result = _beside(source, _to_polars(_answers(output, source.columns)))
        case _:
            own = [str(name) for name in source.columns]
            result = _beside_pandas(source, own, _to_polars(_answers(output, own)))
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


# --- what is told


@contextmanager
def _named(spooled: Path) -> Iterator[None]:
    """Let errors speak of the table, not of the file that it was spooled to."""
    try:
        yield
    except TableError as error:
        raise TableError(_TABLE, error.faults) from None
    except OutputError as error:
        raise OutputError(str(error).replace(str(spooled), _TABLE)) from None


def _tell(report: Report, on_report: Callable[[Report], None] | None) -> None:
    if on_report is not None:
        on_report(report)
    if report.exit_code not in (ExitCode.DONE, ExitCode.FAILED_ROWS):
        why = report.stopped or f"it ended with {report.exit_code.name}"
        pending = report.receipt.rows.get("pending", 0)
        warnings.warn(
            f"{spelled(why)}; {pending} rows are pending, the same call goes on", IncompleteWarning, stacklevel=3
        )


def _progress() -> Progress:
    """A widget in a notebook, in text where it has none; on a terminal a bar, elsewhere lines."""
    if not _in_notebook():
        return open_progress(sys.stderr)
    return BarProgress(sys.stderr, notebook=find_spec("ipywidgets") is not None)


def _in_notebook() -> bool:
    """Whether this runs in a notebook, where a progress bar is a widget."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", {})


@pl.api.register_dataframe_namespace("enrich")
@pl.api.register_lazyframe_namespace("enrich")
class EnrichNamespace:
    """`df.enrich(config)`: the frame with its answers."""

    def __init__(self, frame: pl.DataFrame | pl.LazyFrame) -> None:
        self._frame = frame

    def __call__(self, config: Given, **options: Any) -> Any:
        """`enrich.enrich(frame, config)`, with the same options."""
        seal(options)
        return enrich(self._frame, config, **options)
