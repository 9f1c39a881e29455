"""`enrich run`: ask what is due, write the table with its answers, print the receipt."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from enrich.cli.console import Console
from enrich.cli.options import (
    BudgetOption,
    ConfigArgument,
    DeadlineOption,
    FactsOption,
    LedgerOption,
    LimitOption,
    LogFormatOption,
    OutputOption,
    ProcessorOption,
    ReplaceOption,
    RetryFailedOption,
    SampleOption,
    SandboxOption,
    SettleOption,
    TableArgument,
    WhereOption,
    console_of,
)

if TYPE_CHECKING:
    from enrich.job import Options
    from enrich.pipeline import Report

SANDBOX_TITLE = "from the sandbox: free of charge, and answers without facts are invented"


_Rewrite: TypeAlias = Annotated[
    bool, typer.Option("--rewrite", help="Write the outputs again, even if nothing has changed.")
]
_PayAgain: TypeAlias = Annotated[
    bool, typer.Option("--pay-again", help="Ask and pay again for answers that the outputs name and the ledger lacks.")
]


def run(
    context: typer.Context,
    config: ConfigArgument,
    table: TableArgument,
    *,
    output: OutputOption = None,
    limit: LimitOption = None,
    sample: SampleOption = None,
    where: WhereOption = None,
    processor: ProcessorOption = None,
    budget: BudgetOption = None,
    settle: SettleOption = None,
    deadline: DeadlineOption = None,
    ledger: LedgerOption = None,
    retry_failed: RetryFailedOption = False,
    sandbox: SandboxOption = False,
    facts: FactsOption = None,
    rewrite: _Rewrite = False,
    replace: ReplaceOption = False,
    pay_again: _PayAgain = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Spend without asking for consent.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON instead of the receipt.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only, and the output of --json.")] = False,
    log_format: LogFormatOption = "text",
) -> None:
    """Ask what is due, and write the table with its answers.

    Every row and column comes out as it came in, in order, with the answers and their evidence beside it. The command
    is idempotent: run it again, and it resumes and asks nothing twice. The key comes from PARALLEL_API_KEY.

    \b
      enrich run configs/companies.yaml companies.csv --limit 20
      enrich run configs/companies.yaml companies.csv --budget 50 --quiet
      enrich run configs/companies.yaml sample_data/companies.csv --sandbox
    """
    import anyio

    from enrich.job import Options

    console = console_of(context, log_format=log_format)
    options = Options(
        output=output,
        limit=limit,
        sample=sample,
        where=where,
        processor=processor,
        budget=budget,
        settle_s=None if settle is None else settle.total_seconds(),
        deadline_s=None if deadline is None else deadline.total_seconds(),
        ledger=ledger,
        sandbox=sandbox,
        facts=facts,
        retry_failed=retry_failed,
        rewrite=rewrite,
        replace=replace,
        pay_again=pay_again,
    )
    report = anyio.run(partial(_run, config, table, options, console=console, yes=yes, quiet=quiet))
    print_report(report, console, as_json=json, quiet=quiet)
    raise typer.Exit(report.exit_code)


async def _run(config: Path, table: Path, options: "Options", *, console: Console, yes: bool, quiet: bool) -> "Report":
    from enrich import pipeline
    from enrich.cli.consent import ConsentPrompt
    from enrich.cli.signals import obeying_signals
    from enrich.host.interruption import Interruption
    from enrich.progress import open_progress

    interruption = Interruption()
    progress = open_progress(console.stderr, log_format=console.log_format, quiet=quiet)
    async with obeying_signals(interruption, progress.note):
        return await pipeline.run(
            config,
            table,
            options,
            progress=progress,
            consent=ConsentPrompt(console, interruption, yes=yes, quiet=quiet),
            interruption=interruption,
        )


def print_report(report: "Report", console: Console, *, as_json: bool, quiet: bool) -> None:
    """The receipt, or the manifest; with `quiet`, what to do next if all is not done."""
    import msgspec

    from enrich.text.figures import counted

    if not report.outputs_written and not quiet:
        since = report.outputs_written_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        console.note(f"the outputs still stand: nothing has changed since {since}; they were left as they are")
    if quiet and report.decisions_set_aside:
        number = sum(report.decisions_set_aside.values())
        console.note(
            f"{counted(number, 'decision')} of people no longer applied, since the question was changed; `enrich plan`"
            " says how to keep them"
        )
    if report.decisions_kept is not None:
        console.note(
            f"{report.review} held decisions that `enrich review` had not recorded: they are kept in"
            f" {report.decisions_kept}; give it to `enrich review`"
        )
    if report.notes_kept is not None:
        console.note(
            f"{report.review} held notes on answers that it no longer lists; they are kept in {report.notes_kept}"
        )
    if as_json:
        console.show_json(msgspec.Raw(report.manifest.read_bytes()))
    elif not quiet:
        files = {
            str(report.output): "the table with its answers",
            str(report.review): "what a person should decide",
            str(report.report): "what happened, for people",
            str(report.manifest): "what happened, for scripts",
        }
        title = SANDBOX_TITLE if report.sandbox else ""
        console.show(report.receipt.to_text(console.width, title=title, files=files, steps=report.steps))
    if quiet and report.exit_code:
        for step in report.steps:
            console.note(step)
