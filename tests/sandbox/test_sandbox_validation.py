"""What the sandbox refuses, with which status and in which shape; nothing is created then."""

import copy
from typing import Any

import pytest
from sandbox_client import SCHEMA, SPEC, Sandbox, company

from enrich.sandbox.schema_rules import check_output_schema

TEXT = {"type": "string"}


def spec_with(schema: Any) -> dict[str, Any]:
    return {"output_schema": {"type": "json", "json_schema": schema}}


def schema_with(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def nested(levels: int) -> dict[str, Any]:
    schema = schema_with(x=TEXT)
    for _ in range(levels - 1):
        schema = schema_with(x=schema)
    return schema


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        pytest.param({}, ["body", "inputs"], "missing", id="no-inputs"),
        pytest.param({"inputs": 3}, ["body", "inputs"], "type_error", id="inputs-not-a-list"),
        pytest.param({"inputs": [{"input": "x"}]}, ["body", "inputs", 0, "processor"], "missing", id="no-processor"),
        pytest.param(
            {"inputs": [company(1), {"processor": "core"}]},
            ["body", "inputs", 1, "input"],
            "missing",
            id="no-input",
        ),
        pytest.param(
            {"inputs": [company(1, input=["list"])]},
            ["body", "inputs", 0, "input"],
            "type_error",
            id="list-input",
        ),
        pytest.param(
            {"inputs": [company(1, metadata={"k": None})]},
            ["body", "inputs", 0, "metadata"],
            "type_error",
            id="null-metadata",
        ),
        pytest.param(
            {"inputs": [company(1, webhook={"url": "https://x", "event_types": ["other"]})]},
            ["body", "inputs", 0, "webhook", "event_types", 0],
            "type_error",
            id="webhook-event",
        ),
        pytest.param(
            {"inputs": [company(1)], "default_task_spec": {"input_schema": "x"}},
            ["body", "default_task_spec", "output_schema"],
            "missing",
            id="no-output-schema",
        ),
        pytest.param(
            {"inputs": [company(1)], "default_task_spec": {"output_schema": {"type": "xml"}}},
            ["body", "default_task_spec", "output_schema", "type"],
            "type_error",
            id="unknown-schema-type",
        ),
        pytest.param(
            {"inputs": [company(1)], "default_task_spec": {"output_schema": {"type": "json"}}},
            ["body", "default_task_spec", "output_schema", "json_schema"],
            "missing",
            id="no-json-schema",
        ),
    ],
)
def test_a_body_of_the_wrong_shape_is_refused_with_the_place(
    sandbox: Sandbox, body: Any, loc: list[str | int], kind: str
) -> None:
    group = sandbox.create_group()
    answer = sandbox.http.post(f"/v1/tasks/groups/{group}/runs", json={"default_task_spec": SPEC, **body})
    assert answer.status_code == 422
    (fault,) = answer.json()["detail"]
    assert (fault["loc"], fault["type"]) == (loc, kind)
    assert isinstance(fault["msg"], str)
    assert sandbox.status(group)["num_task_runs"] == 0


