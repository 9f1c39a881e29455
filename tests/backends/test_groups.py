"""What the service sends, in the protocol's words."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest

from enrich.backends.groups import Groups, as_read
from enrich.backends.parallel import Client
from enrich.backends.wire import NULL, ErrorBody, RunRecord
from enrich.protocol.replies import Followed, ReadRun

OUTPUT = msgspec.Raw(b'{"content":{}}')


@asynccontextmanager
async def service(answer: Callable[[httpx.Request], httpx.Response]) -> AsyncIterator[Groups]:
    transport = httpx.MockTransport(answer)
    async with Client(base_url="https://api.example", api_key=None, transport=transport) as client:
        yield Groups(client)


class Broken(httpx.AsyncByteStream):
    """A body that breaks off."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body
        raise httpx.ReadError("reset")


def broken_off(*events: dict[str, Any]) -> httpx.Response:
    """A stream of these events that does not end as it should."""
    body = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Broken(body))


def group(active: bool, **counts: int) -> httpx.Response:
    status = {"num_task_runs": 3, "is_active": active, "task_run_status_counts": counts}
    return httpx.Response(200, json={"taskgroup_id": "g1", "status": status})


@pytest.mark.anyio
async def test_a_stream_that_breaks_off_has_failed_and_what_it_told_is_kept() -> None:
    told: list[set[str]] = []
    ended = {"type": "task_run.state", "event_id": "e1", "run": {"run_id": "a", "status": "completed"}}
    async with service(lambda _: broken_off(ended)) as groups:
        news = await groups.follow(
            "g1", cursor="e0", seconds=30, awaited=frozenset("ab"), tell=lambda ids: told.append(set(ids))
        )
    assert news == Followed(frozenset("a"), None, None, "e1", failed=True)
    assert told == [{"a"}]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "followed"),
    [
        pytest.param(group(False, completed=2, failed=1), False, id="all has ended"),
        pytest.param(group(True, completed=2, failed=1), True, id="active"),
        pytest.param(group(False, completed=1, failed=1, queued=1), True, id="fewer have ended than are awaited"),
        pytest.param(httpx.Response(404, json={}), True, id="not to be had"),
    ],
)
async def test_a_group_in_which_all_has_ended_is_not_followed(answer: httpx.Response, *, followed: bool) -> None:
    asked: list[str] = []

    def answered(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path.rpartition("/")[2])
        return broken_off() if asked[-1] == "events" else answer

    async with service(answered) as groups:
        news = await groups.follow("g1", cursor=None, seconds=30, awaited=frozenset("abc"), tell=lambda _: None)
    assert asked == (["g1", "events"] if followed else ["g1"])
    if not followed:
        assert news == Followed(frozenset(), False, 3, None)


@pytest.mark.anyio
async def test_ended_are_the_runs_that_completed_failed_or_stopped() -> None:
    counts = {"completed": 1, "failed": 2, "cancelled": 4, "action_required": 8, "queued": 16, "running": 32}
    async with service(lambda _: group(True, **counts)) as groups:
        assert await groups.poll("g1") == Followed(frozenset(), True, 15, None)


@pytest.mark.anyio
@pytest.mark.parametrize(("headers", "kind"), [({}, "service"), ({"x-enrich-sandbox": "1"}, "sandbox")])
async def test_the_sandbox_and_the_service_are_told_apart(headers: dict[str, str], kind: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        answered = group(True)
        answered.headers.update(headers)
        return answered

    async with service(answer) as groups:
        await groups.poll("g1")
        assert groups.kind == kind


@pytest.mark.parametrize(
    ("run", "output", "fetched", "expected"),
    [
        pytest.param(
            RunRecord("a", "completed", metadata={"enrich_task": "t"}),
            OUTPUT,
            False,
            ReadRun("a", "t", "completed", b"raw", True, None),
            id="completed",
        ),
        pytest.param(
            RunRecord("a", "running", modified_at="2026-01-01T00:00:00Z"),
            NULL,
            False,
            ReadRun("a", None, "running", b"", False, None, modified_at="2026-01-01T00:00:00Z"),
            id="running",
        ),
        pytest.param(
            RunRecord("a", "failed", error=ErrorBody("too hard")),
            NULL,
            False,
            ReadRun("a", None, "failed", b"raw", False, "too hard"),
            id="failed",
        ),
        pytest.param(
            RunRecord("a", "failed", error=ErrorBody()),
            NULL,
            False,
            ReadRun("a", None, "failed", b"raw", False, "the run failed, and the service does not say why"),
            id="failed without a word",
        ),
        pytest.param(
            RunRecord("a", "cancelled"),
            NULL,
            False,
            ReadRun("a", None, "cancelled", b"raw", False, "the run was cancelled at the service"),
            id="cancelled",
        ),
        pytest.param(
            RunRecord("a", "cancelled", error=ErrorBody("by hand")),
            NULL,
            False,
            ReadRun("a", None, "cancelled", b"raw", False, "by hand"),
            id="cancelled with a word",
        ),
        pytest.param(
            RunRecord("a", "archived", is_active=False),
            NULL,
            True,
            ReadRun("a", None, "failed", b"raw", False, "the run ended as 'archived', which is not known here"),
            id="a strange end",
        ),
        pytest.param(
            RunRecord("a", "archived", is_active=False),
            OUTPUT,
            True,
            ReadRun("a", None, "completed", b"raw", True, None),
            id="a strange end that brought something",
        ),
    ],
)
def test_a_run_in_the_words_of_the_protocol(
    run: RunRecord, output: msgspec.Raw, expected: ReadRun, *, fetched: bool
) -> None:
    assert as_read(run, output, b"raw", fetched=fetched) == expected
