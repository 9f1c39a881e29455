"""The pipeline as functions: `enrich.run`, `enrich.run_async`, `enrich.plan`. Same errors as the command's, raised."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from enrich import pipeline
from enrich.due import Summary, reasons
from enrich.job import Options
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

    `options` are those of `enrich run`: limit, sample, where, processor, budget, settle_s, ledger, sandbox, facts,
    retry_failed, rewrite. Raises EnrichError; what was paid for is in the ledger whatever happens.
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
    """`run_async` for code without an event loop; inside one (a notebook) it works in a thread of its own."""
    call = partial(run_async, config, table, output=output, progress=progress, **options)
    return _in_own_loop(call)


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


def _in_own_loop(call: Callable[[], Awaitable[Report]]) -> Report:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # there is none
        return anyio.run(call)
    results: list[Report] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(anyio.run(call))
        except BaseException as error:  # noqa: BLE001 — raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=work, name="enrich")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
