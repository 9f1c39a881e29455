"""A first config for a table, as commented text: columns that tell what a row is about, two answers to change. Pure."""

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from enrich.config import ROW_COLUMNS, answer_columns
from enrich.config.secrets import looks_secret
from enrich.config.subjects import Input, find_inputs
from enrich.errors import UsageError
from enrich.text.templates import is_template

__all__ = ["quoted", "starter_config"]

_YAML_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_MAX_LISTED: Final = 30
_MAX_SHOWN_CHARS: Final = 60

_TEXT: Final = """\
# What do we want to know about each row of {about}?
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

# The most that a run may have at stake, in US dollars: it pauses before it passes that, and the same command goes on.
# On a terminal `enrich run` asks before it spends more than a dollar all the same. Where nobody can be asked, as in a
# nightly job, it needs a budget, here or with --budget, or --yes.
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
    why_not = _unusable(columns, unusable)
    chosen, others = find_inputs([column for column in columns if column not in why_not])
    if not chosen:
        listed = "; ".join(f"{_shown(column)}: {why}" for column, why in [*why_not.items()][:_MAX_LISTED])
        raise UsageError(f"{table}: no column can be an input ({listed}); rename one that says what a row is about")
    summary = _free("summary", columns)
    stem = unicodedata.normalize("NFC", re.split(r"[/\\]", table)[-1].split(".", 1)[0])
    text = _TEXT.format(
        config=_in_command(config),
        table=_in_command(table),
        about=_in_comment(table),
        name=quoted(re.sub(r"[^\w.-]+", "-", stem).strip("-._")[:64] or "table"),
        inputs="\n".join(_line(one) for one in chosen),
        others=_others(others, why_not),
        required=quoted(chosen[0].field),
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


def _unusable(columns: Sequence[str], unusable: Collection[str]) -> dict[str, str]:
    """The columns that can't be inputs, and why."""
    counts = Counter(columns)
    return {column: why for column, count in counts.items() if (why := _why_not(column, count, unusable))}


def _why_not(column: str, count: int, unusable: Collection[str]) -> str:
    if not column.strip():
        return "it has no name"
    if count > 1:
        return f"{count} columns have this name"
    if column in unusable:
        return "bytes can't be sent"
    if looks_secret(column):
        return "its name looks like a secret"
    if any("\ud800" <= c <= "\udfff" for c in column):
        return "its name is no valid text"
    return "in a config {…} means another column" if is_template(column) else ""


def _free(name: str, columns: Collection[str]) -> str:
    """A name for an answer whose columns the table does not have yet."""
    taken = {*columns}
    candidates = (name if number == 1 else f"{name}_{number}" for number in range(1, len(taken) + 2))
    kinds = ("confidence", "reasoning", "citations")
    return next(one for one in candidates if not taken & {*answer_columns(one, kinds)})


def _line(one: Input) -> str:
    return f"  {quoted(one.field)}: {quoted(one.source)}"


def _others(inputs: Sequence[Input], why_not: dict[str, str]) -> str:
    """What else could be sent, ready to be taken in, and what could not, in comments."""
    lines = [f"  #{_line(one)[1:]}" for one in inputs[:_MAX_LISTED]]
    if len(inputs) > _MAX_LISTED:
        lines.append(f"  # and {len(inputs) - _MAX_LISTED} more columns")
    if why_not:
        lines.append("  # These can't be sent as they are in the table:")
        lines += [f"  #   {_shown(column)}: {why}" for column, why in [*why_not.items()][:_MAX_LISTED]]
    if len(why_not) > _MAX_LISTED:
        lines.append(f"  #   and {len(why_not) - _MAX_LISTED} more columns")
    return "".join(line + "\n" for line in lines)


def _shown(column: str) -> str:
    """A column's name in a comment: on one line, cut short, and hidden where it looks like a secret."""
    if looks_secret(column):
        return '"…"'
    cut = len(column) > _MAX_SHOWN_CHARS
    return '"' + "".join(map(_escaped, column[:_MAX_SHOWN_CHARS])) + ("…" if cut else "") + '"'


def _in_command(path: str) -> str:
    """A path as a shell takes it, where it can be shown as it is."""
    return shlex.quote(path) if path.isprintable() else quoted(path)


def _in_comment(text: str) -> str:
    return text if text.isprintable() else quoted(text)
