"""The pipeline as functions: `enrich.run`, `enrich.run_async`, `enrich.plan`. Same errors as the command's, raised."""

from collections.abc import Awaitable, Callable
from concurrent.futures import wait
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal

from enrich import pipeline
from enrich.due import Summary, reasons
from enrich.job import Interruption, Options
from enrich.pipeline import Report
from enrich.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `run` would ask now, and what that costs in US dollars."""

    rows: int
    rows_left_out: int
    distinct_inputs: int
    runs: dict[str, int]  # by processor
    answers_due: dict[str, int]  # by reason
    too_long: int
    usd_least: Decimal
    usd_expected: Decimal
    usd_most: Decimal
    seconds: float


async def run_async(
    config: str | Path,
    table: str | Path,
    *,
    output: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Enrich a table and write it to `output` (by default beside the input).

    `options` are those of `enrich run`: limit, sample, where, processor, budget, settle_s, deadline_s, ledger, sandbox,
    facts, retry_failed, rewrite. Raises EnrichError; what was paid for is in the ledger whatever happens.
    """
    chosen = _options(output, options)
    return await pipeline.run(Path(config), Path(table), chosen, progress=progress)


def run(
    config: str | Path,
    table: str | Path,
    *,
    output: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """`run_async` for code that awaits nothing, whether an event loop is running (a notebook) or not.

    KeyboardInterrupt ends it in good order, and is raised then; the same call goes on.
    """
    chosen = _options(output, options)
    return _in_thread(partial(pipeline.run, Path(config), Path(table), chosen, progress=progress))


def plan(config: str | Path, table: str | Path, **options: Any) -> Plan:
    """What `run` would ask now, by the same options. Sends nothing and writes nothing."""
    _, summary, worklist = pipeline.plan(Path(config), Path(table), _options(None, options))
    with worklist:
        return as_plan(summary)


def as_plan(summary: Summary) -> Plan:
    """A comparison's summary as plain numbers."""
    return Plan(
        rows=summary.rows,
        rows_left_out=summary.rows_left_out,
        distinct_inputs=summary.distinct_inputs,
        runs=dict(summary.runs),
        answers_due=dict(reasons(summary)),
        too_long=summary.too_long,
        usd_least=summary.usd_least(),
        usd_expected=summary.usd_expected(),
        usd_most=summary.usd_most(),
        seconds=summary.seconds(),
    )


def _options(output: str | Path | None, options: dict[str, Any]) -> Options:
    given = dict(options)
    for name in ("ledger", "facts"):
        if given.get(name) is not None:
            given[name] = Path(given[name])
    if given.get("budget") is not None:
        given["budget"] = Decimal(str(given["budget"]))
    return Options(output=None if output is None else Path(output), **given)


def _in_thread(call: Callable[..., Awaitable[Report]]) -> Report:
    """Run it in a loop in a thread of its own, so that it works inside a running loop too.

    KeyboardInterrupt (Ctrl-C, a notebook's stop button) reaches the thread that waits here: the run is asked to end in
    good order, as a command is by its first signal, and is waited for. A second one ends it at once.
    """
    interruption = Interruption()
    with start_blocking_portal() as portal:
        ended = portal.start_task_soon(partial(call, interruption=interruption))
        try:
            return ended.result()
        except KeyboardInterrupt:
            portal.start_task_soon(interruption.request)
            wait([ended])
            raise
