r"""Hostile text made harmless where it is shown: terminals and logs, spreadsheets.

Answers, titles and error messages come from the open web. Parquet, NDJSON and the ledger keep them as they
came; only what a terminal would obey or a spreadsheet would calculate is changed, and only at that edge.
Pure, no I/O.

**Terminals.** `clean` gives one line of visible text. Escape sequences go wholly (CSI, OSC, DCS and the other
control strings of ECMA-48, 7-bit and 8-bit), then every control, bidi, zero-width and other character that
shows nothing; line breaks of all kinds become a space; a lone surrogate becomes U+FFFD. Nothing that is left
can join into a new sequence, since no introducer is left.

**Spreadsheets.** A cell is taken as a formula when it starts with ``= + - @`` or their full-width or small
forms, perhaps after blanks, invisible characters or quotes; a leading tab, CR or LF can hide one. Such a cell
gets a leading apostrophe. Quoting does not protect the *inside* of a cell: a comma-separated file opened
where ``;`` is the separator is cut at each ``;``, quoted or not, and the second piece of ``a;=1+1`` is a cell
that calculates. So the same holds after every separator in the cell (``, ; |``, tab, line breaks), where the
apostrophe goes directly before the sign. Plain numbers (``-12.5``, ``+3``, ``52.5, -13.4``) calculate nothing
and stay. A cell that is a JSON array or object stays the same JSON: a sign in a string is spelled ``\u003d``.

A file that people write in and give back (the review file) needs the way back as well: `protect_cell` puts the
apostrophe before such cells too as begin with one, so that `unprotect_cell` takes off exactly what was put there.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

ELLIPSIS: Final = "…"

_ESCAPE_SEQUENCE: Final = re.compile(
    # Control strings: OSC, DCS, SOS, PM, APC up to BEL or ST. No introducer within: the search stays linear.
    # Of one without an end only the introducer goes: the rest is plain text, and may be a whole message.
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x18\x1a\x1b\x90\x98\x9b-\x9f]*+(?:\x07|\x9c|\x1b\\)"
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"  # CSI, also one cut short
    r"|\x1b[ -/]*+[0-~]?"  # the short ones: reset, character sets
)
_LINE_BREAK: Final = re.compile(r"\r\n|[\t-\r\x1c-\x1f\x85\u2028\u2029]")
INVISIBLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f"
    r"\xad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")

# Parts of character classes in the syntax that Python's `re` and Rust's `regex` (polars) share.
_SEPARATORS: Final = r",;|\t\n\x0b\x0c\r\x85\u2028\u2029"
_SKIPPED: Final = (  # blanks, controls, invisible characters, quotes; the apostrophe makes text of a cell
    r"\x00-\x20\x7f-\xa0\xad\"`\xab\xbb\xb4\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f"
    r"\u2000-\u200f\u2018-\u201f\u2028-\u202f\u2039\u203a\u205f-\u206f\u2800\u3000\u3164"
    r"\u070f\ufe00-\ufe0f\ufeff\uff02\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_SIGNS: Final = "=+-@＝＋－＠﹦﹢﹣﹫"  # noqa: RUF001 (look-alikes are the point)

FORMULA_PATTERN: Final = rf"^[\t\n\r]|(?:^|[{_SEPARATORS}])[{_SEPARATORS}{_SKIPPED}]*[{_SIGNS.replace('-', '')}\-]"
"""Finds every cell that `neutralise_formula` may change (and some plain numbers that it keeps).

