"""What the client sends, and what it makes of each answer."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Raw

from enrich.api.errors import (
    ApiError,
    BaseUrlError,
    CertificateError,
    InvalidError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    StillActiveError,
    UnavailableError,
    UnknownOutcomeError,
)
from enrich.api.limits import Pause
from enrich.api.retry import Retry
from enrich.api.secret import Secret
from enrich.backends.parallel import Client
from enrich.backends.wire import AddedRuns, Group, GroupStatus, NewGroup, RunEvent, RunRecord, RunResult
from tests.api.fake_time import FakeTime

pytestmark = pytest.mark.anyio

KEY = Secret("pk-0123456789abcdef")
GROUP = {"taskgroup_id": "tgrp_1", "status": {"num_task_runs": 3}, "created_at": "2026-01-01T00:00:00Z"}
RUN = {"run_id": "trun_1", "status": "completed"}
ADDED = {
    "run_ids": ["trun_1", "trun_2"],
    "run_cursor": "c1",
    "event_cursor": "e1",
    "status": {"num_task_runs": 2},
}
EVENT = b'id: 5\ndata: {"type": "task_run.state", "run": {"run_id": "trun_1", "status": "completed"}}\n\n'

Reply = httpx.Response | Exception


class Service:
    """Gives its replies in order, the last one again and again; keeps the requests it received."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def seen(self) -> list[tuple[str, str]]:
        return [(request.method, request.url.raw_path.decode()) for request in self.requests]


def client_of(service: Callable[[httpx.Request], httpx.Response], time: FakeTime, **options: Any) -> Client:
    options = {"base_url": "https://api.example", "rng": random.Random(0), **options}
    return Client(api_key=KEY, transport=httpx.MockTransport(service), clock=time.clock, sleep=time.sleep, **options)


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def sse(body: bytes = EVENT) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)


async def test_create_group(time: FakeTime) -> None:
    service = Service(httpx.Response(200, json=GROUP))
    async with client_of(service, time) as client:
        group = await client.create_group({"enrich_job": "x"})
    assert group == NewGroup("tgrp_1")
    assert service.seen == [("POST", "/v1/tasks/groups")]
    assert msgspec.json.decode(service.requests[0].content) == {"metadata": {"enrich_job": "x"}}


async def test_add_runs_sends_the_body_as_given(time: FakeTime) -> None:
    service = Service(httpx.Response(200, json=ADDED))
    async with client_of(service, time, beta=["a-1", "b-2"]) as client:
        added = await client.add_runs("tgrp_1", b'{"inputs" : []}', timeout_s=9)
    assert added == AddedRuns(["trun_1", "trun_2"], "c1", "e1", GroupStatus(2))
    assert service.seen == [("POST", "/v1/tasks/groups/tgrp_1/runs?refresh_status=false")]
    request = service.requests[0]
    assert request.content == b'{"inputs" : []}'
    assert {name: request.headers[name] for name in request.headers if name not in ("host", "connection")} == {
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "enrich",
        "parallel-beta": "a-1,b-2",
        "content-type": "application/json",
        "content-length": "15",
        "x-api-key": KEY.reveal(),
    }


STATUSES = [*range(201, 209), 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413]
STATUSES += [415, 421, 422, 423, 425, 429, 431, 451, 500, 501, 502, 503, 504, 507, 511, 520, 529, 599]


@pytest.mark.parametrize("status", STATUSES)
async def test_add_runs_makes_one_request_whatever_the_answer(time: FakeTime, status: int) -> None:
    headers = {"location": "https://api.example/elsewhere", "retry-after": "1"}
    service = Service(httpx.Response(status, headers=headers, content=b"{}"))
    async with client_of(service, time) as client:
        with pytest.raises(ApiError) as raised:
            await client.add_runs("tgrp_1", b"{}", timeout_s=9)
    assert service.seen == [("POST", "/v1/tasks/groups/tgrp_1/runs?refresh_status=false")]
    refused = status in (400, 401, 402, 403, 404, 413, 422, 429)
    assert raised.value.created_nothing is (refused and status not in (402, 429))
    assert isinstance(raised.value, UnknownOutcomeError) is not refused


