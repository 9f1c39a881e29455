"""Groups, runs and events as the JSON of the service."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from enrich.sandbox.answers import Answers, Question
from enrich.sandbox.problems import error_body
from enrich.sandbox.registry import Group, Registry, Run, Status

_NULL = msgspec.Raw(b"null")

Json = Any

_FAILURES = {
    "failed": "The run failed: the sandbox was told to let it fail.",
    "cancelled": "The run was cancelled: the sandbox was told to cancel it.",
}
_ACTIVE = ("queued", "running")


class RunJson(msgspec.Struct):
    """A run as the service shows it."""

    run_id: str
    interaction_id: str
    status: Status
    is_active: bool
    warnings: list[Json] | None
    error: Json
    processor: str
    metadata: msgspec.Raw
    taskgroup_id: str | None
    created_at: str
    modified_at: str


class _RunEvent(msgspec.Struct):
    type: str
    event_id: str | None
    run: RunJson
    input: msgspec.Raw
    output: Json


class _RunResult(msgspec.Struct):
    run: RunJson
    output: Json


class _RunAsItIs(msgspec.Struct):
    run_id: str
    group: str | None
    task: str
    status: Status
    processor: str
    input: Json


class _OnlyMetadata(msgspec.Struct):
    metadata: msgspec.Raw = _NULL


class _OnlyInput(msgspec.Struct):
    input: Json


def timestamp(time: float) -> str:
    """A time in seconds since 1970 as an RFC 3339 text in UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def run_json(run: Run, now: float) -> RunJson:
    """A run at a time."""
    status = run.status(now)
    failure = _FAILURES.get(status) if status == "failed" else None
    spec_warnings = [
        {"type": "spec_validation_warning", "message": text, "detail": None} for text in run.request.spec.warnings
    ]
    return RunJson(
        run_id=run.run_id,
        interaction_id=run.run_id,
        status=status,
        is_active=status in _ACTIVE,
        warnings=spec_warnings or None,
        error=error_body(failure) if failure else None,
        processor=run.request.processor.name,
        metadata=_NULL if run.is_nameless else msgspec.json.decode(run.request.raw, type=_OnlyMetadata).metadata,
        taskgroup_id=run.group.group_id if run.group is not None else None,
        created_at=timestamp(run.created_at),
        modified_at=timestamp(run.modified_at(now)),
    )


def run_event(run: Run, now: float, *, event_id: str | None, with_input: bool, output: Json) -> bytes:
    """A `task_run.state` event; `output` is null unless the run is completed and it was asked for."""
    shown = run.request.raw if with_input else b"null"
    return msgspec.json.encode(_RunEvent("task_run.state", event_id, run_json(run, now), msgspec.Raw(shown), output))


def run_result(run: Run, now: float, output: Json) -> bytes:
    """The answer of the result call."""
    return msgspec.json.encode(_RunResult(run_json(run, now), output))


def run_input(run: Run) -> bytes:
    """The answer of the input call: what was sent, with the task spec that it was run with."""
    if run.request.own_spec:
        return run.request.raw
    shown = msgspec.json.decode(run.request.raw)
    shown["task_spec"] = msgspec.Raw(run.request.spec.raw)
    return msgspec.json.encode(shown)


def output_of(run: Run, answers: Answers, *, element_basis: bool = False) -> dict[str, Json]:
    """The output of a completed run, worked out again each time, with the same outcome."""
    return answers.output(
        Question(
            document=msgspec.json.decode(run.request.raw, type=_OnlyInput).input,
            schema=run.request.spec.schema,
            auto=run.request.spec.auto,
            processor=run.request.processor,
            element_basis=element_basis or run.element_basis,
        )
    )


def status_json(group: Group) -> dict[str, Json]:
    """The status of a group, as of its last `advance`."""
    counts = group.counts()
    return {
        "num_task_runs": len(group.runs),
        "task_run_status_counts": counts,
        "is_active": group.is_active(),
        "status_message": None,
        "modified_at": timestamp(group.modified_at()),
    }


def lagging_status_json(group: Group, now: float, lag_s: float) -> dict[str, Json]:
    """The status of a group whose counts have not heard of the runs of the last `lag_s` seconds."""
    counts: dict[str, int] = {}
    for run in group.runs[: group.created_by(now - lag_s)]:
        counts[run.status(now)] = counts.get(run.status(now), 0) + 1
    return {
        "num_task_runs": sum(counts.values()),
        "task_run_status_counts": counts,
        "is_active": any(status in _ACTIVE for status in counts),
        "status_message": None,
        "modified_at": timestamp(group.modified_at()),
    }


def group_json(group: Group, status: Json) -> bytes:
    """The answer of the calls that create and retrieve a group."""
    return msgspec.json.encode(
        {
            "taskgroup_id": group.group_id,
            "metadata": msgspec.Raw(group.metadata),
            "status": status,
            "created_at": timestamp(group.created_at),
        }
    )


def status_event(event_id: str, status: Json) -> bytes:
    """A `task_group_status` event."""
    return msgspec.json.encode({"type": "task_group_status", "event_id": event_id, "status": status})


def runs_as_they_are(registry: Registry) -> bytes:
    """Every run that the service has, in order of creation: what no fault can hide."""
    now = registry.now()
    return msgspec.json.encode(
        [
            _RunAsItIs(
                run_id=run.run_id,
                group=run.group.group_id if run.group is not None else None,
                task=run.request.task,
                status=run.status(now),
                processor=run.request.processor.name,
                input=msgspec.json.decode(run.request.raw, type=_OnlyInput).input,
            )
            for run in registry.runs.values()
        ]
    )
