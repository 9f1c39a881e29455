"""What a JSON Schema says about the shape of a value; its references are written out already (see `refs`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

__all__ = ["TYPES", "Json", "Schema", "branches", "is_kind", "is_nullable", "kinds"]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Schema: TypeAlias = Mapping[str, Json]

# Order matters for `kinds`: a whole number is an integer before it is a number.
_FITS: Final[Mapping[str, Callable[[Json], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
TYPES: Final = tuple(_FITS)


def is_kind(value: Json, kind: str) -> bool:
    """Whether a value is of one of JSON Schema's types."""
    fits = _FITS.get(kind)
    return fits is not None and fits(value)


def branches(schema: Schema) -> Iterator[Schema]:
    """The alternatives of a union, those of unions inside it too; the schema itself if it is none."""
    union = schema.get("anyOf")
    if not isinstance(union, list):
        yield schema
        return
    for branch in union:
        if isinstance(branch, dict):
            yield from branches(branch)


def kinds(schema: Schema) -> set[str]:
    """The types that a schema without a union allows; `any` where it names none."""
    named = schema.get("type")
    if isinstance(named, str):
        return {named}
    if isinstance(named, list):
        return {str(kind) for kind in named}
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list) and values:
        return {next(kind for kind, fits in _FITS.items() if fits(value)) for value in values}
    return {"object"} if "properties" in schema else {"array"} if "items" in schema else {"any"}


def is_nullable(schema: Schema) -> bool:
    """Whether null is a valid value."""
    if "const" in schema and schema["const"] is not None:
        return False
    values = schema.get("enum")
    if isinstance(values, list) and None not in values:
        return False
    return any(not {"null", "any"}.isdisjoint(kinds(branch)) for branch in branches(schema))
