"""Output schemas: the service's rules checked before anything is paid, fields and their identity, column types.

A *field* is one answer column: its name and the JSON Schema of its value. The user writes the schema of the value;
what the service wants around it (`required` naming every property, `additionalProperties: false`) is added here.

Pure: no I/O, nothing heavy is imported (polars only inside `column_type`). The numbers are the vendor's, from its page
on task specs; a schema that breaks one would be refused, and with it the whole batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from enrich.errors import Fault

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "MAX_SPEC_AND_INPUT_CHARS",
    "MAX_SPEC_CHARS",
    "Field",
    "Json",
    "build_field",
    "chars",
    "check_output_schema",
    "column_type",
    "field_id",
    "inline_refs",
    "is_nullable",
    "task_spec",
]

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"

MAX_SPEC_CHARS: Final = 15_000
MAX_SPEC_AND_INPUT_CHARS: Final = 25_000
MAX_NESTING: Final = 5  # objects inside one another; the root, which holds the answers, is the first
MAX_PROPERTIES: Final = 100
MAX_ENUM_VALUES: Final = 500  # in the whole schema
LONG_ENUM_VALUES: Final = 250  # an enum with more values than this …
MAX_LONG_ENUM_CHARS: Final = 7_500  # … may have this many characters

TYPES: Final = ("string", "integer", "number", "boolean", "array", "object", "null")
_TYPE_SLIPS: Final = {
    "str": "string", "text": "string", "date": "string", "datetime": "string", "url": "string", "enum": "string",
    "int": "integer", "long": "integer", "float": "number", "double": "number", "decimal": "number",
    "bool": "boolean", "list": "array", "tuple": "array", "dict": "object", "map": "object", "none": "null",
}  # fmt: skip

# Unsupported by the vendor, and what says the same.
_SAY_IT: Final = "say it in the description instead"
UNSUPPORTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        [
            "contains",
            "format",
            "maxContains",
            "maxItems",
            "maxLength",
            "maxProperties",
            "maximum",
            "minContains",
            "minItems",
            "minLength",
            "minProperties",
            "minimum",
            "multipleOf",
            "pattern",
            "propertyNames",
            "uniqueItems",
            "unevaluatedItems",
            "unevaluatedProperties",
        ],
        _SAY_IT,
    ),
    "patternProperties": "use a list of objects with a key and a value",
}
_SUPPORTED: Final = frozenset(
    [
        "type",
        "enum",
        "const",
        "properties",
        "items",
        "required",
        "additionalProperties",
        "anyOf",
        "description",
        "title",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$ref",
        "$defs",
        "definitions",
        "$comment",
        "$schema",
        "$id",
    ]
)
# JSON Schema that the vendor's page names neither as supported nor as unsupported.
_DOUBTFUL: Final = frozenset(
    [
        "oneOf",
        "allOf",
        "not",
        "if",
        "then",
        "else",
        "prefixItems",
        "additionalItems",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "$anchor",
        "$dynamicRef",
        "$dynamicAnchor",
        "$vocabulary",
    ]
)
_KEYWORDS: Final = tuple(sorted(_SUPPORTED | _DOUBTFUL | UNSUPPORTED.keys()))

# The basis of an answer has these already; the vendor warns of fields so named.
RESERVED_NAMES: Final = frozenset(
    ["citations", "confidence", "evidence", "reasoning", "source", "sources", "source_urls"]
)

_DEFS: Final = ("$defs", "definitions")
_ROOT_ONLY: Final = (*_DEFS, "$schema", "$id")


@dataclass(frozen=True, slots=True)
class Field:
    """One answer column, and what makes it the same question tomorrow.

    `schema` is the JSON Schema of the value as the user wrote it, with local references written out and the closing
    of nested objects added. `id` changes with whatever changes the question, and with nothing else.
    """

    name: str
    schema: Mapping[str, Json]
    id: str
    nullable: bool


def build_field(
    name: str,
    schema: Mapping[str, Json],
    *,
    instructions: str | None = None,
    source_policy: Mapping[str, Json] | None = None,
    location: str | None = None,
) -> Field:
    """The field of a schema that `check_output_schema` found without errors."""
    inlined, _ = inline_refs(schema)
    closed = _closed(inlined)
    assert isinstance(closed, dict)
    return Field(
        name=name,
        schema=closed,
        id=field_id(name, closed, instructions, source_policy, location),
        nullable=is_nullable(closed),
    )


def field_id(
    name: str,
    schema: Mapping[str, Json],
    instructions: str | None,
    source_policy: Mapping[str, Json] | None,
    location: str | None,
) -> str:
    """16 hex characters that stand for the question: everything that the service is told about the field."""
    identity = _canonical([name, schema, instructions, source_policy, location])
    return hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()


def task_spec(
    fields: Sequence[Field], *, instructions: str | None, input_fields: Sequence[str]
) -> dict[str, Json]:
    """The service's task spec that asks for these fields; the instructions are the root's description.

    Input fields are named without a type, since a typed table may send numbers or lists in them.
    """
    root: dict[str, Json] = {"type": "object"}
    if instructions:
        root["description"] = instructions
    root["properties"] = {field.name: dict(field.schema) for field in fields}
    root["required"] = [field.name for field in fields]
    root["additionalProperties"] = False
    spec: dict[str, Json] = {"output_schema": {"type": "json", "json_schema": root}}
    if input_fields:
        properties: dict[str, Json] = {name: {} for name in input_fields}
        spec["input_schema"] = {
            "type": "json",
            "json_schema": {"type": "object", "properties": properties, "additionalProperties": False},
        }
    return spec


def chars(part: Mapping[str, Json] | bytes) -> int:
    """Characters (not bytes) of a spec, or of an input document already encoded, as compact JSON."""
    if isinstance(part, bytes):
        return len(part.decode())
    return len(_canonical(part))


def is_nullable(schema: Mapping[str, Json]) -> bool:
    """Whether null is a valid value; `schema` has its references written out."""
    kind, union, values = schema.get("type"), schema.get("anyOf"), schema.get("enum")
    if isinstance(values, list) and None not in values:
        return False
    if isinstance(kind, str):
        return kind == "null"
    if isinstance(kind, list):
        return "null" in kind
    if isinstance(union, list):
        return any(isinstance(branch, dict) and is_nullable(branch) for branch in union)
    return isinstance(values, list) or ("const" in schema and schema["const"] is None)


def column_type(schema: Mapping[str, Json]) -> pl.DataType:
    """The Parquet type that holds every value of the schema; text (holding JSON) where there is no single one."""
    import polars as pl

    kinds = {kind for branch in _branches(schema) for kind in _kinds(branch)} - {"null"}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    plain: dict[str, pl.DataType] = {
        "string": pl.String(), "integer": pl.Int64(), "number": pl.Float64(), "boolean": pl.Boolean(),
    }  # fmt: skip
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind in plain:
        return plain[kind]
    shapes = [branch for branch in _branches(schema) if kind in _kinds(branch)]
    if len(shapes) != 1:
        return pl.String()
    items, properties = shapes[0].get("items"), shapes[0].get("properties")
    if kind == "array" and isinstance(items, dict):
        return pl.List(column_type(items))
    if kind == "object" and isinstance(properties, dict) and properties:
        return pl.Struct({name: column_type(s) for name, s in properties.items() if isinstance(s, dict)})
    return pl.String()


def check_output_schema(schema: Mapping[str, Json]) -> tuple[list[Fault], list[Fault]]:
    """Errors and warnings of a whole output schema (the root object) by the vendor's rules.

    The path of a fault is the key path within the schema, such as `properties.founded_year.type`.
    """
    inlined, errors = inline_refs(schema)
    check = _Check()
    check.root(inlined)
    return errors + check.errors, check.warnings


# --- references -------------------------------------------------------------------------------------------------


def inline_refs(schema: Mapping[str, Json]) -> tuple[dict[str, Json], list[Fault]]:
    """The schema with its local references written out, and a fault for each that can't be."""
    faults: list[Fault] = []

    def resolve(node: Json, path: str, open_refs: tuple[str, ...]) -> Json:
        if isinstance(node, list):
            return [resolve(item, _join(path, str(i)), open_refs) for i, item in enumerate(node)]
        if not isinstance(node, dict):
            return node
        ref = node.get("$ref")
        if not isinstance(ref, str):
            return {key: resolve(value, _join(path, key), open_refs) for key, value in node.items()}
        where = _join(path, "$ref")
        if ref in open_refs:
            faults.append(Fault(f'"{ref}" refers back to itself', path=where, hint="write the levels out"))
            return {"type": "string"}
        target = _pointed_at(schema, ref)
        if target is None:
            faults.append(_unknown_ref(schema, ref, where))
            return {"type": "string"}
        beside = {key: value for key, value in node.items() if key != "$ref"}
        resolved = resolve(target, path, (*open_refs, ref))
        assert isinstance(resolved, dict)
        return {
            **resolved,
            **{key: resolve(value, _join(path, key), open_refs) for key, value in beside.items()},
        }

    kept = {key: value for key, value in schema.items() if key not in _ROOT_ONLY}
    inlined = resolve(kept, "", ())
    assert isinstance(inlined, dict)
    return inlined, faults


