"""Each fault does what its sentence says, when it was asked to, and the same for the same seed."""

import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from sandbox_client import SCHEMA, SPEC, Sandbox, company, events_of

from enrich.sandbox import SandboxError, describe_faults
from enrich.sandbox.faults import FaultPlan, When, parse_fault
from enrich.sandbox.tampering import HOSTILE_LINKS, HOSTILE_TEXTS, SEPARATORS

Start = Callable[..., Sandbox]


def companies(count: int) -> list[Any]:
    return [company(number) for number in range(count)]


def raw_listing(sandbox: Sandbox, group: str, **query: Any) -> bytes:
    path = f"/v1/tasks/groups/{group}/runs"
    return sandbox.http.get(path, params={"include_output": True, **query}).raise_for_status().content


def outputs(sandbox: Sandbox, count: int = 3) -> list[Any]:
    group = sandbox.group_of(*companies(count))
    return [event["output"] for event in sandbox.listing(group, include_output=True)]


# when a fault strikes


@pytest.mark.parametrize(
    ("text", "value", "when"),
    [
        pytest.param("late", 5.0, When(), id="default"),
        pytest.param("late=250ms", 0.25, When(), id="parameter"),
        pytest.param("late=0.5", 5.0, When(probability=0.5), id="probability"),
        pytest.param("late=2m,20%", 120.0, When(probability=0.2), id="parameter-and-percent"),
        pytest.param("late=3x", 5.0, When(times=3), id="times"),
        pytest.param("late=@5", 5.0, When(first=4), id="beginning"),
        pytest.param("late=1s,3x@5", 1.0, When(first=4, times=3), id="window"),
        pytest.param("partial=3", 3, When(), id="count-is-no-when"),
        pytest.param("error-after=503,1x", "503", When(times=1), id="status"),
        pytest.param("no-credit=0.5usd", "0.5usd", When(), id="limit"),
        pytest.param("run-failed", "", When(), id="no-parameter"),
        pytest.param("run-failed=100%", "", When(probability=1.0), id="every"),
    ],
)
def test_a_fault_is_written_like_this(text: str, value: Any, when: When) -> None:
    fault = parse_fault(text)
    assert (fault.value, fault.when) == (value, when)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("gremlins", "unknown fault 'gremlins'; known: unauthorized, ", id="name"),
        pytest.param("late=soon", "can't read 'soon'; write late[=[DURATION],WHEN]", id="parameter"),
        pytest.param("late=1s,2s", "can't read '2s'", id="two-parameters"),
        pytest.param("run-failed=often", "can't read 'often'; write run-failed[=WHEN]", id="no-parameter"),
        pytest.param("run-failed=@0", "can't read '@0'", id="zeroth"),
        pytest.param("run-failed=120%", "can't read '120%'", id="over-100"),
        pytest.param("error-after=200", "can't read '200'", id="status"),
        pytest.param("no-credit=5eur", "can't read '5eur'", id="limit"),
        pytest.param("no-credit=xusd", "can't read 'xusd'", id="amount"),
        pytest.param("listing-lag=0.5", "can't read '0.5'; write listing-lag[=DURATION]", id="no-when"),
        pytest.param("listing-by-change=1x", "write listing-by-change", id="no-value"),
    ],
)
def test_a_fault_that_is_not_one_is_refused_with_what_to_write(serve_with: Start, text: str, words: str) -> None:
    with pytest.raises(SandboxError) as error:
        serve_with(faults=(text,))
    assert words in str(error.value)


def test_a_fault_strikes_as_often_as_it_was_asked_to() -> None:
    plan = FaultPlan(["late=2x@3", "late=9s,1x", "error-before=0.3"], seed=1)
    struck = [plan.take("late") for _ in range(6)]
    assert [fault.number if fault else None for fault in struck] == [9.0, None, 5.0, 5.0, None, None]
    assert plan.take("partial") is None
    share = sum(plan.take("error-before") is not None for _ in range(2_000)) / 2_000
    assert 0.26 < share < 0.34


