"""Output schemas: the service's rules checked before paying; fields and their identity; column types.

A *field* is one answer column: its name and the JSON Schema of its value. The user writes the schema of the
value; what the service wants around it (`required` with every property, `additionalProperties: false`) is
added here. Pure: no I/O, and nothing heavy is imported before `column_type` is called.
"""

from enrich.spec.columns import Room, column_type, room_in, room_of
from enrich.spec.fields import (
    MAX_SPEC_AND_INPUT_CHARS,
    MAX_SPEC_CHARS,
    Field,
    build_field,
    chars,
    field_id,
    task_spec,
)
from enrich.spec.outward import outward_faults
from enrich.spec.refs import inline_refs
from enrich.spec.rules import KEYWORDS, RESERVED_NAMES, check_output_schema
from enrich.spec.shape import TYPES, Json, Schema, is_nullable

__all__ = [
    "KEYWORDS",
    "MAX_SPEC_AND_INPUT_CHARS",
    "MAX_SPEC_CHARS",
    "RESERVED_NAMES",
    "TYPES",
    "Field",
    "Json",
    "Room",
    "Schema",
    "build_field",
    "chars",
    "check_output_schema",
    "column_type",
    "field_id",
    "inline_refs",
    "is_nullable",
    "outward_faults",
    "room_in",
    "room_of",
    "task_spec",
]
