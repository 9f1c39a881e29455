"""The service's rules for an output schema: what it would refuse is refused before anything is paid.

The numbers and the list of what is unsupported are the vendor's. Nesting counts objects inside objects, the
root being the first; an error is what the service refuses, or what can't mean anything; a warning is what it
warns of, or what is sent otherwise than it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from enrich.errors import Fault
from enrich.spec.outward import REFUSED, outward_faults
from enrich.spec.refs import inline_refs
from enrich.spec.shape import TYPES, Json, Schema, is_kind, is_nullable
from enrich.text.phrases import did_you_mean, either, shown

__all__ = ["KEYWORDS", "RESERVED_NAMES", "check_output_schema"]

MAX_NESTING: Final = 5
MAX_PROPERTIES: Final = 100
MAX_ENUM_VALUES: Final = 500  # in the whole schema
LONG_ENUM_VALUES: Final = 250  # an enum with more values than this …
MAX_LONG_ENUM_CHARS: Final = 7_500  # … may have this many characters

# The basis of every answer has these; the service warns of fields so named.
RESERVED_NAMES: Final = frozenset(
    {"citations", "confidence", "evidence", "reasoning", "source", "sources", "source_urls"}
)

_SAY_IT: Final = "say it in the description"
_AS_LIST: Final = "ask for a list of objects with a key and a value"
UNSUPPORTED: Final[Mapping[str, str]] = {
    "contains": _SAY_IT,
    "format": _SAY_IT,
    "maxContains": _SAY_IT,
    "maxItems": _SAY_IT,
    "maxLength": _SAY_IT,
    "maxProperties": _SAY_IT,
    "maximum": _SAY_IT,
    "minContains": _SAY_IT,
    "minItems": _SAY_IT,
    "minLength": _SAY_IT,
    "minProperties": _SAY_IT,
    "minimum": _SAY_IT,
    "multipleOf": _SAY_IT,
    "pattern": _SAY_IT,
    "patternProperties": _AS_LIST,
    "propertyNames": _SAY_IT,
    "unevaluatedItems": _SAY_IT,
    "unevaluatedProperties": _SAY_IT,
    "uniqueItems": _SAY_IT,
}
_SUPPORTED: Final = frozenset(
    {"type", "enum", "const", "anyOf", "properties", "required", "additionalProperties", "items"}
    | {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
    | {"$ref", "$defs", "definitions", "$schema", "$id", "$comment"}
)
# JSON Schema that the vendor's page names neither way.
_DOUBTFUL: Final = frozenset(
    {"oneOf", "allOf", "not", "if", "then", "else", "prefixItems", "additionalItems", "dependencies"}
    | {"dependentRequired", "dependentSchemas", "exclusiveMinimum", "exclusiveMaximum", "contentEncoding"}
    | {"contentMediaType", "contentSchema"}
)
KEYWORDS: Final = tuple(sorted(_SUPPORTED | _DOUBTFUL))  # that a schema may have
_SAYS_A_TYPE: Final = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf", "properties", "items"})

_TYPE_SLIPS: Final[Mapping[str, str]] = {
    **dict.fromkeys(["str", "text", "date", "datetime", "url", "email", "uuid", "enum", "varchar"], "string"),
    **dict.fromkeys(["int", "int64", "long", "year"], "integer"),
    **dict.fromkeys(["float", "float64", "double", "decimal", "numeric", "currency"], "number"),
    **dict.fromkeys(["bool"], "boolean"),
    **dict.fromkeys(["list", "tuple", "set"], "array"),
    **dict.fromkeys(["dict", "map", "mapping", "struct"], "object"),
    **dict.fromkeys(["none", "nil", "nothing"], "null"),
}


def check_output_schema(schema: Schema) -> tuple[list[Fault], list[Fault]]:
    """Errors and warnings of a whole output schema, the root object with the answers as its properties.

    The path of a fault is the key path within the schema, such as `properties.founded_year.type`.
    """
    inlined, ref_errors = inline_refs(schema)
    check = _Check()
    check.root(inlined)
    return ref_errors + outward_faults(schema) + check.errors, check.warnings


class _Check:
    """One walk over a schema: faults, and the totals that are limited for the whole."""

    def __init__(self) -> None:
        self.errors: list[Fault] = []
        self.warnings: list[Fault] = []
        self.properties = 0
        self.enum_values = 0

    def error(self, path: str, message: str, hint: str = "") -> None:
        self.errors.append(Fault(message, path=path, hint=hint))

    def warn(self, path: str, message: str, hint: str = "") -> None:
        self.warnings.append(Fault(message, path=path, hint=hint))

    def root(self, schema: dict[str, Json]) -> None:
        if "anyOf" in schema:
            self.error("anyOf", "a union can't stand at the root", "describe one object with properties")
            return
        if schema.get("type", "object") != "object":
            self.error("type", f"expected object at the root, got {shown(schema['type'])}")
            return
        self.value({"type": "object", **schema}, "", level=1)
        properties = schema.get("properties")
        for name, value in properties.items() if isinstance(properties, dict) else ():
            self.description(value, f"properties.{name}")
        if self.properties > MAX_PROPERTIES:
            message = f"{self.properties} properties in all, the service takes {MAX_PROPERTIES}"
            self.error("properties", message, "split the config in two")
        if self.enum_values > MAX_ENUM_VALUES:
            message = f"{self.enum_values} enum values in all, the service takes {MAX_ENUM_VALUES}"
            self.error("properties", message, "shorten the lists, or ask for text")

    def description(self, schema: Json, path: str) -> None:
        if isinstance(schema, dict) and not str(schema.get("description") or "").strip():
            self.warn(path, "no description", "it is the question that the service is asked")

    def value(self, schema: Json, path: str, *, level: int, in_union: bool = False) -> None:
        """The schema of one value; `level` is that which an object here has."""
        if not isinstance(schema, dict):
            self.error(path, f"expected a schema (a mapping), got {shown(schema)}")
            return
        self.keywords(schema, path)
        self.texts(schema, path)
        named = self.types(schema, path, in_union=in_union)
        self.choices(schema, path, named)
        self.unions(schema, path, level)
        if "object" in named or "properties" in schema:
            self.object(schema, path, level)
        if "array" in named or "items" in schema:
            self.array(schema, path, level)

    def keywords(self, schema: dict[str, Json], path: str) -> None:
        for key in schema:
            where = _join(path, key)
            if key in UNSUPPORTED:
                self.error(where, "not supported by the service", UNSUPPORTED[key])
            elif key in _DOUBTFUL:
                self.warn(where, "may not be supported by the service", "anyOf is")
            elif key not in _SUPPORTED and key not in REFUSED and not key.startswith("x-"):
                self.error(where, "unknown key of a JSON Schema", _key_hint(key))

    def texts(self, schema: dict[str, Json], path: str) -> None:
        for key in ("description", "title"):
            if key in schema and not isinstance(schema[key], str):
                self.error(_join(path, key), f"expected text, got {shown(schema[key])}")

    def types(self, schema: dict[str, Json], path: str, *, in_union: bool) -> set[str]:
        """The types that are named, after checking them."""
        if "type" not in schema:
            if _SAYS_A_TYPE.isdisjoint(schema):
                self.error(path, "no type", f"add one: {either(TYPES[:-1])}")
            return set()
        kind, where = schema["type"], _join(path, "type")
        named = kind if isinstance(kind, list) else [kind]
        for one in named:
            if not isinstance(one, str) or one not in TYPES:
                self.error(where, f"expected {either(TYPES)}, got {shown(one)}", _type_hint(one))
        if len(named) != len({str(one) for one in named}) or not named:
            self.error(where, "expected each type once" if named else "expected a type, got an empty list")
        if named == ["null"] and not in_union:
            self.error(where, "null alone is no answer", 'null goes into a union, such as [string, "null"]')
        return {one for one in named if isinstance(one, str)}

    def choices(self, schema: dict[str, Json], path: str, named: set[str]) -> None:
        if "const" in schema and schema["const"] is None:
            self.error(_join(path, "const"), "null alone is no answer")
        if "enum" not in schema:
            return
        values, where = schema["enum"], _join(path, "enum")
        if not isinstance(values, list) or not values:
            self.error(where, f"expected a list of values, got {shown(values)}")
            return
        self.enum_values += len(values)
        size = sum(len(value) for value in values if isinstance(value, str))
        if len(values) > LONG_ENUM_VALUES and size > MAX_LONG_ENUM_CHARS:
            limit = f"the service takes {MAX_LONG_ENUM_CHARS} for more than {LONG_ENUM_VALUES} values"
            self.error(where, f"{len(values)} values have {size} characters; {limit}")
        if values == [None]:
            self.error(where, "null alone is no answer")
        for message, hint in _value_faults(values, named):
            self.error(where, message, hint)

    def unions(self, schema: dict[str, Json], path: str, level: int) -> None:
        for key in ("anyOf", "oneOf", "allOf"):
            if key not in schema:
                continue
            alternatives, where = schema[key], _join(path, key)
            if not isinstance(alternatives, list) or not alternatives:
                self.error(where, f"expected a list of schemas, got {shown(alternatives)}")
                continue
            if all(isinstance(one, dict) and one.get("type") == "null" for one in alternatives):
                self.error(where, "null alone is no answer", "add what the value is when it is known")
            for i, one in enumerate(alternatives):
                self.value(one, _join(where, str(i)), level=level, in_union=key != "allOf")

    def object(self, schema: dict[str, Json], path: str, level: int) -> None:
        if level > MAX_NESTING:
            self.error(path, f"objects {level} levels deep, the service takes {MAX_NESTING}", "flatten it")
            return
        self.openness(schema, path)
        properties, where = schema.get("properties"), _join(path, "properties")
        if not isinstance(properties, dict) or not properties:
            self.error(where, f"expected the properties of the object, got {shown(properties)}")
            return
        self.properties += len(properties)
        self.required(schema, properties, path)
        for name, value in properties.items():
            if name in RESERVED_NAMES:
                message = f'the service warns of a field named "{name}"'
                self.warn(_join(where, name), message, "every answer comes with its basis anyway")
            self.value(value, _join(where, name), level=level + 1)

    def openness(self, schema: dict[str, Json], path: str) -> None:
        extra, where = schema.get("additionalProperties", False), _join(path, "additionalProperties")
        if isinstance(extra, dict):
            self.error(where, "keys that nobody knows beforehand can't be asked for", _AS_LIST)
        elif extra is True:
            self.warn(where, "sent as false: the service wants objects closed")
        elif extra is not False:
            self.error(where, f"expected false, got {shown(extra)}", "or leave it out: it is added")

    def required(self, schema: dict[str, Json], properties: dict[str, Json], path: str) -> None:
        if "required" not in schema:
            return
        names, where = schema["required"], _join(path, "required")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self.error(where, f"expected a list of names, got {shown(names)}", "or leave it out: it is added")
            return
        for name in names:
            if name not in properties:
                self.error(where, f"there is no property {shown(name)}", did_you_mean(str(name), properties))
        for name, value in properties.items():
            if name not in names and isinstance(value, dict) and not is_nullable(value):
                message = f'"{name}" is sent as required: the service wants every property'
                self.warn(where, message, "let null be one of its types if it may be missing")

    def array(self, schema: dict[str, Json], path: str, level: int) -> None:
        if "items" in schema:
            self.value(schema["items"], _join(path, "items"), level=level)
        else:
            self.error(path, "no items", "say what a list is made of, such as items: {type: string}")


def _value_faults(values: list[Json], named: set[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with the values of an enum: message and hint."""
    seen: list[tuple[type, Json]] = []
    for value in values:
        word = "null" if value is None else shown(value)
        if (type(value), value) in seen:
            yield f"{word} is there twice", ""
        elif named and not any(is_kind(value, kind) for kind in named):
            hint = 'add "null" to the type' if value is None else _quoting_hint(value, named)
            yield f"{word} is no {either(sorted(named))}", hint
        seen.append((type(value), value))


def _quoting_hint(value: Json, named: set[str]) -> str:
    return "put it in quotes" if named & {"string"} and isinstance(value, (bool, int, float)) else ""


def _type_hint(kind: Json) -> str:
    if kind is None:
        return 'put "null" in quotes'
    if not isinstance(kind, str):
        return ""
    slip = _TYPE_SLIPS.get(kind.casefold())
    return f'did you mean "{slip}"?' if slip else did_you_mean(kind, TYPES)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


_KEY_SLIPS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("options", "values", "choices", "allowed", "one_of"), "enum"),
    **dict.fromkeys(("prompt", "question", "instructions", "instruction", "text", "desc", "label"), "description"),
    **dict.fromkeys(("fields", "columns", "keys"), "properties"),
    **dict.fromkeys(("kind", "dtype", "datatype"), "type"),
}


def _key_hint(key: str) -> str:
    slip = _KEY_SLIPS.get(key.casefold())
    return f'did you mean "{slip}"?' if slip else did_you_mean(key, KEYWORDS)
