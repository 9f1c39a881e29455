"""`enrich check`: every fault of a config, and of a table for it. Sends nothing, writes nothing."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enrich.cli.options import ConfigArgument, console_of
from enrich.errors import ConfigError

if TYPE_CHECKING:
    from enrich.config import Config
    from enrich.dataset import Table


def check(
    context: typer.Context,
    config: ConfigArgument,
    table: Annotated[
        Path | None, typer.Argument(metavar="TABLE", help="A table to check the config against.", show_default=False)
    ] = None,
) -> None:
    """Check a config, and whether a table fits it.

    Prints all faults at once, each with its file and line. Warns of what is allowed but rarely intended.

    \b
      enrich check configs/companies.yaml
      enrich check configs/companies.yaml companies.csv
    """
    from enrich.backends.opening import check_service
    from enrich.config import warnings
    from enrich.config.loading import load
    from enrich.text.figures import counted

    console = console_of(context)
    check_service(os.environ)
    loaded = load(config)
    _check_ledger(loaded)
    for fault in warnings(loaded):
        console.warn(fault.render(str(config)))
    fits = ""
    if table is not None:
        opened = _open_fitting(loaded, table)
        for text in _remarks(loaded, opened):
            console.warn(text)
        fits = f"; {table} fits it, {counted(opened.height, 'row')}"
    answers, ladder = counted(len(loaded.fields), "answer"), ", then ".join(loaded.processor)
    console.show(f"{config} is sound: {answers} from {ladder}{fits}\n")


def _check_ledger(config: "Config") -> None:
    """Raise ConfigError where something stands in the ledger's place that is none, which a run would refuse."""
    from enrich.errors import Fault, LedgerError, UsageError
    from enrich.job import Options
    from enrich.preparing import ledger_path

    try:
        ledger_path(config, Options())
    except (LedgerError, UsageError) as error:
        raise ConfigError(str(config.path), [config.placed(Fault(str(error), path="ledger"))]) from None


def _remarks(config: "Config", table: "Table") -> list[str]:
    """What is odd about the table, though nothing is wrong with it."""
    from collections import Counter

    from enrich.inputs.documents import InputBuilder
    from enrich.inputs.remarks import nothing_to_ask, placeholder_remarks

    builder = InputBuilder(config.inputs, table.schema, str(table.path), empty=config.empty)
    counts: Counter[tuple[str, str]] = Counter()
    for batch in table.batches():
        counts.update(builder.placeholders(batch))
    nothing = nothing_to_ask(str(table.path), rows=table.height, left_out={})
    return [*placeholder_remarks(str(table.path), counts), *([nothing] if nothing else [])]


def _open_fitting(config: "Config", path: Path) -> "Table":
    from enrich.config import check_columns, columns_read
    from enrich.dataset import default_output, open_table, try_writing
    from enrich.inputs.documents import InputBuilder
    from enrich.job import OutputPaths
    from enrich.outputs.joining import make_joiner

    table = open_table(path, **config.csv.reading())
    if faults := check_columns(config, table.columns, title=table.title):
        raise ConfigError(str(config.path), faults)
    InputBuilder(config.inputs, table.schema, str(path))  # whether its columns can be sent
    files = OutputPaths.beside(default_output(path))
    # Whether it can hold the answers, be written, and be read.
    asked = columns_read(config, table.columns)
    try_writing(files.table, table, make_joiner(config, table, files).columns(), asked=asked)
    return table
