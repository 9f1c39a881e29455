"""Tables in memory: `enrich.enrich(data, config)` gives back the same kind of table with its answers.

A frame takes the same road as a file: it is spooled to a private Parquet file and enriched from there, so the ledger,
the promises and the memory are the same. A table's own columns are never rebuilt: the answers are set beside them.
What streams (LazyFrame, RecordBatchReader) comes back as a stream from the spool, which goes when its last reader does.
Importing this module also gives polars frames the method `df.enrich(config)`.
"""

import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from enrich.arguments import as_options, as_path, in_python, seal, spelled
from enrich.dataset.tables import name_faults
from enrich.errors import ExitCode, OutputError, TableError, UsageError
from enrich.library import Given, Plan, plan, run
from enrich.pipeline import Report
from enrich.progress import BarProgress, Progress, QuietProgress, open_progress

__all__ = ["ArrowStream", "IncompleteWarning", "enrich", "plan_of"]

_TABLE: Final = "the table"  # what errors call it
_UNREADABLE: Final = (pl.Int128, pl.UInt128)  # polars writes them to Parquet, and pyarrow does not read them
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

    Raises EnrichError as `enrich.run` does; warns with IncompleteWarning when rows are left pending.
    """
    seal(options)
    with in_python():
        as_options(options)  # a wrong one should not cost the spooling of a large table
    spool = Path(tempfile.mkdtemp(prefix="enrich-"))
    table = spool / "table.parquet"
    try:
        folder = spool if files is None else as_path("files", files)
        source = _spool(data, table)
        with _named(table):
            report = run(
                config,
                table,
                output=folder / "table.enriched.parquet",
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
    with tempfile.TemporaryDirectory(prefix="enrich-") as spool:
        table = Path(spool) / "table.parquet"
        _spool(data, table)
        with _named(table):
            return plan(config, table, **options)


# --- from memory to disk


def _spool(data: Any, path: Path) -> Any:
    """Write the table to `path`; gives the table, as a polars frame where it could be read only once."""
    match data:
        case pl.LazyFrame():
            _writable(data).sink_parquet(path)
        case pl.DataFrame():
            _writable(data).write_parquet(path)
        case pa.Table():
            pq.write_table(data, path)
        case pa.RecordBatchReader():
            with pq.ParquetWriter(path, data.schema) as writer:
                for batch in data:
                    writer.write_batch(batch)
        case _ if _is_pandas(data):
            _from_pandas(data).write_parquet(path)
        case _ if hasattr(data, "__arrow_c_stream__"):
            data = _from_stream(data)
            _writable(data).write_parquet(path)
        case _:
            raise _no_table(data)
    return data


def _from_stream(data: Any) -> pl.DataFrame:
    try:
        return pl.DataFrame(data)
    except pl.exceptions.SchemaError:  # a column, such as a pandas Series, streams too
        raise _no_table(data) from None


def _no_table(data: object) -> UsageError:
    what = "a polars, pyarrow or pandas table, or one with the Arrow stream interface"
    return UsageError(f"data: expected {what}, got {type(data).__name__}")


_Polars = TypeVar("_Polars", pl.DataFrame, pl.LazyFrame)


def _writable(frame: _Polars) -> _Polars:
    """The columns that Parquet can hold, integers of 128 bits as text; Python objects stay where they are."""
    schema = frame.collect_schema()
    if isinstance(frame, pl.LazyFrame) and pl.Object in schema.values():
        raise UsageError("data: a LazyFrame with Python objects in it can't be streamed to disk; collect it first")
    names = [name for name, dtype in schema.items() if dtype != pl.Object]
    large = [name for name in names if schema[name] in _UNREADABLE]
    return frame.select(names).with_columns(pl.col(large).cast(pl.String))


def _is_pandas(data: object) -> bool:
    return type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns")


def _from_pandas(data: Any) -> pl.DataFrame:
    """A pandas DataFrame as polars has it; columns of values that have no type in common are text."""
    names = [str(name) for name in data.columns]
    if faults := name_faults(names, None):
        raise TableError(_TABLE, faults)
    return _writable(pl.DataFrame([_from_pandas_series(name, data.iloc[:, n]) for n, name in enumerate(names)]))


def _from_pandas_series(name: str, column: Any) -> pl.Series:
    try:
        return cast(pl.Series, pl.from_pandas(column)).alias(name)
    except (pa.ArrowException, TypeError):
        texts = [None if lacks else str(value) for value, lacks in zip(column, column.isna(), strict=True)]
        return pl.Series(name, texts, pl.String)


# --- from disk to memory


def _result(source: Any, output: Path, spool: Path) -> Any:
    """What was enriched, with its answers. The spool is removed when nothing reads from it any more."""
    match source:
        case pl.LazyFrame():
            return _scanned(output, source.collect_schema(), spool)
        case pa.RecordBatchReader():
            file = pq.ParquetFile(output)
            batches = _batches(file)
            weakref.finalize(batches, shutil.rmtree, spool, ignore_errors=True)
            return pa.RecordBatchReader.from_batches(file.schema_arrow, batches)
        case pa.Table():
            result: Any = _beside_arrow(source, pq.read_table(output, memory_map=False))
        case pl.DataFrame():
            result = _beside(source, pl.read_parquet(output, memory_map=False))
        case _:
            result = _beside_pandas(source, pl.read_parquet(output, memory_map=False))
    shutil.rmtree(spool, ignore_errors=True)
    return result


class _Spool:
    """A step of a query that changes nothing, and keeps a folder for as long as there is a query with it."""

    def __init__(self, folder: Path) -> None:
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame


def _scanned(output: Path, schema: pl.Schema, spool: Path) -> pl.LazyFrame:
    """The enriched table as a query; its own columns have the types that they had."""
    lazy = pl.scan_parquet(output)
    found = lazy.collect_schema()
    other = [pl.col(name).cast(dtype) for name, dtype in schema.items() if found[name] != dtype]
    return lazy.map_batches(
        _Spool(spool),
        predicate_pushdown=True,
        projection_pushdown=True,
        slice_pushdown=True,
        validate_output_schema=False,
        streamable=True,
    ).with_columns(other)


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    with file:
        yield from file.iter_batches()


def _filled(own: Sequence[str], output: Sequence[str]) -> frozenset[str]:
    """Those of a table's own columns that answers went into."""
    return frozenset(name for name in own if name + "_status" in output and name + "_status" not in own)


