"""The calls as they go over the wire: counts, cursors, filters, statuses, refusals."""

from collections.abc import Callable

import httpx
import pytest
from sandbox_client import SCHEMA, SPEC, Sandbox, company, events_of

from enrich.sandbox import Quota, SandboxError, parse_quota
from enrich.sandbox.quota import Meter, Verdict

Start = Callable[..., Sandbox]


def test_a_new_group_is_empty_and_inactive(sandbox: Sandbox) -> None:
    created = sandbox.http.post("/v1/tasks/groups", json={"metadata": {"night": 1}}).json()
    assert created["metadata"] == {"night": 1}
    assert created["status"]["num_task_runs"] == 0
    assert created["status"]["task_run_status_counts"] == {}
    assert created["status"]["is_active"] is False
    assert sandbox.http.get(f"/v1/tasks/groups/{created['taskgroup_id']}").json() == created


def test_added_runs_come_back_in_order_with_cursors_that_stand_before_them(sandbox: Sandbox) -> None:
    group = sandbox.create_group()
    first = sandbox.add(group, [company(1), company(2)]).json()
    second = sandbox.add(group, [company(3)]).json()
    assert (first["run_cursor"], first["event_cursor"]) == (None, None)
    assert second["status"]["num_task_runs"] == 3
    listed = [event["run"]["run_id"] for event in sandbox.listing(group)]
    assert listed == first["run_ids"] + second["run_ids"]
    after = sandbox.listing(group, last_event_id=second["run_cursor"])
    assert [event["run"]["run_id"] for event in after] == second["run_ids"]
    ended = sandbox.events(f"/v1/tasks/groups/{group}/events", last_event_id=second["event_cursor"])
    assert [event["run"]["run_id"] for event in ended if event["type"] == "task_run.state"] == second["run_ids"]


def test_an_add_that_does_not_refresh_the_status_tells_the_old_one(sandbox: Sandbox) -> None:
    group = sandbox.create_group()
    answer = sandbox.add(group, [company(1)], refresh_status="false").json()
    assert answer["status"]["num_task_runs"] == 0
    assert sandbox.status(group)["num_task_runs"] == 1


def test_a_listing_is_a_snapshot_with_unfinished_runs(serve_with: Start) -> None:
    sandbox = serve_with(latency_s=(100.0, 100.0))
    group = sandbox.group_of(company(1), company(2))
    events = sandbox.listing(group, include_output=True, include_input=True)
    assert {event["run"]["status"] for event in events} <= {"queued", "running"}
    assert [event["output"] for event in events] == [None, None]
    assert [event["input"]["input"] for event in events] == [company(1)["input"], company(2)["input"]]
    assert sandbox.status(group)["is_active"] is True


def test_a_listing_resumes_after_any_event(sandbox: Sandbox) -> None:
    group = sandbox.group_of(*(company(number) for number in range(5)))
    events = sandbox.listing(group, include_output=True)
    for place, event in enumerate(events, start=1):
        rest = sandbox.listing(group, include_output=True, last_event_id=event["event_id"])
        assert rest == events[place:]


@pytest.mark.parametrize(
    ("status", "count"),
    [pytest.param("completed", 2, id="completed"), pytest.param("failed", 0, id="failed")],
)
def test_a_listing_can_be_filtered_by_status(sandbox: Sandbox, status: str, count: int) -> None:
    group = sandbox.group_of(company(1), company(2))
    assert len(sandbox.listing(group, status=status)) == count


def test_events_are_live_and_end_when_the_group_is_done(serve_with: Start) -> None:
    sandbox = serve_with(latency_s=(0.05, 0.3))
    group = sandbox.group_of(*(company(number) for number in range(20)))
    events = sandbox.events(f"/v1/tasks/groups/{group}/events")
    kinds = [event["type"] for event in events]
    runs = [event for event in events if event["type"] == "task_run.state"]
    assert kinds[0] == kinds[-1] == "task_group_status"
    assert kinds.count("task_group_status") > 2
    assert [event["event_id"] for event in runs] == [str(place) for place in range(1, 21)]
    assert {event["run"]["status"] for event in runs} == {"completed"}
    assert {event["output"] for event in runs} == {None}
    assert events[0]["status"]["is_active"] is True
    assert events[-1]["status"]["task_run_status_counts"] == {"completed": 20}


def test_events_resume_after_any_run(sandbox: Sandbox) -> None:
    group = sandbox.group_of(*(company(number) for number in range(4)))
    path = f"/v1/tasks/groups/{group}/events"
    runs = [event for event in sandbox.events(path) if event["type"] == "task_run.state"]
    rest = sandbox.events(path, last_event_id=runs[1]["event_id"])
    assert [event for event in rest if event["type"] == "task_run.state"] == runs[2:]


