"""The section of the page that shows a few answers with their evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from enrich.report.counting import LONGEST_VALUE, ColumnCounts, Shown
from enrich.report.html import Child, Element, el, link, web_address
from enrich.report.parts import plain_text, section, status_mark
from enrich.text.figures import count_text, counted
from enrich.text.hostile import clean

if TYPE_CHECKING:
    from enrich.spec import Json


_SHOWN_CITATIONS: Final = 3
_SHOWN_EXCERPTS: Final = 2
_LONGEST_REASONING: Final = 700
_LONGEST_EXCERPT: Final = 320
_LONGEST_NAME: Final = 160


def samples_section(columns: Mapping[str, ColumnCounts]) -> Element | None:
    """The samples of each column; None where there are none."""
    blocks = [
        el(
            "article",
            el("h3", el("bdi", el("code", name))),
            el("div", column.samples, class_="cards"),
            class_="sampled",
        )
        for name, column in columns.items()
        if column.samples
    ]
    if not blocks:
        return None
    return section(
        "Samples",
        "The first answers of each kind with their evidence. Sources are as the service cites them.",
        *blocks,
    )


def sample_card(shown: Shown) -> Element:
    """An answer with its evidence, of which it holds no more than it shows."""
    sample = shown.sample
    inputs = " · ".join(plain_text(value) for value in sample.inputs.values())
    return el(
        "div",
        el(
            "p",
            status_mark(shown.status),
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
    return el("p", clean(plain_text(value), LONGEST_VALUE), class_="value", dir="auto")


def _citations(citations: Sequence[Mapping[str, Json]]) -> Element | None:
    if not citations:
        return None
    items = [_citation(citation) for citation in citations[:_SHOWN_CITATIONS]]
    if len(citations) > _SHOWN_CITATIONS:
        items.append(el("li", f"and {counted(len(citations) - _SHOWN_CITATIONS, 'more source')}", class_="soft"))
    return el("ul", items, class_="sources")


def _citation(citation: Mapping[str, Json]) -> Element:
    address = plain_text(citation.get("url"))
    excerpts = citation.get("excerpts")
    texts = [plain_text(text) for text in excerpts if text] if isinstance(excerpts, list) else []
    title = clean(plain_text(citation.get("title")), _LONGEST_NAME).strip()
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
