"""Output schemas: the service's rules, what is added to a schema, and the types of columns."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.spec import (
    MAX_SPEC_AND_INPUT_CHARS,
    MAX_SPEC_CHARS,
    build_field,
    chars,
    check_output_schema,
    column_type,
    field_id,
    inline_refs,
    is_nullable,
    task_spec,
)
from enrich.spec.columns import room_in

TEXT = {"type": "string", "description": "A"}


def root(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def nested(levels: int) -> dict[str, Any]:
    """Objects inside one another, the root being the first."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels - 1):
        schema = {"type": "object", "properties": {"x": schema}}
    return root(x={**schema, "description": "A"})


def errors(schema: dict[str, Any]) -> list[str]:
    return [fault.render("s") for fault in check_output_schema(schema)[0]]


def warnings(schema: dict[str, Any]) -> list[str]:
    return [fault.render("s") for fault in check_output_schema(schema)[1]]


UNSUPPORTED = (
    "contains format maxContains maxItems maxLength maxProperties maximum minContains minItems minLength minimum "
    "minProperties multipleOf pattern patternProperties propertyNames uniqueItems unevaluatedItems "
    "unevaluatedProperties"
)


@pytest.mark.parametrize("keyword", UNSUPPORTED.split())
def test_what_the_service_does_not_support_is_an_error_at_any_depth(keyword: str) -> None:
    hint = "ask for a list of objects with a key and a value" if keyword == "patternProperties" else ""
    said = f"not supported by the service; {hint or 'say it in the description'}"
    assert errors(root(a={**TEXT, keyword: 1})) == [f"s: properties.a.{keyword}: {said}"]
    deep = root(a={"type": "array", "items": {"anyOf": [{"type": "string", keyword: 1}]}, "description": "A"})
    assert errors(deep) == [f"s: properties.a.items.anyOf.0.{keyword}: {said}"]
    assert errors({**root(a=TEXT), keyword: {}}) == [f"s: {keyword}: {said}"]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        pytest.param(root(a=TEXT), [], id="text"),
        pytest.param(root(a={"enum": ["x", 1, None], "description": "A"}), [], id="enum-without-type"),
        pytest.param(root(a={"const": "x"}), [], id="const"),
        pytest.param(root(a={"anyOf": [TEXT, {"type": "null"}]}), [], id="null-in-a-union"),
        pytest.param(root(a={"type": ["string", "null"], "enum": ["x", None]}), [], id="null-in-types-and-enum"),
        pytest.param({"properties": {"a": TEXT}}, [], id="object-unsaid"),
        pytest.param(
            {"type": "array", "items": TEXT}, ['s: type: expected object at the root, got "array"'], id="root-array"
        ),
        pytest.param(
            {"type": ["object", "null"], "properties": {"a": TEXT}},
            ["s: type: expected object at the root, got a list"],
            id="root-union-of-types",
        ),
        pytest.param(
            {"anyOf": [root(a=TEXT)]},
            ["s: anyOf: a union can't stand at the root; describe one object with properties"],
            id="root-union",
        ),
        pytest.param({}, ["s: properties: expected the properties of the object, got nothing"], id="nothing"),
        pytest.param(
            {"properties": []},
            ["s: properties: expected the properties of the object, got an empty list"],
            id="properties-as-list",
        ),
        pytest.param(root(a="text"), ['s: properties.a: expected a schema (a mapping), got "text"'], id="no-schema"),
        pytest.param(root(a=True), ["s: properties.a: expected a schema (a mapping), got true"], id="true-schema"),
        pytest.param(
            root(a={"description": "A"}),
            ["s: properties.a: no type; add one: string, integer, number, boolean, array or object"],
            id="no-type",
        ),
        pytest.param(
            root(a={"type": "null"}),
            ['s: properties.a.type: null alone is no answer; null goes into a union, such as [string, "null"]'],
            id="only-null",
        ),
        pytest.param(
            root(a={"type": ["null"]}),
            ['s: properties.a.type: null alone is no answer; null goes into a union, such as [string, "null"]'],
            id="only-null-in-a-list",
        ),
        pytest.param(
            root(a={"anyOf": [{"type": "null"}]}),
            ["s: properties.a.anyOf: null alone is no answer; add what the value is when it is known"],
            id="union-of-null",
        ),
        pytest.param(root(a={"enum": [None]}), ["s: properties.a.enum: null alone is no answer"], id="enum-of-null"),
        pytest.param(root(a={"const": None}), ["s: properties.a.const: null alone is no answer"], id="const-null"),
        pytest.param(
            root(a={"anyOf": []}),
            ["s: properties.a.anyOf: expected a list of schemas, got an empty list"],
            id="no-branch",
        ),
        pytest.param(root(a={"type": []}), ["s: properties.a.type: expected a type, got an empty list"], id="no-types"),
        pytest.param(
            root(a={"type": ["string", "string"]}), ["s: properties.a.type: expected each type once"], id="type-twice"
        ),
        pytest.param(
            root(a={"type": 3}),
            ["s: properties.a.type: expected string, integer, number, boolean, array, object or null, got 3"],
            id="type-as-number",
        ),
        pytest.param(
            root(a={"type": "list", "items": TEXT}),
            [
                "s: properties.a.type: expected string, integer, number, boolean, array, object or null, "
                'got "list"; did you mean "array"?'
            ],
            id="type-of-python",
        ),
        pytest.param(
            root(a={"type": "string", "enum": []}),
            ["s: properties.a.enum: expected a list of values, got an empty list"],
            id="empty-enum",
        ),
        pytest.param(
            root(a={"type": "string", "enum": ["x", "x"]}),
            ['s: properties.a.enum: "x" is there twice'],
            id="enum-twice",
        ),
        pytest.param(root(a={"enum": [1, True, 1.0]}), [], id="enum-of-look-alikes"),
        pytest.param(
            root(a={"type": "string", "enum": ["x", None]}),
            ['s: properties.a.enum: null is no string; add "null" to the type'],
            id="null-only-in-enum",
        ),
        pytest.param(
            root(a={"type": "string", "enum": ["NO", False]}),
            ["s: properties.a.enum: false is no string; put it in quotes"],
            id="enum-of-another-type",
        ),
        pytest.param(
            root(a={"type": "object"}),
            ["s: properties.a.properties: expected the properties of the object, got nothing"],
            id="empty-object",
        ),
        pytest.param(
            root(a={"type": "array", "items": [TEXT]}),
            ["s: properties.a.items: expected a schema (a mapping), got a list"],
            id="items-as-list",
        ),
        pytest.param(
            root(a={**root(b=TEXT), "additionalProperties": TEXT}),
            [
                "s: properties.a.additionalProperties: keys that nobody knows beforehand can't be asked for; "
                "ask for a list of objects with a key and a value"
            ],
            id="free-keys",
        ),
        pytest.param(
            root(a={**root(b=TEXT), "required": ["bb"]}),
            ['s: properties.a.required: there is no property "bb"; did you mean "b"?'],
            id="required-unknown",
        ),
        pytest.param(
            root(a={**root(b=TEXT), "required": True}),
            ["s: properties.a.required: expected a list of names, got true; or leave it out: it is added"],
            id="required-as-flag",
        ),
        pytest.param(
            root(a={"type": "string", "description": ["A"]}),
            ["s: properties.a.description: expected text, got a list"],
            id="description-as-list",
        ),
        pytest.param(
            root(a={"type": "string", "descriptoin": "A"}),
            ['s: properties.a.descriptoin: unknown key of a JSON Schema; did you mean "description"?'],
            id="misspelt",
        ),
        pytest.param(root(a={"type": "string", "x-note": "A", "$comment": "B"}), [], id="notes"),
        pytest.param(nested(5), [], id="five-levels"),
        pytest.param(
            nested(6),
            [f"s: properties{'.x.properties' * 4}.x: objects 6 levels deep, the service takes 5; flatten it"],
            id="six-levels",
        ),
        pytest.param(root(**{f"f{i}": TEXT for i in range(100)}), [], id="hundred-properties"),
        pytest.param(
            root(**{f"f{i}": TEXT for i in range(99)}, a=root(b=TEXT)),
            ["s: properties: 101 properties in all, the service takes 100; split the config in two"],
            id="too-many-properties",
        ),
        pytest.param(root(a={"enum": [f"v{i}" for i in range(500)]}), [], id="five-hundred-values"),
        pytest.param(
            root(a={"enum": list(range(250))}, b={"enum": list(range(251))}),
            ["s: properties: 501 enum values in all, the service takes 500; shorten the lists, or ask for text"],
            id="too-many-values",
        ),
        pytest.param(root(a={"enum": [f"{i:040}" for i in range(250)]}), [], id="long-values-in-a-short-enum"),
        pytest.param(root(a={"enum": [f"{i:030}" for i in range(250)]}), [], id="exactly-long-enough"),
        pytest.param(
            root(a={"enum": [f"{i:030}" for i in range(251)]}),
            ["s: properties.a.enum: 251 values have 7530 characters; the service takes 7500 for more than 250 values"],
            id="long-values-in-a-long-enum",
        ),
        pytest.param(
            root(a={"$ref": "https://example.com/s.json"}),
            [
                's: properties.a.$ref: "https://example.com/s.json" does not exist; '
                "only what is in the same schema can be referred to, such as #/$defs/address"
            ],
            id="reference-outside",
        ),
        pytest.param(
            {**root(a={"$ref": "#/$defs/t"}), "$defs": {"t": root(child={"$ref": "#/$defs/t"})}},
            [
                's: properties.a.properties.child.$ref: "#/$defs/t" contains itself; '
                "write out the levels that are wanted"
            ],
            id="endless-reference",
        ),
    ],
)
def test_errors(schema: dict[str, Any], said: list[str]) -> None:
    assert errors(schema) == said


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        pytest.param(root(a=TEXT), [], id="nothing"),
        pytest.param(
            root(a={"type": "string", "description": " "}),
            ["s: properties.a: no description; it is the question that the service is asked"],
            id="no-description",
        ),
        pytest.param(root(a={**root(b={"type": "string"}), "description": "A"}), [], id="inner-description"),
        pytest.param(
            root(a={"oneOf": [TEXT], "description": "A"}),
            ["s: properties.a.oneOf: may not be supported by the service; anyOf is"],
            id="doubtful",
        ),
        pytest.param(
            {**root(a=TEXT), "additionalProperties": True},
            ["s: additionalProperties: sent as false: the service wants objects closed"],
            id="open",
        ),
        pytest.param(
            {**root(a=TEXT, b={"type": ["string", "null"], "description": "B"}), "required": []},
            [
                's: required: "a" is sent as required: the service wants every property; '
                "let null be one of its types if it may be missing"
            ],
            id="optional",
        ),
    ],
)
def test_warnings(schema: dict[str, Any], said: list[str]) -> None:
    assert check_output_schema(schema)[0] == []
    assert warnings(schema) == said


