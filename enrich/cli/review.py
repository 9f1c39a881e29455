"""`enrich review`: decisions of people, from a review file into the ledger. Sends nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enrich.cli.options import ConfigArgument, LedgerOption, SandboxOption, console_of

if TYPE_CHECKING:
    from enrich.cli.console import Console
    from enrich.job import Options


def review(
    context: typer.Context,
    config: ConfigArgument,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="REVIEW", help="The review file, with its decision column filled in.", show_default=False
        ),
    ] = None,
    *,
    earlier: Annotated[
        Path | None,
        typer.Option(
            "--earlier",
            metavar="TABLE",
            help="Write the decisions on questions that have changed since into a review file beside TABLE.",
        ),
    ] = None,
    ledger: LedgerOption = None,
    sandbox: SandboxOption = False,
) -> None:
    """Record the decisions of a review file in the ledger.

    In the file, write `accept`, `correct` or `reject` beside a doubtful answer, and with `correct` the right value.
    The next run writes the decisions into the table. They outrank every later answer, and are not asked again.

    A decision stands as long as its question does. After you change a description, `--earlier` writes the decisions on
    the old question into a file: delete the lines that no longer hold, and give the file to `enrich review`.

    \b
      enrich review configs/companies.yaml companies.review.csv
      enrich run configs/companies.yaml companies.csv
      enrich review configs/companies.yaml --earlier companies.csv
    """
    from enrich.errors import UsageError
    from enrich.job import Options

    console, options = console_of(context), Options(ledger=ledger, sandbox=sandbox)
    if file is not None and earlier is None:
        _take(config, file, options, console)
    elif file is None and earlier is not None:
        _bring_back(config, earlier, options, console)
    else:
        raise UsageError("enrich review: give a review file to take, or --earlier TABLE to write one")


def _take(config: Path, file: Path, options: "Options", console: "Console") -> None:
    """The decisions of a review file, into the ledger."""
    from contextlib import closing

    from enrich.config.loading import load
    from enrich.host.clock import SYSTEM
    from enrich.host.user import user_name
    from enrich.ledger.lock import InstanceLock
    from enrich.ledger.store import Ledger
    from enrich.preparing import ledger_path
    from enrich.review.decisions import read_rulings
    from enrich.text.figures import counted

    loaded = load(config)
    path = ledger_path(loaded, options)
    with closing(Ledger.reader(path)) as held:
        rulings = read_rulings(file, loaded, held, who=user_name(), at=int(SYSTEM.wall()))
    with InstanceLock(path), closing(Ledger.open(path)) as opened, opened.transaction():
        opened.record_fields({one.id: (one.name, one.schema) for one in loaded.fields})
        opened.record_decisions(rulings)
    console.show(f"{counted(len(rulings), 'decision')} taken from {file}; the next `enrich run` writes them\n")


def _bring_back(config: Path, table: Path, options: "Options", console: "Console") -> None:
    """The decisions on earlier questions, into a review file."""
    from contextlib import closing

    from enrich.ledger.store import Ledger
    from enrich.preparing import prepare
    from enrich.review.earlier import review_command, write_earlier
    from enrich.text.figures import counted

    job = prepare(config, table, options, writes=False)
    with closing(Ledger.reader(job.ledger_path)) as held:
        found = write_earlier(job, held)
    if found.path is None:
        console.show(f"no decision on an earlier question concerns {table}: there is nothing to bring back\n")
        return
    console.show(
        f"{counted(found.decisions, 'decision')} on earlier questions written to {found.path}. Delete the lines that"
        f" no longer hold, then: {review_command(job, found.path)}\n"
    )
