"""The report: one self-contained HTML page for people. It runs nothing, loads nothing, and prints.

`ReportCollector` is fed while the table is joined, one call an answer, and keeps counters and a few samples a
column: its memory does not grow with the table. `render` makes the page of elements that can't carry anything
active (html.py), under a content security policy that allows one thing, the package's own stylesheet.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from enrich.report.html import Child, Element, document, el, link, web_address
from enrich.report.receipt import ANSWER_STATUSES, DOUBTFUL, ROW_STATUSES, Receipt, charged_text
from enrich.text.figures import count_text, counted, share_text, span_text, usd_each_text, usd_text
from enrich.text.hostile import clean

if TYPE_CHECKING:
    from enrich.report.manifest import Manifest
    from enrich.spec import Json

__all__ = ["CONFIDENCES", "ReportCollector", "Sample"]

CONFIDENCES: Final = ("high", "medium", "low", "none")
HIGH_FROM: Final = 0.9  # how a confidence in numbers is shown in words
MEDIUM_FROM: Final = 0.6

_HELD_BACK: Final = ("review", "withheld", "kept", "not_found", "invalid", "failed", "skipped", "pending")
_WITH_VALUE: Final = frozenset({"accepted", "human", "kept", "review", "withheld", "not_found", "invalid"})
_GOOD: Final = frozenset({"accepted", "human"})
_LABELS: Final = {"not_found": "not found", "human": "by a person", "none": "none"}
_CONFIDENCES_SAID: Final = {
    "high": "high confidence",
    "medium": "medium",
    "low": "low",
    "none": "no confidence given",
}
_OTHER_REASONS: Final = "other reasons"
_MOST_REASONS: Final = 40  # different reasons kept for one column and status
_SHOWN_REASONS: Final = 6
_SHOWN_CITATIONS: Final = 3
_SHOWN_EXCERPTS: Final = 2
_LONGEST_VALUE: Final = 400  # characters
_LONGEST_REASONING: Final = 700
_LONGEST_EXCERPT: Final = 320
_LONGEST_NAME: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer to show with its evidence. `citations` as the service gives them: url, title, excerpts."""

    row: int  # from 1
    inputs: Mapping[str, Json]
    value: Json
    reasoning: str | None = None
    citations: Sequence[Mapping[str, Json]] = ()
    processor: str = ""


@dataclass(slots=True)
class _Shown:
    status: str
    confidence: str
    reason: str
    sample: Sample


@dataclass(slots=True)
class _Column:
    statuses: Counter[str] = field(default_factory=Counter)
    confidences: Counter[str] = field(default_factory=Counter)
    reasons: dict[tuple[str, str], int] = field(default_factory=dict)
    kinds_of_reason: Counter[str] = field(default_factory=Counter)
    samples: list[_Shown] = field(default_factory=list)
    wants: dict[bool, int] = field(default_factory=dict)  # samples still wanted: of good answers, of doubtful ones


_TITLE_END: Final = " · enrichment report"  # by which a page is known as ours