def test_all_inputs_of_the_wrong_shape_are_named_at_once(sandbox: Sandbox) -> None:
    group = sandbox.create_group()
    answer = sandbox.add(group, [{"input": "a"}, company(1), {"input": "b"}])
    assert [fault["loc"][2] for fault in answer.json()["detail"]] == [0, 2]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"inputs":"\xff"}', id="utf-8"),
    ],
)
def test_a_body_that_is_not_json_is_refused(sandbox: Sandbox, body: bytes) -> None:
    answer = sandbox.http.post(f"/v1/tasks/groups/{sandbox.create_group()}/runs", content=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "json_invalid"


@pytest.mark.parametrize(
    ("run", "status", "words"),
    [
        pytest.param(company(1, processor="gpt"), 403, "invalid processor", id="unknown-processor"),
        pytest.param(company(1, metadata={"k" * 17: "v"}), 422, "longer than 16", id="metadata-key"),
        pytest.param(company(1, metadata={"k": "v" * 513}), 422, "longer than 512", id="metadata-value"),
        pytest.param(
            company(
                1,
                source_policy={
                    "include_domains": ["a.example"] * 101,
                    "exclude_domains": ["b.example"] * 100,
                },
            ),
            422,
            "201 domains",
            id="domains",
        ),
        pytest.param(
            company(1, source_policy={"include_domains": ["https://a.example/x"]}),
            422,
            "plain domain",
            id="address",
        ),
        pytest.param(company(1, source_policy={"after_date": "soon"}), 422, "not a date", id="date"),
        pytest.param(company(1, advanced_settings={"location": "Germany"}), 422, "ISO 3166-1", id="location"),
        pytest.param(company(1, previous_interaction_id="trun_no"), 422, "no such interaction", id="interaction"),
        pytest.param(company(1, input="x" * 25_000), 422, "at most 25000", id="spec-and-input"),
        pytest.param(company(1, task_spec={"output_schema": {"type": "auto"}}), 422, "pro and above", id="auto"),
    ],
)
def test_a_run_that_breaks_a_rule_is_refused_with_all_others(
    sandbox: Sandbox, run: Any, status: int, words: str
) -> None:
    group = sandbox.create_group()
    answer = sandbox.add(group, [company(0), run])
    assert answer.status_code == status
    body = answer.json()
    assert body["type"] == "error"
    assert words in body["error"]["message"]
    assert "inputs.1" in body["error"]["detail"]["path"]
    assert sandbox.status(group)["num_task_runs"] == 0
    assert sandbox.bill()["runs"] == 0


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(company(1, metadata={"k" * 16: "v" * 512, "n": 3, "b": True, "f": 0.5}), id="metadata"),
        pytest.param(company(1, source_policy={"include_domains": ["a.example"] * 200}), id="domains"),
        pytest.param(company(1, source_policy={"after_date": "2024-02-29"}), id="date"),
        pytest.param(company(1, advanced_settings={"location": "gb"}), id="location"),
        pytest.param(company(1, input="What was the GDP of France?"), id="text-input"),
        pytest.param(company(1, input="ä" * 24_000), id="characters-are-not-bytes"),
        pytest.param(company(1, processor="lite-fast"), id="fast-processor"),
        pytest.param(company(1, processor="pro", task_spec={"output_schema": {"type": "auto"}}), id="auto"),
        pytest.param(company(1, task_spec={"output_schema": "a number"}), id="bare-text-schema"),
        pytest.param(company(1, task_spec={"output_schema": {"type": "text", "description": "x"}}), id="text-schema"),
        pytest.param(company(1, webhook={"url": "https://x", "event_types": ["task_run.status"]}), id="webhook"),
        pytest.param(company(1, something_new=1), id="unknown-key"),
    ],
)
def test_what_the_service_takes_is_taken(sandbox: Sandbox, run: Any) -> None:
    group = sandbox.create_group()
    assert sandbox.add(group, [run]).status_code == 200
    (event,) = sandbox.listing(group, include_output=True)
    assert event["run"]["status"] == "completed"
    assert event["output"] is not None


@pytest.mark.parametrize(
    ("count", "status"), [pytest.param(1_000, 200, id="limit"), pytest.param(1_001, 422, id="over")]
)
def test_a_thousand_inputs_go_into_one_request(sandbox: Sandbox, count: int, status: int) -> None:
    group = sandbox.create_group()
    answer = sandbox.add(group, [company(number) for number in range(count)])
    assert answer.status_code == status
    assert sandbox.status(group)["num_task_runs"] == (1_000 if status == 200 else 0)


def test_a_spec_of_over_15000_characters_is_refused(sandbox: Sandbox) -> None:
    schema = schema_with(x={"type": "string", "description": "d" * 15_000})
    answer = sandbox.add(sandbox.create_group(), [company(1, task_spec=spec_with(schema))])
    assert (answer.status_code, "at most 15000" in answer.text) == (422, True)


def test_a_run_without_a_spec_has_the_auto_schema(sandbox: Sandbox) -> None:
    run = sandbox.http.post("/v1/tasks/runs", json={"input": "x", "processor": "ultra"}).json()
    output = sandbox.http.get(f"/v1/tasks/runs/{run['run_id']}/result").json()["output"]
    assert output["type"] == "json"
    assert set(output["output_schema"]["properties"]) == set(output["content"])