@pytest.mark.parametrize(
    "name", ["citations", "confidence", "evidence", "reasoning", "source", "sources", "source_urls"]
)
def test_reserved_names_are_a_warning_at_any_depth(name: str) -> None:
    said = f'the service warns of a field named "{name}"; every answer comes with its basis anyway'
    assert warnings(root(**{name: TEXT})) == [f"s: properties.{name}: {said}"]
    assert warnings(root(a={**root(**{name: TEXT}), "description": "A"})) == [
        f"s: properties.a.properties.{name}: {said}"
    ]


def test_references_that_stand_for_billions_of_values_are_refused() -> None:
    defs = {f"d{i}": root(**{f"p{j}": {"$ref": f"#/$defs/d{i + 1}"} for j in range(10)}) for i in range(9)}
    _, faults = inline_refs({**root(a={"$ref": "#/$defs/d0"}), "$defs": {**defs, "d9": TEXT}})
    assert faults
    assert {fault.message for fault in faults} == {"the references stand for more than 20000 values"}


@pytest.mark.parametrize(
    ("schema", "inlined"),
    [
        pytest.param({"$ref": "#/$defs/a", "$defs": {"a": TEXT}}, TEXT, id="root"),
        pytest.param(
            {"$ref": "#/$defs/a", "description": "B", "$defs": {"a": TEXT}},
            {"type": "string", "description": "B"},
            id="beside-wins",
        ),
        pytest.param(
            {
                "type": "array",
                "items": {"$ref": "#/definitions/a~1b"},
                "definitions": {"a/b": {"$ref": "#/definitions/c"}, "c": TEXT},
            },
            {"type": "array", "items": TEXT},
            id="chain-and-escapes",
        ),
        pytest.param({"type": "string", "$schema": "x", "$id": "y"}, {"type": "string"}, id="only-of-the-root"),
    ],
)
def test_references_are_written_out(schema: dict[str, Any], inlined: dict[str, Any]) -> None:
    assert inline_refs(schema) == (inlined, [])