class ReportCollector:
    """Counts the answers of a run by column; keeps at most `samples` of each, half of them doubtful."""

    def __init__(self, fields: Iterable[str], *, samples: int = 4) -> None:
        wants = {True: samples - samples // 2, False: samples // 2}
        self._columns = {name: _Column(wants=dict(wants)) for name in fields}

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
        if status in _WITH_VALUE:
            column.confidences[_in_words(confidence)] += count
        if reason and status not in _GOOD:
            _count_reason(column, status, clean(reason, _LONGEST_VALUE), count)
        good = status in _GOOD
        if sample is not None and column.wants[good] and status in _WITH_VALUE:
            column.wants[good] -= 1
            column.samples.append(_Shown(status, _confidence_text(confidence), reason, sample()))

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


def _count_reason(column: _Column, status: str, reason: str, count: int) -> None:
    if (status, reason) not in column.reasons:
        if column.kinds_of_reason[status] >= _MOST_REASONS:
            reason = _OTHER_REASONS
        else:
            column.kinds_of_reason[status] += 1
    column.reasons[status, reason] = column.reasons.get((status, reason), 0) + count


def _in_words(confidence: str | float | None) -> str:
    if confidence is None:
        return "none"
    if isinstance(confidence, str):
        return confidence if confidence in CONFIDENCES else "none"
    return "high" if confidence >= HIGH_FROM else "medium" if confidence >= MEDIUM_FROM else "low"


def _confidence_text(confidence: str | float | None) -> str:
    if confidence is None:
        return "no confidence given"
    return f"confidence {confidence if isinstance(confidence, str) else format(confidence, '.2f')}"


# ---------------------------------------------------------------------- the page, from top to bottom


def _page(manifest: Manifest, columns: Mapping[str, _Column]) -> Child:
    return [
        el("header", _heading(manifest), _banners(manifest), class_="top"),
        el(
            "main",
            _glance(manifest),
            _next(manifest),
            _rows(manifest.receipt),
            _books(manifest.receipt),
            _answers(columns),
            _held_back(columns),
            _samples(columns),
            _how(manifest),
        ),
        el(
            "footer",
            el("p", f"enrich {manifest.version}. This page runs no script and loads nothing from anywhere."),
        ),
    ]


def _heading(manifest: Manifest) -> Child:
    moment = manifest.started_at.astimezone(UTC)
    line = f"{_moment_text(moment)}, {span_text(manifest.seconds)}"
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
    return runs if each is None else f"{usd_each_text(each)} per accepted answer, {runs}"


def _at_stake(receipt: Receipt) -> str:
    return f", {usd_text(receipt.usd_at_stake)} more at stake" if receipt.usd_at_stake else ""


def _next(manifest: Manifest) -> Element | None:
    if not manifest.next:
        return None
    steps = [el("li", _with_code(step)) for step in manifest.next]
    return _section("Next", "What can be done now. Commands are complete.", el("ul", steps, class_="next"))


def _with_code(text: str) -> Child:
    """A sentence with its commands, which stand in backquotes, as code."""
    return [el("code", part) if n % 2 else el("bdi", part) for n, part in enumerate(text.split("`"))]


def _rows(receipt: Receipt) -> Element:
    return _section(
        "Rows",
        "What became of each row of the table.",
        _bar(receipt.rows, ROW_STATUSES, "Rows", tall=True),
        _legend(receipt.rows, ROW_STATUSES),
    )


def _books(receipt: Receipt) -> Element:
    runs = [
        (el("bdi", name), count_text(number), usd_text(receipt.usd_by_processor.get(name, Decimal(0))))
        for name, number in receipt.runs_by_processor.items()
    ]
    return _section(
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
    lines = [(_status(status), count_text(parts[status])) for status in order if parts.get(status)]
    return _slip(title, (count_text(total),), lines)


def _slip(title: str, totals: Sequence[str], lines: Sequence[Sequence[Child]]) -> Element:
    body = [el("tr", el("th", first, scope="row"), [el("td", cell) for cell in rest]) for first, *rest in lines]
    head = el("tr", el("th", title, scope="col"), [el("td", total) for total in totals])
    return el("div", el("table", el("thead", head), el("tbody", body)), class_="slip")


def _answers(columns: Mapping[str, _Column]) -> Element:
    heads = ("Column", "Answers", "Accepted", "Confidence of the evidence")
    return _section(
        "Answers by column",
        "How each column came out, and how sure the service is of what it found.",
        _legend_of(columns.values()),
        el(
            "table",
            el("thead", el("tr", [el("th", head, scope="col") for head in heads])),
            el("tbody", [_answers_row(name, column) for name, column in columns.items()]),
            class_="answers",
        ),
    )


def _answers_row(name: str, column: _Column) -> Element:
    accepted = sum(column.statuses[status] for status in _GOOD)
    with_confidence = sum(column.confidences.values())
    parts = [
        f"{_label(word)} {share_text(column.confidences[word], with_confidence)}"
        for word in CONFIDENCES
        if column.confidences[word]
    ]
    return el(
        "tr",
        el("th", el("bdi", el("code", name)), scope="row"),
        el("td", _bar(column.statuses, ANSWER_STATUSES, f"Answers of {name}")),
        el("td", el("strong", share_text(accepted, column.statuses.total())), class_="number"),
        el(
            "td",
            _bar(column.confidences, CONFIDENCES, f"Confidence of {name}"),
            el("small", " · ".join(parts) or "no answers yet"),
        ),
    )


def _held_back(columns: Mapping[str, _Column]) -> Element:
    blocks = [block for name, column in columns.items() if (block := _held_back_of(name, column)) is not None]
    return _section(
        "Held back, and why",
        _held_back_text({status for column in columns.values() for status in _HELD_BACK if column.statuses[status]}),
        el("div", blocks, class_="reasons") if blocks else None,
    )


def _held_back_text(statuses: Set[str]) -> str:
    """What the answers of these statuses have to do with the table: only some of them are not in it."""
    kinds = [
        ("stand in the table and wait for a person", statuses & {"review"}),
        ("have an older answer in their place", statuses & {"kept"}),
        ("are not in the table", statuses - {"review", "kept"}),
    ]
    said = [text for text, found in kinds if found]
    return f"Answers that {', or that '.join(said)}, by reason." if said else "Nothing was held back."


def _held_back_of(name: str, column: _Column) -> Element | None:
    lines = []
    for status in _HELD_BACK:
        number = column.statuses[status]
        reasons = {reason: times for (of, reason), times in column.reasons.items() if of == status}
        unsaid = number - sum(reasons.values())
        ordered = sorted(reasons.items(), key=lambda pair: (pair[0] == _OTHER_REASONS, -pair[1], pair[0]))
        shown = ordered[:_SHOWN_REASONS]
        rest = sum(times for _, times in ordered[_SHOWN_REASONS:])
        shown += [(_OTHER_REASONS, rest)] if rest else []
        shown += [("", unsaid)] if unsaid > 0 else []
        lines += [
            el("tr", el("th", _status(status), scope="row"), el("td", el("bdi", reason), class_="why"),
               el("td", count_text(times), class_="number"))
            for reason, times in shown
        ]  # fmt: skip
    if not lines:
        return None
    return el("article", el("h3", el("bdi", el("code", name))), el("table", el("tbody", lines)), class_="reason")


def _samples(columns: Mapping[str, _Column]) -> Element | None:
    blocks = [
        el(
            "article",
            el("h3", el("bdi", el("code", name))),
            el("div", [_sample(shown) for shown in column.samples], class_="cards"),
            class_="sampled",
        )
        for name, column in columns.items()
        if column.samples
    ]
    if not blocks:
        return None
    return _section(
        "Samples",
        "The first answers of each kind with their evidence. Sources are as the service cites them.",
        *blocks,
    )


def _sample(shown: _Shown) -> Element:
    sample = shown.sample
    inputs = " · ".join(_plain(value) for value in sample.inputs.values())
    return el(
        "div",
        el(
            "p",
            _status(shown.status),
            el(
                "span",
                f"{shown.confidence}{f', by {sample.processor}' if sample.processor else ''}",
                class_="soft",
            ),
            class_="meta",
        ),
        el("p", f"Row {count_text(sample.row)}: ", el("bdi", clean(inputs, _LONGEST_NAME)), class_="asked"),
        _value(sample.value),
        el("p", el("bdi", shown.reason), class_="because") if shown.reason else None,
        el("p", clean(sample.reasoning, _LONGEST_REASONING), class_="reasoning", dir="auto")
        if sample.reasoning
        else None,
        _citations(sample.citations),
        class_="card",
    )


def _value(value: Json) -> Element:
    if value is None or value == "":
        return el("p", "no value", class_="value empty")
    return el("p", clean(_plain(value), _LONGEST_VALUE), class_="value", dir="auto")


def _citations(citations: Sequence[Mapping[str, Json]]) -> Element | None:
    if not citations:
        return None
    items = [_citation(citation) for citation in citations[:_SHOWN_CITATIONS]]
    if len(citations) > _SHOWN_CITATIONS:
        items.append(el("li", f"and {counted(len(citations) - _SHOWN_CITATIONS, 'more source')}", class_="soft"))
    return el("ul", items, class_="sources")


def _citation(citation: Mapping[str, Json]) -> Element:
    address = _plain(citation.get("url"))
    excerpts = citation.get("excerpts")
    texts = [_plain(text) for text in excerpts if text] if isinstance(excerpts, list) else []
    title = clean(_plain(citation.get("title")), _LONGEST_NAME).strip()
    if web_address(address) is None:
        name: Child = [el("span", title or "source"), " ", el("code", clean(address, _LONGEST_NAME))]
    else:
        host = urlsplit(address).hostname or ""
        name = [link(address, title or clean(address, _LONGEST_NAME)), " ", el("small", host)]
    return el(
        "li",
        el("bdi", name),
        [el("blockquote", clean(text, _LONGEST_EXCERPT), dir="auto") for text in texts[:_SHOWN_EXCERPTS]],
    )


def _how(manifest: Manifest) -> Element:
    budget = "none" if manifest.budget_usd is None else usd_text(manifest.budget_usd)
    facts: list[tuple[str, Child]] = [
        ("Config", el("code", manifest.config)),
        ("Processors", " → ".join(manifest.processors) or "none"),
        ("Budget", budget),
        ("Started", _moment_text(manifest.started_at)),
        ("Ended", _moment_text(manifest.finished_at)),
        ("Task groups", count_text(len(manifest.groups))),
        ("Review file", el("code", manifest.review) if manifest.review else "none"),
    ]
    return _section(
        "How it was run",
        "The manifest beside this page says the same for scripts.",
        el("dl", [el("div", el("dt", name), el("dd", fact)) for name, fact in facts], class_="facts"),
    )


# ---------------------------------------------------------------------- parts


def _section(title: str, lead: str, *content: Child) -> Element:
    return el("section", el("h2", title), el("p", lead, class_="lead"), content)


def _bar(parts: Mapping[str, int], order: Sequence[str], name: str, *, tall: bool = False) -> Element:
    total = sum(parts.values())
    said = ", ".join(f"{_label(part)} {count_text(parts[part])}" for part in order if parts.get(part))
    rects, start = [], 0
    for part in order:
        number = parts.get(part, 0)
        if number:
            x, width = 100 * start / total, 100 * number / total
            tip = el("title", f"{_label(part)}: {count_text(number)} ({share_text(number, total)})")
            rects.append(el("rect", tip, x=f"{x:.3f}%", width=f"{width:.3f}%", height="100%", class_=f"is-{part}"))
            start += number
    return el(
        "svg",
        rects,
        width="100%",
        height="28" if tall else "12",
        role="img",
        aria_label=f"{name}: {said or 'none'}",
        class_="bar",
    )


def _legend(parts: Mapping[str, int], order: Sequence[str]) -> Element:
    total = sum(parts.values())
    items = [
        el("li", _status(part), el("strong", count_text(parts[part])),
           el("span", share_text(parts[part], total), class_="soft"))
        for part in order if parts.get(part)
    ]  # fmt: skip
    return el("ul", items, class_="legend")


def _legend_of(columns: Iterable[_Column]) -> Element:
    statuses: Counter[str] = Counter()
    confidences: Counter[str] = Counter()
    for column in columns:
        statuses.update(column.statuses)
        confidences.update(column.confidences)
    return el(
        "ul",
        [el("li", _status(part)) for part in ANSWER_STATUSES if statuses[part]],
        [el("li", el("span", _dot(word), said)) for word, said in _CONFIDENCES_SAID.items() if confidences[word]],
        class_="legend",
    )


def _status(status: str) -> Element:
    return el("span", _dot(status), _label(status), class_="status")


def _dot(part: str) -> Element:
    return el("span", class_=f"dot is-{part}", aria_hidden="true")


def _label(status: str) -> str:
    return _LABELS.get(status, status)


def _plain(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
