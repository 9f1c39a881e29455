"""Rows to input documents: the mapped columns of a row as canonical JSON, which is what is asked about.

Canonical means sorted keys, no spaces, UTF-8: equal inputs are equal bytes. Values are in the form that
`enrich.spec.canonical` gives them, and an empty cell is left out, so that `Acme ` and `Acme` are one question; so is a
cell with one of the texts that the config takes for empty. Numbers, booleans, lists and structs of typed columns stay
what they are; dates and times are ISO 8601, decimals are text. The cells of the table are never changed.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import polars as pl

from enrich.dataset.tables import Batch
from enrich.errors import Fault, TableError
from enrich.spec.canonical import ENCODER, canonical_json, is_normal, normal_text, normal_value, old_value
from enrich.text.namesakes import find_name
from enrich.text.templates import ColumnRef, columns_of, is_template, parse_template

_PLACEHOLDER: Final = (
    r"(?i)\A\s*(?:null|\(null\)|none|nil|nan|#?n/?a|n\.a\.?|#value!|#ref!|-{1,3}|[\x{2013}\x{2014}?.]|unknown"
    r"|not available|undefined|tbd|\(blank\)|\(empty\))\s*\z"
)
"""Finds the texts that stand for nothing in many a table."""


@dataclass(frozen=True, slots=True)
class _Source:
    """One field of the document: a column, or a template's pieces."""

    field: str
    columns: tuple[str, ...]
    pieces: tuple[str | ColumnRef, ...]


class InputBuilder:
    """Makes the input documents of a table's rows.

    `inputs` maps field to column or text with {columns}; cells that hold nothing but a text of `empty` are empty.
    """

    def __init__(
        self,
        inputs: Mapping[str, str],
        table_schema: Mapping[str, pl.DataType],
        file: str = "table",
        *,
        empty: Collection[str] = (),
    ) -> None:
        """Raises TableError, naming `file`, for a column that is missing or holds bytes."""
        faults = [
            fault
            for field, source in inputs.items()
            for column in columns_of(source)
            for fault in _column_faults(field, column, table_schema)
        ]
        if faults:
            raise TableError(file, faults)
        self._sources = [_source(field, inputs[field], table_schema) for field in sorted(inputs)]
        self._empty = frozenset(normal_text(text).casefold() for text in empty)
        texts = {name: None for source in self._sources for name in source.columns if table_schema[name] == pl.String}
        self._texts = tuple(texts)
        names = {f"f{number}": source.field for number, source in enumerate(self._sources)}
        fields = [(name, Any, None) for name in names]
        self._document = msgspec.defstruct("Document", fields, rename=names, omit_defaults=True)

    def read(self, batch: Batch) -> "BatchInputs":
        """The inputs of the rows of a batch."""
        columns: dict[str, _Values] = {}
        for source in self._sources:
            for column in source.columns:
                if column not in columns:
                    columns[column] = _column_values(batch, column, self._empty)
        fields = {source.field: _field_values(batch.height, source, columns) for source in self._sources}
        return BatchInputs(fields, self._document)

    def documents(self, batch: Batch) -> list[bytes | None]:
        """The document of each row as canonical JSON, None where it would be empty."""
        return self.read(batch).documents()

    def missing(self, batch: Batch, require: Sequence[str]) -> list[str | None]:
        """For each row the first of the fields `require` that its document lacks, None if it has them all."""
        return self.read(batch).missing(require)

    def placeholders(self, batch: Batch) -> Counter[tuple[str, str]]:
        """How often a mapped column has a text that stands for nothing (`N/A`), by column and text."""
        found: Counter[tuple[str, str]] = Counter()
        for column in self._texts:
            cells = pl.col(column)
            said = batch.column(column).to_frame().filter(cells.str.contains(_PLACEHOLDER)).to_series()
            found.update((column, text.strip()) for text in said if text.strip().casefold() not in self._empty)
        return found


class _Values:
    """Values of one column or field; `old` has those that had another form until 0.2.0, by row."""

    __slots__ = ("new", "old")

    def __init__(self, new: list[Any], old: dict[int, Any]) -> None:
        self.new = new
        self.old = old


