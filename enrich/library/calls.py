"""The pipeline as functions: `enrich.run`, `enrich.run_async`, `enrich.plan`. Same errors as the command's, raised."""

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal

from enrich import pipeline
from enrich.errors import UsageError
from enrich.host.interruption import Interruption
from enrich.library.arguments import as_config, as_options, as_path, in_python, seal
from enrich.pipeline import Report
from enrich.planning.costs import Summary, reasons
from enrich.progress import Progress
from enrich.report import showing


@dataclass(frozen=True, slots=True, kw_only=True)
class DueAnswers:
    """Answers of one column that are due for the same reason."""

    column: str
    why: str  # missing, changed, stale, too weak or failed before
    reason: str  # the same in more words, such as `description changed`
    answers: int
    processor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `run` would ask now, and what that costs in US dollars.

    `usd_most` bounds what the runs cost that are made for the next run, whatever is answered: every rung of the ladder
    counts, also for runs that were sent before and are not read yet. What those cost themselves is no part of it: it is
    spent, or at stake, since they were sent (`usd_in_flight`, `usd_unresolved`, of all tables that share the ledger).
    """

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
    left_out: dict[str, int]  # rows of which nothing is asked, by why
    decisions_set_aside: dict[str, int]  # of people, on questions that have changed since, by answer
    due: tuple[DueAnswers, ...]
    runs_in_flight: int
    usd_in_flight: Decimal
    runs_unresolved: int  # of which is not known whether the service has them
    usd_unresolved: Decimal

    def __str__(self) -> str:
        """A line for each figure."""
        return showing.plan_text(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return showing.plan_html(self)


GivenConfig = str | Path | Mapping[str, Any]
"""A config: the path of its file, or a mapping with the same keys."""


async def run_async(
    config: GivenConfig,
    table: str | Path,
    *,
    output: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Enrich a table and write it to `output` (by default beside the input).

    `config` is the path of a file, or a mapping with its keys. `options` are those of `enrich run`: limit, sample,
    where, processor, budget, settle_s, deadline_s, ledger, sandbox, facts, retry_failed, rewrite, replace, pay_again.
    Raises EnrichError, with the command's exit code as `exit_code` (docs/python.md says which there are); what was paid
    for is in the ledger whatever happens.
    """
    seal(options)
    with in_python():
        return await _call(config, table, output, progress, options)()


def run(
    config: GivenConfig,
    table: str | Path,
    *,
    output: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """`run_async` for code that awaits nothing, whether an event loop is running (a notebook) or not.

    Raises EnrichError as `run_async` does. KeyboardInterrupt ends it in good order, and is raised then; the same call
    goes on.
    """
    seal(options)
    with in_python():
        return _in_thread(_call(config, table, output, progress, options))


def plan(config: Any, table: Any, **options: Any) -> Plan:
    """What `run` would ask now, by the same options. Sends nothing and writes nothing.

    The table may also be one in memory, as `enrich.enrich` takes it, and may stand first: `plan(frame, config)`.
    Raises EnrichError as `run_async` does.
    """
    seal(options)
    if not _is_given(config):
        config, table = table, config
    if not isinstance(table, str | bytes | PathLike | int | float | None):
        from enrich.library.frames import plan_of

        return plan_of(table, config, **options)
    with in_python():
        chosen = as_options(options)
        path = as_path("table", table)
        with pipeline.plan(as_config(config, chosen), path, chosen) as (_, summary, _):
            return as_plan(summary)


def _call(
    config: GivenConfig, table: object, output: object, progress: Progress | None, options: Mapping[str, Any]
) -> Callable[..., Awaitable[Report]]:
    chosen = as_options(options, output)
    for name, given in (("config", config), ("table", table)):
        if hasattr(given, "columns") or hasattr(given, "__arrow_c_stream__"):
            what = f"{name}: expected a path, got {type(given).__name__}"
            raise UsageError(f"{what}; a table in memory goes to enrich.enrich(data, config)")
    return partial(pipeline.run, as_config(config, chosen), as_path("table", table), chosen, progress=progress)


def _is_given(config: object) -> bool:
    return isinstance(config, str | PathLike | Mapping)


def as_plan(summary: Summary) -> Plan:
    """A comparison's summary as plain numbers."""
    return Plan(
        rows=summary.rows,
        rows_left_out=summary.rows_left_out,
        distinct_inputs=summary.distinct_inputs,
        runs=dict(summary.runs),
        answers_due=dict(reasons(summary)),
        too_long=summary.too_long,
        decisions_set_aside=dict(summary.set_aside),
        usd_least=summary.usd_least(),
        usd_expected=summary.usd_expected(),
        usd_most=summary.usd_most(),
        seconds=summary.seconds(),
        left_out=dict(summary.left_out),
        due=tuple(
            DueAnswers(column=one.column, why=one.why, reason=one.words, answers=answers, processor=processor)
            for (one, processor), answers in summary.due_answers.items()
        ),
        runs_in_flight=summary.under_way.runs,
        usd_in_flight=summary.under_way.usd,
        runs_unresolved=summary.under_way.unresolved,
        usd_unresolved=summary.under_way.usd_unresolved,
    )


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
