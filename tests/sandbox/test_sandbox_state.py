"""The journal: what was acknowledged outlives the process, and what time does to it goes on."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sandbox_client import SPEC, Sandbox, company

from enrich.sandbox import SandboxError, SandboxSettings, running
from enrich.sandbox.service import Service

Start = Callable[..., Sandbox]


def test_groups_and_runs_are_found_again(tmp_path: Path, serve_with: Start) -> None:
    state = tmp_path / "deep" / "state.ndjson"
    with running(SandboxSettings(latency_s=(0, 0), state=state)) as base_url:
        first = serve_with()  # any client will do; only the address changes
        first.http.base_url = base_url
        group = first.group_of(*(company(number) for number in range(3)))
        first.add(group, [company(4, input="a\nb", task_spec={"output_schema": "text"})])
        single = first.http.post("/v1/tasks/runs", json=company(5, task_spec=SPEC)).json()
        before = first.listing(group, include_output=True, include_input=True)
        result = first.http.get(f"/v1/tasks/runs/{single['run_id']}/result").json()
        bill = first.bill()
    second = serve_with(state=state)
    assert second.listing(group, include_output=True, include_input=True) == before
    assert second.http.get(f"/v1/tasks/runs/{single['run_id']}/result").json() == result
    assert second.bill() == bill
    added = second.add(group, [company(6, previous_interaction_id=single["run_id"])]).json()
    assert added["run_cursor"] == "4"
    assert added["run_ids"][0] not in {event["run"]["run_id"] for event in before}


def test_a_pretty_printed_body_is_journaled_on_one_line(tmp_path: Path, serve_with: Start) -> None:
    state = tmp_path / "state.ndjson"
    sandbox = serve_with(state=state)
    group = sandbox.create_group()
    body = b'{\n"inputs": [{"processor": "lite",\r\n"input": "x"}],\n'
    body += b'"default_task_spec":\n{"output_schema": "y"}}'
    assert sandbox.http.post(f"/v1/tasks/groups/{group}/runs", content=body).status_code == 200
    assert len(state.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("torn", [1, 20, 200])
def test_a_torn_last_line_was_never_acknowledged(tmp_path: Path, torn: int) -> None:
    state = tmp_path / "state.ndjson"
    settings = SandboxSettings(state=state)
    service = Service(settings, clock=lambda: 1000.0)
    group = service.registry.create_group(b"null")
    whole = state.stat().st_size
    service.registry.add_runs(group, service.parser.add_runs(_body(2)), element_basis=False)
    service.close()
    with state.open("r+b") as file:
        file.truncate(state.stat().st_size - torn)
    again = Service(settings, clock=lambda: 1000.0)
    assert again.group(group.group_id).runs == []
    assert state.stat().st_size == whole
    again.close()


def test_a_run_goes_on_while_the_sandbox_is_away(tmp_path: Path) -> None:
    settings = SandboxSettings(latency_s=(10, 10), state=tmp_path / "state.ndjson")
    service = Service(settings, clock=lambda: 1000.0)
    group = service.registry.create_group(b"null")
    (run_id,) = service.registry.add_runs(group, service.parser.add_runs(_body(1)), element_basis=False)
    assert service.run(run_id).status(1009.9) in ("queued", "running")
    finished_at = service.run(run_id).finished_at
    service.close()
    later = Service(settings, clock=lambda: 2000.0)
    assert later.run(run_id).status(2000.0) == "completed"
    assert later.run(run_id).finished_at == finished_at == 1010.0
    later.close()


def test_runs_that_were_promised_for_later_appear_in_their_order(tmp_path: Path) -> None:
    now = 1000.0
    settings = SandboxSettings(latency_s=(0, 0), state=tmp_path / "state.ndjson")
    service = Service(settings, clock=lambda: now)
    group = service.registry.create_group(b"null")
    late = service.registry.add_runs(group, service.parser.add_runs(_body(1)), element_basis=False, delay_s=5.0)
    soon = service.registry.add_runs(group, service.parser.add_runs(_body(1)), element_basis=False)
    assert [run.run_id for run in service.group(group.group_id).runs] == soon
    now = 1005.0
    assert [run.run_id for run in service.group(group.group_id).runs] == soon + late
    service.close()
    again = Service(settings, clock=lambda: now)
    assert [run.run_id for run in again.group(group.group_id).runs] == soon + late
    again.close()


def test_two_sandboxes_never_share_a_state_file(tmp_path: Path) -> None:
    settings = SandboxSettings(state=tmp_path / "state.ndjson")
    service = Service(settings, clock=lambda: 0.0)
    with pytest.raises(SandboxError, match="another sandbox is using"):
        Service(settings, clock=lambda: 0.0)
    service.close()
    Service(settings, clock=lambda: 0.0).close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("company,city\n", r":1: not a sandbox's state file", id="another-file"),
        pytest.param('{"enrich_sandbox": 2, "nonce": "x"}\n', r":1: state of format 2", id="another-format"),
        pytest.param('{"enrich_sandbox": 1, "nonce": "x"}\n{"a\n{"at": 1}\n', r":2: not a line", id="damaged"),
    ],
)
def test_a_file_that_is_no_state_is_refused(tmp_path: Path, text: str, words: str) -> None:
    state = tmp_path / "state.ndjson"
    state.write_text(text)
    with pytest.raises(SandboxError, match=words):
        Service(SandboxSettings(state=state), clock=lambda: 0.0)
    assert state.read_text() == text


def test_a_state_file_is_its_owners_alone(tmp_path: Path) -> None:
    state = tmp_path / "state.ndjson"
    Service(SandboxSettings(state=state), clock=lambda: 0.0).close()
    assert state.stat().st_mode & 0o777 == 0o600


def _body(runs: int) -> bytes:
    inputs = [company(number) for number in range(runs)]
    return msgspec.json.encode({"inputs": inputs, "default_task_spec": SPEC})
