"""Ids, states, times and metadata of any length: what is longer than any of the service's own is not kept or shown."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from enrich.api.reading import UnreadableError, decode_body
from enrich.backends.wire import MAX_WORD, AddedRuns, NewGroup, RunRecord, RunResult, decode_event, decode_record
from tests.hostile.evil import Call, Evil, evil, lay
from tests.hostile.measuring import MOST_MB, measured

LONG = "x" * (MAX_WORD + 1)
RUN: dict[str, Any] = {"run_id": "trun_1", "status": "completed"}


def told(run: dict[str, Any], **event: Any) -> bytes:
    return msgspec.json.encode({"type": "task_run.state", "run": run, **event})


@pytest.mark.parametrize("name", ["interaction_id", "taskgroup_id", "processor", "created_at", "modified_at"])
def test_a_long_word_that_can_be_done_without_is_left_out(name: str) -> None:
    whole = decode_event(told({**RUN, name: "x" * MAX_WORD}))
    assert getattr(whole.run, name) == "x" * MAX_WORD
    event = decode_event(told({**RUN, name: LONG}, output={"content": 1}))
    assert (event.run.run_id, getattr(event.run, name), bytes(event.output)) == ("trun_1", None, b'{"content":1}')
    assert getattr(decode_record(json.dumps({**RUN, name: LONG}).encode(), RunRecord), name) is None
    assert getattr(decode_record(json.dumps({"run": {**RUN, name: LONG}}).encode(), RunResult).run, name) is None


def test_a_long_value_of_metadata_is_left_out_and_the_others_stay() -> None:
    event = decode_event(told({**RUN, "metadata": {"enrich_task": "t", "other": LONG, "n": 7}}))
    assert event.run.metadata == {"enrich_task": "t", "n": 7}


@pytest.mark.parametrize("last_id", ["", LONG])
def test_a_long_place_in_a_stream_is_not_gone_back_to(last_id: str) -> None:
    assert decode_event(told(RUN, event_id=LONG), last_id=last_id).event_id is None
    assert decode_event(told(RUN), last_id="7").event_id == "7"


@pytest.mark.parametrize("name", ["run_id", "status"])
def test_a_run_whose_name_or_state_is_long_can_not_be_read(name: str) -> None:
    with pytest.raises(UnreadableError):
        decode_event(told({**RUN, name: LONG}))
    with pytest.raises(UnreadableError):
        decode_record(json.dumps({**RUN, name: LONG}).encode(), RunRecord)


@pytest.mark.parametrize(("kind", "body"), [(NewGroup, {"taskgroup_id": LONG}), (AddedRuns, {"run_ids": ["a", LONG]})])
def test_an_answer_with_a_long_id_can_not_be_read(kind: type, body: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError):
        decode_body(json.dumps(body).encode(), kind)


@pytest.mark.slow
def test_runs_with_long_ids_are_of_unknown_outcome_and_added_once(tmp_path: Path) -> None:
    def attack(service: Evil, call: Call) -> None:
        if call.name == "POST runs":
            group = call.path.split("/")[4]
            ids = [f"trun_{'x' * 200_000}{n}" for n, _ in enumerate(call.body["inputs"])]
            for run_id, given in zip(ids, call.body["inputs"], strict=True):
                service.runs[run_id] = {**given, "group": group}
            call.answer(json.dumps({"run_ids": ids, "status": service.counts(group)}).encode())

    with evil(attack) as service:
        ended = measured(tmp_path, *lay(tmp_path, rows=2), "--deadline", "4s", environ=service.environ)
        assert service.calls["POST runs"] == 1
    assert ended.code == 4, ended.said
    assert ended.peak_mb < MOST_MB
    assert "x" * 2000 not in ended.said + "".join(path.read_text() for path in tmp_path.glob("out.*"))
