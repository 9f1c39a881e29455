"""The service's rules for an output schema, checked before a run is created.

`check_output_schema` gives the errors (the request is refused) and the warnings (they come back on the
run). Depth counts objects inside objects, the root being the first; local `$ref`s are followed, so a
schema that contains itself is too deep. Whatever else points out of a schema is refused: nothing is fetched for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any  # a JSON value as the decoder gives it; the rules below look at it before they trust it

MAX_DEPTH = 5
MAX_PROPERTIES = 100
MAX_ENUM_VALUES = 500
LONG_ENUM = 250
MAX_LONG_ENUM_CHARS = 7_500
UNSUPPORTED = frozenset(
    {
        *("contains", "format", "maxContains", "maxItems", "maxLength", "maxProperties", "maximum"),
        *("minContains", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "pattern"),
        *("patternProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties", "uniqueItems"),
    }
)
POINTS_OUT = frozenset(
    {"$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef", "$vocabulary"}
)
DIALECTS = frozenset(f"https://json-schema.org/draft/{version}/schema" for version in ("2020-12", "2019-09")) | {
    f"http://json-schema.org/draft-{number}/schema" for number in ("07", "06", "04")
}
EVIDENCE_NAMES = frozenset({"citations", "confidence", "evidence", "reasoning", "source", "sources", "source_urls"})
TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


@dataclass(slots=True)
class SchemaFindings:
    """What is wrong with a schema (`errors`) and what is merely unwise (`warnings`), and totals."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    properties: int = 0
    enum_values: int = 0


def check_output_schema(schema: Mapping[str, Json]) -> SchemaFindings:
    """Everything the service would say of `schema`."""
    found = SchemaFindings()
    if schema.get("type", "object") != "object" or not isinstance(schema.get("properties"), dict):
        found.errors.append("the root of an output schema must be an object with properties")
        return found
    if not schema["properties"]:
        found.errors.append("the root of an output schema must have at least one property")
    if "anyOf" in schema:
        found.errors.append("anyOf is not supported at the root")
    for name in schema["properties"]:
        if name in EVIDENCE_NAMES:
            found.warnings.append(f"field {name!r} is not needed: the basis of every field has it already")
    _check(schema, "$", depth=1, root=schema, found=found, in_union=False)
    if found.properties > MAX_PROPERTIES:
        found.errors.append(f"{found.properties} properties in all, at most {MAX_PROPERTIES} are supported")
    if found.enum_values > MAX_ENUM_VALUES:
        found.errors.append(f"{found.enum_values} enum values in all, at most {MAX_ENUM_VALUES} are supported")
    return found


def resolve(schema: Mapping[str, Json], root: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """`schema` with its own local `$ref` followed once; None if there is nothing at the reference."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        return None
    target: Json = root
    for part in reference.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, dict) or name not in target:
            return None
        target = target[name]
    return target if isinstance(target, dict) else None


def _check(
    schema: Json, path: str, *, depth: int, root: Mapping[str, Json], found: SchemaFindings, in_union: bool
) -> None:
    if not isinstance(schema, dict):
        found.errors.append(f"{path}: a schema must be an object, not {schema!r}")
        return
    if depth > MAX_DEPTH:
        found.errors.append(f"{path}: nested deeper than {MAX_DEPTH} levels")
        return
    if found.properties > MAX_PROPERTIES:  # already an error; a schema that branches into itself ends here
        return
    if "$ref" in schema:
        target = resolve(schema, root)
        if target is None:
            found.errors.append(f"{path}: $ref {schema['$ref']!r} does not point into this schema")
            return
        # what is referred to counts as one level, so that a schema that contains itself ends somewhere
        _check(target, path, depth=depth + 1, root=root, found=found, in_union=in_union)
        return
    refused = UNSUPPORTED | POINTS_OUT if path != "$" else UNSUPPORTED | POINTS_OUT - {"$id"}
    found.errors += [f"{path}: keyword {word!r} is not supported" for word in schema if word in refused]
    if "$schema" in schema and str(schema["$schema"]).removesuffix("#") not in DIALECTS:
        found.errors.append(f"{path}: $schema {schema['$schema']!r} is no version of JSON Schema")
    _check_type(schema, path, found, in_union=in_union)
    _check_enum(schema, path, found)
    if isinstance(schema.get("properties"), dict):
        _check_object(schema, path, found)
    for below, inner, union in _inner_schemas(schema, path):
        inner_depth = depth + 1 if _is_object(inner) else depth
        _check(inner, below, depth=inner_depth, root=root, found=found, in_union=union)


def _is_object(schema: Json) -> bool:
    return isinstance(schema, dict) and "properties" in schema


def _inner_schemas(schema: Mapping[str, Json], path: str) -> Iterator[tuple[str, Json, bool]]:
    """The schemas right inside one: their path, themselves, and whether they stand in a union."""
    if isinstance(schema.get("properties"), dict):
        for name, inner in schema["properties"].items():
            yield f"{path}.{name}", inner, False
    if "items" in schema and not isinstance(schema["items"], bool):
        yield f"{path}[]", schema["items"], False
    for word in ("anyOf", "oneOf", "allOf"):
        branches = schema.get(word)
        if isinstance(branches, list):
            for number, inner in enumerate(branches):
                yield f"{path}.{word}[{number}]", inner, word != "allOf"


def _check_type(schema: Mapping[str, Json], path: str, found: SchemaFindings, *, in_union: bool) -> None:
    named = schema.get("type", [])
    types = named if isinstance(named, list) else [named]
    unknown = [name for name in types if not isinstance(name, str) or name not in TYPES]
    if unknown:
        found.errors.append(f"{path}: unknown type {unknown[0]!r}")
    only_null = types == ["null"] or schema.get("enum") == [None] or ("const" in schema and schema["const"] is None)
    if only_null and not in_union:
        found.errors.append(f"{path}: null is supported only inside a union")


def _check_enum(schema: Mapping[str, Json], path: str, found: SchemaFindings) -> None:
    if "enum" not in schema:
        return
    values = schema["enum"]
    if not isinstance(values, list) or not values:
        found.errors.append(f"{path}: enum must be a list of at least one value")
        return
    found.enum_values += len(values)
    chars = sum(len(value) for value in values if isinstance(value, str))
    if len(values) > LONG_ENUM and chars > MAX_LONG_ENUM_CHARS:
        found.errors.append(
            f"{path}: an enum of {len(values)} values has {chars} characters, "
            f"at most {MAX_LONG_ENUM_CHARS} are supported for more than {LONG_ENUM} values"
        )


def _check_object(schema: Mapping[str, Json], path: str, found: SchemaFindings) -> None:
    found.properties += len(schema["properties"])
    listed = schema.get("required")
    required = set(map(str, listed)) if isinstance(listed, list) else set()
    optional = [name for name in schema["properties"] if name not in required]
    if optional:
        found.warnings.append(f"{path}: all fields should be required, but {', '.join(optional)} are not")
    if schema.get("additionalProperties") is not False:
        found.warnings.append(f"{path}: additionalProperties should be false")
