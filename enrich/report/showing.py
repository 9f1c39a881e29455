"""Reports and plans as they show themselves: a line, a text, a table in a notebook. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from enrich.report.html import Child, el, fragment
from enrich.report.receipt import ANSWER_STATUSES, ROW_STATUSES
from enrich.text.figures import count_text, counted, span_text, usd_text

if TYPE_CHECKING:
    from enrich.library.calls import Plan
    from enrich.pipeline import Report

__all__ = ["plan_html", "plan_text", "report_html", "report_line", "report_text"]

_SANDBOX = "from the sandbox: free of charge, and what it has no facts for is invented"


def report_line(report: Report) -> str:
    """`<Report DONE: 3 rows (2 complete, 1 review), $0.05 paid, places.enriched.csv>`."""
    rows = _parts(report.receipt.rows, ROW_STATUSES)
    paid = f"{usd_text(report.receipt.usd)} paid" if not report.sandbox else "from the sandbox"
    return (
        f"<Report {report.exit_code.name}: {counted(report.receipt.rows_in, 'row')} ({rows}), {paid}, {report.output}>"
    )


def report_text(report: Report) -> str:
    """The receipt as the command prints it, with the files that were written."""
    title = _SANDBOX if report.sandbox else ""
    return report.receipt.to_text(title=title, files=_files(report), steps=report.steps)


def report_html(report: Report) -> str:
    """How it ended, the books, the files; whatever is text in them is escaped."""
    receipt = report.receipt
    paid = [f"{name} {count_text(runs)}" for name, runs in receipt.runs_by_processor.items()]
    books = [
        ("rows in", count_text(receipt.rows_in), _parts(receipt.rows, ROW_STATUSES)),
        ("answers wanted", count_text(receipt.answers_wanted), _parts(receipt.answers, ANSWER_STATUSES)),
        ("runs paid", count_text(receipt.runs_paid), ", ".join([usd_text(receipt.usd), *paid])),
    ]
    if receipt.usd_at_stake:
        books.append(("at stake", usd_text(receipt.usd_at_stake), "sent, and not answered yet"))
    if receipt.double_charges:
        books.append(("paid twice", count_text(len(receipt.double_charges)), "the manifest names the runs"))
    return fragment(
        el("p", el("strong", f"{report.exit_code.name}"), f" {report.stopped}" if report.stopped else None),
        el("p", _SANDBOX) if report.sandbox else None,
        _table(books),
        _table((el("code", path), what) for path, what in _files(report).items()),
    )


def plan_text(plan: Plan) -> str:
    """A line for each figure, as `enrich plan` has them."""
    lines = _plan(plan)
    widest = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{widest}} {value}" for name, value in lines)


def plan_html(plan: Plan) -> str:
    """The same as a table."""
    return fragment(_table(_plan(plan)))


def _plan(plan: Plan) -> list[tuple[str, str]]:
    least, expected, most = map(usd_text, (plan.usd_least, plan.usd_expected, plan.usd_most))
    due = ", ".join(f"{count_text(number)} {why}" for why, number in plan.answers_due.items())
    runs = ", ".join(f"{count_text(number)} {name}" for name, number in plan.runs.items())
    lines = [
        ("rows", count_text(plan.rows)),
        *(("", f"{count_text(number)} left out: {why}") for why, number in plan.left_out.items()),
        ("distinct inputs", count_text(plan.distinct_inputs)),
        ("answers due", due or "none"),
        *(("", f"{one.column}: {one.reason}, {count_text(one.answers)} \u00d7 {one.processor}") for one in plan.due),
        ("runs due", runs or "none"),
    ]
    if plan.too_long:
        lines.append(("too long", f"{counted(plan.too_long, 'input')}: over what the service takes, not asked"))
    for number, usd, what in (
        (plan.runs_in_flight, plan.usd_in_flight, "sent, and not answered yet"),
        (plan.runs_unresolved, plan.usd_unresolved, "sent, and not known to have arrived"),
    ):
        if number:
            lines.append(("under way", f"{counted(number, 'run')}, {usd_text(usd)}: {what}"))
    if plan.usd_most:
        lines.append(
            ("cost", f"{expected} expected" + (f" (at least {least}, at most {most})" if least != most else ""))
        )
        lines.append(("time", f"about {span_text(plan.seconds)}"))
    return lines


def _parts(counts: Mapping[str, int], order: Iterable[str]) -> str:
    return ", ".join(f"{count_text(counts[name])} {name}" for name in order if counts.get(name)) or "none"


def _files(report: Report) -> dict[str, str]:
    return {
        str(report.output): "the table with its answers",
        str(report.review): "what a person should decide",
        str(report.report): "what happened, for people",
        str(report.manifest): "what happened, for scripts",
    }


def _table(rows: Iterable[tuple[Child, ...]]) -> Child:
    return el("table", el("tbody", [el("tr", [el("td", cell) for cell in row]) for row in rows]))
