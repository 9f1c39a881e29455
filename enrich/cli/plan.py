"""`enrich plan`: what `enrich run` would ask now, and what that costs. Sends nothing, writes nothing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enrich.cli.misuse import whole_number
from enrich.cli.options import (
    BudgetOption,
    ConfigArgument,
    JsonOption,
    LedgerOption,
    LimitOption,
    ProcessorOption,
    RetryFailedOption,
    SampleOption,
    SandboxOption,
    TableArgument,
    WhereOption,
    console_of,
)

if TYPE_CHECKING:
    from enrich.job import Job
    from enrich.ledger.worklist import Worklist
    from enrich.planning.costs import Summary

_RUNS = whole_number("a whole number of runs", lowest=0)
_ROAD = "POST /v1/tasks/groups/{taskgroup_id}/runs"


def plan(
    context: typer.Context,
    config: ConfigArgument,
    table: TableArgument,
    *,
    limit: LimitOption = None,
    sample: SampleOption = None,
    where: WhereOption = None,
    processor: ProcessorOption = None,
    budget: BudgetOption = None,
    ledger: LedgerOption = None,
    retry_failed: RetryFailedOption = False,
    sandbox: SandboxOption = False,
    show: Annotated[
        int, typer.Option("--show", metavar="N", parser=_RUNS, help="Print the exact requests of the first N runs.")
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Print what a run would ask now, and its cost: a dry run.

    Gives the reason why the answers of each column are due, and why rows are left out. The maximum cost counts every
    rung to which an answer may escalate, also for runs sent before and not read yet. Sends nothing, writes nothing.

    \b
      enrich plan configs/companies.yaml companies.csv
      enrich plan configs/companies.yaml companies.csv --where "country = 'DE'" --show 1
    """
    import msgspec

    from enrich import pipeline
    from enrich.cli.advice import advice
    from enrich.job import Options
    from enrich.review.earlier import set_aside_text

    console = console_of(context)
    options = Options(
        limit=limit,
        sample=sample,
        where=where,
        processor=processor,
        budget=budget,
        ledger=ledger,
        sandbox=sandbox,
        retry_failed=retry_failed,
    )
    with pipeline.plan(config, table, options) as (job, summary, worklist):
        requests = list(_requests(summary, worklist, show))
    said = [*advice(job, summary), *(f"as it stands now, this run is refused: {text}" for text in summary.obstacles)]
    if json:
        console.show_json(_as_json(job, summary, said, requests))
        return
    console.show("\n".join(_lines(job, summary)) + "\n")
    for text in said:
        console.warn(text)
    if summary.set_aside:
        console.warn(set_aside_text(job, summary.set_aside))
    for body in requests:
        console.show(f"\n{_ROAD}\n")
        console.show_json(msgspec.Raw(body))


def _lines(job: "Job", summary: "Summary") -> Iterator[str]:
    from enrich.planning.costs import reasons
    from enrich.text.figures import count_text, counted, span_text, usd_text

    yield f"rows            {count_text(summary.rows)}"
    for why, rows in summary.left_out.items():
        yield _more(f"{counted(rows, 'row')} {_left_out_text(why)}")
    yield f"distinct inputs {count_text(summary.distinct_inputs)}"
    due = ", ".join(f"{count_text(number)} {why}" for why, number in reasons(summary)) or "none"
    yield f"answers due     {due}"
    for (reason, processor), answers in summary.due_answers.items():
        yield _more(f"{reason.column}: {reason.words}, {count_text(answers)} × {processor}")  # noqa: RUF001
    runs = ", ".join(f"{count_text(number)} {name}" for name, number in summary.runs.items())
    yield f"runs due        {runs or 'none'}"
    if summary.too_long:
        yield f"too long        {counted(summary.too_long, 'input')}: longer than the service accepts, not asked"
    under_way = summary.under_way
    if under_way.runs:
        sent = f"{counted(under_way.runs, 'run')}, {usd_text(under_way.usd)}"
        yield f"in flight       {sent}: sent before, and brought in at no new cost"
    if under_way.unresolved:
        sent = f"{counted(under_way.unresolved, 'run')}, {usd_text(under_way.usd_unresolved)}"
        yield f"unresolved      {sent} at stake: sent before; runs that were not made are asked again"
    least, expected, most = (usd_text(usd) for usd in (summary.usd_least(), summary.usd_expected(), summary.usd_most()))
    if not summary.usd_most():
        return
    yield f"cost            {expected} expected" + ("" if least == most else f" (at least {least}, at most {most})")
    if job.budget is not None:
        yield f"budget          {usd_text(job.budget)}"
    yield f"time            about {span_text(summary.seconds())}"


def _left_out_text(why: str) -> str:
    return why if why.startswith("not chosen") else f"skipped: {why}"


def _more(text: str) -> str:
    """A line that says more of the one above it."""
    return " " * 16 + text


def _as_json(job: "Job", summary: "Summary", said: list[str], requests: list[bytes]) -> dict[str, Any]:
    from dataclasses import asdict

    import msgspec

    from enrich.library.calls import as_plan

    found = as_plan(summary)
    return {
        "config": str(job.config.path),
        "table": str(job.table.path),
        "ledger": str(job.ledger_path),
        "rows": found.rows,
        "rows_left_out": found.rows_left_out,
        "left_out": found.left_out,
        "distinct_inputs": found.distinct_inputs,
        "answers_due": found.answers_due,
        "due": [asdict(one) for one in found.due],
        "runs": found.runs,
        "too_long": found.too_long,
        "decisions_set_aside": found.decisions_set_aside,
        "usd": {"least": float(found.usd_least), "expected": float(found.usd_expected), "most": float(found.usd_most)},
        "under_way": {
            "runs": found.runs_in_flight,
            "usd": float(found.usd_in_flight),
            "unresolved_runs": found.runs_unresolved,
            "unresolved_usd": float(found.usd_unresolved),
        },
        "budget_usd": None if job.budget is None else float(job.budget),
        "seconds": round(found.seconds),
        "warnings": said,
        "requests": [msgspec.Raw(body) for body in requests],
    }


def _requests(summary: "Summary", worklist: "Worklist", number: int) -> Iterator[bytes]:
    """The bodies that would bring the first runs to the service."""
    from enrich.backends.bodies import render_body
    from enrich.protocol.submit import batch_size, task_keys

    for i, question in enumerate(summary.questions):
        for batch in worklist.batches(i, batch_size(question.usd_micro)):
            if number <= 0:
                return
            tasks = batch[:number]
            yield render_body(question, tasks, task_keys(question, tasks))
            number -= len(tasks)
