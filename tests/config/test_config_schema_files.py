"""`outputs` may be a JSON Schema file: its faults name it, its references are followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from enrich.config import check_columns, warnings

if TYPE_CHECKING:
    from config_cases import Complaint, Loader

CONFIG = """\
name: companies
inputs: {company_name: name}
outputs: s.json
processor: core
"""


def test_a_schema_file_gives_the_answers(config_of: Loader) -> None:
    schema = """\
{
\t"$schema": "https://json-schema.org/draft/2020-12/schema",
\t"title": "Company",
\t"description": "About companies.",
\t"type": "object",
\t"$defs": {"place": {"type": "object", "properties": {
\t\t"city": {"type": "string"}, "country": {"type": ["string", "null"]}}}},
\t"properties": {
\t\t"founded_year": {"type": ["integer", "null"], "description": "Year \\u2013 of foundation.", "accept": "medium"},
\t\t"seat": {"$ref": "#/$defs/place", "description": "Where it is."}
\t},
\t"required": ["founded_year", "seat"],
\t"additionalProperties": false
}
"""
    config = config_of(CONFIG + "instructions: Look twice.\n", s_json=schema)
    assert config.instructions == "Look twice.\n\nAbout companies."
    assert {field.name: field.schema for field in config.fields} == {
        "founded_year": {"type": ["integer", "null"], "description": "Year \u2013 of foundation."},
        "seat": {
            "type": "object",
            "description": "Where it is.",
            "properties": {"city": {"type": "string"}, "country": {"type": ["string", "null"]}},
            "required": ["city", "country"],
            "additionalProperties": False,
        },
    }
    assert config.gate_for("founded_year").accept == "medium"
    assert warnings(config) == []
    assert [fault.render("c.yaml") for fault in check_columns(config, ["name", "seat"])] == [
        's.json:10: properties.seat: the table already has a column "seat"; '
        "existing: fill asks for its empty cells only, existing: replace for all"
    ]


def test_it_may_be_yaml_and_its_root_description_is_enough(config_of: Loader) -> None:
    schema = "description: About companies.\nproperties:\n  a: {type: string, description: b}\n"
    config = config_of(CONFIG.replace("s.json", "s.yaml"), s_yaml=schema)
    assert (config.instructions, [field.name for field in config.fields]) == ("About companies.", ["a"])


def test_faults_of_both_files_come_at_once(complaint: Complaint) -> None:
    schema = """\
{
  "type": "object",
  "properties": {
    "a": {"type": "string",
          "maxLength": 5},
    "enrich_b": {"type": "string"},
    "c": {"type": "string", "accept": 7},
    "d": {"$ref": "other.json#/x"}
  },
  "required": ["e"],
  "propertyNames": {}
}
"""
    assert complaint(CONFIG + "bugdet: 3\n", s_json=schema) == [
        'c.yaml:5: bugdet: unknown key; did you mean "budget"?',
        "s.json:5: properties.a.maxLength: not supported by the service; say it in the description",
        's.json:6: properties.enrich_b: names that begin with "enrich_" are kept for the columns of the row',
        "s.json:7: properties.c.accept: expected high, medium, low or a number from 0 to 1, got 7; 7 percent is 0.07",
        's.json:8: properties.d.$ref: "other.json#/x" does not exist; '
        "only what is in the same schema can be referred to, such as #/$defs/address",
        's.json:10: required: there is no property "e"',
        "s.json:11: propertyNames: not supported by the service; say it in the description",
    ]


UNUSABLE = (
    "c.yaml:3: outputs: names a file that can't be used; "
    "a text here is the path of a JSON Schema file, as seen from the config"
)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        pytest.param("", [UNUSABLE, "s.json: the file is empty"], id="empty"),
        pytest.param(
            '{"a": 1,\n"b" 2}',
            [
                UNUSABLE,
                "s.json:2: not valid JSON from column 5 on; look for a missing or surplus comma, quote or bracket "
                "before it; comments are for YAML",
            ],
            id="broken",
        ),
        pytest.param("[]", [UNUSABLE, "s.json:1: expected keys and values, got a list"], id="list"),
        pytest.param(
            '{"a": 1, "a": 2, "properties": {"b": {"type": "string"}}}',
            ["s.json:1: a: the key is there twice, first on line 1", "s.json:1: a: unknown key of a JSON Schema"],
            id="twice",
        ),
        pytest.param(
            '{"type": "object"}',
            ["s.json:1: properties: expected the properties of the object, got nothing"],
            id="no-properties",
        ),
        pytest.param(
            '{"type": "object",\n"properties": {}}',
            ["s.json:2: properties: expected the properties of the object, got an empty mapping"],
            id="empty-properties",
        ),
        pytest.param(
            '{"type": "array", "items": {"type": "string"}}',
            ['s.json:1: type: expected object at the root, got "array"'],
            id="array",
        ),
        pytest.param(
            '{"anyOf": [{"type": "object"}], "properties": {"a": {"type": "string"}}}',
            ["s.json:1: anyOf: a union can't stand at the root; describe one object with properties"],
            id="union",
        ),
    ],
)
def test_a_file_that_is_no_schema_of_answers(schema: str, said: list[str], complaint: Complaint) -> None:
    assert complaint(CONFIG, s_json=schema) == said


def test_a_missing_file_is_named(complaint: Complaint) -> None:
    assert complaint(CONFIG) == [UNUSABLE, "s.json: there is no such file"]


def test_what_is_sent_otherwise_than_written_is_advised(config_of: Loader) -> None:
    schema = '{"properties": {\n"a": {"type": "string"}},\n"required": [],\n"additionalProperties": true}'
    config = config_of(CONFIG, s_json=schema)
    assert [fault.render("c.yaml") for fault in warnings(config)] == [
        "s.json:2: properties.a: no description; it is the question that the service is asked",
        's.json:3: required: "a" is sent as required: the service wants every property; '
        "let null be one of its types if it may be missing",
        "s.json:4: additionalProperties: sent as false: the service wants objects closed",
    ]