@pytest.mark.parametrize(
    ("schema", "nullable", "column"),
    [
        pytest.param({"type": "string"}, False, pl.String(), id="string"),
        pytest.param({"type": "integer"}, False, pl.Int64(), id="integer"),
        pytest.param({"type": "number"}, False, pl.Float64(), id="number"),
        pytest.param({"type": "boolean"}, False, pl.Boolean(), id="boolean"),
        pytest.param({"type": ["integer", "null"]}, True, pl.Int64(), id="nullable"),
        pytest.param({"anyOf": [{"type": "integer"}, {"type": "null"}]}, True, pl.Int64(), id="union-with-null"),
        pytest.param({"type": ["integer", "number"]}, False, pl.Float64(), id="both-numbers"),
        pytest.param({"type": ["integer", "string"]}, False, pl.String(), id="two-types"),
        pytest.param({"anyOf": [{"type": "boolean"}, {"type": "string"}]}, False, pl.String(), id="union"),
        pytest.param(
            {"anyOf": [{"anyOf": [{"type": "integer"}]}, {"type": "null"}]}, True, pl.Int64(), id="union-in-union"
        ),
        pytest.param({"enum": ["a", "b"]}, False, pl.String(), id="enum"),
        pytest.param({"enum": [1, 2, None]}, True, pl.Int64(), id="enum-with-null"),
        pytest.param({"enum": [1, 2.5]}, False, pl.Float64(), id="enum-of-numbers"),
        pytest.param({"enum": [1, "a"]}, False, pl.String(), id="enum-of-two-types"),
        pytest.param({"const": True}, False, pl.Boolean(), id="const"),
        pytest.param({"type": ["string", "null"], "enum": ["a"]}, False, pl.String(), id="enum-leaves-null-out"),
        pytest.param({"type": "array", "items": {"type": "string"}}, False, pl.List(pl.String()), id="list"),
        pytest.param(
            {"type": ["array", "null"], "items": {"type": "array", "items": {"type": "integer"}}},
            True,
            pl.List(pl.List(pl.Int64())),
            id="list-of-lists",
        ),
        pytest.param({"type": "array"}, False, pl.String(), id="list-of-anything"),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": {"type": "number"}, "b": {"type": "array", "items": {"type": "boolean"}}},
            },
            False,
            pl.Struct({"a": pl.Float64(), "b": pl.List(pl.Boolean())}),
            id="object",
        ),
        pytest.param(
            {"anyOf": [{"type": "object", "properties": {"a": {"type": "number"}}}, {"type": "null"}]},
            True,
            pl.Struct({"a": pl.Float64()}),
            id="object-or-null",
        ),
        pytest.param(
            {
                "anyOf": [
                    {"type": "object", "properties": {"a": {"type": "number"}}},
                    {"type": "object", "properties": {}},
                ]
            },
            False,
            pl.String(),
            id="two-objects",
        ),
        pytest.param({"type": "object"}, False, pl.String(), id="object-of-anything"),
        pytest.param(
            {"type": "array", "items": {"type": ["integer", "string"]}}, False, pl.String(), id="list-of-two-types"
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"type": "array", "items": {"anyOf": [root(b=TEXT), TEXT]}}}},
            False,
            pl.String(),
            id="two-types-deep-inside",
        ),
        pytest.param(
            {"type": "array", "items": {"type": "string"}, "prefixItems": [{"type": "integer"}]},
            False,
            pl.String(),
            id="list-that-begins-otherwise",
        ),
        pytest.param(
            {"type": "array", "items": {"type": "string"}, "properties": {"a": TEXT}},
            False,
            pl.List(pl.String()),
            id="list-with-properties",
        ),
        pytest.param({}, True, pl.String(), id="anything"),
    ],
)
def test_nullability_and_columns(schema: dict[str, Any], nullable: bool, column: pl.DataType) -> None:
    assert is_nullable(schema) is nullable
    assert column_type(schema) == column


