"""The pipeline as functions: `enrich.run`, `enrich.run_async`, `enrich.plan`. Same errors as the command's, raised."""

import math
import operator
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

from anyio.from_thread import start_blocking_portal

from enrich import pipeline
from enrich.api.environment import Environment
from enrich.due import Summary, reasons
from enrich.errors import UsageError
from enrich.job import Interruption, Options
from enrich.phrases import did_you_mean
from enrich.pipeline import Report
from enrich.progress import Progress


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
    due: tuple[DueAnswers, ...]
    runs_in_flight: int
    usd_in_flight: Decimal
    runs_unresolved: int  # of which is not known whether the service has them
    usd_unresolved: Decimal


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
    seal(options)
    chosen = as_options(options, output)
    return await pipeline.run(as_path("config", config), as_path("table", table), chosen, progress=progress)


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
    seal(options)
    paths, chosen = (as_path("config", config), as_path("table", table)), as_options(options, output)
    return _in_thread(partial(pipeline.run, *paths, chosen, progress=progress))


def plan(config: str | Path, table: str | Path, **options: Any) -> Plan:
    """What `run` would ask now, by the same options. Sends nothing and writes nothing."""
    seal(options)
    paths, chosen = (as_path("config", config), as_path("table", table)), as_options(options)
    _, summary, worklist = pipeline.plan(*paths, chosen)
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


def seal(options: dict[str, Any]) -> None:
    """Take the key out of the environment that a caller gave, before a traceback could show it. Raises UsageError."""
    environ = options.pop("environ", None)
    if isinstance(environ, Mapping):
        options["environ"] = Environment.of(environ)
    elif environ is not None:
        kind = type(environ).__name__
        del environ
        raise UsageError(f"environ: expected a mapping such as os.environ, got {kind}")


def as_options(options: Mapping[str, Any], output: str | Path | None = None) -> Options:
    """What a caller gave by name, checked; None stands for what is not given. Raises UsageError."""
    for name in options:
        if name not in _OPTIONS:
            hint = did_you_mean(name, _OPTIONS) or f"known are {', '.join(_OPTIONS)}"
            raise UsageError(f"{name}: there is no such option here; {hint}")
    given = {name: _checked(name, value, *_OPTIONS[name]) for name, value in options.items() if value is not None}
    return Options(output=None if output is None else as_path("output", output), **given)


def as_path(name: str, value: object) -> Path:
    """The path that a caller gave as `name`. Raises UsageError."""
    return Path(_checked(name, value, "a path", Path))


def _checked(name: str, value: Any, what: str, convert: Callable[[Any], Any]) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, ArithmeticError):  # decimal's own errors are of the last kind
        got = repr(value) if isinstance(value, str | int | float | Decimal) else type(value).__name__
        raise UsageError(f"{name}: expected {what}, got {got}") from None


def _one_of(*kinds: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise TypeError
        return value

    return check


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    return operator.index(_no_flag(value))


def _usd(value: Any) -> Decimal:
    usd = Decimal(str(_no_flag(value)).strip().removeprefix("$"))
    if not usd.is_finite():
        raise ValueError
    return usd


def _seconds(value: Any) -> float:
    seconds: float = _one_of(int, float)(_no_flag(value))
    if not math.isfinite(seconds):
        raise ValueError
    return seconds


_ROWS: Final = "a whole number of rows"
_SECONDS: Final = ("a number of seconds", _seconds)
_FLAG: Final = ("True or False", _one_of(bool))
_OPTIONS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "limit": (_ROWS, _whole),
    "sample": (_ROWS, _whole),
    "where": ("a SQL condition as text", _one_of(str)),
    "processor": ("the name of one processor", _one_of(str)),
    "budget": ("US dollars such as 25 or '2.50'", _usd),
    "settle_s": _SECONDS,
    "deadline_s": _SECONDS,
    "ledger": ("a path", Path),
    "sandbox": _FLAG,
    "facts": ("a path", Path),
    "retry_failed": _FLAG,
    "rewrite": _FLAG,
    "environ": ("a mapping such as os.environ", _one_of(Mapping)),
}


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
