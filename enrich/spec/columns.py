"""From the JSON Schema of an answer to the type of its column in a typed table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from enrich.spec.shape import Schema, branches, kinds

if TYPE_CHECKING:
    import polars as pl
    from polars.datatypes import DataTypeClass

__all__ = ["column_type", "room_of"]

_MOST_WHOLE: Final = 2**63 - 1
_MOST: Final = int(1.7976931348623157e308)


def column_type(schema: Schema) -> pl.DataType:
    """The type that holds every valid value; text, holding JSON, where no single one does.

    Null needs no type of its own. The schema has its references written out, as that of a `Field` has.
    """
    import polars as pl

    return _one_type(schema) or pl.String()


def room_of(dtype: pl.DataType) -> Callable[[Any], bool] | None:
    """Tells whether a column of this type has room for a value of its schema; None where it has for every one.

    JSON sets no bounds to numbers, columns do: 64 bits for whole ones, a double's range for the others. And a schema
    that names the properties or the items of a value lets through what has none, unless it names the type too.
    """
    import polars as pl

    if dtype == pl.Int64:
        return lambda value: value is None or -_MOST_WHOLE - 1 <= value <= _MOST_WHOLE
    if dtype == pl.Float64:
        return lambda value: value is None or -_MOST <= value <= _MOST
    if isinstance(dtype, pl.List):
        inner = room_of(_instance(dtype.inner))
        return lambda values: (
            values is None or (isinstance(values, list) and (inner is None or all(map(inner, values))))
        )
    if isinstance(dtype, pl.Struct):
        found = {field.name: room_of(_instance(field.dtype)) for field in dtype.fields}
        rooms = {name: has_room for name, has_room in found.items() if has_room is not None}
        return lambda value: (
            value is None or (isinstance(value, dict) and all(fits(value.get(name)) for name, fits in rooms.items()))
        )
    return None


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
