"""Rows to input documents: the mapped columns of a row as canonical JSON, which is what is asked about.

Canonical means sorted keys, no spaces, UTF-8: equal inputs are equal bytes. Text is stripped of blanks around
it, and an empty cell is left out, so that `Acme ` and `Acme` are one question. Numbers, booleans, lists and
structs of typed columns stay what they are; dates and times are ISO 8601, decimals are text. The cells of
the table are never changed.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import polars as pl

from enrich.dataset.tables import Batch
from enrich.errors import Fault, TableError
from enrich.templates import Column, columns_of, is_template, parse_template

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class _Source:
    """One field of the document: a column, or a template's pieces."""

    field: str
    column: str
    pieces: tuple[str | Column, ...] = ()


class InputBuilder:
    """Makes the input documents of a table's rows. `inputs` maps field to column or text with {columns}."""

    def __init__(self, inputs: Mapping[str, str], table_schema: Mapping[str, pl.DataType], file: str = "table") -> None:
        """Raises TableError, naming `file`, for a column that is missing or holds bytes."""
        faults = [
            fault
            for field, source in inputs.items()
            for column in columns_of(source)
            for fault in _column_faults(field, column, table_schema)
        ]
        if faults:
            raise TableError(file, faults)
        self._sources = [_source(field, inputs[field]) for field in sorted(inputs)]
        names = {f"f{number}": source.field for number, source in enumerate(self._sources)}
        fields = [(name, Any, None) for name in names]
        self._document = msgspec.defstruct("Document", fields, rename=names, omit_defaults=True)

    def documents(self, batch: Batch) -> list[bytes | None]:
        """The document of each row as canonical JSON, None where it would be empty."""
        columns = [_field_values(batch, source) for source in self._sources]
        encode, document = _ENCODER.encode, self._document
        encoded = [encode(document(*row)) for row in zip(*columns, strict=True)]
        return [None if text == b"{}" else text for text in encoded]

    def missing(self, batch: Batch, require: Sequence[str]) -> list[str | None]:
        """For each row the first of the fields `require` that its document lacks, None if it has them all."""
        sources = {source.field: source for source in self._sources}
        missing: list[str | None] = [None] * batch.height
        for field in reversed(require):
            values = zip(_field_values(batch, sources[field]), missing, strict=True)
            missing = [field if value is None else other for value, other in values]
        return missing


def _source(field: str, text: str) -> _Source:
    if is_template(text):
        return _Source(field, "", parse_template(text))
    return _Source(field, text)


def _column_faults(field: str, column: str, schema: Mapping[str, pl.DataType]) -> list[Fault]:
    if column not in schema:
        close = difflib.get_close_matches(column, list(schema), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the columns are {', '.join(schema)}"
        return [Fault(f"the table has no column {column!r}, which the input {field!r} is made of", hint=hint)]
    if _holds_bytes(schema[column]):
        return [Fault(f"column {column!r} holds bytes, which can't be sent as the input {field!r}")]
    return []


def _holds_bytes(dtype: object) -> bool:
    if isinstance(dtype, pl.List | pl.Array):
        return _holds_bytes(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(_holds_bytes(field.dtype) for field in dtype.fields)
    return dtype == pl.Binary


def _field_values(batch: Batch, source: _Source) -> list[Any]:
    if not source.pieces:
        return _column_values(batch, source.column)
    parts = [
        [piece] * batch.height if isinstance(piece, str) else _texts(_column_values(batch, piece.name))
        for piece in source.pieces
    ]
    is_cell = [isinstance(piece, Column) for piece in source.pieces]
    return [_rendered(row, is_cell) for row in zip(*parts, strict=True)]


def _rendered(row: tuple[str, ...], is_cell: list[bool]) -> str | None:
    if not any(part for part, cell in zip(row, is_cell, strict=True) if cell):
        return None
    return "".join(row).strip() or None


def _column_values(batch: Batch, column: str) -> list[Any]:
    """The cells of a column as JSON values, None for those that are left out."""
    return [(value.strip() or None) if type(value) is str else _kept(value) for value in batch.values(column)]


def _kept(value: Any) -> Any:
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, list | dict):
        return value or None
    return value


def _texts(values: list[Any]) -> list[str]:
    return ["" if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    return value if type(value) is str else _ENCODER.encode(value).decode()
