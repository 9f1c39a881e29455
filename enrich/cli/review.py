"""`enrich review`: decisions of people, from a review file into the ledger. Sends nothing."""

from pathlib import Path
from typing import Annotated

import typer

from enrich.cli.options import ConfigArgument, LedgerOption, SandboxOption, console_of


def review(
    context: typer.Context,
    config: ConfigArgument,
    file: Annotated[
        Path, typer.Argument(metavar="REVIEW", help="The review file, with its decision column filled in.")
    ],
    ledger: LedgerOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Take the decisions of a review file into the ledger.

    In the file, write `accept`, `correct` or `reject` beside a doubtful answer, and for `correct` the right value.
    The next run writes them into the table; they outrank every later answer, and are never asked again.

    \b
      enrich review configs/companies.yaml companies.review.csv
      enrich run configs/companies.yaml companies.csv
    """
    from contextlib import closing

    from enrich.config import load
    from enrich.decisions import read_rulings
    from enrich.figures import counted
    from enrich.job import Options, ledger_path
    from enrich.ledger import InstanceLock, Ledger

    console = console_of(context)
    loaded = load(config)
    path = ledger_path(loaded, Options(ledger=ledger, sandbox=sandbox))
    with closing(Ledger.reader(path)) as held:
        rulings = read_rulings(file, loaded, held)
    with InstanceLock(path), closing(Ledger.open(path)) as opened, opened.transaction():
        opened.record_decisions(rulings)
    console.show(f"{counted(len(rulings), 'decision')} taken from {file}; the next `enrich run` writes them\n")
