"""From the JSON Schema of an answer to the type of its column in a typed table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enrich.spec.shape import Schema, branches, kinds

if TYPE_CHECKING:
    import polars as pl

__all__ = ["column_type"]


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


def _nested_type(schema: Schema) -> pl.DataType:
    import polars as pl

    items, properties = schema.get("items"), schema.get("properties")
    if isinstance(properties, dict) and properties:
        return pl.Struct({name: column_type(s) for name, s in properties.items() if isinstance(s, dict)})
    return pl.List(column_type(items)) if isinstance(items, dict) else pl.String()
