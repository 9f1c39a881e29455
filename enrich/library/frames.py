"""Tables in memory: `enrich.enrich(data, config)` gives back the same kind of table with its answers.

A frame takes the same road as a file: it is spooled to a private one and enriched from there, so the ledger, the
promises and the memory are the same: to a stream of Arrow, which holds every type, a LazyFrame to Parquet, which polars
writes as a stream. A table's own columns are never rebuilt: the answers are set beside them.
What streams (LazyFrame, RecordBatchReader) comes back as a stream from the spool, which goes when its last reader does.
Importing this module also gives polars frames the method `df.enrich(config)`.
"""

import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import polars as pl
import pyarrow as pa

from enrich.dataset import default_output
from enrich.errors import ExitCode, OutputError, TableError, UsageError
from enrich.library.arguments import as_options, as_path, in_python, seal, spelled
from enrich.library.calls import GivenConfig, Plan, plan, run
from enrich.library.given_back import given_back
from enrich.library.spooling import TABLE_NAME, put_on_disk, spool_path, spooling
from enrich.pipeline import Report
from enrich.progress import BarProgress, Progress, QuietProgress, open_progress

__all__ = ["ArrowStream", "IncompleteWarning", "enrich", "plan_of"]


class ArrowStream(Protocol):
    """Whatever speaks the Arrow C stream interface: a pandas DataFrame, among others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatchReader, ArrowStream)


class IncompleteWarning(UserWarning):
    """The table came back with rows that are still to be asked: the text says why, and the same call goes on."""


def enrich(
    data: Frame,
    config: GivenConfig,
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
    table = spool_path(data, spool)
    try:
        folder = spool if files is None else as_path("files", files)
        with spooling(spool):
            source = put_on_disk(data, table)
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
        return cast(Frame, given_back(source, report.output, spool))
    except BaseException:
        shutil.rmtree(spool, ignore_errors=True)
        raise


def plan_of(data: Any, config: GivenConfig, **options: Any) -> Plan:
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
        table = spool_path(data, Path(spool))
        with spooling(Path(spool)):
            put_on_disk(data, table)
        with _named(table):
            return plan(config, table, **options)


# --- what is told


@contextmanager
def _named(spooled: Path) -> Iterator[None]:
    """Let errors speak of the table, not of the file that it was spooled to."""
    try:
        yield
    except TableError as error:
        raise TableError(TABLE_NAME, error.faults) from None
    except OutputError as error:
        raise OutputError(str(error).replace(str(spooled), TABLE_NAME)) from None


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

    def __call__(self, config: GivenConfig, **options: Any) -> Any:
        """`enrich.enrich(frame, config)`, with the same options."""
        seal(options)
        return enrich(self._frame, config, **options)
