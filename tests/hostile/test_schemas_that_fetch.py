"""No schema makes a request or opens a file: what points out of it is a fault of the config, with its line."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from enrich.config.loading import load
from enrich.errors import ConfigError
from enrich.sandbox.schema_rules import check_output_schema as check_as_the_service
from enrich.spec.validator import misplaced_key, validator_of

CONFIG = """\
name: companies
inputs: {company: company}
outputs:
  size:
    type: object
    description: How large it is.
    properties:
      staff:
        type: integer
        description: Employees.
%s
processor: core
"""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Listener(NamedTuple):
    url: str
    asked: list[str]


@pytest.fixture
def listener() -> Iterator[Listener]:
    """An address on this machine that would give any schema, and notes who asks."""
    asked: list[str] = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"type": "integer"}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Listener(f"http://127.0.0.1:{server.server_port}", asked)
    server.shutdown()
    thread.join()
    server.server_close()


def outward(url: str) -> dict[str, str]:
    """Keys of a schema that name what is somewhere else, as YAML, by a word for each."""
    return {
        "schema": f"$schema: {url}/s",
        "file": "$schema: file:///dev/zero",
        "ref": f"$ref: {url}/s",
        "ref-to-a-file": "$ref: other.json",
        "id": f"$id: {url}/s",
        "dynamic-ref": f"$dynamicRef: {url}/s",
        "dynamic-anchor": "$dynamicRef: '#x'",
        "recursive-ref": f"$recursiveRef: {url}/s",
        "anchor": "$anchor: x",
        "vocabulary": f"$vocabulary: {{'{url}/s': true}}",
        "in-a-branch": f"anyOf: [{{type: integer, $schema: '{url}/s'}}]",
        "where-the-service-looks-not": f"not: {{type: string, $schema: '{url}/s'}}",
        "in-a-list-of-conditions": f"allOf: [{{$dynamicRef: '{url}/s'}}]",
        "behind-a-condition": f"if: {{const: 1}}\n        then: {{$id: '{url}/s'}}",
    }


@pytest.mark.parametrize("word", outward(""))
def test_what_points_out_of_a_schema_is_a_fault_with_its_line_and_asks_nobody(
    word, listener, command, tmp_path
) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG % f"        {outward(listener.url)[word]}")
    (tmp_path / "t.csv").write_text("company\nAcme\n")
    for argv in (("check", "c.yaml", "t.csv"), ("plan", "c.yaml", "t.csv"), ("run", "c.yaml", "t.csv", "--sandbox")):
        ended = command(*argv)
        assert ended.code == 2, ended.said
        lines = [line for line in ended.said.splitlines() if line.strip().startswith("Error: c.yaml:")]
        assert lines, ended.said
        assert all(
            line.strip().startswith(("Error: c.yaml:11: outputs.size.properties.staff.", "Error: c.yaml:12: "))
            for line in lines
        )
        assert "$" in lines[0]
        assert "Traceback" not in ended.said
    assert listener.asked == []


@pytest.mark.parametrize("word", outward(""))
def test_the_same_holds_in_a_schema_file(word, listener, tmp_path) -> None:
    config = "name: c\ninputs: {company: company}\noutputs: s.yaml\nprocessor: core\n"
    (tmp_path / "c.yaml").write_text(config)
    text = f"properties:\n  staff:\n        type: integer\n        {outward(listener.url)[word]}\n"
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "c.yaml")
    first = str(caught.value).splitlines()[0]
    assert first.startswith((f"{tmp_path}/s.yaml:4: properties.staff.", f"{tmp_path}/s.yaml:5: properties.staff."))
    assert listener.asked == []


@pytest.mark.parametrize("key", ["$schema", "$ref", "$dynamicRef", "$recursiveRef"])
def test_the_validator_itself_looks_nothing_up(key, listener, tmp_path) -> None:
    (tmp_path / "there.json").write_text('{"type": "integer"}')
    for place in (f"{listener.url}/s", (tmp_path / "there.json").as_uri()):
        for schema in ({key: place}, {"properties": {"a": {key: place}}}, {"not": {key: place}}):
            if misplaced_key(schema) is None:  # then it means nothing to the validator
                validator_of(schema).is_valid({"a": 1})
    assert listener.asked == []


def test_a_file_that_a_schema_names_is_not_opened(tmp_path) -> None:
    (tmp_path / "there.json").write_text('{"type": "integer"}')
    place = (tmp_path / "there.json").as_uri()
    assert misplaced_key({"$schema": place}) is not None
    assert misplaced_key({"properties": {"a": {"$ref": place}}}) is not None


@pytest.mark.parametrize(
    "data",
    [{"enum": [{"$schema": "http://x.invalid/"}]}, {"const": {"$id": "http://x.invalid/"}}],
    ids=["enum", "const"],
)
def test_data_may_have_keys_of_any_name(data: dict[str, Any], tmp_path: Path) -> None:
    config = {"name": "c", "inputs": {"a": "a"}, "outputs": {"b": {**data, "description": "B"}}, "processor": "core"}
    (tmp_path / "c.json").write_text(json.dumps(config))
    assert [field.name for field in load(tmp_path / "c.json").fields] == ["b"]


def test_a_property_may_have_any_name_and_the_root_its_dialect_and_address(tmp_path: Path) -> None:
    inner = {
        "type": "object",
        "description": "A.",
        "properties": {"$id": {"type": "string"}, "$anchor": {"type": "string"}},
    }
    schema = {"$schema": DIALECT + "#", "$id": "https://x.invalid/s", "properties": {"a": inner}}
    (tmp_path / "s.json").write_text(json.dumps(schema))
    (tmp_path / "c.yaml").write_text("name: c\ninputs: {company: company}\noutputs: s.json\nprocessor: core\n")
    assert [field.name for field in load(tmp_path / "c.yaml").fields] == ["a"]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        pytest.param("type: string\n    not: 5", "outputs.a.not", id="not"),
        pytest.param("type: string\n    if: {type: 7}", "outputs.a.if.type", id="below"),
        pytest.param("type: string\n    dependentRequired: [1]", "outputs.a.dependentRequired", id="list"),
        pytest.param("type: string\n    $ref: 5", "outputs.a.$ref", id="reference"),
    ],
)
def test_what_is_no_json_schema_is_a_fault_and_no_traceback(schema: str, path: str, tmp_path: Path) -> None:
    text = (
        f"name: c\ninputs: {{company: company}}\noutputs:\n  a:\n    description: A.\n    {schema}\nprocessor: core\n"
    )
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "c.yaml")
    assert f"c.yaml:7: {path}: this is not valid JSON Schema" in str(caught.value)


@pytest.mark.parametrize("key", ["$id", "$anchor", "$dynamicRef", "$recursiveRef", "$vocabulary", "$schema"])
def test_the_sandbox_refuses_them_too(key: str) -> None:
    part = {"type": "string", "description": "A.", key: "http://x.invalid/"}
    schema = {"type": "object", "properties": {"a": part}, "required": ["a"], "additionalProperties": False}
    assert [error for error in check_as_the_service(schema).errors if key in error]
    assert not check_as_the_service({**schema, "properties": {"a": {"type": "string"}}, "$schema": DIALECT}).errors