def _pointed_at(schema: Mapping[str, Json], ref: str) -> dict[str, Json] | None:
    if not ref.startswith("#/"):
        return None
    node: Json = dict(schema)
    for step in ref[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or key not in node:
            return None
        node = node[key]
    return node if isinstance(node, dict) else None


def _unknown_ref(schema: Mapping[str, Json], ref: str, where: str) -> Fault:
    if not ref.startswith("#"):
        return Fault(f'"{ref}" is outside of this schema', path=where, hint="copy it under $defs")
    known = [f"#/{key}/{name}" for key in _DEFS for name in _mapping(schema.get(key))]
    return Fault(f'"{ref}" does not exist', path=where, hint=did_you_mean(ref, known))


# --- the vendor's rules -----------------------------------------------------------------------------------------


class _Check:
    """One walk over a schema, collecting faults and the totals that are limited for the whole schema."""

    def __init__(self) -> None:
        self.errors: list[Fault] = []
        self.warnings: list[Fault] = []
        self.properties = 0
        self.enum_values = 0

    def error(self, path: str, message: str, hint: str = "") -> None:
        self.errors.append(Fault(message, path=path, hint=hint))

    def warn(self, path: str, message: str, hint: str = "") -> None:
        self.warnings.append(Fault(message, path=path, hint=hint))

    def root(self, schema: Mapping[str, Json]) -> None:
        if "anyOf" in schema:
            self.error("anyOf", "anyOf can't stand at the root", "describe one object with properties")
            return
        if schema.get("type", "object") != "object" or not _mapping(schema.get("properties")):
            self.error("", f"expected an object with properties, got {shown_schema(schema)}")
            return
        self.value({"type": "object", **schema}, "", level=1)
        for name, value in _mapping(schema["properties"]).items():
            self.description(value, f"properties.{name}")
        if self.properties > MAX_PROPERTIES:
            self.error(
                "properties", f"{self.properties} properties in all, the service takes {MAX_PROPERTIES}"
            )
        if self.enum_values > MAX_ENUM_VALUES:
            self.error(
                "properties", f"{self.enum_values} enum values in all, the service takes {MAX_ENUM_VALUES}"
            )

    def description(self, schema: Json, path: str) -> None:
        if isinstance(schema, dict) and not str(schema.get("description") or "").strip():
            self.warn(path, "no description", "the description is the question that the service is asked")

    def value(self, schema: Json, path: str, *, level: int, in_union: bool = False) -> None:
        """Check the schema of one value; `level` is the level that an object here would have."""
        if not isinstance(schema, dict):
            self.error(path, f"expected a schema (a mapping), got {shown(schema)}")
            return
        self.keywords(schema, path)
        self.text(schema, path)
        kinds = self.kinds(schema, path, in_union=in_union)
        self.enum(schema, path, kinds)
        self.union(schema, path, level)
        if "object" in kinds or "properties" in schema:
            self.object(schema, path, level)
        if "array" in kinds or "items" in schema:
            self.array(schema, path, level)

    def keywords(self, schema: dict[str, Json], path: str) -> None:
        for key in schema:
            if key in UNSUPPORTED:
                self.error(_join(path, key), f"{key} is not supported by the service", UNSUPPORTED[key])
            elif key in _DOUBTFUL:
                self.warn(_join(path, key), f"{key} may not be supported by the service", "anyOf is")
            elif key not in _SUPPORTED and not key.startswith("x-"):
                self.error(_join(path, key), "unknown key of a JSON Schema", did_you_mean(key, _KEYWORDS))

    def text(self, schema: dict[str, Json], path: str) -> None:
        for key in ("description", "title"):
            if key in schema and not isinstance(schema[key], str):
                self.error(_join(path, key), f"expected text, got {shown(schema[key])}")

    def kinds(self, schema: dict[str, Json], path: str, *, in_union: bool) -> set[str]:
        """The types that the schema names, after checking them."""
        where = _join(path, "type")
        if "type" not in schema:
            if not schema.keys() & {"enum", "const", "anyOf", "properties", "items", "oneOf", "allOf"}:
                self.error(path, "no type", f"add one of {', '.join(TYPES[:-1])}")
            return set()
        named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not named:
            self.error(where, "expected a type, got an empty list")
        for kind in named:
            if kind not in TYPES:
                hint = _type_hint(kind)
                self.error(where, f"expected one of {', '.join(TYPES)}, got {shown(kind)}", hint)
        if named == ["null"] and not in_union:
            self.error(
                where, "null alone is no type", 'the service takes null only in a union: [string, "null"]'
            )
        if len(named) != len({str(kind) for kind in named}):
            self.error(where, f"a type is named twice in {shown(schema['type'])}")
        return {kind for kind in named if isinstance(kind, str)}

    def enum(self, schema: dict[str, Json], path: str, kinds: set[str]) -> None:
        if "enum" not in schema:
            return
        values, where = schema["enum"], _join(path, "enum")
        if not isinstance(values, list) or not values:
            self.error(where, f"expected a list of values, got {shown(values)}")
            return
        self.enum_values += len(values)
        size = sum(len(value) for value in values if isinstance(value, str))
        if len(values) > LONG_ENUM_VALUES and size > MAX_LONG_ENUM_CHARS:
            self.error(
                where,
                f"{len(values)} values with {size} characters; the service takes {MAX_LONG_ENUM_CHARS} characters "
                f"for an enum of over {LONG_ENUM_VALUES} values",
            )
        seen: list[tuple[type, Json]] = []
        for value in values:
            if (type(value), value) in seen:
                self.error(where, f"{shown(value)} is there twice")
            seen.append((type(value), value))
            if kinds and not any(_is_kind(value, kind) for kind in kinds):
                self.error(
                    where,
                    f"{shown(value)} does not fit the type {' or '.join(sorted(kinds))}",
                    _no_hint(value),
                )
        if values == [None]:
            self.error(where, "null alone is no choice", "the service takes null only in a union")

    def union(self, schema: dict[str, Json], path: str, level: int) -> None:
        if "anyOf" not in schema:
            return
        branches, where = schema["anyOf"], _join(path, "anyOf")
        if not isinstance(branches, list) or not branches:
            self.error(where, f"expected a list of schemas, got {shown(branches)}")
            return
        if all(isinstance(branch, dict) and branch.get("type") == "null" for branch in branches):
            self.error(where, "null alone is no type", "add what the value is when it is known")
        for i, branch in enumerate(branches):
            self.value(branch, _join(where, str(i)), level=level, in_union=True)

    def object(self, schema: dict[str, Json], path: str, level: int) -> None:
        properties, where = schema.get("properties"), _join(path, "properties")
        if level > MAX_NESTING:
            self.error(
                path, f"objects {level} levels deep, the service takes {MAX_NESTING}", "flatten the schema"
            )
            return
        self.openness(schema, path)
        if not isinstance(properties, dict) or not properties:
            self.error(where, "expected at least one property of the object", "name what is asked for")
            return
        self.properties += len(properties)
        self.required(schema, properties, path)
        for name, value in properties.items():
            if name in RESERVED_NAMES:
                self.warn(
                    _join(where, name),
                    f'the service warns of a field named "{name}"',
                    "every answer has its basis anyway",
                )
            self.value(value, _join(where, name), level=level + 1)

    def openness(self, schema: dict[str, Json], path: str) -> None:
        where, extra = _join(path, "additionalProperties"), schema.get("additionalProperties", False)
        if isinstance(extra, dict):
            self.error(where, "keys that are not known beforehand", UNSUPPORTED["patternProperties"])
        elif extra is True:
            self.warn(where, "true is sent as false: the service takes no other")
        elif extra is not False:
            self.error(where, f"expected false, got {shown(extra)}", "or leave it out: it is added")

    def required(self, schema: dict[str, Json], properties: dict[str, Json], path: str) -> None:
        if "required" not in schema:
            return
        names, where = schema["required"], _join(path, "required")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self.error(
                where,
                f"expected a list of property names, got {shown(names)}",
                "or leave it out: it is added",
            )
            return
        for name in names:
            if name not in properties:
                self.error(where, f"there is no property {shown(name)}", did_you_mean(str(name), properties))
        for name, value in properties.items():
            if name not in names and isinstance(value, dict) and not is_nullable(value):
                self.warn(
                    where,
                    f'"{name}" is required too: the service wants every property',
                    'let its type be [..., "null"] if it may be missing',
                )

    def array(self, schema: dict[str, Json], path: str, level: int) -> None:
        where = _join(path, "items")
        if "items" not in schema:
            self.error(path, "no items", "add the schema of one element, such as items: {type: string}")
        else:
            self.value(schema["items"], where, level=level)


# --- small things -----------------------------------------------------------------------------------------------


def did_you_mean(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """`did you mean "x"?` for the nearest known word, else empty."""
    folded = {name.casefold(): name for name in reversed(list(known))}
    near = get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return f'did you mean "{folded[near[0]]}"?' if near else ""


def shown(value: object) -> str:
    """What came, in a few words: `"abc"`, `12`, `true`, `nothing`, `a list`, `a mapping`."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        text = value if len(value) <= 60 else value[:59] + "…"
        return json.dumps(text, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    return json.dumps(value) if isinstance(value, (bool, int, float)) else type(value).__name__


def shown_schema(schema: Mapping[str, Json]) -> str:
    kind = schema.get("type", "object")
    return "one without properties" if kind == "object" else f"type {shown(kind)}"


def _closed(schema: Json) -> Json:
    """The schema as it is sent: objects closed, every property required, descriptions without outer blanks.

    `required` is sorted, so that the order of keys in a config never changes the identity of a field.
    """
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Json] = {}
    for key, value in schema.items():
        if key == "properties" and isinstance(value, dict):
            out[key] = {name: _closed(item) for name, item in value.items()}
        elif key in ("items", "anyOf", "oneOf", "allOf", "not", "prefixItems"):
            out[key] = _closed(value)
        elif key == "description" and isinstance(value, str):
            out[key] = value.strip()
        else:
            out[key] = value
    properties = out.get("properties")
    if isinstance(properties, dict):
        out["required"] = list[Json](sorted(properties))
        out["additionalProperties"] = False
    return out


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _branches(schema: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    union = schema.get("anyOf")
    if not isinstance(union, list):
        yield schema
        return
    for branch in union:
        if isinstance(branch, dict):
            yield from _branches(branch)


def _kinds(schema: Mapping[str, Json]) -> set[str]:
    kind = schema.get("type")
    if isinstance(kind, str):
        return {kind}
    if isinstance(kind, list):
        return {str(k) for k in kind}
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if isinstance(values, list) and values:
        return {next(k for k in _FITTING if _is_kind(value, k)) for value in values}
    return {"object"} if "properties" in schema else {"array"} if "items" in schema else {"any"}


_FITTING: Final = ("null", "boolean", "integer", "number", "string", "array", "object")


def _is_kind(value: Json, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _type_hint(kind: object) -> str:
    if not isinstance(kind, str):
        return 'write "null" in quotes' if kind is None else ""
    slip = _TYPE_SLIPS.get(kind.casefold())
    return f'did you mean "{slip}"?' if slip else did_you_mean(kind, TYPES)


def _no_hint(value: Json) -> str:
    return 'add "null" to the type' if value is None else ""


def _mapping(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
