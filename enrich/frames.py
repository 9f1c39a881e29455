"""Tables in memory: `enrich.enrich(data, config)` gives back the same kind of table with its answers.

A frame takes the same road as a file: it is spooled to a private Parquet file and enriched from there, so the ledger,
the promises and the memory are the same. A DataFrame's own columns are never rebuilt: the answers are set beside them.
Importing this module also gives polars frames the method `df.enrich(config)`.
"""

import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from enrich.errors import ExitCode
from enrich.library import run
from enrich.pipeline import Report
from enrich.progress import open_progress

__all__ = ["ArrowStream", "IncompleteWarning", "enrich"]


class ArrowStream(Protocol):
    """Whatever speaks the Arrow C stream interface: a pandas DataFrame, among others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatchReader, ArrowStream)


class IncompleteWarning(UserWarning):
    """The table came back with rows that are still to be asked: the text says why, and the same call goes on."""


def enrich(
    data: Frame,
    config: str | Path,
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
    spool = Path(tempfile.mkdtemp(prefix="enrich-"))
    try:
        source = _spool(data, spool / "table.parquet")
        folder = spool if files is None else Path(files)
        report = run(
            config,
            spool / "table.parquet",
            output=folder / "table.enriched.parquet",
            progress=open_progress(sys.stderr, quiet=not progress, notebook=_in_notebook()),
            **options,
        )
        _tell(report, on_report)
        return cast(Frame, _result(source, report.output, spool))
    except BaseException:
        shutil.rmtree(spool, ignore_errors=True)
        raise


def _spool(data: Any, path: Path) -> Any:
    """Write the table to `path`; gives the table, read once if it can be read only once."""
    match data:
        case pl.LazyFrame():
            data.sink_parquet(path)
        case pl.DataFrame():
            _writable(data).write_parquet(path)
        case pa.Table():
            pq.write_table(data, path)
        case pa.RecordBatchReader():
            with pq.ParquetWriter(path, data.schema) as writer:
                for batch in data:
                    writer.write_batch(batch)
        case _ if hasattr(data, "__arrow_c_stream__"):
            _writable(pl.DataFrame(data)).write_parquet(path)
        case _:
            raise TypeError(
                f"expected a polars or pyarrow table, or one with the Arrow stream interface, got {type(data).__name__}"
            )
    return data


def _writable(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that Parquet can hold; the others stay where they are."""
    return frame.select([name for name, dtype in frame.schema.items() if dtype != pl.Object])


def _result(source: Any, output: Path, spool: Path) -> Any:
    """What was enriched, with its answers. The spool is removed when nothing reads from it any more."""
    match source:
        case pl.LazyFrame():
            lazy = pl.scan_parquet(output)
            weakref.finalize(lazy, shutil.rmtree, spool, ignore_errors=True)
            return lazy
        case pa.RecordBatchReader():
            file = pq.ParquetFile(output)
            return pa.RecordBatchReader.from_batches(file.schema_arrow, _batches(file, spool))
        case pl.DataFrame():
            result: Any = _beside(source, pl.read_parquet(output, memory_map=False))
        case pa.Table():
            result = pq.read_table(output, memory_map=False)
        case _:
            answers = pl.read_parquet(output, memory_map=False)
            if type(source).__module__.split(".", 1)[0] == "pandas":
                given = set(source.columns)
                new = {name: answers[name].to_list() for name in answers.columns if name not in given}
                result = source.assign(**new)
            else:
                result = _beside(pl.DataFrame(source), answers)
    shutil.rmtree(spool, ignore_errors=True)
    return result


def _beside(frame: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """The frame's own columns, untouched, and the answers'; a column that answers went into is theirs."""
    filled = [name for name in frame.columns if name + "_status" in answers.columns]
    return frame.with_columns(
        answers.get_column(name) for name in answers.columns if name in filled or name not in frame
    )


def _batches(file: pq.ParquetFile, spool: Path) -> Iterator[pa.RecordBatch]:
    try:
        yield from file.iter_batches()
    finally:
        file.close()
        shutil.rmtree(spool, ignore_errors=True)


def _tell(report: Report, on_report: Callable[[Report], None] | None) -> None:
    if on_report is not None:
        on_report(report)
    if report.exit_code not in (ExitCode.DONE, ExitCode.FAILED_ROWS):
        why = report.stopped or f"it ended with {report.exit_code.name}"
        pending = report.receipt.rows.get("pending", 0)
        warnings.warn(f"{why}; {pending} rows are pending, the same call goes on", IncompleteWarning, stacklevel=3)


def _in_notebook() -> bool:
    """Whether this runs in a notebook, where a progress bar is a widget."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


@pl.api.register_dataframe_namespace("enrich")
@pl.api.register_lazyframe_namespace("enrich")
class EnrichNamespace:
    """`df.enrich(config)`: the frame with its answers."""

    def __init__(self, frame: pl.DataFrame | pl.LazyFrame) -> None:
        self._frame = frame

    def __call__(self, config: str | Path, **options: Any) -> Any:
        """`enrich.enrich(frame, config)`, with the same options."""
        return enrich(self._frame, config, **options)
