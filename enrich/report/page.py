"""The report: one self-contained HTML page for people. It runs nothing, loads nothing, and prints.

`ReportCollector` is fed while the table is joined, one call an answer, and keeps counters and a few samples a
column: its memory does not grow with the table. `render` makes the page of elements that can't carry anything
active (html.py), under a content security policy that allows one thing, the package's own stylesheet.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from enrich.report.columns import answers_section, held_back_section
from enrich.report.counting import (
    GOOD,
    LONGEST_VALUE,
    WITH_VALUE,
    ColumnCounts,
    Sample,
    Shown,
    confidence_text,
    count_reason,
    in_words,
)
from enrich.report.html import Child, Element, document, el
from enrich.report.parts import bar, legend, moment_text, section, status_mark
from enrich.report.receipt import ANSWER_STATUSES, DOUBTFUL, ROW_STATUSES, Receipt, charged_text
from enrich.report.samples import sample_card, samples_section
from enrich.text.figures import count_text, counted, share_text, span_text, usd_each_text, usd_text
from enrich.text.hostile import clean

if TYPE_CHECKING:
    from enrich.report.manifest import Manifest


__all__ = ["ReportCollector", "is_report"]

_TITLE_END: Final = " · enrichment report"  # by which a page is known as ours


class ReportCollector:
    """Counts the answers of a run by column; keeps at most `samples` of each, half of them doubtful."""

    def __init__(self, fields: Iterable[str], *, samples: int = 4) -> None:
        wants = {True: samples - samples // 2, False: samples // 2}
        self._columns = {name: ColumnCounts(wants=dict(wants)) for name in fields}

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that are counted, in order."""
        return tuple(self._columns)

    def add(
        self,
        field: str,
        status: str,
        confidence: str | float | None = None,
        reason: str = "",
        *,
        sample: Callable[[], Sample] | None = None,
        count: int = 1,
    ) -> None:
        """Count an answer (or `count` alike); `sample` is called only if one more is to be shown."""
        column = self._columns[field]
        column.statuses[status] += count
        if status in WITH_VALUE:
            column.confidences[in_words(confidence)] += count
        if reason and status not in GOOD:
            count_reason(column, status, clean(reason, LONGEST_VALUE), count)
        good = status in GOOD
        if sample is not None and column.wants[good] and status in WITH_VALUE:
            column.wants[good] -= 1
            column.samples.append(sample_card(Shown(status, confidence_text(confidence), reason, sample())))

    def render(self, manifest: Manifest) -> str:
        """The page as text, to be stored as UTF-8."""
        css = files("enrich.report").joinpath("page.css").read_text("utf-8")
        digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        return document(f"{manifest.name}{_TITLE_END}", _page(manifest, self._columns), css=css, policy=policy)


def is_report(start: bytes) -> bool:
    """Whether a file that starts with these bytes is a report of ours, of this version or 0.2.0."""
    head = start.decode("utf-8", "replace").partition("</title>")[0]
    return head.startswith("<!doctype html>\n") and "Content-Security-Policy" in head and head.endswith(_TITLE_END)


def _page(manifest: Manifest, columns: Mapping[str, ColumnCounts]) -> Child:
    return [
        el("header", _heading(manifest), _banners(manifest), class_="top"),
        el(
            "main",
            _glance(manifest),
            _next(manifest),
            _rows(manifest.receipt),
            _books(manifest.receipt),
            answers_section(columns),
            held_back_section(columns),
            samples_section(columns),
            _how(manifest),
        ),
        el(
            "footer",
            el("p", f"enrich {manifest.version}. This page runs no script and loads nothing from anywhere."),
        ),
    ]


def _heading(manifest: Manifest) -> Child:
    moment = manifest.started_at.astimezone(UTC)
    line = f"{moment_text(moment)}, {span_text(manifest.seconds)}"
    way = [el("code", manifest.table)]
    if manifest.output:
        way += [el("span", " → ", class_="soft"), el("code", manifest.output)]
    return [
        el("p", "Enrichment report", class_="eyebrow"),
        el("h1", el("bdi", manifest.name)),
        el("p", way, el("span", " · ", line, class_="soft"), class_="way"),
    ]


def _banners(manifest: Manifest) -> Child:
    charges = manifest.receipt.double_charges
    return [
        _banner(
            "sandbox",
            "Sandbox",
            "These answers come from the sandbox on this machine and may be invented. Nothing was asked of "
            "the service and nothing was paid: the dollars below are what it would have charged.",
        )
        if manifest.sandbox
        else None,
        _banner("charged", "Paid twice", _charged(manifest.receipt)) if charges else None,
        _banner(
            "stopped",
            "Stopped early",
            [el("bdi", manifest.stopped), ". The same command goes on where it ended."],
        )
        if manifest.stopped
        else None,
    ]


def _banner(kind: str, title: str, text: Child) -> Element:
    return el("div", el("strong", title), el("p", text), class_=f"banner {kind}", role="note")


