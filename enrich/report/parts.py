"""What the sections of the page are made of: a section, bars and their legends, a status, texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from enrich.report.html import Child, Element, el
from enrich.text.figures import count_text, share_text

if TYPE_CHECKING:
    from enrich.spec import Json


_LABELS: Final = {"not_found": "not found", "human": "by a person", "none": "none"}


def section(title: str, lead: str, *content: Child) -> Element:
    """A section with its heading and a sentence on what it shows."""
    return el("section", el("h2", title), el("p", lead, class_="lead"), content)


def bar(parts: Mapping[str, int], order: Sequence[str], name: str, *, tall: bool = False) -> Element:
    """Shares of a whole, side by side, in this order."""
    total = sum(parts.values())
    said = ", ".join(f"{label(part)} {count_text(parts[part])}" for part in order if parts.get(part))
    rects, start = [], 0
    for part in order:
        number = parts.get(part, 0)
        if number:
            x, width = 100 * start / total, 100 * number / total
            tip = el("title", f"{label(part)}: {count_text(number)} ({share_text(number, total)})")
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


def legend(parts: Mapping[str, int], order: Sequence[str]) -> Element:
    """The same in words and figures."""
    total = sum(parts.values())
    items = [
        el("li", status_mark(part), el("strong", count_text(parts[part])),
           el("span", share_text(parts[part], total), class_="soft"))
        for part in order if parts.get(part)
    ]  # fmt: skip
    return el("ul", items, class_="legend")


def status_mark(status: str) -> Element:
    """A status with the colour that it has in bars."""
    return el("span", dot(status), label(status), class_="status")


def dot(part: str) -> Element:
    """The colour of a status or confidence."""
    return el("span", class_=f"dot is-{part}", aria_hidden="true")


def label(status: str) -> str:
    """A status or confidence in words."""
    return _LABELS.get(status, status)


def plain_text(value: Json) -> str:
    """A value as text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def moment_text(moment: datetime) -> str:
    """A moment in UTC, to the minute."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
