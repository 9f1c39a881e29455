"""`enrich adopt`: join the results of a group that another program made."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from enrich.cli.options import (
    ConfigArgument,
    FactsOption,
    JsonOption,
    LedgerOption,
    OutputOption,
    ReplaceOption,
    SandboxOption,
    TableArgument,
    console_of,
)
from enrich.cli.run import print_report

if TYPE_CHECKING:
    from enrich.upkeep.adopt import Adoption


def adopt(
    context: typer.Context,
    group_id: Annotated[str, typer.Argument(metavar="GROUP_ID", help="The group, as the service names it.")],
    config: ConfigArgument,
    table: TableArgument,
    *,
    output: OutputOption = None,
    ledger: LedgerOption = None,
    sandbox: SandboxOption = False,
    facts: FactsOption = None,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Join the results of another program's group to a table.

    Matches results by input, and takes each answer that the config has by name and whose value fits. Stores them in
    the ledger at no cost, asks nothing, and writes the table as `enrich run` does.

    \b
      enrich adopt tgrp_0123 configs/companies.yaml companies.csv -o companies.enriched.parquet
    """
    import anyio

    from enrich.job import Options
    from enrich.progress import open_progress
    from enrich.upkeep.adopt import adopt

    console = console_of(context)
    options = Options(output=output, ledger=ledger, sandbox=sandbox, facts=facts, replace=replace)
    progress = open_progress(console.stderr)
    found, report = anyio.run(partial(adopt, group_id, config, table, options, progress=progress))
    for line in _lines(found):
        console.note(line)
    print_report(report, console, as_json=json, quiet=False)
    raise typer.Exit(report.exit_code)


def _lines(found: "Adoption") -> Iterator[str]:
    from enrich.text.figures import count_text, counted

    yield f"group {found.group_id}: {counted(found.runs, 'run')}, {count_text(found.adopted)} adopted"
    told = (
        (found.known, "adopted before"),
        (found.own, "made by enrich: `enrich recover` is for them"),
        (found.not_completed, "failed, or not ended yet"),
        (found.unfit, "without an answer that fits the config"),
        (found.unmatched, "with an input that is in no row"),
    )
    yield from (f"  {count_text(number)} {words}" for number, words in told if number)
    yield from (f"    such as {example}" for example in found.examples)
