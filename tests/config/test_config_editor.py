"""The JSON Schema for editors: current, valid, and never stricter than the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from enrich.config import json_schema, schema_text

if TYPE_CHECKING:
    from config_cases import Loader

ROOT = Path(__file__).parents[2]
VALID = """\
name: companies
inputs: {company_name: name}
outputs:
  a: {type: [string, "null"], description: A, accept: 0.5, review: low, refresh: {failed: 1h}, x-note: 1, $comment: b}
  b: {anyOf: [{type: string}, {type: "null"}], title: B}
  c: {type: array, items: {type: object, properties: {title: {type: string}, type: {enum: [1, 2]}}}}
  d: {oneOf: [{type: string}], allOf: [{}]}
processor: [core-fast, pro]
confidence: {accept: 0.9, review: medium, missing: accept}
basis: []
refresh: never
budget: 3
existing: replace
source_policy: {include_domains: [.gov], after_date: 2024-01-31}
location: "NO"
chain: true
csv: {delimiter: ";", formulas: keep}
"""


def plain(text: str) -> object:
    return json.loads(json.dumps(YAML(typ="safe").load(text), default=str))


def test_the_checked_in_schema_is_current() -> None:
    path = ROOT / "configs" / "enrich.schema.json"
    assert path.read_text("utf-8") == schema_text(), "write it again: enrich schema > configs/enrich.schema.json"


def test_it_is_a_schema_and_describes_every_key() -> None:
    schema = json_schema()
    Draft7Validator.check_schema(schema)
    for key, value in schema["properties"].items():
        target = schema["definitions"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
        assert value.get("description") or target.get("description"), key


def test_what_loads_is_valid_by_it(config_of: Loader) -> None:
    config_of(VALID.replace("allOf: [{}]", "allOf: [{type: string}]"))
    checked_in = (ROOT / "configs" / "companies.yaml").read_text("utf-8")
    for text in (VALID, checked_in, VALID.replace("refresh: never", "refresh: {answers: 30d, not_found: never}")):
        assert [error.message for error in Draft7Validator(json_schema()).iter_errors(plain(text))] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("budget:", "bugdet:", id="key"),
        pytest.param("missing: accept", "missing: keep", id="word"),
        pytest.param("core-fast", "core-slow", id="processor"),
        pytest.param("title: B", "titel: B", id="key-of-schema"),
        pytest.param("failed: 1h", "failed: 1 hour", id="duration"),
        pytest.param("accept: 0.9", "accept: 90", id="percent"),
        pytest.param("type: array", "type: list", id="type"),
        pytest.param("name: companies", "name: ''", id="empty"),
    ],
)
def test_it_finds_common_slips(old: str, new: str) -> None:
    assert old in VALID
    assert not Draft7Validator(json_schema()).is_valid(plain(VALID.replace(old, new)))
