"""The config's JSON Schema, for editors: completion, descriptions and a first check while writing.

`configs/enrich.schema.json` is this schema; `enrich schema` prints it. It is made from the models, says less
than the loader checks and never more: whatever loads is valid by it. Draft 7 is what all editors know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from enrich.config.model import Config, Output
from enrich.spec import KEYWORDS, TYPES

__all__ = ["json_schema", "schema_text"]

_Schema = dict[str, Any]

_DIALECT: Final = "http://json-schema.org/draft-07/schema#"
_ANSWER: Final = {"$ref": "#/definitions/Schema"}
_TYPE: Final = {"enum": list(TYPES)}
# What editors are told of the keys of an answer's JSON Schema; of the other keys they only know the name.
_SCHEMA_KEYS: Final[Mapping[str, _Schema]] = {
    "description": {"type": "string", "description": "The question: what is wanted, in which form."},
    "type": {
        "anyOf": [_TYPE, {"type": "array", "items": _TYPE, "minItems": 1, "uniqueItems": True}],
        "description": 'The type of the value; with "null" if there may be no answer.',
    },
    "enum": {"type": "array", "minItems": 1, "description": "The values that are possible."},
    "properties": {"type": "object", "additionalProperties": _ANSWER, "description": "Parts of an object."},
    "items": {**_ANSWER, "description": "What a list is made of."},
    "anyOf": {"type": "array", "items": _ANSWER, "minItems": 1, "description": "Alternatives."},
    "required": {"type": "array", "items": {"type": "string"}, "description": "Not needed: it is added."},
    "additionalProperties": {"type": "boolean", "description": "Not needed: false is added."},
}


class _Generator(GenerateJsonSchema):
    """As pydantic does it, without what a config can't say: null, and defaults that are no plain values."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> _Schema:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> _Schema:
        inner = self.generate_inner(schema["schema"])
        default = schema.get("default")
        plain = list(default) if isinstance(default, tuple) else default
        return {**inner, "default": plain} if isinstance(plain, (str, bool, list)) else inner


def schema_text() -> str:
    """The JSON Schema as `enrich schema` prints it, and as it is checked in."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def json_schema() -> _Schema:
    """The JSON Schema of a config file."""
    from enrich.spec.processors import PROCESSORS

    made = Config.model_json_schema(schema_generator=_Generator, ref_template="#/definitions/{model}")
    output = Output.model_json_schema(schema_generator=_Generator, ref_template="#/definitions/{model}")
    definitions = {**made.pop("$defs"), **output.pop("$defs")}
    own = {key: value for key, value in output["properties"].items() if key != "value_schema"}
    definitions["Schema"] = _closed(dict(_SCHEMA_KEYS), "The JSON Schema of a value.")
    definitions["Output"] = _closed({**own, **definitions["Schema"]["properties"]}, Output.__doc__ or "")
    properties = made["properties"]
    processor = {"enum": list(PROCESSORS)}
    ladder = {"type": "array", "items": processor, "minItems": 1, "uniqueItems": True}
    properties["outputs"]["anyOf"][1]["additionalProperties"] = {"$ref": "#/definitions/Output"}
    properties["processor"] = {
        "anyOf": [processor, ladder],
        "description": properties["processor"]["description"],
    }
    schema: _Schema = _untitled({"$schema": _DIALECT, **made, "definitions": definitions})
    return schema


def _closed(properties: _Schema, description: str) -> _Schema:
    others = "|".join(key.replace("$", r"\$") for key in KEYWORDS if key not in properties)
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "patternProperties": {f"^(x-.*|{others})$": {}},
        "additionalProperties": False,
    }


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes of names; a property may be called title, and stays."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _untitled(value) for key, value in schema.items() if not _is_title(key, value)}


def _is_title(key: str, value: object) -> bool:
    return key == "title" and isinstance(value, str)
