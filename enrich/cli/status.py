"""`enrich status`: what the ledger holds. Reads only, also while a run goes on."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich.cli.options import JsonOption, LedgerOption, SandboxOption, console_of

if TYPE_CHECKING:
    from enrich.ledger.overview import JobLine, Overview


def status(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG",
            help="The config whose ledger it is. Default: .enrich/ in this folder.",
            show_default=False,
        ),
    ] = None,
    *,
    ledger: LedgerOption = None,
    sandbox: SandboxOption = False,
    json: JsonOption = False,
) -> None:
    """Print what the ledger holds: jobs, runs, dollars.

    Also runs in flight, unresolved submissions and double charges. Only reads, also during a run.

    \b
      enrich status configs/companies.yaml
      enrich status configs/companies.yaml --sandbox --json
    """
    from enrich.ledger.overview import read_overview
    from enrich.ledger.refusals import ledger_refusals
    from enrich.ledger.store import Ledger

    console = console_of(context)
    path = _path(config, ledger, sandbox=sandbox)
    with ledger_refusals(path), closing(Ledger.reader(path)) as opened:
        overview = read_overview(opened)
    if json:
        console.show_json(_as_json(path, overview))
    else:
        console.show("\n".join(_lines(path, overview)) + "\n")


def _path(config: Path | None, ledger: Path | None, *, sandbox: bool) -> Path:
    from enrich.config.loading import load
    from enrich.job import Options
    from enrich.preparing import ledger_path

    return ledger_path(None if config is None else load(config), Options(ledger=ledger, sandbox=sandbox))


def _lines(path: Path, overview: "Overview") -> Iterator[str]:
    from enrich.spec.money import dollars
    from enrich.text.figures import count_text, counted, usd_and_unpriced, usd_text

    totals = overview.totals
    source = {None: "no results yet", "service": "results of the service", "sandbox": "results of the sandbox"}
    states = ", ".join(f"{count_text(number)} {state}" for state, number in overview.runs.items())
    yield f"ledger      {path} ({source[overview.service]})"
    yield f"groups      {count_text(overview.groups)}"
    yield f"runs        {states or 'none'}"
    yield f"paid        {usd_and_unpriced(dollars(totals.usd_micro_paid), totals.runs_unpriced)}"
    yield f"in flight   {usd_text(dollars(totals.usd_micro_in_flight))}, {counted(totals.runs_in_flight, 'run')}"
    yield f"unresolved  {usd_text(dollars(totals.usd_micro_unresolved))}, {counted(totals.runs_unresolved, 'run')}"
    if overview.unresolved:
        yield "\nunresolved submissions: the next `enrich run` reconciles them with the service"
    for one in overview.unresolved:
        sent = f"{counted(one.runs, 'run')}, {usd_text(dollars(one.usd_micro))}, sent {_moment(one.since)}"
        yield f"  {one.group_id}: {sent}" + (f": {one.detail}" if one.detail else "")
    if overview.double_charges:
        yield "\ndouble charges"
    for charge in overview.double_charges:
        runs = ", ".join(filter(None, (charge.first_run_id, charge.run_id)))
        usd = usd_and_unpriced(dollars(charge.usd_micro or 0), int(charge.usd_micro is None))
        yield f"  {usd} too much, found {_moment(charge.found_at)}: {runs}"
    shown = f", the last {len(overview.jobs)}" if overview.jobs_in_all > len(overview.jobs) else ""
    yield f"\njobs        {count_text(overview.jobs_in_all)}{shown}"
    yield from (f"  {_job_text(job)}" for job in overview.jobs)


def _job_text(job: "JobLine") -> str:
    from enrich.spec.money import dollars
    from enrich.text.figures import counted, usd_and_unpriced

    usd = usd_and_unpriced(dollars(job.usd_micro), job.unpriced)
    paid = f"{counted(job.runs, 'run')}, {job.completed:,} completed, {usd}"
    ending = job.ending or "not ended: it runs now, was killed, or ended by an error"
    return f"{_moment(job.started_at)}  {job.name}  {job.source}: {paid}; {ending}"


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _as_json(path: Path, overview: "Overview") -> dict[str, Any]:
    totals = overview.totals
    return {
        "ledger": str(path),
        "service": overview.service,
        "groups": overview.groups,
        "runs": dict(overview.runs),
        "usd": {
            "paid": totals.usd_micro_paid / 1e6,
            "in_flight": totals.usd_micro_in_flight / 1e6,
            "unresolved": totals.usd_micro_unresolved / 1e6,
        },
        "runs_unpriced": totals.runs_unpriced,
        "unresolved": [
            {"group": one.group_id, "runs": one.runs, "usd": one.usd_micro / 1e6, "sent": _iso(one.since)}
            | {"detail": one.detail}
            for one in overview.unresolved
        ],
        "double_charges": [
            {
                "run_id": charge.run_id,
                "first_run_id": charge.first_run_id,
                "task_key": charge.task_key,
                "usd": None if charge.usd_micro is None else charge.usd_micro / 1e6,
                "found": _iso(charge.found_at),
            }
            for charge in overview.double_charges
        ],
        "jobs_in_all": overview.jobs_in_all,
        "jobs": [
            {
                "name": job.name,
                "config": job.config,
                "table": job.source,
                "started": _iso(job.started_at),
                "ended": None if job.ended_at is None else _iso(job.ended_at),
                "ending": job.ending,
                "groups": job.groups,
                "runs": job.runs,
                "completed": job.completed,
                "usd": job.usd_micro / 1e6,
            }
            for job in overview.jobs
        ],
    }


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