FAILURES: list[tuple[Exception, bool]] = [
    (httpx.ConnectError("[Errno -2] Name or service not known"), True),
    (httpx.ConnectError("All connection attempts failed"), True),
    (httpx.ConnectTimeout(""), True),
    (httpx.PoolTimeout(""), True),
    (httpx.ProxyError("407 Proxy Authentication Required"), True),
    (httpx.WriteError(""), False),
    (httpx.WriteTimeout(""), False),
    (httpx.ReadError(""), False),
    (httpx.ReadTimeout(""), False),
    (httpx.CloseError(""), False),
    (httpx.RemoteProtocolError("Server disconnected without sending a response."), False),
    (httpx.LocalProtocolError(""), False),
    (httpx.DecodingError(""), False),
    (ConnectionResetError(104, "Connection reset by peer"), False),
    (TimeoutError(), False),
]


@pytest.mark.parametrize(("failure", "unsent"), FAILURES, ids=lambda value: type(value).__name__)
async def test_add_runs_makes_one_request_whatever_fails(time: FakeTime, failure: Exception, unsent: bool) -> None:
    service = Service(failure)
    async with client_of(service, time) as client:
        with pytest.raises(NotSentError if unsent else UnknownOutcomeError) as raised:
            await client.add_runs("tgrp_1", b"{}", timeout_s=9)
    assert len(service.requests) == 1
    assert (raised.value.retryable, raised.value.created_nothing) == (unsent, unsent)
    assert raised.value.__context__ is raised.value.__cause__ is None  # an error of httpx holds the key


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"run_ids": ["trun_1"', id="cut"),
        pytest.param(b'{"status": {}}', id="no run ids"),
        pytest.param(b'{"run_ids": "trun_1"}', id="run ids of a wrong type"),
        pytest.param(b'{"run_ids": ["\xff"], "run_cursor": 7}', id="no UTF-8"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"[" * 100_000, id="nested too deep"),
    ],
)
async def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(time: FakeTime, body: bytes) -> None:
    service = Service(httpx.Response(200, content=body))
    async with client_of(service, time) as client:
        with pytest.raises(UnknownOutcomeError, match="can't be read") as raised:
            await client.add_runs("tgrp_1", b"{}", timeout_s=9)
        assert raised.value.status == 200
        with pytest.raises(UnavailableError, match="can't be read"):
            await client.create_group({})
    assert len(service.requests) == 2


@pytest.mark.parametrize("status", [408, 409, 500, 503])
async def test_making_a_group_is_free_so_its_failure_is_no_riddle(time: FakeTime, status: int) -> None:
    service = Service(httpx.Response(status))
    async with client_of(service, time) as client:
        with pytest.raises(UnavailableError) as raised:
            await client.create_group({})
    assert raised.value.retryable
    assert len(service.requests) == 1


async def test_a_429_says_how_long_and_what_follows_is_not_for_the_client_to_say(time: FakeTime) -> None:
    service = Service(httpx.Response(429, headers={"retry-after": "7"}), httpx.Response(200, json=ADDED))
    async with client_of(service, time) as client:
        with pytest.raises(RateLimitedError) as raised:
            await client.add_runs("tgrp_1", b"{}")
        assert raised.value.retry_after_s == 7.0
        assert not raised.value.created_nothing  # an add may be taken in part, and refused all the same
        await client.add_runs("tgrp_1", b"{}")
    assert time.slept == []


CALLS = [
    pytest.param(
        lambda client: client.group("tgrp_1"),
        "/v1/tasks/groups/tgrp_1",
        GROUP,
        Group("tgrp_1", GroupStatus(3), created_at="2026-01-01T00:00:00Z"),
        id="group",
    ),
    pytest.param(
        lambda client: client.run("trun_1"),
        "/v1/tasks/runs/trun_1",
        RUN,
        RunRecord("trun_1", "completed"),
        id="run",
    ),
    pytest.param(
        lambda client: client.run_result("trun_1", 20.0),
        "/v1/tasks/runs/trun_1/result?timeout=20",
        {"run": RUN, "output": {"a": 1}},
        RunResult(RunRecord("trun_1", "completed"), Raw(b'{"a":1}')),
        id="result",
    ),
    pytest.param(
        lambda client: client.run_input("trun_1"),
        "/v1/tasks/runs/trun_1/input",
        {"input": {"a": 1}},
        Raw(b'{"input":{"a":1}}'),
        id="input",
    ),
    pytest.param(
        lambda client: client.run("../a b/é?x"),
        "/v1/tasks/runs/..%2Fa%20b%2F%C3%A9%3Fx",
        RUN,
        RunRecord("trun_1", "completed"),
        id="an id is one segment",
    ),
]


