"""Texts with {columns} in them, such as `{name} ({country})`; `{{` and `}}` stand for braces.

The one parser of the notation: the config checks with it, the dataset renders by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["ColumnRef", "TemplateError", "columns_of", "is_template", "parse_template"]

_TOKENS: Final = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """The place of a column's text in a template."""

    name: str


class TemplateError(ValueError):
    """The text is no template; the message says why."""


def parse_template(text: str) -> tuple[str | ColumnRef, ...]:
    """The pieces of a template in order: literal text and columns."""
    pieces: list[str | ColumnRef] = []
    for token in _TOKENS.findall(text):
        if token in ("{{", "}}"):
            pieces.append(token[0])
        elif token in ("{", "}"):
            raise TemplateError(f'a lone "{token}" (for the character itself write "{token * 2}")')
        elif token.startswith("{"):
            name = token[1:-1]
            if not name.strip():
                raise TemplateError('"{}" names no column')
            pieces.append(ColumnRef(name))
        else:
            pieces.append(token)
    return _joined(pieces)


def is_template(text: str) -> bool:
    """Whether the text is more than the name of a column: it has an unescaped `{…}`."""
    return any(token[0] == "{" and token[-1] == "}" for token in _TOKENS.findall(text))


def columns_of(source: str) -> tuple[str, ...]:
    """The columns that an input is made of, in order: those of a template, or the column itself."""
    if not is_template(source):
        return (source,)
    return tuple(dict.fromkeys(piece.name for piece in parse_template(source) if isinstance(piece, ColumnRef)))


def _joined(pieces: list[str | ColumnRef]) -> tuple[str | ColumnRef, ...]:
    out: list[str | ColumnRef] = []
    for piece in pieces:
        if isinstance(piece, str) and out and isinstance(out[-1], str):
            out[-1] += piece
        else:
            out.append(piece)
    return tuple(out)
