"""From the JSON Schema of an answer to the type of its column in a typed table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from enrich.spec.shape import Schema, branches, kinds

if TYPE_CHECKING:
    import polars as pl
    from polars.datatypes import DataTypeClass

__all__ = ["AnswerColumn", "Room", "column_type", "room_in", "room_of"]

_MOST_WHOLE: Final = 2**63 - 1
_MOST: Final = int(1.7976931348623157e308)
# Significant bits of the whole numbers that a float holds, and how many bits a number in it may have.
_FLOATS: Final[Mapping[str, tuple[int, int]]] = {"Float16": (11, 16), "Float32": (24, 128), "Float64": (53, 1024)}


@dataclass(frozen=True, slots=True)
class AnswerColumn:
    """A column of answers.

    It is added after the original ones; or it goes into the original one of its name (`replaces`), which keeps its
    place and its type: where there is no answer (null), the original cell stays as it is. A column that is empty in
    every row and has no type of its own (null; NaN in each cell, as pandas has it) takes the answers' type.
    """

    name: str
    dtype: pl.DataType
    replaces: bool = False


class Room(NamedTuple):
    """What a column has room for: `holds` tells it of a value that fits its schema."""

    dtype: pl.DataType
    holds: Callable[[Any], bool]


def column_type(schema: Schema) -> pl.DataType:
    """The type that holds every valid value; text, holding JSON, where no single one does.

    Null needs no type of its own. The schema has its references written out, as that of a `Field` has.
    """
    import polars as pl

    return _one_type(schema) or pl.String()


def room_of(dtype: pl.DataType) -> Room | None:
    """The room of a column that has the type of its schema; None where that holds every value."""
    holds = _holds(dtype)
    return None if holds is None else Room(dtype, holds)


def room_in(dtype: pl.DataType) -> Room | None:
    """The room for whole numbers, exactly as they are, in a column of a table; None where it is of no numbers."""
    holds = _holds_whole(dtype)
    return None if holds is None else Room(dtype, holds)


def _holds(dtype: pl.DataType) -> Callable[[Any], bool] | None:
    """Tells whether a type holds a value of its schema; None where it holds every one.

    JSON sets no bounds to numbers, columns do: 64 bits for whole ones, a double's range for the others, and a double's
    53 bits for whole numbers among these: beyond, some would come out as their neighbour. And a schema
    that names the properties or the items of a value lets through what has none, unless it names the type too.
    """
    import polars as pl

    if dtype == pl.Int64:
        return lambda value: value is None or -_MOST_WHOLE - 1 <= value <= _MOST_WHOLE
    if dtype == pl.Float64:
        return lambda value: (
            value is None or (_is_exact(value, *_FLOATS["Float64"]) if type(value) is int else -_MOST <= value <= _MOST)
        )
    if isinstance(dtype, pl.List):
        inner = _holds(_instance(dtype.inner))
        return lambda values: (
            values is None or (isinstance(values, list) and (inner is None or all(map(inner, values))))
        )
    if isinstance(dtype, pl.Struct):
        found = {field.name: _holds(_instance(field.dtype)) for field in dtype.fields}
        parts = {name: holds for name, holds in found.items() if holds is not None}
        return lambda value: (
            value is None or (isinstance(value, dict) and all(holds(value.get(name)) for name, holds in parts.items()))
        )
    return None


def _holds_whole(dtype: pl.DataType) -> Callable[[Any], bool] | None:
    import polars as pl

    if dtype.is_integer():
        signed, bits = dtype.is_signed_integer(), int(str(dtype).lstrip("UInt"))
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return lambda value: value is None or least <= value <= most
    if isinstance(dtype, pl.Decimal):
        end = 10 ** (dtype.precision - dtype.scale)
        return lambda value: value is None or -end < value < end
    if dtype.is_float():
        significant, longest = _FLOATS[str(dtype)]
        return lambda value: value is None or _is_exact(int(value), significant, longest)
    return None


def _is_exact(value: int, significant: int, longest: int) -> bool:
    size = abs(value)
    zeros = (size & -size).bit_length() - 1 if size else 0
    return size.bit_length() <= longest and size.bit_length() - zeros <= significant


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype


def _one_type(schema: Schema) -> pl.DataType | None:
    """The one type of all valid values; None where they are of several, also somewhere inside."""
    import polars as pl

    found = {kind for branch in branches(schema) for kind in kinds(branch)} - {"null"}
    if found == {"integer", "number"}:
        found = {"number"}
    kind = found.pop() if len(found) == 1 else ""
    match kind:
        case "string":
            return pl.String()
        case "integer":
            return pl.Int64()
        case "number":
            return pl.Float64()
        case "boolean":
            return pl.Boolean()
        case "array" | "object":
            shapes = [branch for branch in branches(schema) if kind in kinds(branch)]
            if len(shapes) != 1:
                return None
            return _list_type(shapes[0]) if kind == "array" else _struct_type(shapes[0])
        case _:
            return None


def _list_type(schema: Schema) -> pl.DataType | None:
    import polars as pl

    items = schema.get("items")
    inner = _one_type(items) if isinstance(items, dict) and "prefixItems" not in schema else None
    return None if inner is None else pl.List(inner)


def _struct_type(schema: Schema) -> pl.DataType | None:
    import polars as pl

    properties = schema.get("properties")
    fields = []
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        dtype = _one_type(inner) if isinstance(inner, dict) else None
        if dtype is None:
            return None
        fields.append(pl.Field(name, dtype))
    return pl.Struct(fields) if fields else None
