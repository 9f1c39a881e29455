"""A first config for a table, as commented text: columns that tell what a row is about, two answers to change. Pure."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from enrich.config import ROW_COLUMNS, answer_columns
from enrich.config.secrets import looks_secret
from enrich.errors import UsageError
from enrich.templates import is_template

__all__ = ["quoted", "starter_config"]

_NAMES: Final = (
    *("company", "company name", "organisation", "organization", "firm", "firma", "account name", "name", "full name"),
    *("person", "product", "product name", "brand", "title", "place", "place name", "school", "institution"),
)
_WEBSITES: Final = ("website", "domain", "url", "homepage", "web", "web site", "site", "webseite", "company domain")
_IDS: Final = ("id", "key", "no", "nr", "number", "uuid", "index", "row")
_YAML_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_MAX_LISTED: Final = 30
_MAX_FIELD_CHARS: Final = 60

_TEXT: Final = """\
# What do we want to know about each row of {table}?
#
#   enrich check {config} {table}     all faults at once
#   enrich plan {config} {table}      what it would cost; sends nothing
#   enrich run {config} {table} --sandbox   a rehearsal, free of charge
#
# docs/config.md describes every key.

name: {name}

# What is sent: field of the question <- column of the table. Nothing else leaves this machine.
inputs:
{inputs}
{others}
# A row without these is skipped, and costs nothing.
require: [{required}]

# Said with every question. Change it to what your rows are, and to how you would ask a colleague.
instructions: Research what the input names. Prefer its own website and official sources.

# What comes back. Each answer becomes a column; its description is the question. The types are JSON Schema: string,
# integer, number, boolean, array, object; `enum` gives a closed list, and "null" allows for "no source says so".
outputs:
  {summary}:
    type: string
    description: What it is, in one sentence of at most 25 words.

  {year}:
    type: [integer, "null"]
    description: Year in which it was founded, opened or first sold. Null if no source says so.

# Who answers. `enrich plan` prints what that costs; a list such as [core, pro] asks again what stays unsure.
processor: core

# How sure an answer must be: from `accept` up it goes into the table, from `review` up it waits for a person.
confidence:
  accept: high
  review: medium

# How long an answer counts as fresh: nothing is asked, or paid for, twice within that time.
refresh: 90d

# The most that may be at stake at any time, in US dollars.
budget: 10.00
"""


def starter_config(
    columns: Sequence[str], *, config: str, table: str, unusable: Collection[str] = (), encoding: str | None = None
) -> str:
    """The text of a config that loads, and fits a table with these columns.

    `config` and `table` are shown in comments; columns in `unusable` are never sent. Raises UsageError where no config
    can fit.
    """
    if taken := [column for column in ROW_COLUMNS if column in columns]:
        raise UsageError(f"{table}: has a column {taken[0]}: it came out of an earlier run. Give the untouched table")
    usable = [column for column in columns if _can_be_input(column) and column not in unusable]
    if not usable:
        raise UsageError(f"{table}: no column can be an input: names with {{braces}} mean something else in a config")
    chosen = _choose(usable)
    fields = _field_names(chosen)
    summary = _free("summary", columns)
    stem = re.sub(r"[^\w.-]+", "-", _ascii(re.split(r"[/\\]", table)[-1].split(".", 1)[0])).strip("-._")[:64]
    text = _TEXT.format(
        config=_in_comment(config),
        table=_in_comment(table),
        name=quoted(stem or "table"),
        inputs="\n".join(f"  {quoted(field)}: {quoted(column)}" for field, column in zip(fields, chosen, strict=True)),
        others=_others([column for column in usable if column not in chosen]),
        required=quoted(fields[0]),
        summary=summary,
        year=_free("since_year", [*columns, *answer_columns(summary, ())]),
    )
    return text if encoding is None else f"{text}\n# How the table is read.\ncsv:\n  encoding: {quoted(encoding)}\n"


def quoted(text: str) -> str:
    """A text as a YAML scalar on one line: plain where that is safe, else double-quoted with escapes."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text) and text.casefold() not in _YAML_WORDS:
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def _can_be_input(column: str) -> bool:
    return not (is_template(column) or looks_secret(column) or any("\ud800" <= c <= "\udfff" for c in column))


def _choose(usable: Sequence[str]) -> list[str]:
    """The column that names what a row is about, and the one with its website."""
    found = (_first(usable, _NAMES), _first(usable, _WEBSITES))
    chosen = [column for column in dict.fromkeys(found) if column is not None]
    if found[0] is None:
        named = [column for column in usable if not set(_words(column).split()) & set(_IDS)]
        chosen = list(dict.fromkeys([*chosen, *(named or usable)[:1]]))
    return chosen


def _first(columns: Iterable[str], words: Sequence[str]) -> str | None:
    """The column called by the earliest of the words, else one that has such a word at its end."""
    named = {_words(column): column for column in reversed(list(columns))}
    for word in words:
        if word in named:
            return named[word]
    for word in words:
        for name, column in named.items():
            if name.endswith(" " + word):
                return column
    return None


def _words(column: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    return re.sub(r"[^a-z0-9]+", " ", _ascii(spaced).casefold()).strip()


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _field_names(columns: Sequence[str]) -> list[str]:
    names: list[str] = []
    for column in columns:
        name = _words(column)[:_MAX_FIELD_CHARS].strip().replace(" ", "_") or "subject"
        names.append(name if name not in names else f"{name}_{len(names) + 1}")
    return names


def _free(name: str, columns: Collection[str]) -> str:
    """A name for an answer whose columns the table does not have yet."""
    taken = {*columns}
    candidates = (name if number == 1 else f"{name}_{number}" for number in range(1, len(taken) + 2))
    kinds = ("confidence", "reasoning", "citations")
    return next(one for one in candidates if not taken & {*answer_columns(one, kinds)})


def _others(columns: Sequence[str]) -> str:
    if not columns:
        return ""
    fields = _field_names(columns[:_MAX_LISTED])
    lines = [f"  # {quoted(field)}: {quoted(column)}" for field, column in zip(fields, columns, strict=False)]
    if len(columns) > _MAX_LISTED:
        lines.append(f"  # and {len(columns) - _MAX_LISTED} more columns")
    return "\n".join(lines) + "\n"


def _in_comment(text: str) -> str:
    return text if text.isprintable() else quoted(text)
