"""What the service sends becomes typed, whatever it adds or leaves out."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from enrich.api.reading import UnreadableError
from enrich.backends.wire import (
    AddedRuns,
    ErrorBody,
    ErrorEvent,
    Group,
    GroupStatus,
    GroupStatusEvent,
    RunEvent,
    RunRecord,
    decode_event,
    decode_record,
    decode_result,
)
from enrich.text.weight import MAX_BYTES, MAX_VALUES

RUN = (
    b'{"run_id": "trun_1", "interaction_id": "trun_i", "status": "completed", "is_active": false, '
    b'"processor": "core", "metadata": {"k": "v", "n": 1}, "created_at": "2025-04-23T20:21:48.037943Z", '
    b'"modified_at": null, "new_field": {"a": 1}}'
)


def test_a_run_event_keeps_output_and_input_as_they_came() -> None:
    data = b'{"type": "task_run.state", "event_id": "12", "run": %s, "output": {"a" : 1.0 }, "input":{}}' % RUN
    event = decode_event(data)
    assert isinstance(event, RunEvent)
    assert event.run == RunRecord(
        run_id="trun_1",
        status="completed",
        is_active=False,
        processor="core",
        metadata={"k": "v", "n": 1},
        interaction_id="trun_i",
        created_at="2025-04-23T20:21:48.037943Z",
    )
    assert (event.event_id, bytes(event.output), bytes(event.input)) == ("12", b'{"a" : 1.0 }', b"{}")
    assert event.data == data


@pytest.mark.parametrize(
    ("json_id", "sse_id", "expected"),
    [
        pytest.param(b'"a"', "b", "a", id="JSON wins"),
        pytest.param(b"null", "b", "b", id="null in JSON"),
        pytest.param(None, "b", "b", id="none in JSON"),
        pytest.param(None, "", None, id="none at all"),
    ],
)
def test_the_event_id_may_stand_in_either_place(json_id: bytes | None, sse_id: str, expected: str | None) -> None:
    given = b'"event_id": %s, ' % json_id if json_id else b""
    event = decode_event(b'{%s"run": %s, "type": "task_run.state"}' % (given, RUN), last_id=sse_id)
    assert event is not None
    assert event.event_id == expected


def test_group_status_and_error_events() -> None:
    status = b'{"num_task_runs": 2, "task_run_status_counts": {"completed": 2}, "is_active": false}'
    assert decode_event(b'{"type":"task_group_status","event_id":"1","status":%s}' % status) == GroupStatusEvent(
        GroupStatus(2, {"completed": 2}, False), "1"
    )
    assert decode_event(b'{"type":"error","error":{"ref_id":"r","message":"m","detail":null}}') == ErrorEvent(
        ErrorBody("m", "r", Raw(b"null"))
    )


def test_unknown_kinds_are_skipped() -> None:
    assert decode_event(b'{"type": "task_run.progress_stats", "run": 7}') is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[DONE]", id="no JSON"),
        pytest.param(b'{"type": "task_run.state", "run"', id="cut"),
        pytest.param(b'{"type": "task_run.state"}', id="no run"),
        pytest.param(b'{"type": "task_run.state", "run": {"status": "completed"}}', id="no run id"),
        pytest.param(b'{"run": {"run_id": "a", "status": "completed"}}', id="no type"),
        pytest.param(b'{"type": "task_run.state", "run": ' + b"[" * 100_000, id="too deep"),
        pytest.param(b'{"type": "error", "error": {"detail": ' + b"[" * 100_000, id="too deep, kept raw"),
        pytest.param(b"null", id="null"),
    ],
)
def test_an_event_that_cannot_be_read_is_never_dropped(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        decode_event(data)


def test_bytes_that_are_no_utf8_are_replaced_also_where_they_are_kept() -> None:
    event = decode_event(b'{"type": "task_run.state", "run": %s, "output": "\xff\xc3"}' % RUN)
    assert isinstance(event, RunEvent)
    assert msgspec.json.decode(event.output) == "\ufffd\ufffd"
    assert event.data.isascii() is False


def test_null_fields_are_no_fault() -> None:
    run = msgspec.json.decode(
        b'{"run_id":"a","status":"failed","is_active":null,"processor":null,"metadata":null,"warnings":null,'
        b'"error":{"ref_id":null,"message":null,"detail":{"x":1}},"interaction_id":null}',
        type=RunRecord,
    )
    assert run.error == ErrorBody(None, None, Raw(b'{"x":1}'))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b'{"taskgroup_id": "g"}', Group, id="a group without counts"),
        pytest.param(b'{"taskgroup_id": "g", "status": {"is_active": false}}', Group, id="no number of runs"),
        pytest.param(b'{"run_cursor": "c"}', AddedRuns, id="no run ids"),
        pytest.param(b'{"run_ids": [null]}', AddedRuns, id="a run id that is none"),
    ],
)
def test_what_a_caller_cannot_do_without_is_required(body: bytes, kind: type) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=kind)


def test_of_metadata_only_what_does_not_fit_is_left_out() -> None:
    run = b'{"run_id":"a","status":"completed","metadata":{"enrich_task":"t","vendor":{"a":[1]},"n":2}}'
    event = decode_event(b'{"type": "task_run.state", "run": %s}' % run)
    assert isinstance(event, RunEvent)
    assert event.run.metadata == {"enrich_task": "t", "n": 2}


@pytest.mark.parametrize("count", [b'"7"', b"7.0"])
def test_a_count_is_read_in_whatever_form_it_comes(count: bytes) -> None:
    group = decode_record(b'{"taskgroup_id": "g", "status": {"num_task_runs": %b}}' % count, Group)
    assert group.status.num_task_runs == 7


@pytest.mark.parametrize(
    "content", [b'"' + b"x" * MAX_BYTES + b'"', b"[" + b"1," * MAX_VALUES + b"1]"], ids=["long", "many"]
)
def test_a_result_that_is_too_heavy_to_be_mended_is_kept_as_it_came(content: bytes) -> None:
    sound = b'{"run": %s, "output": {"content": {"a": %s}}}' % (RUN, content)
    assert decode_result(sound, "trun_1").run.processor == "core"
    odd = b'{"run": %s, "output": {"content": {"b": NaN, "a": %s}}}' % (RUN, content)
    kept = decode_result(odd, "trun_1")
    assert (kept.run, bytes(kept.output)) == (RunRecord("trun_1", "completed"), odd)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"run": NaN, "run_id": "trun_1"}', id="light"),
        pytest.param(b'{"run": NaN, "run_id": "trun_2", "output": "%b"}' % (b"x" * MAX_BYTES), id="of-another-run"),
        pytest.param(b"<html>trun_1 %b</html>" % (b"x" * MAX_BYTES), id="no-object"),
    ],
)
def test_a_body_that_is_no_result_of_the_run_is_not_kept(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        decode_result(body, "trun_1")