def _beside(frame: pl.DataFrame, output: pl.DataFrame) -> pl.DataFrame:
    """The frame's own columns, untouched, and the answers'; a column that answers went into is theirs."""
    filled = _filled(frame.columns, output.columns)
    return frame.with_columns(
        output.get_column(name) for name in output.columns if name in filled or name not in frame.columns
    )


def _beside_arrow(table: pa.Table, output: pa.Table) -> pa.Table:
    filled = _filled(table.column_names, output.column_names)
    for name in output.column_names:
        if name in filled:
            table = table.set_column(table.column_names.index(name), output.field(name), output[name])
        elif name not in table.column_names:
            table = table.append_column(output.field(name), output[name])
    return table


def _beside_pandas(data: Any, output: pl.DataFrame) -> Any:
    pandas: Any = sys.modules["pandas"]
    own = [str(name) for name in data.columns]
    filled = _filled(own, output.columns)
    answers = {name: _pandas_cells(output[name]) for name in output.columns if name in filled or name not in own}
    data = data.assign(**{name: cells for name, cells in answers.items() if name in filled})
    added = {name: cells for name, cells in answers.items() if name not in filled}
    return pandas.concat([data, pandas.DataFrame(added, index=data.index)], axis="columns")


def _pandas_cells(column: pl.Series) -> Any:
    pandas: Any = sys.modules["pandas"]
    if (dtype := _PANDAS_TYPES.get(type(column.dtype))) is not None:
        return pandas.array(column.to_list(), dtype=dtype)
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
