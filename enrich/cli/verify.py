"""`enrich verify`: the ledger against the service, and an output against the ledger."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich.cli.options import JsonOption, LedgerOption, SandboxOption, console_of

if TYPE_CHECKING:
    from enrich.report import PastRun
    from enrich.upkeep.verify import OutputToCheck, Verification


def verify(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT", help="A table that `enrich run` wrote; its .run.json names its sources.", show_default=False
        ),
    ] = None,
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="CONFIG", help="Overrides the manifest's; without OUT, whose ledger."),
    ] = None,
    table: Annotated[Path | None, typer.Option("--table", metavar="TABLE", help="Overrides the manifest's.")] = None,
    ledger: LedgerOption = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="ID", help="Only this group of the ledger; repeatable."),
    ] = None,
    sandbox: SandboxOption = False,
    json: JsonOption = False,
) -> None:
    """Reconcile ledger, service and output, for free.

    Reports runs that one side does not know, states that differ, double charges (exit code 6), and cells of OUT that
    would now be written differently. Any difference ends with exit code 3. Changes nothing.

    \b
      enrich verify companies.enriched.csv
      enrich verify --config configs/companies.yaml --json
    """
    import anyio

    from enrich.upkeep.verify import VerifyRequest, verify

    console = console_of(context)
    if out is not None:
        _check_there(out, "OUT")
    run = None if out is None else _past_run(out)
    request = VerifyRequest(
        ledger=_ledger_path(run, config, ledger, sandbox=sandbox),
        environ=os.environ,
        groups=group or (),
        output=None if out is None else _output(out, run, config, table),
        sandbox=sandbox,
    )
    found = anyio.run(verify, request)
    if json:
        console.show_json(_as_json(found))
    else:
        console.show("\n".join(_lines(found)) + "\n")
    raise typer.Exit(found.exit_code)


def _past_run(out: Path) -> "PastRun | None":
    from enrich.job import OutputPaths
    from enrich.report import read_manifest

    manifest = OutputPaths.beside(out).manifest
    return read_manifest(manifest) if manifest.exists() else None


def _check_there(path: Path, name: str) -> None:
    from enrich.errors import UsageError
    from enrich.host.files import is_special

    if not path.exists():
        raise UsageError(f"{path}: there is no such file; give another {name}")
    if is_special(path):
        raise UsageError(f"{path}: this is no regular file; give another {name}")


def _ledger_path(run: "PastRun | None", config: Path | None, ledger: Path | None, *, sandbox: bool) -> Path:
    from enrich.config.loading import load
    from enrich.job import Options
    from enrich.preparing import ledger_path

    if run is not None and run.ledger.path and config is None and ledger is None:
        return Path(run.ledger.path)
    return ledger_path(None if config is None else load(config), Options(ledger=ledger, sandbox=sandbox))


def _output(out: Path, run: "PastRun | None", config: Path | None, table: Path | None) -> "OutputToCheck":
    from enrich.errors import UsageError
    from enrich.job import OutputPaths
    from enrich.report import Selection
    from enrich.upkeep.verify import OutputToCheck

    if run is not None:
        config = config or Path(run.config.path)
        table = table or Path(run.table.path)
    if config is None or table is None:
        raise UsageError(
            f"{out}: there is no {OutputPaths.beside(out).manifest.name} beside it that says what it was made of; "
            "give --config and --table"
        )
    _check_there(config, "--config")
    _check_there(table, "--table")
    return OutputToCheck(path=out, config=config, table=table, selection=Selection() if run is None else run.selection)


def _lines(found: "Verification") -> Iterator[str]:
    from enrich.report import charged_text
    from enrich.text.figures import count_text, counted, usd_text
    from enrich.upkeep.verify import CUT

    yield f"ledger      {found.ledger}"
    yield f"groups      {count_text(found.groups)}"
    yield f"runs        {count_text(found.runs_ledger)} in the ledger, {count_text(found.runs_service)} at the service"
    if found.waiting:
        yield f"waiting     {counted(found.waiting, 'run')} without an outcome here: the next run collects them"
    if found.foreign:
        yield f"foreign     {counted(found.foreign, 'run')} made by another program"
    yield f"paid        {usd_text(found.usd_ledger)} by the ledger, {usd_text(found.usd_service)} by the service's list"
    if found.unpriced_ledger or found.unpriced_service:
        yield f"            and, at a price that is not known any more, {_unpriced(found)}"
    if found.output is not None:
        yield f"output      {counted(found.rows, 'row')}, {counted(found.cells, 'cell')} compared"
    if found.double_charges:
        yield f"DOUBLE      {charged_text(found.double_charges)}"
    for charge in found.double_charges:
        yield f"            {charge.to_text()}"
    for kind, number in found.counts.items():
        shown = [one for one in found.differences if one.kind == kind]
        more = f", the first {len(shown)}" if number > len(shown) else ""
        yield f"\n{kind}: {count_text(number)}{more}"
        yield from (f"  {one.where}" + (f": {one.what}" if one.what else "") for one in shown)
        if kind == CUT:
            yield f"  {_REREAD}"
    if not found.counts and not found.double_charges:
        yield "\nno difference"


def _unpriced(found: "Verification") -> str:
    from enrich.text.figures import count_text, counted

    runs = counted(found.unpriced_ledger, "run")
    return f"{runs} by the ledger, {count_text(found.unpriced_service)} by the service's list"


_REREAD = (
    "version 0.2.0 cut a short API key out of what the service said. The service still has the answers: `enrich recover"
    " --replace`, with the config (and --ledger, --sandbox) of this ledger, reads them again, free of charge; then run"
    " once more"
)


def _as_json(found: "Verification") -> dict[str, Any]:
    return {
        "ledger": str(found.ledger),
        "groups": found.groups,
        "runs": {"ledger": found.runs_ledger, "service": found.runs_service},
        "waiting": found.waiting,
        "foreign": found.foreign,
        "usd": {"ledger": float(found.usd_ledger), "service": float(found.usd_service)},
        "runs_unpriced": {"ledger": found.unpriced_ledger, "service": found.unpriced_service},
        "output": None
        if found.output is None
        else {"path": str(found.output), "rows": found.rows, "cells": found.cells},
        "double_charges": [charge.to_json() for charge in found.double_charges],
        "counts": dict(found.counts),
        "differences": [{"kind": one.kind, "where": one.where, "what": one.what} for one in found.differences],
    }
