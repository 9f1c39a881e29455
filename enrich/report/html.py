"""HTML that can't be anything but what the template says: a tree of a closed set of elements and attributes.

Whatever is put in as text is text: it is cleaned of controls, bidi overrides and invisible characters, and
escaped, with no way around it. Names of elements and attributes are literals of the template, checked against
closed sets that hold nothing which runs or loads (no script, no style attribute, no event handler, no src).
An address becomes a link only if it is a plain http or https address (`link`). The one stylesheet is a
constant of the package. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from enrich.text.hostile import clean

__all__ = ["ATTRIBUTES", "ELEMENTS", "Child", "Element", "document", "el", "fragment", "link", "web_address"]

# fmt: off
ELEMENTS: Final = frozenset({
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "article",
    "h1", "h2", "h3", "p", "span", "strong", "small", "code", "bdi", "div", "blockquote", "a",
    "ul", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect",
})
ATTRIBUTES: Final = frozenset({
    "lang", "charset", "name", "content", "http-equiv", "class", "dir", "role", "aria-label", "aria-hidden",
    "scope", "x", "width", "height", "href", "rel",
})
# fmt: on
_VOID: Final = frozenset({"meta"})
_WEB_ADDRESS: Final = re.compile(r"https?://[!-~\xa1-\U0010ffff]+", re.IGNORECASE)
_NEVER_IN_ADDRESS: Final = frozenset("\"'<>\\^`{|}")
_LONGEST_ADDRESS: Final = 8000  # characters; a browser asks few servers for more


@dataclass(frozen=True, slots=True)
class Element:
    """An element of the page; made by `el`, `link` and `document` only."""

    name: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple[Child, ...]


Child: TypeAlias = "Element | str | Iterable[Child] | None"


def el(name: str, /, *children: Child, **attributes: str | None) -> Element:
    """An element; `class_` and `aria_label` stand for `class` and `aria-label`; None leaves one out."""
    if name not in ELEMENTS or name in {"a", "style"}:
        raise ValueError(f"not an element of the report: {name!r}")
    return Element(name, _attributes(attributes), children)


def link(address: str, *children: Child) -> Element:
    """A link to a web address that tells the other side nothing; for any other address just its content."""
    safe = web_address(address)
    if safe is None:
        return el("span", *children)
    attributes = (("href", safe), ("rel", "noreferrer nofollow noopener"))
    return Element("a", attributes, children)


def web_address(address: str) -> str | None:
    """`address` if it is a plain, not too long http(s) address, with a host, no password, hiding nothing; or None."""
    if len(address) > _LONGEST_ADDRESS:
        return None
    hides = clean(address) != address or not _NEVER_IN_ADDRESS.isdisjoint(address)
    if hides or not _WEB_ADDRESS.fullmatch(address):
        return None
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises for a port that is none
    except ValueError:
        return None
    return address if parts.hostname and "@" not in parts.netloc else None


def document(title: str, *body: Child, css: str, policy: str) -> str:
    """The whole page. `css` and `policy` are constants of the package, never data."""
    if "<" in css:
        raise ValueError("a stylesheet without '<' can't end its element")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="robots", content="noindex, nofollow"),
        el("title", title),
        Element("style", (), (css,)),
    )
    parts = ["<!doctype html>\n"]
    _write(el("html", head, el("body", *body), lang="en"), parts)
    return "".join(parts) + "\n"


def fragment(*children: Child) -> str:
    """A piece of a page of somebody else's, such as a notebook's."""
    parts: list[str] = []
    _write(children, parts)
    return "".join(parts)


def _attributes(attributes: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
    named = [(name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items()]
    for name, _ in named:
        if name not in ATTRIBUTES or name == "href":
            raise ValueError(f"not an attribute of the report: {name!r}")
    return tuple((name, value) for name, value in named if value is not None)


def _write(child: Child, parts: list[str]) -> None:
    match child:
        case None:
            return
        case str():
            parts.append(escape(clean(child)))
        case Element("style", _, (str(css),)):
            parts.append(f"<style>{css}</style>")
        case Element(name, attributes, children):
            parts.append(f"<{name}{''.join(_attribute(*pair) for pair in attributes)}>")
            if name not in _VOID:
                for inner in children:
                    _write(inner, parts)
                parts.append(f"</{name}>")
        case _:
            for inner in child:
                _write(inner, parts)


def _attribute(name: str, value: str) -> str:
    return f' {name}="{escape(clean(value))}"'
