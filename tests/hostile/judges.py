"""What counts as active, said without a line of the product: of a spreadsheet's cell, a page, a terminal's text."""

import re
import unicodedata
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

_SEPARATORS = re.compile(r"[,;|\t\n\x0b\x0c\r\x85\u2028\u2029]")
_NUMBER = re.compile(r"[+-]?(\d[\d.]*|\.\d+)(e[+-]?\d+)?%?[\]}]*", re.IGNORECASE)
# Signs of Arabic, Kaithi and Egyptian script: formats to Unicode, and yet they show.
_SEEN = {*range(0x600, 0x606), 0x6DD, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
_FILLERS = "\u034f\u115f\u1160\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
_QUOTES = '"`´‘’“”«»‹›＂'  # noqa: RUF001 — not the apostrophe: it makes text of a cell

# fmt: off
_ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "article", "div", "p",
    "h1", "h2", "h3", "span", "strong", "small", "code", "bdi", "blockquote", "a", "ul", "li", "dl", "dt", "dd",
    "table", "thead", "tbody", "tr", "th", "td", "svg", "rect",
}
_ATTRIBUTES = {
    "lang", "charset", "name", "content", "http-equiv", "class", "dir", "role", "aria-label", "aria-hidden", "scope",
    "x", "width", "height", "href", "rel",
}
# fmt: on


def calculates(cell: str) -> str:
    """The part of a cell that a spreadsheet would take for a formula, whichever separator it knows; empty if none."""
    if cell[:1] in ("\t", "\r", "\n"):
        return cell
    for piece in (cell, *_SEPARATORS.split(cell)):
        shown = _without_unseen(piece)
        if unicodedata.normalize("NFKC", shown[:1]) in ("=", "+", "-", "@") and not _NUMBER.fullmatch(shown.strip()):
            return piece
    return ""


def _without_unseen(piece: str) -> str:
    """From the first character that is neither blank, nor unseen, nor a quote."""
    for at, character in enumerate(piece):
        if not _is_unseen(character) and character not in _QUOTES:
            return piece[at:]
    return ""


def _is_unseen(character: str) -> bool:
    """Whether a character is blank, or none that is shown: a control, a format, a filler, a variation selector."""
    kind = unicodedata.category(character)
    return kind[0] == "Z" or kind == "Cc" or (kind == "Cf" and ord(character) not in _SEEN) or character in _FILLERS


def obeyed(text: str, allowed: str = "\n") -> list[str]:
    """The characters of a text that a terminal obeys, or that change how the others are read."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    found = {c for c in text if unicodedata.category(c) in kinds and c not in allowed and ord(c) not in _SEEN}
    return sorted(f"U+{ord(c):04X}" for c in found)


@dataclass
class Page(HTMLParser):
    """What a parser finds in a page; `odd` is all that the report does not consist of."""

    odd: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _ELEMENTS:
            self.odd.append(f"<{tag}>")
        for name, value in attrs:
            if name not in _ATTRIBUTES:
                self.odd.append(f"{name}={value!r}")
            if name == "href":
                self.links.append(value or "")
            self.texts.append(value or "")
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.odd.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.odd.append(f"<!--{data}")

    def handle_pi(self, data: str) -> None:
        self.odd.append(f"<?{data}")

    def unknown_decl(self, data: str) -> None:
        self.odd.append(f"<![{data}")

    def judge(self) -> list[str]:
        """All that is wrong with the page."""
        wrong = [*self.odd, *self._open]
        for address in self.links:
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
                wrong.append(address)
        return wrong + [f"{obeyed(text)} in {text!r}" for text in self.texts if obeyed(text)]


def judged_page(html: str) -> list[str]:
    """All that a page has and a report must not."""
    page = Page()
    page.feed(html)
    page.close()
    return page.judge()