@pytest.mark.parametrize(("call", "path", "answer", "expected"), CALLS)
async def test_reading(time: FakeTime, call: Any, path: str, answer: Any, expected: Any) -> None:
    service = Service(httpx.Response(200, json=answer))
    async with client_of(service, time) as client:
        assert await call(client) == expected
    assert service.seen == [("GET", path)]


@pytest.mark.parametrize(("call", "path", "answer", "expected"), CALLS)
async def test_reading_is_tried_again(time: FakeTime, call: Any, path: str, answer: Any, expected: Any) -> None:
    service = Service(
        httpx.ConnectError(""),
        httpx.Response(503),
        httpx.ReadError(""),
        httpx.Response(429, headers={"retry-after": "60"}),
        httpx.Response(200, content=b'{"cut'),
        httpx.Response(200, json=answer),
    )
    async with client_of(service, time) as client:
        assert await call(client) == expected
    assert service.seen == [("GET", path)] * 6
    assert len(time.slept) == 5
    assert time.slept[3] >= 60


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 405, 422])
async def test_a_refused_get_is_not_tried_again(time: FakeTime, status: int) -> None:
    service = Service(httpx.Response(status, headers={"location": "/x"}))
    async with client_of(service, time) as client:
        with pytest.raises(ApiError) as raised:
            await client.group("tgrp_1")
    assert len(service.requests) == 1
    assert not raised.value.retryable


async def test_a_get_gives_up_with_the_last_error(time: FakeTime) -> None:
    service = Service(httpx.Response(503), httpx.Response(502))
    async with client_of(service, time, retry=Retry(tries=4)) as client:
        with pytest.raises(UnavailableError) as raised:
            await client.group("tgrp_1")
    assert raised.value.status == 502
    assert len(service.requests) == 4


async def test_a_run_that_is_not_finished_is_said_so_at_once(time: FakeTime) -> None:
    service = Service(httpx.Response(408))
    async with client_of(service, time) as client:
        with pytest.raises(StillActiveError):
            await client.run_result("trun_1")
    assert service.seen == [("GET", "/v1/tasks/runs/trun_1/result?timeout=1")]


async def test_the_words_of_a_failed_run_are_made_harmless(time: FakeTime) -> None:
    words = f"\x1b[31mno {KEY.reveal()[3:]}\u202e"
    service = Service(httpx.Response(200, json={**RUN, "status": "failed", "error": {"message": words}}))
    async with client_of(service, time) as client:
        run = await client.run("trun_1")
    assert run.error is not None
    assert run.error.message == "no [redacted]"


async def test_the_words_of_a_run_with_a_result_are_made_harmless(time: FakeTime) -> None:
    run = {**RUN, "status": "expired", "error": {"message": f"\x1b[31mno {KEY.reveal()[3:]}\u202e"}}
    service = Service(httpx.Response(200, json={"run": run, "output": None}))
    async with client_of(service, time) as client:
        result = await client.run_result("trun_1")
    assert result.run.error is not None
    assert result.run.error.message == "no [redacted]"


@pytest.mark.parametrize("bad", ["", ".", ".."])
async def test_an_id_that_would_lead_elsewhere_is_refused(time: FakeTime, bad: str) -> None:
    service = Service(httpx.Response(200, json=RUN))
    async with client_of(service, time) as client:
        with pytest.raises(NotFoundError, match="is no id"):
            await client.run(bad)
    assert service.requests == []


