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

    found = {kind for branch in branches(schema) for kind in kinds(branch)} - {"null"}
    if found == {"integer", "number"}:
        found = {"number"}
    kind = found.pop() if len(found) == 1 else ""
    match kind:
        case "integer":
            return pl.Int64()
        case "number":
            return pl.Float64()
        case "boolean":
            return pl.Boolean()
        case "array" | "object":
            shapes = [branch for branch in branches(schema) if kind in kinds(branch)]
            return _nested_type(shapes[0]) if len(shapes) == 1 else pl.String()
        case _:
            return pl.String()


def room_of(dtype: pl.DataType) -> Callable[[Any], bool] | None:
    """Tells whether a column of this type has room for a value of its schema; None where it has for every one.

    JSON sets no bounds to numbers, columns do: 64 bits for whole ones, a double's range for the others.
    """
    import polars as pl

    if dtype == pl.Int64:
        return lambda value: value is None or -_MOST_WHOLE - 1 <= value <= _MOST_WHOLE
    if dtype == pl.Float64:
        return lambda value: value is None or -_MOST <= value <= _MOST
    if isinstance(dtype, pl.List) and (inner := room_of(_instance(dtype.inner))) is not None:
        return lambda values: values is None or all(map(inner, values))
    if isinstance(dtype, pl.Struct):
        found = {field.name: room_of(_instance(field.dtype)) for field in dtype.fields}
        rooms = {name: has_room for name, has_room in found.items() if has_room is not None}
        return lambda value: value is None or all(fits(value.get(name)) for name, fits in rooms.items())
    return None


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype


def _nested_type(schema: Schema) -> pl.DataType:
    import polars as pl

    items, properties = schema.get("items"), schema.get("properties")
    if isinstance(properties, dict) and properties:
        return pl.Struct({name: column_type(s) for name, s in properties.items() if isinstance(s, dict)})
    return pl.List(column_type(items)) if isinstance(items, dict) else pl.String()
