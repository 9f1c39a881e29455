"""Typed columns as text: what a value of any type is in a CSV cell or a JSON line. Lossless, and vectorised.

Text stays, booleans are `true` and `false`, numbers have the fewest digits that give them back, dates and
times are ISO 8601, bytes are base64, lists and structs are JSON.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import polars as pl
from polars.datatypes import DataTypeClass

from enrich.text.hostile import FORMULA_PATTERN, neutralise_formula

_CONTROLS: Final = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]"
_CONTROL: Final = re.compile(_CONTROLS)


def text_cells(column: pl.Series) -> pl.Series:
    """A column as text, null where it is null."""
    dtype = column.dtype
    if dtype == pl.String:
        return column
    if dtype.is_temporal():
        return column.dt.to_string("iso:strict")
    if dtype == pl.Binary:
        return column.bin.encode("base64")
    if dtype.is_nested():
        return _json_cells(column)
    return column.cast(pl.String)


def json_column(column: pl.Series) -> pl.Series | list[Any]:
    """A column as JSON has it: of JSON's own types, else its cells as text or as what msgspec encodes."""
    dtype = column.dtype
    if dtype.is_float() and not column.is_finite().all():  # null is no fault
        return [finite(cell) for cell in column.to_list()]
    if is_json_type(dtype):
        return column
    return column.to_list() if dtype.is_nested() else text_cells(column)


def json_lines(columns: Mapping[str, pl.Series | list[Any]]) -> list[bytes]:
    """Each row as a JSON object, its keys the columns in order; null where a cell is. Columns are as JSON has them."""
    typed = [cells.alias(name) for name, cells in columns.items() if isinstance(cells, pl.Series)]
    if len(typed) == len(columns) and all(is_json_type(cells.dtype) for cells in typed):
        lines = pl.DataFrame(typed).select(line=pl.struct(pl.all()).struct.json_encode()).to_series()
        return lines.cast(pl.Binary).to_list()
    rows = zip(*(cells if isinstance(cells, list) else cells.to_list() for cells in columns.values()), strict=True)
    return [msgspec.json.encode(dict(zip(columns, row, strict=True))) for row in rows]


def finite(value: Any) -> Any:
    """A JSON value with NaN and the infinities, which JSON lacks, as text."""
    if type(value) is float:
        return value if math.isfinite(value) else "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return list(map(finite, value)) if isinstance(value, list) else value


def safe_columns(columns: Sequence[pl.Series], *, neutralise: bool) -> list[pl.Series]:
    """Text from the open web as CSV cells: control characters go, formulas become text.

    All of the columns, which are of one length, are searched at once: to make the search costs more than to search.
    """
    if not columns:
        return []
    cells = pl.concat([column.rename("") for column in columns], rechunk=False)
    suspect = cells.str.contains(f"{FORMULA_PATTERN}|{_CONTROLS}" if neutralise else _CONTROLS).arg_true()
    found: dict[int, list[int]] = {}
    height = len(columns[0])
    for at in suspect.to_list():
        found.setdefault(at // height, []).append(at % height)
    safe = list(columns)
    for number, rows in found.items():
        texts = [_CONTROL.sub("", text) for text in columns[number].gather(rows)]
        if neutralise:
            texts = [neutralise_formula(text) for text in texts]
        safe[number] = columns[number].clone().scatter(rows, texts)
    return safe


def _json_cells(column: pl.Series) -> pl.Series:
    if not is_json_type(column.dtype):
        encode = msgspec.json.encode
        cells = [None if cell is None else encode(cell).decode() for cell in column.to_list()]
        return pl.Series(column.name, cells, pl.String)
    # polars encodes structs only: the column goes into one, and `{"v":` and `}` come off again.
    wrapped = pl.struct(column.alias("v")).struct.json_encode()
    text = pl.select(wrapped).to_series().str.slice(5).str.head(-1)
    return text.set(column.is_null(), None).alias(column.name)


def is_json_type(dtype: pl.DataType | DataTypeClass) -> bool:
    """Whether JSON has the type (lists and structs of such types, too), so that polars encodes it."""
    if isinstance(dtype, pl.List):
        return is_json_type(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return all(is_json_type(field.dtype) for field in dtype.fields)
    return dtype in (pl.String, pl.Boolean, pl.Null) or dtype.is_integer() or dtype.is_float()
