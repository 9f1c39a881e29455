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
    typer.Option("--where", metavar="EXPR", help="Ask about rows that fulfil a SQL condition: \"country = 'DE'\"."),
]
ProcessorOption: TypeAlias = Annotated[
    str | None, typer.Option("--processor", metavar="P", help="Ask this processor, in place of the config's ladder.")
]
BudgetOption: TypeAlias = Annotated[
    Decimal | None,
    typer.Option("--budget", metavar="USD", parser=_usd, help="US dollars that may be at stake, over the config's."),
]
SettleOption: TypeAlias = Annotated[
    timedelta | None,
    typer.Option(
        "--settle",
        metavar="DURATION",
        parser=_duration,
        help="How long a request without an answer may still take effect at the service.  [default: 15m]",
    ),
]
DeadlineOption: TypeAlias = Annotated[
    timedelta | None,
    typer.Option(
        "--deadline",
        metavar="DURATION",
        parser=_duration,
        help="End in good order after so long, with what is there; the same command goes on.",
    ),
]
SandboxOption: TypeAlias = Annotated[
    bool, typer.Option("--sandbox", help="Ask the built-in sandbox: free, on this machine, with a ledger of its own.")
]
FactsOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--facts", metavar="FILE", help="What the sandbox knows: NDJSON or Parquet; the rest it invents."),
]
OutputOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="OUT", help="The table that comes out; its suffix is its format."),
]
ReplaceOption: TypeAlias = Annotated[
    bool,
    typer.Option("--replace", help="Replace what stands in the outputs' places, whosever it is, also if it says more."),
]
LedgerOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--ledger", metavar="FILE", help="The ledger, over the config's; else .enrich/ beside the config."),
]
RetryFailedOption: TypeAlias = Annotated[
    bool, typer.Option("--retry-failed", help="Ask again what failed, without waiting for refresh.failed.")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
LogFormatOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--log-format",
        metavar="text|json",
        parser=_log_format,
        help="What standard error gets: lines for people, or JSON lines.",
    ),
]