async def test_a_certificate_that_is_not_trusted_is_not_tried_again(time: FakeTime) -> None:
    failure = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]")
    failure.__cause__ = ssl.SSLCertVerificationError()
    service = Service(failure)
    async with client_of(service, time) as client:
        with pytest.raises(CertificateError, match="isn't trusted"):
            await client.group("tgrp_1")
        with pytest.raises(CertificateError):
            await client.add_runs("tgrp_1", b"{}")
    assert len(service.requests) == 2


async def test_streams_ask_for_what_is_wanted(time: FakeTime) -> None:
    service = Service(sse())
    async with client_of(service, time) as client:
        async with client.open_runs("g"):
            pass
        async with client.open_runs("g", after="a+b", include_input=True, include_output=True, status="failed"):
            pass
        async with client.open_events("g"):
            pass
        async with client.open_events("g", after="7", timeout_s=600.0):
            pass
    assert service.seen == [
        ("GET", "/v1/tasks/groups/g/runs"),
        (
            "GET",
            "/v1/tasks/groups/g/runs?last_event_id=a%2Bb&include_input=true&include_output=true&status=failed",
        ),
        ("GET", "/v1/tasks/groups/g/events"),
        ("GET", "/v1/tasks/groups/g/events?last_event_id=7&timeout=600"),
    ]


async def test_opening_a_stream_is_tried_again(time: FakeTime) -> None:
    service = Service(
        httpx.Response(502),
        httpx.ReadError(""),
        httpx.Response(200, headers={"content-type": "text/html; charset=utf-8"}, content=b"<html>"),
        sse(),
    )
    async with client_of(service, time) as client, client.open_runs("g") as stream:
        events = [event async for batch in stream for event in batch]
        assert [event.event_id for event in events] == ["5"]
        assert isinstance(events[0], RunEvent)
    assert len(service.requests) == 4
    assert len(time.slept) == 3


async def test_a_stream_that_is_refused_is_not_tried_again(time: FakeTime) -> None:
    service = Service(httpx.Response(404))
    async with client_of(service, time) as client:
        with pytest.raises(NotFoundError):
            async with client.open_events("g"):
                pass
    assert len(service.requests) == 1


async def test_whether_the_server_is_a_sandbox_is_told_by_good_answers(time: FakeTime) -> None:
    mark = {"x-enrich-sandbox": "1"}
    service = Service(
        httpx.Response(422),
        httpx.Response(200, json=GROUP, headers=mark),
        httpx.Response(404),
        httpx.Response(200, json=GROUP),
    )
    async with client_of(service, time) as client:
        seen = [client.server_is_sandbox]
        for _ in range(4):
            with suppress(InvalidError, NotFoundError):
                await client.group("g")
            seen.append(client.server_is_sandbox)
    assert seen == [None, None, True, True, False]


async def test_a_reading_that_is_refused_holds_back_the_others_and_no_post(time: FakeTime) -> None:
    service = Service(httpx.Response(200, json=GROUP))
    pause = Pause(clock=time.clock, sleep=time.sleep)
    async with client_of(service, time, pause=pause) as client:
        pause.lengthen(9)
        await client.create_group({})
        assert time.slept == []
        await client.group("g")
    assert time.slept == [9]


async def test_a_reading_that_is_refused_is_asked_again_when_the_service_says(time: FakeTime) -> None:
    limited = httpx.Response(429, headers={"retry-after": "7"}, json={"detail": "slow down"})
    service = Service(limited, httpx.Response(200, json=GROUP))
    pause = Pause(clock=time.clock, sleep=time.sleep)
    async with client_of(service, time, pause=pause) as client:
        await client.group("g")
    assert sum(time.slept) >= 7
    assert len(service.requests) == 2


async def test_a_bad_address_is_refused_before_anything_is_sent(time: FakeTime) -> None:
    with pytest.raises(BaseUrlError, match="unencrypted"):
        client_of(Service(sse()), time, base_url="http://api.example")


async def test_an_unusable_proxy_is_said_so_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "foo://user:hunter2@proxy.example")
    with pytest.raises(BaseUrlError, match="proxy") as raised:
        Client(base_url="https://api.example", api_key=KEY)
    assert "hunter2" not in str(raised.value)
