"""One measured command in a process of its own, as `enrich` runs it; its last line tells of it, as JSON.

    python -m benchmarks.child run CONFIG TABLE OUTPUT LEDGER [--rewrite]
    python -m benchmarks.child plan CONFIG TABLE LEDGER

The steps of the pipeline are wrapped from outside, to tell where time and memory go.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from enrich.cli.entry import main, set_up_process

set_up_process()

from enrich import pipeline  # noqa: E402 — imports all that is large
from enrich.errors import ExitCode  # noqa: E402
from enrich.pipeline import Report  # noqa: E402

PHASES: dict[str, dict[str, float]] = {}


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Add what happens inside to a phase."""
    began, cpu = time.perf_counter(), _cpu_s()
    try:
        yield
    finally:
        PHASES[name] = {
            "wall_s": time.perf_counter() - began,
            "cpu_s": _cpu_s() - cpu,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _timed(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        with phase(name):
            return step(*args, **options)

    return call


def _timed_async(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **options: Any) -> Any:
        with phase(name):
            return await step(*args, **options)

    return call


def run(config: str, table: str, output: str, ledger: str, *options: str) -> dict[str, Any]:
    """Enrich a table, phase by phase."""
    pipeline.prepare = _timed("open", pipeline.prepare)  # type: ignore[attr-defined]
    pipeline.compare = _timed("plan", pipeline.compare)  # type: ignore[assignment]
    pipeline.ask = _timed_async("ask", pipeline.ask)  # type: ignore[attr-defined]
    pipeline.write_outputs = _timed("write", pipeline.write_outputs)  # type: ignore[assignment]
    reports: list[Report] = []
    given = pipeline.run

    async def kept(*args: Any, **named: Any) -> Report:
        reports.append(await given(*args, **named))
        return reports[-1]

    pipeline.run = kept
    command = ["run", config, table, "-o", output, "--ledger", ledger, "--yes", "--quiet", *options]
    code = main(command)
    if not reports:
        raise SystemExit(code)
    (report,) = reports
    outcome = report.outcome
    return {
        "rows": report.receipt.rows_in,
        "exit_code": code,
        "runs_paid": report.receipt.runs_paid,
        "doubtful": report.doubtful,
        "outputs_written": report.outputs_written,
        "answers": dict(report.receipt.answers),
        "bytes_read": outcome.bytes_read,
        "result_bytes": outcome.result_bytes,
        "commits": outcome.commits,
        "groups": len(outcome.groups),
        "output_bytes": Path(output).stat().st_size,
    }


def plan(config: str, table: str, ledger: str) -> dict[str, Any]:
    """Plan a table."""
    summaries = []
    given = pipeline.plan

    @contextmanager
    def kept(*args: Any, **named: Any) -> Iterator[Any]:
        with given(*args, **named) as planned:
            summaries.append(planned[1])
            yield planned

    pipeline.plan = kept
    with phase("plan"):
        code = main(["plan", config, table, "--ledger", ledger])
    if code != ExitCode.DONE:
        raise SystemExit(code)
    (summary,) = summaries
    return {"rows": summary.rows, "distinct": summary.distinct_inputs, "runs": dict(summary.runs)}


if __name__ == "__main__":
    command = {"run": run, "plan": plan}[sys.argv[1]]
    told = command(*sys.argv[2:])
    print(json.dumps({**told, "phases": PHASES}))