def test_a_field_is_closed_at_every_depth_and_keeps_what_was_written() -> None:
    schema = {
        "type": "array",
        "description": " Which.\n",
        "$comment": "ask Kim",
        "items": {"anyOf": [root(b=TEXT, a={**root(description=TEXT), "required": []}), {"type": "null"}]},
    }
    before = json.dumps(schema)
    field = build_field("x", schema)
    assert field.schema == {
        "type": "array",
        "description": "Which.",
        "items": {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        "b": TEXT,
                        "a": {
                            "type": "object",
                            "properties": {"description": TEXT},
                            "required": ["description"],
                            "additionalProperties": False,
                        },
                    },
                    "required": ["a", "b"],
                    "additionalProperties": False,
                },
                {"type": "null"},
            ]
        },
    }
    assert json.dumps(schema) == before
    assert (field.name, field.nullable, hash(field)) == ("x", False, hash(build_field("x", schema)))


def test_identity_is_a_hash_of_all_that_is_told() -> None:
    assert field_id("a", {"type": "string"}, None, None, None) == "e0b481cf0b7625f1"
    assert field_id("a", {"type": "string"}, "b", {"include_domains": ["c.com"]}, "NO") == "7cca3e3eda814f3d"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=5), st.randoms())
def test_identity_does_not_hang_on_the_order_of_keys(schema: dict[str, Any], random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(item) for item in value]
        if not isinstance(value, dict):
            return value
        keys = list(value)
        random.shuffle(keys)
        return {key: shuffled(value[key]) for key in keys}

    assert field_id("a", schema, None, None, None) == field_id("a", shuffled(schema), None, None, None)