def test_chance_is_drawn_by_the_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        plan = FaultPlan(["error-before=50%"], seed)
        return [plan.take("error-before") is not None for _ in range(64)]

    assert drawn(1) == drawn(1) != drawn(2)


def test_which_runs_a_fault_strikes_does_not_depend_on_their_order(serve_with: Start) -> None:
    ended = []
    for order in (range(40), reversed(range(40))):
        sandbox = serve_with(faults=("run-failed=0.3",))
        group = sandbox.group_of(*(company(number) for number in order))
        ended.append({e["run"]["metadata"]["enrich_task"]: e["run"]["status"] for e in sandbox.listing(group)})
    assert ended[0] == ended[1]
    assert 3 < list(ended[0].values()).count("failed") < 25


def test_every_fault_has_a_test_and_a_sentence() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    for kind in describe_faults():
        assert f'"{kind.name}' in source, kind.name
        assert kind.sentence.endswith(".")
        parse_fault(kind.name)


@pytest.mark.parametrize(
    ("fault", "status", "made"),
    [
        pytest.param("refused-after", 429, 3, id="whole"),
        pytest.param("refused-after=402", 402, 3, id="credit"),
        pytest.param("refused-partial=2", 429, 2, id="in part"),
        pytest.param("refused-late=100ms", 429, 3, id="later"),
    ],
)
def test_what_is_refused_may_have_taken_effect(serve_with: Start, fault: str, status: int, made: int) -> None:
    sandbox = serve_with(faults=(fault,))
    group = sandbox.create_group()
    assert sandbox.add(group, [company(number) for number in range(3)]).status_code == status
    end = time.monotonic() + 5
    while sandbox.status(group)["num_task_runs"] < made and time.monotonic() < end:
        time.sleep(0.01)
    assert sandbox.status(group)["num_task_runs"] == made


# refusals: nothing is created


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 409])
def test_error_before_creates_nothing(serve_with: Start, status: int) -> None:
    sandbox = serve_with(faults=(f"error-before={status},1x",))
    group = sandbox.create_group()
    assert sandbox.add(group, companies(2)).status_code == status
    assert sandbox.bill()["runs"] == 0
    assert sandbox.add(group, companies(2)).status_code == 200


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 409])
def test_error_after_has_created_the_runs(serve_with: Start, status: int) -> None:
    sandbox = serve_with(faults=(f"error-after={status},1x",))
    group = sandbox.create_group()
    answer = sandbox.add(group, companies(2))
    assert (answer.status_code, answer.json()["type"]) == (status, "error")
    assert len(sandbox.listing(group)) == 2


def test_unauthorized_midway(serve_with: Start) -> None:
    sandbox = serve_with(faults=("unauthorized=2x@3",))
    codes = [sandbox.http.post("/v1/tasks/groups", json={}).status_code for _ in range(5)]
    assert codes == [200, 200, 401, 401, 200]


def test_forbidden_creates_nothing(serve_with: Start) -> None:
    sandbox = serve_with(faults=("forbidden=1x",))
    group = sandbox.create_group()
    assert [sandbox.add(group, companies(1)).status_code for _ in range(2)] == [403, 200]
    assert sandbox.bill()["runs"] == 1