def _charged(receipt: Receipt) -> str:
    return f"{charged_text(receipt.double_charges)}."


def _glance(manifest: Manifest) -> Element:
    receipt = manifest.receipt
    accepted = receipt.accepted
    waiting = sum(receipt.answers.get(status, 0) for status in DOUBTFUL)
    unpaid = " (not charged)" if manifest.sandbox else ""
    figures = (
        ("Answers accepted", share_text(accepted, receipt.answers_wanted), f"{count_text(accepted)} of "
         f"{count_text(receipt.answers_wanted)}"),
        ("Waiting for a person", count_text(manifest.doubtful),
         f"{'line' if manifest.doubtful == 1 else 'lines'} of the review file, for {counted(waiting, 'answer')}"),
        ("Rows complete", share_text(receipt.rows.get("complete", 0), receipt.rows_in),
         f"{count_text(receipt.rows.get('complete', 0))} of {count_text(receipt.rows_in)}"),
        ("Cost so far" + unpaid, usd_text(receipt.table_usd), _so_far(receipt)),
        ("This command" + unpaid, usd_text(receipt.usd),
         f"{counted(receipt.runs_paid, 'run')}" + _at_stake(receipt)),
    )  # fmt: skip
    return el(
        "section",
        [
            el("div", el("dt", name), el("dd", el("strong", figure), el("small", note)), class_="figure")
            for name, figure, note in figures
        ],
        class_="glance",
        aria_label="At a glance",
    )


def _so_far(receipt: Receipt) -> str:
    each = receipt.usd_per_accepted
    runs = counted(receipt.table_runs_paid, "run")
    if receipt.table_runs_unpriced:
        runs += f", {count_text(receipt.table_runs_unpriced)} of them at a price that is not known any more"
    return runs if each is None else f"{usd_each_text(each)} per accepted answer, {runs}"


def _at_stake(receipt: Receipt) -> str:
    return f", {usd_text(receipt.usd_at_stake)} more at stake" if receipt.usd_at_stake else ""


def _next(manifest: Manifest) -> Element | None:
    if not manifest.next:
        return None
    steps = [el("li", _with_code(step)) for step in manifest.next]
    return section("Next", "What can be done now. Commands are complete.", el("ul", steps, class_="next"))


def _with_code(text: str) -> Child:
    """A sentence with its commands, which stand in backquotes, as code."""
    return [el("code", part) if n % 2 else el("bdi", part) for n, part in enumerate(text.split("`"))]


def _rows(receipt: Receipt) -> Element:
    return section(
        "Rows",
        "What became of each row of the table.",
        bar(receipt.rows, ROW_STATUSES, "Rows", tall=True),
        legend(receipt.rows, ROW_STATUSES),
    )


def _books(receipt: Receipt) -> Element:
    runs = [
        (el("bdi", name), count_text(number), usd_text(receipt.usd_by_processor.get(name, Decimal(0))))
        for name, number in receipt.runs_by_processor.items()
    ]
    return section(
        "Receipt",
        f"{counted(receipt.distinct_inputs, 'distinct input')}; "
        f"{counted(receipt.runs_submitted, 'run')} submitted, "
        f"{count_text(receipt.runs_failed)} failed and not billed.",
        el(
            "div",
            _sum("Rows in", receipt.rows_in, receipt.rows, ROW_STATUSES),
            _sum("Answers wanted", receipt.answers_wanted, receipt.answers, ANSWER_STATUSES),
            _slip("Runs paid", (count_text(receipt.runs_paid), usd_text(receipt.usd)), runs),
            class_="slips",
        ),
    )


def _sum(title: str, total: int, parts: Mapping[str, int], order: Sequence[str]) -> Element:
    lines = [(status_mark(status), count_text(parts[status])) for status in order if parts.get(status)]
    return _slip(title, (count_text(total),), lines)


def _slip(title: str, totals: Sequence[str], lines: Sequence[Sequence[Child]]) -> Element:
    body = [el("tr", el("th", first, scope="row"), [el("td", cell) for cell in rest]) for first, *rest in lines]
    head = el("tr", el("th", title, scope="col"), [el("td", total) for total in totals])
    return el("div", el("table", el("thead", head), el("tbody", body)), class_="slip")


def _how(manifest: Manifest) -> Element:
    budget = "none" if manifest.budget_usd is None else usd_text(manifest.budget_usd)
    facts: list[tuple[str, Child]] = [
        ("Config", el("code", manifest.config)),
        ("Processors", " → ".join(manifest.processors) or "none"),
        ("Budget", budget),
        ("Started", moment_text(manifest.started_at)),
        ("Ended", moment_text(manifest.finished_at)),
        ("Task groups", count_text(len(manifest.groups))),
        ("Review file", el("code", manifest.review) if manifest.review else "none"),
    ]
    return section(
        "How it was run",
        "The manifest beside this page says the same for scripts.",
        el("dl", [el("div", el("dt", name), el("dd", fact)) for name, fact in facts], class_="facts"),
    )
