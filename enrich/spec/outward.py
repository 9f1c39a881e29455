"""Keys by which a JSON Schema points out of itself: refused, so that no schema makes a request or opens a file.

They are looked for wherever a validator may read a schema, which is more than what the service takes. A value that
stands for data (`enum`, `const`, `default`, `examples`) is none, whatever its keys are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from enrich.errors import Fault
from enrich.spec.shape import Json, Schema
from enrich.text.phrases import shown

__all__ = ["REFUSED", "is_dialect", "outward_faults"]

DIALECTS: Final = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-04/schema",
    }
)

_NO_FETCHING: Final = "nothing is fetched for a schema: leave the key out, or name JSON Schema 2020-12"
_BY_POINTER: Final = "write $ref with the place in the same schema, such as #/$defs/address"
REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    "$id": ("a part of a schema has no address of its own", "leave it out"),
    "$anchor": ("a part of a schema is referred to by its place", _BY_POINTER),
    "$dynamicAnchor": ("a part of a schema is referred to by its place", _BY_POINTER),
    "$recursiveAnchor": ("a part of a schema is referred to by its place", _BY_POINTER),
    "$dynamicRef": ("what it refers to depends on who asks", _BY_POINTER),
    "$recursiveRef": ("what it refers to depends on who asks", _BY_POINTER),
    "$vocabulary": ("a schema of answers has no vocabulary of its own", "leave it out"),
}
_DATA: Final = frozenset({"enum", "const", "default", "examples"})
_SCHEMAS_BY_NAME: Final = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)


def is_dialect(name: Json) -> bool:
    """Whether a `$schema` names a version of JSON Schema that is known here, with which nothing need be fetched."""
    return isinstance(name, str) and name.removesuffix("#") in DIALECTS


def outward_faults(schema: Schema) -> list[Fault]:
    """A fault for each key that points out of the schema; its path is the key path within it.

    The root may have an `$id`: it is left out, as nothing refers to it.
    """
    return list(_outward(dict(schema), "", at_root=True))


def _outward(schema: Json, path: str, *, at_root: bool = False) -> Iterator[Fault]:
    if isinstance(schema, list):
        for i, inner in enumerate(schema):
            yield from _outward(inner, _join(path, str(i)))
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        where = _join(path, key)
        if key == "$schema" and not is_dialect(value):
            yield Fault(f"expected a version of JSON Schema, got {shown(value)}", path=where, hint=_NO_FETCHING)
        elif key in REFUSED and not (at_root and key == "$id"):
            message, hint = REFUSED[key]
            yield Fault(message, path=where, hint=hint)
        elif key in _SCHEMAS_BY_NAME and isinstance(value, dict):
            for name, inner in value.items():
                yield from _outward(inner, _join(where, name))
        elif key not in _DATA:
            yield from _outward(value, where)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