def test_the_task_spec_asks_for_the_fields_given() -> None:
    fields = [build_field("b", TEXT), build_field("a", {"type": ["integer", "null"], "description": "B"})]
    spec = task_spec(fields, instructions="Look twice.")
    assert spec == {
        "output_schema": {
            "type": "json",
            "json_schema": {
                "type": "object",
                "description": "Look twice.",
                "properties": {"b": TEXT, "a": {"type": ["integer", "null"], "description": "B"}},
                "required": ["b", "a"],
                "additionalProperties": False,
            },
        },
    }
    assert check_output_schema(spec["output_schema"]["json_schema"]) == ([], [])  # type: ignore[index, call-overload, arg-type]
    bare = task_spec(fields[:1], instructions=None)
    assert bare == {
        "output_schema": {
            "type": "json",
            "json_schema": {
                "type": "object",
                "properties": {"b": TEXT},
                "required": ["b"],
                "additionalProperties": False,
            },
        }
    }


def test_sizes_are_characters_of_compact_json() -> None:
    assert chars({"b": "é", "a": [1, None]}) == len('{"a":[1,null],"b":"é"}')
    assert chars('{"a":"é😀"}'.encode()) == len('{"a":"é😀"}')
    assert (MAX_SPEC_CHARS, MAX_SPEC_AND_INPUT_CHARS) == (15_000, 25_000)


@pytest.mark.parametrize(
    ("dtype", "held", "beyond"),
    [(pl.Float16(), 2047, 2049), (pl.Float32(), 2**24 - 1, 2**24 + 1), (pl.Float64(), 2**53 - 1, 2**53 + 1)],
)
def test_a_column_of_floats_takes_every_whole_number_that_it_holds_exactly(
    dtype: pl.DataType, held: int, beyond: int
) -> None:
    room = room_in(dtype)
    assert room is not None
    assert all(map(room.holds, (held, -held, held + 1)))
    assert not any(map(room.holds, (beyond, -beyond)))


@pytest.mark.parametrize(
    ("types", "hint"),
    [
        pytest.param("integer", "", id="quotes would not help"),
        pytest.param(["integer", "null"], "", id="nor here"),
        pytest.param("string", "; put it in quotes", id="they would"),
        pytest.param(["integer", "string"], "; put it in quotes", id="of either they would"),
    ],
)
def test_quotes_are_advised_only_where_text_is_asked_for(types: Any, hint: str) -> None:
    faults, _ = check_output_schema(root(x={"type": types, "description": "D", "enum": [1.5]}))
    assert [fault.render("s").partition(";")[1:] for fault in faults] == [(hint[:1], hint[1:])]