For `polars` `str.contains`: a pre-filter, so that `neutralise_formula` gets only the few cells that match.
Rust's engine searches in linear time; Python's does not, and has no need of it."""

PROTECTED_PATTERN: Final = rf"{FORMULA_PATTERN}|^'|[{_SEPARATORS}][{_SEPARATORS}{_SKIPPED}]*'"
"""Finds every cell that `protect_cell` may change, for `polars` `str.contains`."""

# Where neutralise_formula may have something to do: a sign after nothing, a separator, or what it skips.
_SIGNED: Final = re.compile(rf"[{_SIGNS.replace('-', '')}\-](?<![^{_SEPARATORS}{_SKIPPED}].)", re.DOTALL)
_SIGNS_SET: Final = frozenset(_SIGNS)
_BREAKS: Final = ("\t", "\n", "\r")
_CELL_START: Final = re.compile(rf"(?:\A|[{_SEPARATORS}])[{_SEPARATORS}{_SKIPPED}]*+")
_HAS_SEPARATOR: Final = re.compile(rf"[{_SEPARATORS}]")
_NUMBER: Final = r"[+\-]?(?:[0-9][0-9.]*+|\.[0-9]+)(?:[eE][+\-]?[0-9]+)?%?"
_NUMBERS: Final = re.compile(rf"\s*+{_NUMBER}(?:[ ]*+[{_SEPARATORS}]\s*+{_NUMBER})*+\s*+")
_NUMBER_PIECE: Final = re.compile(rf"{_NUMBER}[ ]*+(?:[{_SEPARATORS}]|\Z)")
_JSON_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"')


def clean(text: str, limit: int | None = None) -> str:
    """`text` as one line that a terminal only shows, cut to `limit` characters (an ellipsis the last)."""
    if not text.isascii() or not text.isprintable():
        text = _ESCAPE_SEQUENCE.sub("", text)
        text = _LINE_BREAK.sub(" ", text)
        text = INVISIBLE.sub("", text)
        text = _SURROGATE.sub("\ufffd", text)
    if limit is not None and len(text) > limit:
        return text[: max(limit - 1, 0)] + ELLIPSIS[:limit]
    return text


def plain_json(json_text: str) -> str:
    """The same JSON, with an escape for each character that a terminal obeys or does not show."""
    if json_text.isascii() and json_text.replace("\n", "").isprintable():
        return json_text
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in json_text)


def neutralise_formula(text: str) -> str:
    """`text` as a CSV cell that spreadsheets take as text (see above); doing it twice changes nothing."""
    if not text or (text[0] not in "\t\n\r" and not _SIGNED.search(text)):
        return text
    if text[0] in "[{" and _is_json(text):
        return _JSON_STRING.sub(lambda match: f'"{_spell_signs(match[1])}"', text)
    return _mark_signs(text)


def protect_cell(text: str) -> str:
    """`text` as a cell that spreadsheets take as text; `unprotect_cell` gives the text back, whatever it is."""
    front = len(text) - len(text.lstrip("'"))
    at = [end for end, _ in _inner_signs(text, marked=False)]
    if _calculates(text[front:]) and (front or text[0] in _BREAKS or not _NUMBERS.fullmatch(text)):
        at.insert(0, 0)
    pieces = [text[start:end] for start, end in zip([0, *at], [*at, len(text)], strict=True)]
    return "'".join(pieces)


def unprotect_cell(cell: str) -> str:
    """The text of a cell without the apostrophes that `protect_cell` puts there; any other cell as it is."""
    if "'" not in cell:
        return cell
    at = [end for end, marks in _inner_signs(cell, marked=True) if marks]
    front = len(cell) - len(cell.lstrip("'"))
    if front and _calculates(cell[front:]):
        at.insert(0, 0)
    starts = [0, *(place + 1 for place in at)]
    return "".join(cell[start:end] for start, end in zip(starts, [*at, len(cell)], strict=True))


def _calculates(text: str) -> bool:
    """Whether a spreadsheet would take the beginning of a text for a formula, or drop what hides one."""
    if text[:1] in _BREAKS:
        return bool(text)
    start = _CELL_START.match(text)
    assert start is not None
    return text[start.end() :][:1] in _SIGNS_SET and not _HAS_SEPARATOR.search(start[0])


def _inner_signs(text: str, *, marked: bool) -> Iterator[tuple[int, int]]:
    """Where a piece after a separator begins with a sign, perhaps behind apostrophes, and behind how many.

    Plain numbers only if `marked`: they need no mark.
    """
    for match in _CELL_START.finditer(text):
        end = after = match.end()
        while text.startswith("'", after):
            after += 1
        if text[after : after + 1] not in _SIGNS_SET or not _HAS_SEPARATOR.search(match[0]):
            continue
        if marked or after > end or not _NUMBER_PIECE.match(text, end):
            yield end, after - end


def _mark_signs(text: str) -> str:
    numbers_only: bool | None = None
    parts: list[str] = []
    done = 0
    for match in _CELL_START.finditer(text):
        start, end = match.span()
        signed = end < len(text) and text[end] in _SIGNS
        inner = bool(_HAS_SEPARATOR.search(text, start, end))
        if start == 0 and (text[0] in "\t\n\r" or (signed and not inner)):
            if numbers_only is None:
                numbers_only = _NUMBERS.fullmatch(text) is not None
            if text[0] in "\t\n\r" or not numbers_only:
                parts.append("'")
        if signed and inner and not _NUMBER_PIECE.match(text, end):
            parts += text[done:end], "'"
            done = end
    parts.append(text[done:])
    return "".join(parts)


def _spell_signs(string: str) -> str:
    parts: list[str] = []
    done = 0
    for match in _CELL_START.finditer(string):
        end = match.end()
        if end < len(string) and string[end] in _SIGNS:
            parts += string[done:end], f"\\u{ord(string[end]):04x}"
            done = end + 1
    parts.append(string[done:])
    return "".join(parts)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
