r"""How delimited text is cut into records and cells: RFC 4180, found by looking at the text.

A cell is quoted when it *starts* with the quote; inside, a quote is written twice, and delimiters and line
breaks are text. What is left of a text when each quoted cell is folded into one quote is its *skeleton*: its
delimiters and line breaks all count. A text is *plain* when every quote in it opens or closes a cell, so that
all readers agree on it. A text that is not plain (`5" pipe`) may still be sound, and is read the slow way.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from enrich.text.encodings import is_utf8

DELIMITERS: Final = (",", ";", "\t", "|")
_SAMPLE_RECORDS: Final = 500
_MOST_TITLE_LINES: Final = 20
_MOST: Final = 0.9
_BOM: Final = "\ufeff".encode()


@dataclass(frozen=True)
class Dialect:
    """Delimiter and quote, single ASCII characters; the quote is empty where none is used."""

    delimiter: str
    quote: str

    @cached_property
    def _quoted(self) -> re.Pattern[bytes]:
        q = re.escape(self.quote.encode())
        return re.compile(b"%b[^%b]*+(?:%b%b[^%b]*+)*+%b" % (q, q, q, q, q, q))

    @cached_property
    def cell(self) -> re.Pattern[str]:
        """Matches a sound cell up to its delimiter or line break."""
        q, d = re.escape(self.quote), re.escape(self.delimiter)
        if not self.quote:
            return re.compile(rf"[^{d}\r\n]*")
        quoted = rf"{q}[^{q}]*+(?:{q}{q}[^{q}]*+)*+{q}"
        return re.compile(rf"{quoted}(?=[{d}\r\n]|\Z)|(?!{q})[^{d}\r\n]*")

    def cells_of(self, record: str, cells: list[str]) -> list[str | None]:
        """The cells of a sound record, as it stands in the file: None for nothing, an empty text for one in quotes."""
        if not self.quote or self.quote * 2 not in record:
            return [cell or None for cell in cells]
        kept: list[str | None] = []
        at = 0
        for cell in cells:
            end = self._end(record, at)
            kept.append(cell if cell or end > at else None)
            at = end + 1
        return kept

    def _end(self, record: str, at: int) -> int:
        match = self.cell.match(record, at)
        return at if match is None else match.end()

    def skeleton(self, block: bytes) -> bytes | None:
        """`block` (whole records) with each quoted cell as one quote; None when it is not plain."""
        quote, delimiter = self.quote.encode(), self.delimiter.encode()
        if not quote or quote not in block:
            return block
        if block.count(quote) % 2:
            return None
        folded = self._quoted.sub(quote.replace(b"\\", rb"\\"), block)
        # Each must open a cell and close one. (Counting is ten times as fast as searching for one that does not.)
        opening = folded.count(delimiter + quote) + folded.count(b"\n" + quote) + folded.startswith(quote)
        closing = folded.count(quote + delimiter) + folded.count(quote + b"\n") + folded.count(quote + b"\r\n")
        return folded if opening == closing == folded.count(quote) else None

    def plain_rows(self, block: bytes, cells: int) -> int | None:
        """The number of records in `block` if it is plain text of `cells` cells a record, else None.

        `block` is whole records, each with its line break (LF or CRLF).
        """
        if b"\0" in block or block.startswith(_BOM):  # polars takes a mark at the start of a block away
            return None
        skeleton = self.skeleton(block)
        if skeleton is None:
            return None
        if b"\r" in skeleton:
            skeleton = skeleton.replace(b"\r\n", b"\n")
            if b"\r" in skeleton:
                return None
        lines = skeleton.split(b"\n")
        lines.pop()
        delimiter = self.delimiter.encode()
        if {line.count(delimiter) for line in lines} - {cells - 1}:
            return None
        return len(lines) if is_utf8(block) else None

    def record_end(self, text: bytes) -> int:
        """The end of the last whole record in `text`, which starts with one; 0 when there is none.

        Exact for plain text: a line break ends a record when an even number of quotes stands before it.
        """
        quote = self.quote.encode()
        end = text.rfind(b"\n")
        if not quote:
            return end + 1
        inside = text.count(quote, 0, max(end, 0)) % 2 == 1
        while end >= 0 and inside:
            opened = text.rfind(quote, 0, end)
            line_break = text.rfind(b"\n", 0, opened)
            inside = (text.count(quote, max(line_break, 0), end) % 2 == 1) != inside
            end = line_break
        return end + 1


def find_delimiter(text: str, quote: str) -> str:
    """The delimiter that cuts the first records of `text` most evenly, a comma if none does.

    Where the first record has none of them, but commas follow, it is the one that cuts what stands below a title.
    """
    best = (0.0, 0)
    found = ","
    if not any(line.count(",") for line in _records(text, ",", quote)[:1]) and "," in text:
        found = min(_titles(text, quote), default=(0, 0, ","))[2]
    for delimiter in DELIMITERS:
        counts = [line.count(delimiter) for line in _records(text, delimiter, quote)]
        if not counts or not counts[0]:
            continue
        even = sum(count == counts[0] for count in counts) / len(counts)
        if (even, counts[0]) > best:
            best, found = (even, counts[0]), delimiter
    return found


def lines_of_title(text: str, quote: str) -> int:
    """How many lines stand above those that a delimiter cuts evenly, 0 where it cuts the first one too."""
    return min(_titles(text, quote), default=(0, 0, ""))[0]


def _titles(text: str, quote: str) -> list[tuple[int, int, str]]:
    """(lines above, order, delimiter) for each delimiter that cuts evenly what stands below some lines."""
    found = ((_lines_of_title(text, one, quote), order, one) for order, one in enumerate(DELIMITERS))
    return [one for one in found if one[0]]


def _lines_of_title(text: str, delimiter: str, quote: str) -> int:
    lines = re.split(r"\r\n|\n|\r", _skeleton(text, delimiter, quote))[:_SAMPLE_RECORDS]
    counts = [line.count(delimiter) for line in lines]
    title = next((number for number, count in enumerate(counts[:_MOST_TITLE_LINES]) if count), 0)
    below = [count for line, count in zip(lines[title:], counts[title:], strict=True) if line]
    even = below.count(counts[title]) if title else 0
    return title if even > 1 and even >= _MOST * len(below) else 0


def find_newline(text: str, delimiter: str, quote: str) -> str:
    """The line break that ends the first record of `text`: a lone CR only where no record ends in LF."""
    skeleton = _skeleton(text, delimiter, quote)
    if "\n" not in skeleton:
        return "\r" if "\r" in skeleton else "\n"
    return "\r\n" if skeleton[: skeleton.index("\n")].endswith("\r") else "\n"


def find_quote(text: str) -> str:
    """`'` when every cell of the header stands in single quotes and no double quote occurs, else `"`."""
    header = re.split(r"\r\n|\n|\r", text, maxsplit=1)[0]
    cells = re.split(r"[,;\t|]", header)
    single = all(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in cells)
    return "'" if single and '"' not in text else '"'


def _records(text: str, delimiter: str, quote: str) -> list[str]:
    lines = re.split(r"\r\n|\n|\r", _skeleton(text, delimiter, quote))
    return [line for line in lines if line][:_SAMPLE_RECORDS]


def _skeleton(text: str, delimiter: str, quote: str) -> str:
    if not quote:
        return text
    q, d = re.escape(quote), re.escape(delimiter)
    return re.sub(rf"(?:^|(?<=[{d}\r\n])){q}[^{q}]*(?:{q}{q}[^{q}]*)*(?:{q}|\Z)", lambda _: quote, text)
