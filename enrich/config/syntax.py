"""Why a text is no YAML, told from the text itself and the places that the parser names; never from the parser's words.

Nothing of the text is shown but single characters: a file that can't be read may be no config, or hold a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Place", "broken_text", "lines_of", "rest_of"]

_WHOLE: Final = "put the whole text in quotes"
_CHECK: Final = 'check the indentation, and the ":" of the line before'
_APOSTROPHE: Final = "inside of '…' an apostrophe is written '', inside of \"…\" a quote is written \\\""
_BACKSLASH: Final = "inside of \"…\" a \\ begins an escape such as \\n: put the text in '…', or write a path with /"
# A line's value: what stands behind its dashes and its key.
_VALUE: Final = re.compile(r"[ ]*(?:- +)*(?:(?:\"[^\"]*\"|'[^']*'|[^\s#\"'{\[][^#]*?) *:(?:[ \t]+|$))?(?P<value>.*)")
_CLOSING: Final = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both from 0."""

    line: int
    column: int


def broken_text(text: str, at: Place | None, since: Place | None) -> tuple[str, int | None, str]:
    """Message, line (from 1) and hint for a text that can't be parsed at `at`, in what began at `since`."""
    if at is None:
        return "not valid YAML", None, ""
    lines = [*lines_of(text), ""]
    here = rest_of(lines, at)
    began = "" if since is None else rest_of(lines, since)
    if re.match(r"[ ]*\t", lines[min(at.line, len(lines) - 1)]):
        return "a tab where spaces are expected", at.line + 1, "indent YAML with spaces"
    if since is not None and began[:1] in ("'", '"') and began:
        if not here.strip() and at.line >= len(lines) - 2:
            return "a quote is never closed", since.line + 1, _APOSTROPHE
        return 'a "\\" in double quotes that begins no escape', at.line + 1, _BACKSLASH
    if since is not None and began[:1] in ("{", "[") and began:
        return _in_brackets(lines, at, since)
    if since is not None and began[:1] in ("|", ">") and began:
        message = f'a "{began[0]}" begins a text that stands on the lines below it, not behind it'
        return message, since.line + 1, _WHOLE
    return _in_a_line(lines, at, since)


def _in_brackets(lines: list[str], at: Place, since: Place) -> tuple[str, int, str]:
    """What is wrong between brackets that were opened at `since`."""
    opened = lines[since.line][since.column]
    for number in range(since.line, min(at.line, len(lines) - 1)):  # the lines that end before the fault
        start = since.column if number == since.line else 0
        if _cut_by_a_comment(lines[number][start:]):
            return 'a " #" begins a comment, which takes the rest of the line away', number + 1, _WHOLE
    found = rest_of(lines, at)[:1]
    closed = _CLOSING[opened]
    begins_a_key = at.line > since.line and re.fullmatch(r"[ ]*[\w-]+", lines[at.line][: at.column])
    if found == ":" and not begins_a_key:
        return f'a ":" in a text between {opened} and {closed}', at.line + 1, _WHOLE
    if found and found in "{[":
        return f'a "{found}" in a text between {opened} and {closed}', at.line + 1, _WHOLE
    if found and found in "}]":
        message = f'a "{found}" where "{closed}" closes what was opened'
        return message, at.line + 1, "close brackets in the order in which they are opened, or put the text in quotes"
    if found and found != ":" and (found in "'\"" or at.line == since.line):
        return f'a comma is missing before it, between "{opened}" and "{closed}"', at.line + 1, _WHOLE
    return f'a "{opened}" is never closed, or a comma is missing', since.line + 1, ""


def _cut_by_a_comment(text: str) -> bool:
    """Whether a line ends in a comment that begins in the middle of a value: before a comma or a bracket of its own."""
    comment = re.search(r"(?<=[^,{\[\s])[ \t]+#(.*)", re.sub(r"\"[^\"]*\"|'[^']*'", "x", text))
    return comment is not None and re.search(r"[\]}]", comment[1]) is not None


def _in_a_line(lines: list[str], at: Place, since: Place | None) -> tuple[str, int, str]:
    """What is wrong with a line of its own: its value, its key, or its indentation."""
    line, here = lines[min(at.line, len(lines) - 1)], rest_of(lines, at)
    match = _VALUE.match(line)
    value = match["value"].strip() if match else ""
    if here[:1] in ("@", "`", "%", "|", ">") and here:
        return f'a text does not begin with "{here[0]}"', at.line + 1, "put the text in quotes"
    if at.line > 0 and lines[at.line - 1].startswith("%"):
        return 'a line does not begin with "%"', at.line, "put the key in quotes"
    if re.match(r"[-?] ", here) and line[: at.column].strip():
        return f'a text does not begin with "{here[0]} "', at.line + 1, "put the text in quotes"
    if here.startswith(":"):
        return 'a ":" is not expected here', at.line + 1, f"put the text in quotes, or {_CHECK}"
    if value[:1] in ('"', "'") and at.column > 0 and line[: at.column].strip():
        return "text follows a closing quote", at.line + 1, f"{_WHOLE}; {_APOSTROPHE}"
    if value[:1] in ("{", "[") and at.column > 0 and line[: at.column].strip():
        opened = value[0]
        if here[:1] in ("}", "]"):
            return f'a "{here[0]}" that closes nothing', at.line + 1, "take it out, or put the text in quotes"
        message = f'text goes on behind the "{_CLOSING[opened]}" that closes "{opened}"'
        return message, at.line + 1, f"a text that begins with {opened} goes in quotes as a whole"
    if here[:1] in ("}", "]"):
        return f'a "{here[0]}" that closes nothing', at.line + 1, "take it out, or put the text in quotes"
    keyless = next((one for one in (since, at) if one is not None and _has_no_key(rest_of(lines, one))), None)
    if keyless is not None and not here.startswith(("{", "[")):
        return 'a key without ":"', keyless.line + 1, 'write "key: value", with a blank behind the ":"'
    opened = None if here.strip() else _never_closed(lines)
    if opened is not None:
        bracket = lines[opened.line][opened.column]
        return f'a "{bracket}" is never closed, or a comma is missing', opened.line + 1, ""
    return "the line does not fit what is above it", at.line + 1, _CHECK


def _never_closed(lines: list[str]) -> Place | None:
    """The innermost bracket that is open at the end, but for those in quotes and comments."""
    opened: list[Place] = []
    for number, line in enumerate(lines):
        plain = re.sub(r"\"[^\"]*\"|'[^']*'|(?:^|(?<=\s))#.*", lambda match: " " * len(match[0]), line)
        for column, character in enumerate(plain):
            if character in "{[":
                opened.append(Place(number, column))
            elif character in "}]" and opened:
                opened.pop()
    return opened[-1] if opened else None


def _has_no_key(line: str) -> bool:
    return bool(line.strip()) and not re.search(r":(\s|$)", line) and not line.lstrip().startswith(("-", "#"))


def lines_of(text: str) -> list[str]:
    """The lines of a text as YAML counts them."""
    return re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)


def rest_of(lines: list[str], place: Place) -> str:
    """What stands in a line from a place on."""
    return lines[place.line][place.column :] if place.line < len(lines) else ""
