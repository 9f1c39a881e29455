"""Fields, what makes them the same question tomorrow, and the task spec that asks for them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from enrich.spec.refs import inline_refs
from enrich.spec.shape import Json, Schema, is_nullable

__all__ = [
    "MAX_SPEC_AND_INPUT_CHARS",
    "MAX_SPEC_CHARS",
    "Field",
    "build_field",
    "chars",
    "field_id",
    "task_spec",
]

# The vendor's limits, counted in characters of compact JSON.
MAX_SPEC_CHARS: Final = 15_000
MAX_SPEC_AND_INPUT_CHARS: Final = 25_000

_SCHEMAS_BY_NAME: Final = ("properties", "$defs", "definitions")
_SCHEMAS: Final = ("items", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "prefixItems")


@dataclass(frozen=True, slots=True)
class Field:
    """One answer column.

    `schema` is the JSON Schema of the value as the user wrote it, with references written out and nested
    objects closed. `id` changes with whatever changes the question, and with nothing else.
    """

    name: str
    schema: Schema = dataclasses.field(hash=False)
    id: str
    nullable: bool


def build_field(
    name: str,
    schema: Schema,
    *,
    instructions: str | None = None,
    source_policy: Mapping[str, Json] | None = None,
    location: str | None = None,
) -> Field:
    """The field of a schema in which `check_output_schema` found no error."""
    inlined, _ = inline_refs(schema)
    closed = _closed(inlined)
    return Field(
        name=name,
        schema=closed,
        id=field_id(name, closed, instructions, source_policy, location),
        nullable=is_nullable(closed),
    )


def field_id(
    name: str,
    schema: Schema,
    instructions: str | None,
    source_policy: Mapping[str, Json] | None,
    location: str | None,
) -> str:
    """16 hex characters that stand for the question: for everything the service is told about the field."""
    question = _compact([name, schema, instructions, source_policy, location])
    return hashlib.blake2b(question.encode(), digest_size=8).hexdigest()


def task_spec(fields: Sequence[Field], *, instructions: str | None) -> dict[str, Json]:
    """The service's task spec that asks for these fields; the instructions are the root's description.

    The input is left to speak for itself: its schema is optional, and a typed table may send anything in a field.
    """
    root: dict[str, Json] = {"type": "object"}
    if instructions:
        root["description"] = instructions
    root["properties"] = {field.name: dict(field.schema) for field in fields}
    root["required"] = [field.name for field in fields]
    root["additionalProperties"] = False
    return {"output_schema": {"type": "json", "json_schema": root}}


def chars(part: Mapping[str, Json] | bytes) -> int:
    """Characters (not bytes) of a task spec, or of an input document that is encoded already."""
    return len(part.decode()) if isinstance(part, bytes) else len(_compact(part))


def _closed(schema: Mapping[str, Json]) -> dict[str, Json]:
    """The schema as it is sent: objects closed, every property required, notes to ourselves left out.

    `required` is sorted and descriptions lose their outer blanks, so that neither the order of keys nor the
    way a text is folded in YAML changes the identity of a field.
    """
    out: dict[str, Json] = {}
    for key, value in schema.items():
        if key == "$comment" or key.startswith("x-"):
            continue
        if key in _SCHEMAS_BY_NAME and isinstance(value, dict):
            out[key] = {name: _closed_below(inner) for name, inner in value.items()}
        elif key in _SCHEMAS:
            out[key] = _closed_below(value)
        elif key == "description" and isinstance(value, str):
            out[key] = value.strip()
        else:
            out[key] = value
    if isinstance(properties := out.get("properties"), dict):
        out["required"] = list[Json](sorted(properties))
        out["additionalProperties"] = False
    return out


def _closed_below(value: Json) -> Json:
    if isinstance(value, list):
        return [_closed_below(item) for item in value]
    return _closed(value) if isinstance(value, dict) else value


def _compact(value: Any) -> str:
    """Canonical JSON: sorted keys, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
