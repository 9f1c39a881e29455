"""`enrich recover`: rebuild a lost or damaged ledger from the service's own records."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from enrich.cli.options import FactsOption, JsonOption, LedgerOption, SandboxOption, console_of

if TYPE_CHECKING:
    from enrich.upkeep.recover import Recovery


_Config: TypeAlias = Annotated[
    Path | None,
    typer.Argument(
        metavar="CONFIG", help="The config whose ledger it is. Default: .enrich/ in this folder.", show_default=False
    ),
]
_Groups: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="ID", help="A group to read; repeatable."),
]
_Manifests: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("--manifest", metavar="FILE", help="Read the groups of this NAME.run.json; repeatable."),
]
_Replace: TypeAlias = Annotated[
    bool,
    typer.Option("--replace", help="Rename the existing ledger (nothing is deleted) and make a new one."),
]


def recover(
    context: typer.Context,
    config: _Config = None,
    *,
    group: _Groups = None,
    manifest: _Manifests = None,
    ledger: LedgerOption = None,
    replace: _Replace = False,
    sandbox: SandboxOption = False,
    facts: FactsOption = None,
    json: JsonOption = False,
) -> None:
    """Rebuild a lost or damaged ledger, for free.

    Reads the service's own records. Without --group and --manifest it reads the groups listed beside the ledger
    (ledger.db.groups), and those that a damaged ledger still names. What the ledger already knows stays as it is, so
    the command is idempotent.

    \b
      enrich recover configs/companies.yaml
      enrich recover configs/companies.yaml --replace
      enrich recover configs/companies.yaml --group tgrp_0123 --group tgrp_4567
      enrich recover --manifest companies.run.json
    """
    import anyio

    from enrich.backends.opening import facts_beside
    from enrich.config.loading import load
    from enrich.job import Options
    from enrich.preparing import ledger_path
    from enrich.progress import open_progress
    from enrich.report import read_manifest
    from enrich.upkeep.recover import RecoverRequest, recover

    console = console_of(context)
    runs = [read_manifest(path) for path in manifest or ()]
    path = ledger_path(None if config is None else load(config), Options(ledger=ledger, sandbox=sandbox))
    if runs and config is None and ledger is None:
        path = Path(runs[0].ledger.path)
    if runs and sandbox and facts is None:
        facts = facts_beside(Path(runs[0].table.path))
    request = RecoverRequest(
        ledger=path,
        environ=os.environ,
        groups=[*(group or ()), *(group_id for run in runs for group_id in run.all_groups)],
        replace=replace,
        sandbox=sandbox,
        facts=facts,
    )
    recovery = anyio.run(partial(recover, request, progress=open_progress(console.stderr)))
    if json:
        console.show_json(_as_json(recovery))
    else:
        console.show("\n".join(_lines(recovery)) + "\n")
    raise typer.Exit(recovery.exit_code)


def _lines(found: "Recovery") -> Iterator[str]:
    from enrich.report import charged_text
    from enrich.text.figures import count_text, counted, usd_text

    if found.aside is not None:
        yield f"set aside   the old ledger is now {found.aside.name}"
    yield f"ledger      {found.ledger}"
    yield f"groups      {count_text(found.groups)}, {counted(found.listed, 'run')} of ours"
    yield f"known       {count_text(found.known)}, left as they were"
    yield f"recovered   {count_text(found.completed)} completed, {count_text(found.failed)} failed"
    yield f"paid        {usd_text(found.usd)} for the recovered runs"
    if found.unpriced:
        yield f"            and {counted(found.unpriced, 'run')} at a price that is not known any more"
    if found.decisions:
        yield f"decisions   {count_text(found.decisions)} of people, taken over from the old ledger"
    if found.to_collect:
        yield f"to collect  {counted(found.to_collect, 'run')}: the next `enrich run` brings in the answers"
    if found.foreign > found.untied:
        yield f"foreign     {counted(found.foreign - found.untied, 'run')} without metadata of ours, not completed"
    if found.untied:
        yield (
            f"untied      {counted(found.untied, 'run')} completed, whose question is unknown. If enrich"
            " asked them, asking again pays again: first join their answers by input, with"
        )
        yield from (f"              enrich adopt {group_id} CONFIG TABLE" for group_id in found.untied_groups)
    if found.double_charges:
        yield f"DOUBLE      {charged_text(found.double_charges)}"
    for charge in found.double_charges:
        yield f"            {charge.to_text()}"
    for group_id in found.unknown_groups:
        yield f"unknown     {group_id}: the service does not know it, or not for this API key"
    for why in found.incomplete:
        yield f"incomplete  {why}"


def _as_json(found: "Recovery") -> dict[str, Any]:
    return {
        "ledger": str(found.ledger),
        "set_aside": None if found.aside is None else str(found.aside),
        "decisions": found.decisions,
        "groups": found.groups,
        "runs": found.listed,
        "known": found.known,
        "completed": found.completed,
        "failed": found.failed,
        "to_collect": found.to_collect,
        "foreign": found.foreign,
        "untied": found.untied,
        "untied_groups": found.untied_groups,
        "usd": float(found.usd),
        "runs_unpriced": found.unpriced,
        "double_charges": [charge.to_json() for charge in found.double_charges],
        "unknown_groups": found.unknown_groups,
        "incomplete": found.incomplete,
    }