def test_silent_events_send_comments_and_stop_after_their_timeout(serve_with: Start) -> None:
    sandbox = serve_with(latency_s=(100.0, 100.0), keep_alive_s=0.05)
    group = sandbox.group_of(company(1))
    content = sandbox.http.get(f"/v1/tasks/groups/{group}/events", params={"timeout": 0.4}).content
    assert content.count(b": keep-alive\n\n") >= 2
    assert len(events_of(content)) <= 2


def test_the_result_of_a_run_is_what_the_listing_says(sandbox: Sandbox) -> None:
    group = sandbox.group_of(company(1))
    (event,) = sandbox.listing(group, include_output=True)
    run_id = event["run"]["run_id"]
    result = sandbox.http.get(f"/v1/tasks/runs/{run_id}/result").json()
    assert result == {"run": event["run"], "output": event["output"]}
    assert sandbox.http.get(f"/v1/tasks/runs/{run_id}").json() == event["run"]
    assert sandbox.http.get(f"/v1/tasks/groups/{group}/runs/{run_id}").json() == event["run"]


def test_the_input_of_a_run_comes_back_with_its_task_spec(sandbox: Sandbox) -> None:
    group = sandbox.group_of(company(1))
    (event,) = sandbox.listing(group)
    shown = sandbox.http.get(f"/v1/tasks/runs/{event['run']['run_id']}/input").json()
    assert shown == {**company(1), "task_spec": SPEC}


def test_a_result_that_is_not_ready_in_time_is_408(serve_with: Start) -> None:
    sandbox = serve_with(latency_s=(100.0, 100.0))
    run = sandbox.http.post("/v1/tasks/runs", json=company(1, task_spec=SPEC)).json()
    assert run["status"] in {"queued", "running"}
    answer = sandbox.http.get(f"/v1/tasks/runs/{run['run_id']}/result", params={"timeout": 0})
    assert answer.status_code == 408
    assert answer.json()["error"]["message"] == "Request timed out; run still active"


def test_a_result_is_waited_for(serve_with: Start) -> None:
    sandbox = serve_with(latency_s=(0.1, 0.1))
    run = sandbox.http.post("/v1/tasks/runs", json=company(1, task_spec=SPEC)).json()
    result = sandbox.http.get(f"/v1/tasks/runs/{run['run_id']}/result").json()
    assert result["run"]["status"] == "completed"
    assert set(result["output"]["content"]) == set(SCHEMA["properties"])


def test_the_events_of_a_single_run_end_with_its_output(serve_with: Start) -> None:
    sandbox = serve_with(latency_s=(0.1, 0.1))
    run = sandbox.http.post("/v1/tasks/runs", json=company(1, task_spec=SPEC, enable_events=True)).json()
    for prefix in ("/v1", "/v1beta"):
        events = sandbox.events(f"{prefix}/tasks/runs/{run['run_id']}/events")
        assert [event["type"] for event in events] == [
            "task_run.state",
            "task_run.progress_msg.plan",
            "task_run.progress_msg.result",
            "task_run.progress_stats",
            "task_run.state",
        ]
        assert events[0]["output"] is None
        assert events[-1]["output"]["type"] == "json"


@pytest.mark.parametrize("where", [pytest.param("post", id="on-the-post"), pytest.param("get", id="on-the-get")])
def test_list_elements_have_a_basis_only_with_the_beta_header(sandbox: Sandbox, where: str) -> None:
    beta = {"parallel-beta": "other,field-basis-2025-11-25"}
    for number in range(20):  # some lists are empty
        body = company(number, task_spec=SPEC)
        run = sandbox.http.post("/v1/tasks/runs", json=body, headers=beta if where == "post" else {}).json()
        path = f"/v1/tasks/runs/{run['run_id']}/result"
        output = sandbox.http.get(path, headers=beta if where == "get" else {}).json()["output"]
        names = [entry["field"] for entry in output["basis"]]
        expected = [f"products.{place}" for place in range(len(output["content"]["products"]))]
        assert names == ["headquarters", "founded_year", "products", *expected]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        pytest.param("GET", "/v1/tasks/groups/no", 404, "TaskGroup not found", id="group"),
        pytest.param("GET", "/v1/tasks/groups/no/runs", 404, "TaskGroup not found", id="listing"),
        pytest.param("GET", "/v1/tasks/groups/no/events", 404, "TaskGroup not found", id="events"),
        pytest.param("POST", "/v1beta/tasks/groups/no/runs", 404, "TaskGroup not found", id="add"),
        pytest.param("GET", "/v1/tasks/runs/no", 404, "Run id not found", id="run"),
        pytest.param("GET", "/v1/tasks/runs/no/result", 404, "Run id not found", id="result"),
    ],
)
def test_what_is_not_there_is_404(sandbox: Sandbox, method: str, path: str, status: int, message: str) -> None:
    answer = sandbox.http.request(method, path, json={"inputs": []} if method == "POST" else None)
    assert answer.status_code == status
    body = answer.json()
    assert (body["type"], body["error"]["message"]) == ("error", message)
    assert set(body["error"]) == {"ref_id", "message", "detail"}


