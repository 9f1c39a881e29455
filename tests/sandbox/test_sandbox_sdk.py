"""The official SDK drives the sandbox, and what is served fits the SDK's types, strictly, nothing left over.

The types are generated from the service's OpenAPI; what that marks as required but the SDK as optional is
listed here.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pydantic
import pytest
from parallel import APIStatusError, AsyncParallel, NotFoundError, Parallel, UnprocessableEntityError
from parallel.types import (
    ErrorEvent,
    TaskGroup,
    TaskGroupRunResponse,
    TaskGroupStatusEvent,
    TaskRun,
    TaskRunEvent,
    TaskRunProgressMessageEvent,
    TaskRunProgressStatsEvent,
    TaskRunResult,
)
from parallel.types.run_input import RunInput
from sandbox_client import SCHEMA, SPEC, Sandbox, company

RUN = {"run_id", "interaction_id", "status", "is_active", "processor", "created_at", "modified_at"}
STATUS = {"num_task_runs", "task_run_status_counts", "is_active", "status_message", "modified_at"}
REQUIRED = {
    TaskRun: RUN,
    TaskGroup: {"taskgroup_id", "status", "created_at"},
    TaskGroupRunResponse: {"status", "run_ids", "run_cursor", "event_cursor"},
    TaskRunEvent: {"type", "event_id", "run"},
    TaskGroupStatusEvent: {"type", "event_id", "status"},
    TaskRunResult: {"run", "output"},
    RunInput: {"processor", "input"},
    TaskRunProgressMessageEvent: {"type", "message", "timestamp"},
    TaskRunProgressStatsEvent: {"type", "source_stats", "progress_meter"},
}
EVENTS = {
    "task_run.state": TaskRunEvent,
    "task_group_status": TaskGroupStatusEvent,
    "error": ErrorEvent,
    "task_run.progress_stats": TaskRunProgressStatsEvent,
    "task_run.progress_msg.plan": TaskRunProgressMessageEvent,
    "task_run.progress_msg.result": TaskRunProgressMessageEvent,
}


def check_fits(data: Any, model: type[pydantic.BaseModel]) -> None:
    """`data` is valid for `model` without any conversion, has what is required and nothing unknown."""
    assert set(data) >= REQUIRED[model]
    for run in [data] if model is TaskRun else [data["run"]] if "run" in data else []:
        assert set(run) >= RUN
    if "status" in data and model is not TaskRun:
        assert set(data["status"]) >= STATUS
    parsed = model.model_validate_json(json.dumps(data), strict=True)
    unknown = [(type(part).__name__, part.model_extra) for part in _models(parsed) if part.model_extra]
    assert unknown == []


def _models(value: Any) -> Iterator[pydantic.BaseModel]:
    if isinstance(value, pydantic.BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _models(getattr(value, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _models(inner)


@pytest.fixture
def sdk(sandbox: Sandbox) -> Iterator[Parallel]:
    transport = httpx.Client(trust_env=False, verify=False)
    with Parallel(api_key="key", base_url=sandbox.base_url, max_retries=0, http_client=transport) as client:
        yield client


@pytest.fixture
async def async_sdk(sandbox: Sandbox) -> AsyncIterator[AsyncParallel]:
    transport = httpx.AsyncClient(trust_env=False, verify=False)
    async with AsyncParallel(api_key="key", base_url=sandbox.base_url, max_retries=0, http_client=transport) as client:
        yield client


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_the_sdk_runs_a_group_to_its_end(sdk: Parallel) -> None:
    group = sdk.task_group.create(metadata={"night": 1})
    inputs = [company(number) for number in range(3)]
    added = sdk.task_group.add_runs(group.task_group_id, inputs=inputs, default_task_spec=SPEC)
    assert added.status.num_task_runs == 3
    events = list(sdk.task_group.events(group.task_group_id))
    assert [event.type for event in events] == ["task_run.state"] * 3 + ["task_group_status"]
    listed = list(sdk.task_group.get_runs(group.task_group_id, include_input=True, include_output=True))
    assert [event.run.run_id for event in listed if event.type == "task_run.state"] == added.run_ids
    assert sdk.task_group.retrieve(group.task_group_id).status.task_run_status_counts == {"completed": 3}
    for event, task in zip(listed, inputs, strict=True):
        assert isinstance(event, TaskRunEvent)
        assert event.input is not None
        assert event.input.input == task["input"]
        assert event.output is not None
        assert event.output.type == "json"
        assert set(event.output.content) == set(SCHEMA["properties"])
    run = sdk.task_group.retrieve_run(added.run_ids[0], task_group_id=group.task_group_id)
    assert run.metadata == {"enrich_task": "task-0"}


def test_the_sdk_runs_a_single_task(sdk: Parallel) -> None:
    run = sdk.task_run.create(input="Who?", processor="core", task_spec=SPEC, enable_events=True)
    assert sdk.task_run.result(run.run_id).output.type == "json"
    assert sdk.task_run.retrieve(run.run_id).status == "completed"
    assert sdk.task_run.retrieve_input(run.run_id).input == "Who?"
    assert list(sdk.task_run.events(run.run_id))[-1].type == "task_run.state"
    text = sdk.task_run.create(input="Who?", processor="lite", task_spec={"output_schema": "A name"})
    assert sdk.task_run.result(text.run_id).output.type == "text"


def test_the_sdk_understands_refusals(sdk: Parallel) -> None:
    with pytest.raises(NotFoundError):
        sdk.task_group.retrieve("no")
    with pytest.raises(UnprocessableEntityError):
        sdk.task_run.create(input="x", processor="core", task_spec={"output_schema": {"type": "auto"}})
    with pytest.raises(APIStatusError) as refused:
        sdk.task_run.create(input="x", processor="unknown", task_spec=SPEC)
    assert refused.value.status_code == 403


@pytest.mark.anyio
async def test_the_async_sdk_runs_a_group_to_its_end(async_sdk: AsyncParallel) -> None:
    group = await async_sdk.task_group.create()
    added = await async_sdk.task_group.add_runs(
        group.task_group_id, inputs=[company(1), company(2)], default_task_spec=SPEC
    )
    events = [event async for event in await async_sdk.task_group.events(group.task_group_id)]
    assert events[-1].type == "task_group_status"
    stream = await async_sdk.task_group.get_runs(group.task_group_id, include_output=True)
    listed = [event async for event in stream]
    assert [event.run.run_id for event in listed if event.type == "task_run.state"] == added.run_ids
    result = await async_sdk.task_run.result(added.run_ids[0])
    assert result.output.basis[0].field == "headquarters"


@pytest.mark.parametrize("prefix", ["/v1", "/v1beta"])
def test_everything_served_fits_the_types_of_the_sdk(sandbox: Sandbox, prefix: str) -> None:
    http = sandbox.http
    created = http.post(f"{prefix}/tasks/groups", json={"metadata": {"a": "b", "n": 1}}).json()
    check_fits(created, TaskGroup)
    path = f"{prefix}/tasks/groups/{created['taskgroup_id']}"
    runs = [
        company(1, source_policy={"include_domains": ["a.example"], "after_date": "2024-01-01"}),
        company(2, task_spec={"output_schema": "text"}),
        company(3, processor="pro", task_spec={"output_schema": {"type": "auto"}}, metadata=None),
        company(4, processor="lite", advanced_settings={"location": "de"}),
    ]
    added = http.post(f"{path}/runs", json={"inputs": runs, "default_task_spec": SPEC}).json()
    check_fits(added, TaskGroupRunResponse)
    check_fits(
        http.post(f"{path}/runs", json={"inputs": [company(5)], "default_task_spec": SPEC}).json(),
        TaskGroupRunResponse,
    )
    check_fits(http.get(path).json(), TaskGroup)
    streams = [
        *sandbox.events(f"{path}/runs", include_input=True, include_output=True),
        *sandbox.events(f"{path}/events"),
    ]
    for run_id in added["run_ids"]:
        check_fits(http.get(f"{path}/runs/{run_id}").json(), TaskRun)
        check_fits(http.get(f"{prefix}/tasks/runs/{run_id}").json(), TaskRun)
        check_fits(http.get(f"{prefix}/tasks/runs/{run_id}/input").json(), RunInput)
        check_fits(http.get(f"{prefix}/tasks/runs/{run_id}/result").json(), TaskRunResult)
        streams += sandbox.events(f"{prefix}/tasks/runs/{run_id}/events")
    single = http.post(f"{prefix}/tasks/runs", json=company(6, task_spec=SPEC, enable_events=True)).json()
    check_fits(single, TaskRun)
    streams += sandbox.events(f"{prefix}/tasks/runs/{single['run_id']}/events")
    assert {event["type"] for event in streams} == set(EVENTS) - {"error"}
    for event in streams:
        check_fits(event, EVENTS[event["type"]])
