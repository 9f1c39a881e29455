"""Typed columns as text: what a value of any type is in a CSV cell or a JSON line. Lossless, and vectorised.

Text stays, booleans are `true` and `false`, numbers have the fewest digits that give them back, dates and
times are ISO 8601, bytes are base64, lists and structs are JSON.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
import polars as pl
from polars.datatypes import DataTypeClass

from enrich.text import FORMULA_PATTERN, neutralise_formula

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


def json_lines(frame: pl.DataFrame) -> pl.Series:
    """Each row as a JSON object, its keys the columns in order; null where a cell is."""
    frame = frame.select(
        column if is_json_type(column.dtype) or column.dtype.is_nested() else text_cells(column) for column in frame
    )
    if all(map(is_json_type, frame.dtypes)):
        return frame.select(line=pl.struct(pl.all()).struct.json_encode()).to_series()
    lines = [msgspec.json.encode(row).decode() for row in frame.iter_rows(named=True)]
    return pl.Series("line", lines, pl.String)


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
