"""Arguments and options that several commands share, each described once."""

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from enrich.cli.console import Console
from enrich.cli.misuse import whole_number
from enrich.text.durations import parse_duration

__all__ = [
    "BudgetOption",
    "ConfigArgument",
    "FactsOption",
    "JsonOption",
    "LedgerOption",
    "LimitOption",
    "LogFormatOption",
    "OutputOption",
    "ProcessorOption",
    "ReplaceOption",
    "RetryFailedOption",
    "SampleOption",
    "SandboxOption",
    "SettleOption",
    "TableArgument",
    "WhereOption",
    "console_of",
]


def console_of(context: typer.Context, *, log_format: str = "text") -> Console:
    """The console that `main` made; what it says on standard error is lines for people, or JSON lines."""
    console = context.obj
    assert isinstance(console, Console)
    console.log_format = "json" if log_format == "json" else "text"
    return console


_rows = whole_number("a whole number of rows", lowest=-(10**18))  # how many there must be is said by the library


def _usd(text: str) -> Decimal:
    try:
        usd = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite():
        raise typer.BadParameter(f"expected US dollars such as 25 or 2.50, got {text!r}")
    return usd


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError:
        raise typer.BadParameter(f"expected a duration such as 30s, 15m or 2h, got {text!r}") from None


def _log_format(text: str) -> str:
    if text not in ("text", "json"):
        raise typer.BadParameter(f"expected text or json, got {text!r}")
    return text


ConfigArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="The config, a YAML file.", show_default=False)
]
TableArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="TABLE", help="The table: .csv, .tsv, .ndjson (each also .gz, .zst) or .parquet.", show_default=False
    ),
]
LimitOption: TypeAlias = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", parser=_rows, help="Ask about the first N rows only."),
]
SampleOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--sample", metavar="N", parser=_rows, help="Ask about N rows drawn at random, the same ones each time."
    ),
]
WhereOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--where", metavar="EXPR", help="Ask about rows that meet an SQL condition: \"country = 'DE'\"."),
]
ProcessorOption: TypeAlias = Annotated[
    str | None, typer.Option("--processor", metavar="P", help="Ask this processor instead of the config's ladder.")
]
BudgetOption: TypeAlias = Annotated[
    Decimal | None,
    typer.Option("--budget", metavar="USD", parser=_usd, help="The most US dollars at stake; overrides the config's."),
]
SettleOption: TypeAlias = Annotated[
    timedelta | None,
    typer.Option(
        "--settle",
        metavar="DURATION",
        parser=_duration,
        help="How long to wait for a request without a response to take effect.  [default: 15m]",
    ),
]
DeadlineOption: TypeAlias = Annotated[
    timedelta | None,
    typer.Option(
        "--deadline",
        metavar="DURATION",
        parser=_duration,
        help="Stop cleanly after this time and write what there is; the same command resumes.",
    ),
]
SandboxOption: TypeAlias = Annotated[
    bool, typer.Option("--sandbox", help="Ask the built-in sandbox: free, on this machine, with its own ledger.")
]
FactsOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--facts", metavar="FILE", help="The facts the sandbox knows, NDJSON or Parquet; it invents the rest."
    ),
]
OutputOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="OUT", help="The table to write; its suffix sets the format."),
]
ReplaceOption: TypeAlias = Annotated[
    bool,
    typer.Option("--replace", help="Replace the files at the outputs' paths, whoever made them."),
]
LedgerOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ledger", metavar="FILE", help="The ledger; overrides the config's. Default: .enrich/ beside the config."
    ),
]
RetryFailedOption: TypeAlias = Annotated[
    bool, typer.Option("--retry-failed", help="Ask failed questions again now, without waiting for refresh.failed.")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
LogFormatOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--log-format",
        metavar="text|json",
        parser=_log_format,
        help="Format of standard error: text, or JSON lines.",
    ),
]