@pytest.mark.parametrize(
    ("path", "query", "loc"),
    [
        pytest.param("runs", {"status": "done"}, ["query", "status"], id="status"),
        pytest.param("runs", {"include_output": "maybe"}, ["query", "include_output"], id="flag"),
        pytest.param("runs", {"last_event_id": "x"}, ["query", "last_event_id"], id="listing-cursor"),
        pytest.param("events", {"last_event_id": "-1"}, ["query", "last_event_id"], id="events-cursor"),
        pytest.param("events", {"timeout": "soon"}, ["query", "timeout"], id="timeout"),
    ],
)
def test_a_query_of_the_wrong_shape_is_refused(
    sandbox: Sandbox, path: str, query: dict[str, str], loc: list[str]
) -> None:
    answer = sandbox.http.get(f"/v1/tasks/groups/{sandbox.create_group()}/{path}", params=query)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == loc


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        pytest.param({"type": "string"}, "must be an object with properties", id="root-type"),
        pytest.param({"type": "object"}, "must be an object with properties", id="no-properties"),
        pytest.param(schema_with(), "at least one property", id="empty-properties"),
        pytest.param({**schema_with(x=TEXT), "anyOf": []}, "anyOf is not supported at the root", id="root-any-of"),
        pytest.param(schema_with(x={"type": "null"}), "only inside a union", id="null"),
        pytest.param(schema_with(x={"enum": [None]}), "only inside a union", id="null-enum"),
        pytest.param(schema_with(x={"type": "text"}), "unknown type 'text'", id="unknown-type"),
        pytest.param(schema_with(x={"type": "string", "maxLength": 3}), "'maxLength'", id="unsupported"),
        pytest.param(
            schema_with(x={"type": "array", "items": {"type": "string", "format": "uri"}}),
            "'format'",
            id="deep",
        ),
        pytest.param(nested(6), "nested deeper than 5", id="depth"),
        pytest.param(schema_with(**{f"p{n}": TEXT for n in range(101)}), "101 properties", id="properties"),
        pytest.param(
            schema_with(x={"enum": list(range(250))}, y={"enum": list(range(251))}),
            "501 enum values",
            id="enums",
        ),
        pytest.param(schema_with(x={"enum": ["x" * 30 + str(n) for n in range(251)]}), "at most 7500", id="long-enum"),
        pytest.param(schema_with(x={"enum": []}), "at least one value", id="empty-enum"),
        pytest.param(schema_with(x={"$ref": "#/$defs/no"}), "does not point", id="dangling-ref"),
        pytest.param(schema_with(x={"$ref": "https://x/y"}), "does not point", id="foreign-ref"),
        pytest.param(schema_with(x={"$ref": "#"}), "nested deeper", id="contains-itself"),
        pytest.param(
            schema_with(x={"$ref": "#/$defs/a"}) | {"$defs": {"a": {"$ref": "#/$defs/a"}}},
            "nested",
            id="ref-loop",
        ),
        pytest.param(schema_with(x=3), "a schema must be an object", id="not-a-schema"),
    ],
)
def test_an_output_schema_that_the_service_refuses_is_refused(
    sandbox: Sandbox, schema: dict[str, Any], words: str
) -> None:
    answer = sandbox.add(sandbox.create_group(), [company(1, task_spec=spec_with(schema))])
    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(SCHEMA, id="usual"),
        pytest.param(nested(5), id="depth"),
        pytest.param(schema_with(**{f"p{n}": TEXT for n in range(100)}), id="properties"),
        pytest.param(schema_with(x={"enum": ["x" * 30 + str(n) for n in range(250)]}), id="enum"),
        pytest.param(schema_with(x={"anyOf": [TEXT, {"type": "null"}]}), id="null-in-union"),
        pytest.param(schema_with(x={"type": ["string", "null"], "enum": ["a", None]}), id="null-in-enum"),
        pytest.param(schema_with(format=TEXT, pattern=TEXT), id="fields-named-like-keywords"),
        pytest.param(schema_with(x={"$ref": "#/$defs/a"}) | {"$defs": {"a": TEXT}}, id="ref"),
    ],
)
def test_an_output_schema_within_the_rules_has_nothing_against_it(schema: dict[str, Any]) -> None:
    found = check_output_schema(schema)
    assert (found.errors, found.warnings) == ([], [])


def test_what_is_merely_unwise_comes_back_as_a_warning_on_the_run(sandbox: Sandbox) -> None:
    schema = copy.deepcopy(SCHEMA)
    schema["properties"]["sources"] = TEXT
    schema["additionalProperties"] = True
    group = sandbox.group_of(company(1, task_spec=spec_with(schema)))
    (event,) = sandbox.listing(group)
    warnings = event["run"]["warnings"]
    assert {warning["type"] for warning in warnings} == {"spec_validation_warning"}
    texts = " ".join(warning["message"] for warning in warnings)
    assert all(word in texts for word in ("'sources'", "required", "additionalProperties"))
