"""The sections of the page that say how each column came out, and why answers were held back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import Final

from enrich.report.counting import CONFIDENCES, GOOD, OTHER_REASONS, ColumnCounts
from enrich.report.html import Element, el
from enrich.report.parts import bar, dot, label, section, status_mark
from enrich.report.receipt import ANSWER_STATUSES
from enrich.text.figures import count_text, share_text

_HELD_BACK: Final = ("review", "withheld", "kept", "not_found", "invalid", "failed", "skipped", "pending")
_CONFIDENCES_SAID: Final = {
    "high": "high confidence",
    "medium": "medium",
    "low": "low",
    "none": "no confidence given",
}
_SHOWN_REASONS: Final = 6


def answers_section(columns: Mapping[str, ColumnCounts]) -> Element:
    """Of each column, what became of its answers and how sure they are."""
    heads = ("ColumnCounts", "Answers", "Accepted", "Confidence of the evidence")
    return section(
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


def _answers_row(name: str, column: ColumnCounts) -> Element:
    accepted = sum(column.statuses[status] for status in GOOD)
    with_confidence = sum(column.confidences.values())
    parts = [
        f"{label(word)} {share_text(column.confidences[word], with_confidence)}"
        for word in CONFIDENCES
        if column.confidences[word]
    ]
    return el(
        "tr",
        el("th", el("bdi", el("code", name)), scope="row"),
        el("td", bar(column.statuses, ANSWER_STATUSES, f"Answers of {name}")),
        el("td", el("strong", share_text(accepted, column.statuses.total())), class_="number"),
        el(
            "td",
            bar(column.confidences, CONFIDENCES, f"Confidence of {name}"),
            el("small", " · ".join(parts) or "no answers yet"),
        ),
    )


def held_back_section(columns: Mapping[str, ColumnCounts]) -> Element:
    """Of each column, why answers were held back, the most usual reason first."""
    blocks = [block for name, column in columns.items() if (block := _held_back_of(name, column)) is not None]
    return section(
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


def _held_back_of(name: str, column: ColumnCounts) -> Element | None:
    lines = []
    for status in _HELD_BACK:
        number = column.statuses[status]
        reasons = {reason: times for (of, reason), times in column.reasons.items() if of == status}
        unsaid = number - sum(reasons.values())
        ordered = sorted(reasons.items(), key=lambda pair: (pair[0] == OTHER_REASONS, -pair[1], pair[0]))
        shown = ordered[:_SHOWN_REASONS]
        rest = sum(times for _, times in ordered[_SHOWN_REASONS:])
        shown += [(OTHER_REASONS, rest)] if rest else []
        shown += [("", unsaid)] if unsaid > 0 else []
        lines += [
            el("tr", el("th", status_mark(status), scope="row"), el("td", el("bdi", reason), class_="why"),
               el("td", count_text(times), class_="number"))
            for reason, times in shown
        ]  # fmt: skip
    if not lines:
        return None
    return el("article", el("h3", el("bdi", el("code", name))), el("table", el("tbody", lines)), class_="reason")


def _legend_of(columns: Iterable[ColumnCounts]) -> Element:
    statuses: Counter[str] = Counter()
    confidences: Counter[str] = Counter()
    for column in columns:
        statuses.update(column.statuses)
        confidences.update(column.confidences)
    return el(
        "ul",
        [el("li", status_mark(part)) for part in ANSWER_STATUSES if statuses[part]],
        [el("li", el("span", dot(word), said)) for word, said in _CONFIDENCES_SAID.items() if confidences[word]],
        class_="legend",
    )