def test_a_run_is_found_only_in_its_own_group(sandbox: Sandbox) -> None:
    (event,) = sandbox.listing(sandbox.group_of(company(1)))
    other = sandbox.create_group()
    answer = sandbox.http.get(f"/v1/tasks/groups/{other}/runs/{event['run']['run_id']}")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("api_key", "sent", "status"),
    [
        pytest.param(None, "anything", 200, id="any-key"),
        pytest.param(None, "", 401, id="empty-key"),
        pytest.param(None, None, 401, id="no-key"),
        pytest.param("right", "right", 200, id="right-key"),
        pytest.param("right", "wrong", 401, id="wrong-key"),
    ],
)
def test_the_key_is_checked(serve_with: Start, api_key: str | None, sent: str | None, status: int) -> None:
    sandbox = serve_with(api_key=api_key)
    headers = {} if sent is None else {"x-api-key": sent}
    answer = httpx.post(f"{sandbox.base_url}/v1/tasks/groups", json={}, headers=headers, trust_env=False, verify=False)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", "/v1/tasks/groups", id="call"),
        pytest.param("GET", "/v1/tasks/groups/no", id="refusal"),
        pytest.param("GET", "/nowhere", id="no-such-path"),
        pytest.param("DELETE", "/v1/tasks/groups", id="no-such-method"),
        pytest.param("GET", "/sandbox/bill", id="bill"),
        pytest.param("GET", "/sandbox/requests", id="requests"),
        pytest.param("GET", "/sandbox/runs", id="runs"),
    ],
)
def test_every_answer_says_that_it_is_the_sandboxs(sandbox: Sandbox, method: str, path: str) -> None:
    assert sandbox.http.request(method, path).headers["x-enrich-sandbox"] == "1"


def test_runs_are_counted_against_a_quota_whatever_creates_them(serve_with: Start) -> None:
    sandbox = serve_with(quota=Quota(4, 60))
    group = sandbox.create_group()
    answers = [sandbox.add(group, [company(1), company(2), company(3)])]
    answers.append(sandbox.add(group, [company(4), company(5)]))  # fits only in part, and is refused whole
    answers.append(sandbox.http.post("/v1beta/tasks/runs", json=company(6, task_spec=SPEC)))
    answers.append(sandbox.add(group, [company(7)]))
    assert [answer.is_success for answer in answers] == [True, False, True, False]
    assert [answer.status_code for answer in answers[1::2]] == [429, 429]
    assert 50 <= int(answers[-1].headers["retry-after"]) <= 60
    assert sandbox.status(group)["num_task_runs"] == 3
    assert sandbox.bill()["runs"] == 4


def test_an_add_may_be_taken_in_part_and_refused_all_the_same(serve_with: Start) -> None:
    sandbox = serve_with(quota=Quota(4, 60, partly=True, is_silent=True))
    group = sandbox.create_group()
    sandbox.add(group, [company(number) for number in range(3)])
    answer = sandbox.add(group, [company(3), company(4), company(5)])
    assert (answer.status_code, "retry-after" in answer.headers) == (429, False)
    assert sandbox.status(group)["num_task_runs"] == 4


@pytest.mark.parametrize(("counts", "status"), [(False, 200), (True, 429)])
def test_what_is_refused_counts_or_not(serve_with: Start, counts: bool, status: int) -> None:
    sandbox = serve_with(quota=Quota(3, 60, counts_refused=counts))
    group = sandbox.create_group()
    assert sandbox.add(group, [company(number) for number in range(4)]).status_code == 429
    assert sandbox.add(group, [company(number) for number in range(3)]).status_code == status