def test_rate_limited_has_four_forms_of_retry_after(serve_with: Start) -> None:
    forms = ("seconds", "date", "absent", "absurd")
    faults = [f"rate-limited={form},1x@{place}" for place, form in enumerate(forms, start=1)]
    sandbox = serve_with(faults=tuple(faults))
    group = sandbox.create_group()
    answers = [sandbox.add(group, companies(1)) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [429, 429, 429, 429, 200]
    seconds, date, absent, absurd = (answer.headers.get("retry-after") for answer in answers[:4])
    assert (seconds, absent) == ("1", None)
    assert abs((parsedate_to_datetime(str(date)) - datetime.now(UTC)).total_seconds()) < 5
    assert int(str(absurd)) > 10**15
    assert sandbox.bill()["runs"] == 1


@pytest.mark.parametrize("limit", [pytest.param("0.05usd", id="dollars"), pytest.param("2runs", id="runs")])
def test_no_credit_for_more_than_the_limit_under_way(serve_with: Start, limit: str) -> None:
    sandbox = serve_with(faults=(f"no-credit={limit}",), latency_s=(0.4, 0.4))
    group = sandbox.create_group()
    assert sandbox.add(group, companies(3)).status_code == 402
    assert sandbox.add(group, companies(2)).status_code == 200
    assert sandbox.add(group, [company(9)]).status_code == 402
    sandbox.events(f"/v1/tasks/groups/{group}/events")  # until they have ended
    assert sandbox.add(group, [company(9)]).status_code == 200


@pytest.mark.parametrize("status", [422, 401, 500])
def test_key_echo_repeats_the_key_in_the_error(serve_with: Start, status: int) -> None:
    sandbox = serve_with(faults=(f"key-echo={status}",))
    sandbox.http.headers["x-api-key"] = "planted-secret"
    answer = sandbox.add(sandbox.create_group(), companies(1))
    assert answer.status_code == status
    error = answer.json()["error"]
    assert "planted-secret" in error["message"]
    assert "planted-secret" in json.dumps(error["detail"])
    assert sandbox.bill()["runs"] == 0


# created, but the client can't know


@pytest.mark.parametrize(
    ("how", "error"),
    [
        pytest.param("close", httpx.RemoteProtocolError, id="close"),
        pytest.param("reset", httpx.ReadError, id="reset"),
        pytest.param("silent", httpx.ReadTimeout, id="silent"),
    ],
)
def test_response_lost_has_created_the_runs(serve_with: Start, how: str, error: type[httpx.TransportError]) -> None:
    sandbox = serve_with(faults=(f"response-lost={how},1x",))
    group = sandbox.create_group()
    sandbox.http.timeout = httpx.Timeout(5, read=0.3)
    with pytest.raises(error):
        sandbox.add(group, companies(3))
    assert len(sandbox.listing(group)) == 3
    assert sandbox.http.get("/sandbox/requests").json()["POST /v1/tasks/groups/{taskgroup_id}/runs"] == 1


def test_a_reset_is_a_real_one(serve_with: Start) -> None:
    sandbox = serve_with(faults=("response-lost=reset",))
    group = sandbox.create_group()
    url = httpx.URL(sandbox.base_url)
    body = json.dumps({"inputs": companies(1), "default_task_spec": SPEC}).encode()
    head = (
        f"POST /v1/tasks/groups/{group}/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: k\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 0), timeout=5) as sock:
        sock.sendall(head.encode() + body)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_late_runs_appear_later(serve_with: Start) -> None:
    sandbox = serve_with(faults=("late=500ms,1x",))
    group = sandbox.create_group()
    began = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.add(group, companies(2))
    assert (sandbox.listing(group), sandbox.status(group)["num_task_runs"]) == ([], 0)
    while not sandbox.listing(group):
        assert time.monotonic() - began < 5
    assert time.monotonic() - began >= 0.5
    assert sandbox.bill()["runs"] == 2


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_partial_creates_the_first_ones(serve_with: Start, count: int) -> None:
    sandbox = serve_with(faults=(f"partial={count},1x",))
    group = sandbox.create_group()
    assert sandbox.add(group, companies(3)).status_code == 500
    tasks = [event["run"]["metadata"]["enrich_task"] for event in sandbox.listing(group)]
    assert tasks == [f"task-{number}" for number in range(count)]


def test_truncated_answer_is_half_of_the_json(serve_with: Start) -> None:
    sandbox = serve_with(faults=("truncated-answer=1x",))
    group = sandbox.create_group()
    answer = sandbox.add(group, companies(2))
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert len(sandbox.listing(group)) == 2


@pytest.mark.parametrize("fault", ["wrong-count", "shuffled-ids"])
def test_run_ids_of_the_answer_can_lie(serve_with: Start, fault: str) -> None:
    sandbox = serve_with(faults=(fault,))
    group = sandbox.create_group()
    told = sandbox.add(group, companies(3)).json()["run_ids"]
    true = [event["run"]["run_id"] for event in sandbox.listing(group)]
    assert told == (true[:2] if fault == "wrong-count" else true[::-1])


def test_group_lost_has_no_answer(serve_with: Start) -> None:
    sandbox = serve_with(faults=("group-lost=1x",))
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.create_group()
    assert sandbox.group_of(company(1))


def test_faults_of_posts_strike_single_runs_too(serve_with: Start) -> None:
    sandbox = serve_with(faults=("response-lost=1x", "truncated-answer=1x@1", "wrong-count=1x@2"))
    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.http.post("/v1/tasks/runs", json=company(1, task_spec=SPEC))
    answers = [sandbox.http.post("/v1/tasks/runs", json=company(1, task_spec=SPEC)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert sandbox.bill()["doubles"][0]["usd"] == "0.075"


# reading


def test_read_error_leaves_posts_and_live_events_alone(serve_with: Start) -> None:
    sandbox = serve_with(faults=("read-error=503,3x",))
    group = sandbox.group_of(company(1))
    paths = [f"/v1/tasks/groups/{group}", f"/v1/tasks/groups/{group}/runs", "/v1/tasks/runs/x/result"]
    assert sandbox.events(f"/v1/tasks/groups/{group}/events")
    assert [sandbox.http.get(path).status_code for path in paths] == [503, 503, 503]
    assert sandbox.http.get(paths[0]).status_code == 200


def test_reads_can_be_rate_limited(serve_with: Start) -> None:
    sandbox = serve_with(faults=("read-error=429,1x",))
    group = sandbox.create_group()
    answers = [sandbox.http.get(f"/v1/tasks/groups/{group}") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [429, 200]
    assert answers[0].headers["retry-after"] == "1"


def test_events_refused(serve_with: Start) -> None:
    sandbox = serve_with(faults=("events-refused=404,1x",))
    group = sandbox.group_of(company(1))
    path = f"/v1/tasks/groups/{group}/events"
    assert [sandbox.http.get(path).status_code for _ in range(2)] == [404, 200]


@pytest.mark.parametrize("fault", ["listing-lag", "count-lag"])
def test_lags_are_apart(serve_with: Start, fault: str) -> None:
    sandbox = serve_with(faults=(f"{fault}=500ms",))
    began = time.monotonic()
    group = sandbox.group_of(*companies(2))

    def seen() -> tuple[int, int]:
        return len(sandbox.listing(group)), sandbox.status(group)["num_task_runs"]

    assert seen() == ((0, 2) if fault == "listing-lag" else (2, 0))
    while seen() != (2, 2):
        assert time.monotonic() - began < 5
    assert time.monotonic() - began >= 0.5


def test_listing_by_change_brings_finished_runs_last(serve_with: Start) -> None:
    sandbox = serve_with(faults=("listing-by-change",), latency_s=(0.0, 0.4))
    group = sandbox.create_group()
    sandbox.add(group, companies(10))
    first = sandbox.listing(group)
    changes = [event["run"]["modified_at"] for event in first]
    assert changes == sorted(changes)
    assert len(first) == 10
    sandbox.events(f"/v1/tasks/groups/{group}/events")
    later = sandbox.listing(group, last_event_id=first[-1]["event_id"])
    running = {event["run"]["run_id"] for event in first if event["run"]["is_active"]}
    assert {event["run"]["run_id"] for event in later} >= running
    assert sandbox.listing(group, last_event_id=later[-1]["event_id"]) == []
    cursor = sandbox.add(group, [company(99)]).json()["run_cursor"]
    (new,) = sandbox.listing(group, last_event_id=cursor)
    assert new["run"]["metadata"]["enrich_task"] == "task-99"


def test_listing_finished_only(serve_with: Start) -> None:
    sandbox = serve_with(faults=("listing-finished-only",), latency_s=(0.2, 0.2))
    group = sandbox.group_of(company(1))
    assert sandbox.listing(group) == []
    sandbox.events(f"/v1/tasks/groups/{group}/events")
    assert len(sandbox.listing(group)) == 1


# event streams


def struck_and_plain(serve_with: Start, fault: str, count: int = 5) -> tuple[bytes, bytes]:
    """The bytes of a listing that the fault strikes, and of the same one without it."""
    sandbox = serve_with(faults=(f"{fault}{',' if '=' in fault else '='}1x", "line-separators"))
    group = sandbox.group_of(*companies(count))
    return raw_listing(sandbox, group), raw_listing(sandbox, group)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6])
def test_cut_clean_looks_whole(serve_with: Start, count: int) -> None:
    struck, plain = struck_and_plain(serve_with, f"cut-clean={count}")
    assert events_of(struck) == events_of(plain)[:count]
    assert struck == b"".join(block + b"\n\n" for block in plain.split(b"\n\n")[: min(count, 5)])


def test_cut_half_splits_a_character(serve_with: Start) -> None:
    struck, plain = struck_and_plain(serve_with, "cut-half=2")
    assert plain.startswith(struck)
    assert struck.count(b"\n\n") == 2
    with pytest.raises(UnicodeDecodeError, match="unexpected end of data"):
        struck.decode()


@pytest.mark.parametrize(("fault", "error"), [("cut-close", httpx.RemoteProtocolError), ("cut-reset", httpx.ReadError)])
@pytest.mark.parametrize("path", ["runs", "events"])
def test_a_stream_is_cut_with_an_error(
    serve_with: Start, fault: str, error: type[httpx.TransportError], path: str
) -> None:
    sandbox = serve_with(faults=(f"{fault}=2",))
    group = sandbox.group_of(*companies(5))
    received: list[bytes] = []
    with sandbox.http.stream("GET", f"/v1/tasks/groups/{group}/{path}") as stream, pytest.raises(error):
        received.extend(stream.iter_bytes())
    assert [event["event_id"] for event in events_of(b"".join(received))] == ["1", "2"]


def test_silence_says_nothing_for_a_while(serve_with: Start) -> None:
    sandbox = serve_with(faults=("silence=400ms,1x",), keep_alive_s=0.05, latency_s=(0.1, 0.1))
    group = sandbox.group_of(company(1))
    began = time.monotonic()
    with sandbox.http.stream("GET", f"/v1/tasks/groups/{group}/events") as stream:
        assert stream.status_code == 200
        next(stream.iter_bytes())
    assert time.monotonic() - began >= 0.4


def test_slow_bytes_come_one_by_one(serve_with: Start) -> None:
    sandbox = serve_with(faults=("slow-bytes=20ms,1x",))
    group = sandbox.group_of(company(1))
    began = time.monotonic()
    with sandbox.http.stream("GET", f"/v1/tasks/groups/{group}/runs") as stream:
        pieces = stream.iter_raw()
        received = [next(pieces) for _ in range(10)]
    assert b"".join(received) == b"event: task_run.state"[:10]
    assert time.monotonic() - began >= 0.18


def test_tiny_chunks_split_characters_and_lines(serve_with: Start) -> None:
    sandbox = serve_with(faults=("tiny-chunks=5,1x", "line-separators"))
    group = sandbox.group_of(company(1))
    url = httpx.URL(sandbox.base_url)
    path = f"/v1/tasks/groups/{group}/runs?include_output=1"
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: k\r\nconnection: close\r\n\r\n"
    received = b""
    with socket.create_connection((url.host, url.port or 0), timeout=5) as sock:
        sock.sendall(head.encode())
        while piece := sock.recv(65_536):
            received += piece
    chunks = received.partition(b"\r\n\r\n")[2].split(b"\r\n")[1::2]
    assert {len(chunk) for chunk in chunks[:-2]} == {5}
    assert b"".join(chunks) == raw_listing(sandbox, group)
    assert any(_splits_a_character(chunk) for chunk in chunks)


def _splits_a_character(chunk: bytes) -> bool:
    try:
        chunk.decode()
    except UnicodeDecodeError:
        return True
    return False


def test_heartbeats_follow_an_id(serve_with: Start) -> None:
    struck, plain = struck_and_plain(serve_with, "heartbeats")
    blocks = struck.split(b"\n\n")
    assert blocks[1::2] == [b": heartbeat"] * 5
    assert [block.splitlines()[0] for block in blocks[::2] if block] == [b"id: %d" % n for n in range(1, 6)]
    assert events_of(struck) == events_of(plain)


@pytest.mark.parametrize("form", ["crlf", "cr", "mixed"])
def test_line_ends_differ(serve_with: Start, form: str) -> None:
    struck, plain = struck_and_plain(serve_with, f"line-ends={form}")
    counts = {end: struck.count(end) for end in (b"\r\n\r\n", b"\r\r", b"\n\n")}
    assert (
        counts
        == {
            "crlf": {b"\r\n\r\n": 5, b"\r\r": 0, b"\n\n": 0},
            "cr": {b"\r\n\r\n": 0, b"\r\r": 5, b"\n\n": 0},
            "mixed": {b"\r\n\r\n": 2, b"\r\r": 1, b"\n\n": 2},
        }[form]
    )
    assert struck.replace(b"\r\n", b"\n").replace(b"\r", b"\n") == plain


def test_byte_order_mark_comes_first(serve_with: Start) -> None:
    struck, plain = struck_and_plain(serve_with, "byte-order-mark")
    assert struck == b"\xef\xbb\xbf" + plain


def test_split_data_is_one_json_text_over_several_lines(serve_with: Start) -> None:
    struck, plain = struck_and_plain(serve_with, "split-data")
    blocks = struck.split(b"\n\n")[:-1]
    lines = [[line for line in block.split(b"\n") if line.startswith(b"data: ")] for block in blocks]
    assert all(len(some) > 5 for some in lines)
    assert [json.loads(b"\n".join(line[6:] for line in some)) for some in lines] == events_of(plain)


def test_duplicates_come_twice(serve_with: Start) -> None:
    struck, plain = struck_and_plain(serve_with, "duplicates")
    assert events_of(struck) == [event for event in events_of(plain) for _ in range(2)]


def test_reordered_events_come_in_reverse(serve_with: Start) -> None:
    struck, plain = struck_and_plain(serve_with, "reordered")
    assert events_of(struck) == events_of(plain)[::-1]


def test_error_events_come_first(serve_with: Start) -> None:
    struck, plain = struck_and_plain(serve_with, "error-events")
    error, *rest = events_of(struck)
    assert (error["type"], set(error["error"])) == ("error", {"ref_id", "message", "detail"})
    assert rest == events_of(plain)


def test_unknown_events_come_between(serve_with: Start) -> None:
    struck, plain = struck_and_plain(serve_with, "unknown-events")
    assert {event["type"] for event in events_of(struck)[::2]} == {"task_group.weather"}
    assert events_of(struck)[1::2] == events_of(plain)


def test_several_faults_work_together(serve_with: Start) -> None:
    faults = ("line-ends=crlf,1x", "duplicates=1x", "cut-clean=3,1x", "byte-order-mark=1x", "tiny-chunks=1x")
    sandbox = serve_with(faults=faults)
    group = sandbox.group_of(*companies(4))
    struck, plain = raw_listing(sandbox, group), raw_listing(sandbox, group)
    first, second, *_ = events_of(plain)
    assert struck.startswith(b"\xef\xbb\xbfevent: task_run.state\r\n")
    assert [json.loads(line[6:]) for line in struck.split(b"\r\n") if line.startswith(b"data: ")] == [
        first,
        first,
        second,
    ]


# how runs end


@pytest.mark.parametrize(
    ("fault", "status"),
    [("run-failed", "failed"), ("run-cancelled", "cancelled"), ("run-action-required", "action_required")],
)
def test_runs_that_end_badly_are_not_charged(serve_with: Start, fault: str, status: str) -> None:
    sandbox = serve_with(faults=(f"{fault}=1x",))
    group = sandbox.group_of(*companies(2))
    first, second = (event["run"] for event in sandbox.listing(group, include_output=True))
    assert (first["status"], first["is_active"], second["status"]) == (status, False, "completed")
    assert (first["error"] is not None) == (status == "failed")
    assert sandbox.http.get(f"/v1/tasks/runs/{first['run_id']}/result").status_code == 404
    assert sandbox.status(group)["task_run_status_counts"] == {status: 1, "completed": 1}
    assert (sandbox.bill()["usd"], sandbox.bill()["doubles"]) == ("0.025", [])
    events = sandbox.events(f"/v1/tasks/groups/{group}/events")
    assert [event["run"]["status"] for event in events[:2]] == [status, "completed"]


def test_run_stuck_never_ends(serve_with: Start) -> None:
    sandbox = serve_with(faults=("run-stuck=1x",))
    group = sandbox.group_of(*companies(2))
    assert sandbox.status(group)["task_run_status_counts"] == {"running": 1, "completed": 1}
    assert sandbox.status(group)["is_active"] is True


def test_no_metadata_is_shown_where_it_is_lost(serve_with: Start) -> None:
    sandbox = serve_with(faults=("no-metadata=1x",))
    group = sandbox.create_group()
    sandbox.add(group, [{**company(i), "metadata": {"i": i}} for i in range(2)])
    assert [event["run"]["metadata"] for event in sandbox.listing(group)] == [None, {"i": 1}]


def test_a_task_that_failed_may_succeed_when_asked_again(serve_with: Start) -> None:
    sandbox = serve_with(faults=("run-failed=0.5",))
    ended = []
    for _ in range(8):
        (event,) = sandbox.listing(sandbox.group_of(company(1)))
        ended.append(event["run"]["status"])
    assert set(ended) == {"completed", "failed"}


# what runs answer


def test_null_fields(serve_with: Start) -> None:
    struck, *plain = outputs(serve_with(faults=("null-fields=1x",)))
    assert struck["content"] == dict.fromkeys(SCHEMA["properties"])
    assert all(output["content"]["headquarters"] for output in plain)


def test_invalid_values_do_not_fit_their_schema(serve_with: Start) -> None:
    for output in outputs(serve_with(faults=("invalid-values",))):
        for name, schema in SCHEMA["properties"].items():
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(output["content"][name], schema)


@pytest.mark.parametrize(("form", "basis"), [("empty", []), ("null", None), ("absent", "absent")])
def test_no_basis(serve_with: Start, form: str, basis: Any) -> None:
    struck, plain, _ = outputs(serve_with(faults=(f"no-basis={form},1x",)))
    assert struck.get("basis", "absent") == basis
    assert len(plain["basis"]) == 3


def test_missing_basis_leaves_out_entries(serve_with: Start) -> None:
    struck, *_ = outputs(serve_with(faults=("missing-basis",)))
    assert [entry["field"] for entry in struck["basis"]] == ["founded_year"]


def test_no_confidence(serve_with: Start) -> None:
    found = outputs(serve_with(faults=("no-confidence",)))
    assert {entry["confidence"] for output in found for entry in output["basis"]} == {None}


def test_numeric_confidence_is_the_other_published_shape(serve_with: Start) -> None:
    struck = outputs(serve_with(faults=("numeric-confidence",)), 20)
    plain = outputs(serve_with(), 20)
    numbers = {"high": 0.95, "medium": 0.75, "low": 0.4, None: None}
    for output, true in zip(struck, plain, strict=True):
        fields = output["basis"]["fields"]
        assert output["content"] == true["content"]
        assert {name: entry["confidence"] for name, entry in fields.items()} == {
            entry["field"]: numbers[entry["confidence"]] for entry in true["basis"]
        }
        assert set(fields["headquarters"]) == {"confidence", "reasoning", "source_url", "snippet"}


def test_numeric_confidence_can_be_in_the_usual_list(serve_with: Start) -> None:
    found = outputs(serve_with(faults=("numeric-confidence=list",)), 20)
    assert {entry["confidence"] for output in found for entry in output["basis"]} == {0.95, 0.75, 0.4, None}


def test_string_content_is_json_text(serve_with: Start) -> None:
    (struck,), (plain,) = outputs(serve_with(faults=("string-content",)), 1), outputs(serve_with(), 1)
    assert struck["type"] == "json"
    assert json.loads(struck["content"]) == plain["content"]


def test_line_separators_are_not_escaped(serve_with: Start) -> None:
    sandbox = serve_with(faults=("line-separators",))
    group = sandbox.group_of(company(1))
    assert SEPARATORS.encode() in raw_listing(sandbox, group)
    assert len(sandbox.listing(group, include_output=True)) == 1


def test_huge_value(serve_with: Start) -> None:
    struck, plain, _ = outputs(serve_with(faults=("huge-value=1x",)))
    assert len(struck["content"]["headquarters"]) == 1_000_000
    assert len(plain["content"]["headquarters"]) < 100


def test_hostile_values_reach_texts_titles_and_links(serve_with: Start) -> None:
    found = outputs(serve_with(faults=("hostile-values",)), 60)
    texts = {output["content"]["headquarters"] for output in found}
    entries = [entry for output in found for entry in output["basis"]]
    assert texts <= set(HOSTILE_TEXTS)
    assert len(texts) > len(HOSTILE_TEXTS) / 2
    assert {entry["citations"][0]["url"] for entry in entries} == set(HOSTILE_LINKS)
    assert {entry["reasoning"] for entry in entries} == set(HOSTILE_TEXTS)
    assert {entry["citations"][0]["title"] for entry in entries} == set(HOSTILE_TEXTS)


def test_hostile_values_stay_out_of_enums(serve_with: Start) -> None:
    sandbox = serve_with(faults=("hostile-values",))
    schema = {
        "type": "object",
        "properties": {"size": {"type": "string", "enum": ["big"]}, "name": {"type": "string"}},
        "required": ["size", "name"],
        "additionalProperties": False,
    }
    spec = {"output_schema": {"type": "json", "json_schema": schema}}
    group = sandbox.group_of(company(1, task_spec=spec))
    (event,) = sandbox.listing(group, include_output=True)
    assert event["output"]["content"]["size"] == "big"
    assert event["output"]["content"]["name"] in HOSTILE_TEXTS


@pytest.mark.parametrize(
    "fault", ["null-fields", "invalid-values", "hostile-values", "huge-value", "string-content", "missing-basis"]
)
def test_text_answers_are_struck_too(serve_with: Start, fault: str) -> None:
    sandbox = serve_with(faults=(fault,))
    group = sandbox.group_of(company(1, task_spec={"output_schema": "A text"}))
    (event,) = sandbox.listing(group, include_output=True)
    run_id = event["run"]["run_id"]
    assert event["output"]["type"] == "text"
    assert sandbox.http.get(f"/v1/tasks/runs/{run_id}/result").json()["output"] == event["output"]