class BatchInputs:
    """The inputs of some rows."""

    def __init__(self, fields: Mapping[str, _Values], document: Callable[..., Any]) -> None:
        self._fields = fields
        self._document = document

    def documents(self) -> list[bytes | None]:
        """The document of each row as canonical JSON, None where it would be empty."""
        encode, document = ENCODER.encode, self._document
        columns = [values.new for values in self._fields.values()]
        encoded = [encode(document(*row)) for row in zip(*columns, strict=True)]
        return [None if text == b"{}" else text for text in encoded]

    def old_documents(self) -> dict[int, bytes]:
        """By row, the documents that were asked about until 0.2.0, where they were others than now."""
        fields = self._fields.values()
        rows = sorted({row for values in fields for row in values.old})
        return {row: canonical_json(self._document(*(_old(one, row) for one in fields))) for row in rows}

    def missing(self, require: Sequence[str]) -> list[str | None]:
        """For each row the first of the fields `require` that its document lacks, None if it has them all."""
        height = len(next(iter(self._fields.values())).new)
        missing: list[str | None] = [None] * height
        for field in reversed(require):
            values = zip(self._fields[field].new, missing, strict=True)
            missing = [field if value is None else other for value, other in values]
        return missing


def _source(field: str, text: str, schema: Mapping[str, pl.DataType]) -> _Source:
    if not is_template(text):
        return _Source(field, (_found(text, schema),), ())
    pieces = tuple(
        piece if isinstance(piece, str) else ColumnRef(_found(piece.name, schema)) for piece in parse_template(text)
    )
    return _Source(field, tuple(piece.name for piece in pieces if isinstance(piece, ColumnRef)), pieces)


def _found(column: str, schema: Mapping[str, pl.DataType]) -> str:
    return find_name(column, schema) or column


def _column_faults(field: str, column: str, schema: Mapping[str, pl.DataType]) -> list[Fault]:
    found = find_name(column, schema)
    if found is None:
        close = difflib.get_close_matches(column, list(schema), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the columns are {', '.join(schema)}"
        return [Fault(f"the table has no column {column!r}, which the input {field!r} is made of", hint=hint)]
    if _holds_bytes(schema[found]):
        return [Fault(f"column {column!r} holds bytes, which can't be sent as the input {field!r}")]
    return []


def _holds_bytes(dtype: object) -> bool:
    if isinstance(dtype, pl.List | pl.Array):
        return _holds_bytes(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(_holds_bytes(field.dtype) for field in dtype.fields)
    return dtype == pl.Binary


def _field_values(height: int, source: _Source, columns: Mapping[str, _Values]) -> _Values:
    if not source.pieces:
        return columns[source.columns[0]]
    parts = [[piece] * height if isinstance(piece, str) else _texts(columns[piece.name].new) for piece in source.pieces]
    is_cell = [isinstance(piece, ColumnRef) for piece in source.pieces]
    is_plain = all(piece.isascii() for piece in source.pieces if isinstance(piece, str))
    joined = [_joined(row, is_cell) for row in zip(*parts, strict=True)]
    stripped = [None if text is None else text.strip() or None for text in joined]
    odd = {row for name in source.columns for row in columns[name].old}
    if is_plain and not odd:
        return _Values(stripped, {})
    new = [None if text is None else normal_text(text) or None for text in joined]
    old = {row: text for row, text in enumerate(stripped) if text != new[row]}
    for row in odd:
        cells = [p if isinstance(p, str) else _texts([_old(columns[p.name], row)])[0] for p in source.pieces]
        text = _joined(cells, is_cell)
        old[row] = None if text is None else text.strip() or None
    return _Values(new, old)


def _joined(row: Sequence[str], is_cell: list[bool]) -> str | None:
    if not any(part for part, cell in zip(row, is_cell, strict=True) if cell):
        return None
    return "".join(row)


def _old(values: _Values, row: int) -> Any:
    return values.old.get(row, values.new[row])


def _column_values(batch: Batch, column: str, empty: frozenset[str]) -> _Values:
    """The cells of a column as JSON values, None for those that are left out."""
    values = batch.values(column)
    new = [(value.strip() or None) if type(value) is str else value for value in values]
    old: dict[int, Any] = {}
    for row in batch.unusual(column):
        before = new[row]
        if type(before) is str and is_normal(before):
            continue
        if type(before) is not str:
            before = old_value(values[row])
        new[row] = now = normal_value(before)
        if now != before:
            old[row] = before
    if empty:
        for row, value in enumerate(new):
            if type(value) is str and value.casefold() in empty:
                new[row] = None
                old.pop(row, None)
    return _Values(new, old)


def _texts(values: list[Any]) -> list[str]:
    return ["" if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    return value if type(value) is str else canonical_json(value).decode()