def test_a_quota_is_of_a_rolling_window() -> None:
    meter = Meter(Quota(10, 60))
    assert meter.take(6, 0.0) == Verdict(6, None)
    assert meter.take(4, 30.0) == Verdict(4, None)
    assert meter.take(4, 59.0) == Verdict(0, 1)  # when the first six are no longer in it
    assert meter.take(8, 59.0) == Verdict(0, 31)
    assert meter.take(11, 59.0) == Verdict(0, 60)
    assert meter.take(6, 60.0) == Verdict(6, None)
    assert meter.take(1, 89.9) == Verdict(0, 1)
    assert meter.take(4, 90.0) == Verdict(4, None)


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("2000/60", Quota(2000, 60.0)),
        ("1/0.5,partly", Quota(1, 0.5, partly=True)),
        ("9/1,count-refused,no-retry-after", Quota(9, 1.0, counts_refused=True, is_silent=True)),
    ],
)
def test_a_quota_as_it_is_written(text: str, quota: Quota) -> None:
    assert parse_quota(text) == quota


@pytest.mark.parametrize("text", ["", "2000", "2000/m", "-1/60", "1/60,whole", "1/60,"])
def test_what_is_no_quota_is_refused(text: str) -> None:
    with pytest.raises(SandboxError, match="expected RUNS/SECONDS such as 2000/60"):
        parse_quota(text)


def test_a_share_of_the_runs_takes_longer(serve_with: Start) -> None:
    sandbox = serve_with(latency_s=(0.0, 0.0), slow_share=0.2, slow_s=(600.0, 600.0))
    group = sandbox.group_of(*[company(number) for number in range(100)])
    counts = sandbox.status(group)["task_run_status_counts"]
    assert 10 <= sum(counts.get(state, 0) for state in ("queued", "running")) <= 30


def test_requests_are_counted_by_method_and_route(sandbox: Sandbox) -> None:
    group = sandbox.group_of(company(1))
    sandbox.listing(group)
    sandbox.listing(group)
    assert sandbox.http.get("/sandbox/requests").json() == {
        "POST /v1/tasks/groups": 1,
        "POST /v1/tasks/groups/{taskgroup_id}/runs": 1,
        "GET /v1/tasks/groups/{taskgroup_id}/runs": 2,
    }


def test_every_run_can_be_seen_as_it_is_whatever_a_listing_shows(serve_with: Start) -> None:
    sandbox = serve_with(faults=("listing-lag=1m", "run-failed=1x"))
    group = sandbox.group_of(company(1), company(2))
    assert sandbox.listing(group) == []
    runs = sandbox.http.get("/sandbox/runs").json()
    assert [(run["task"], run["status"], run["input"]["company_name"]) for run in runs] == [
        ("task-1", "failed", "Company 1"),
        ("task-2", "completed", "Company 2"),
    ]
    assert {(run["group"], run["processor"]) for run in runs} == {(group, "core")}


def test_the_bill_counts_runs_dollars_and_doubles(sandbox: Sandbox) -> None:
    group = sandbox.group_of(company(1), company(2), company(3, processor="lite"))
    again = sandbox.add(group, [company(1, processor="pro")]).json()["run_ids"]
    other = sandbox.group_of({"input": {"b": 1, "a": 2}, "processor": "core"})
    sandbox.add(other, [{"input": {"a": 2, "b": 1}, "processor": "core-fast"}])
    bill = sandbox.bill()
    assert bill["runs"] == bill["runs_charged"] == 6
    assert bill["usd"] == "0.205"
    assert bill["usd_reserved"] == "0"
    assert bill["runs_charged_by_processor"] == {"core": 3, "core-fast": 1, "lite": 1, "pro": 1}
    assert bill["runs_by_task"] == {
        "task-1": 2,
        "task-2": 1,
        "task-3": 1,
        '{"a":2,"b":1} core': 1,
        '{"a":2,"b":1} core-fast': 1,
    }
    (double,) = bill["doubles"]
    assert (double["task"], double["run_ids"][1:], double["usd"]) == ("task-1", again, "0.100")
    assert "runs_by_task" not in sandbox.http.get("/sandbox/bill", params={"tasks": False}).json()


def test_runs_under_way_are_reserved_not_charged(serve_with: Start) -> None:
    sandbox = serve_with(latency_s=(100.0, 100.0))
    sandbox.group_of(company(1), company(2))
    bill = sandbox.bill()
    assert (bill["usd"], bill["usd_reserved"]) == ("0", "0.050")


def test_headers_of_mcp_servers_are_never_given_back(sandbox: Sandbox) -> None:
    server = {
        "type": "url",
        "url": "https://mcp.example",
        "name": "m",
        "headers": {"authorization": "secret"},
    }
    group = sandbox.group_of(company(1, mcp_servers=[server]))
    (event,) = sandbox.listing(group, include_input=True)
    shown = sandbox.http.get(f"/v1/tasks/runs/{event['run']['run_id']}/input").json()
    for task in (event["input"], shown):
        assert task["mcp_servers"] == [{"type": "url", "url": "https://mcp.example", "name": "m"}]
