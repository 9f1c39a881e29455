"""A slow disk slows the reading, not the memory: what was read waits until it is written, and no more is read."""

import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import msgspec
import pytest
from anyio.abc import ByteStream

from enrich.asking.driver import Driver
from enrich.asking.readers import READERS
from enrich.backends.groups import CHUNK_BYTES, Groups
from enrich.backends.metadata import TASK
from enrich.backends.parallel import Client
from enrich.host.clock import SYSTEM
from enrich.ledger.recorder import Recorder, open_recorder
from enrich.ledger.store import Ledger
from enrich.protocol.collect import collect
from enrich.protocol.effects import RecordOutcomes
from enrich.protocol.till import Till
from enrich.records import Intent, OpenSubmission
from tests.api.raw_server import raw_server

GROUPS = READERS + 2
EVENT_BYTES = 256 * 1024
RUNS = 2 * CHUNK_BYTES // EVENT_BYTES  # of one group: twice of what a reader holds
READ_BYTES = 64 * 1024  # that httpx takes from a socket at once
TURNS = 300  # of the loop in which nothing is read: then it has come to a halt


@dataclass
class Busy:
    """A disk that writes nothing until it is let go, in the middle of a transaction."""

    go: threading.Event

    def apply(self, ledger: Ledger) -> None:
        self.go.wait()


class Counted(httpx.AsyncByteStream):
    """A body, with what was taken of it."""

    def __init__(self, body: httpx.AsyncByteStream, network: "Network") -> None:
        self._body = body
        self._network = network

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self._network.taken += len(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


class Network(httpx.AsyncHTTPTransport):
    """The real one; `taken` are the bytes that were taken out of it."""

    taken = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = Counted(response.stream, self)
        return response

    async def until_halted(self) -> None:
        """Wait until nothing has been taken for many turns of the loop, each of which does all I/O that can be done."""
        turns, before = 0, -1
        while turns < TURNS:
            await anyio.lowlevel.checkpoint()
            turns, before = (turns + 1 if self.taken == before else 0), self.taken


class Desk:
    """The recorder, and what it was given to write."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.given: list[RecordOutcomes] = []
        self.all_readers_wait = anyio.Event()

    async def record(self, transition: Any) -> Any:
        if isinstance(transition, RecordOutcomes):
            self.given.append(transition)
            if len(self.given) == READERS:
                self.all_readers_wait.set()
        return await self._recorder.record(transition)

    def bytes_given(self) -> int:
        return sum(len(outcome.raw) for one in self.given for outcome in one.outcomes)


class Service:
    """Groups in which all has ended, each result a quarter of a megabyte."""

    def __init__(self, submissions: Sequence[OpenSubmission]) -> None:
        self._submissions = {submission.group_id: submission for submission in submissions}

    async def answer(self, stream: ByteStream, request: bytes) -> None:
        path, _, query = request.split(b" ")[1].decode().partition("?")
        group_id = path.split("/")[4]
        if not query:
            counts = {"num_task_runs": RUNS, "task_run_status_counts": {"completed": RUNS}, "is_active": False}
            body = msgspec.json.encode({"taskgroup_id": group_id, "status": counts})
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            return
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for task, n in self._submissions[group_id].tasks.items():
            await stream.send(event(f"{group_id}_{n}", task))
        await stream.aclose()


def event(run_id: str, task: str) -> bytes:
    run = {"run_id": run_id, "status": "completed", "metadata": {TASK: task}}
    told = {"type": "task_run.state", "event_id": run_id, "run": run, "output": "x" * EVENT_BYTES}
    return b"data: %b\n\n" % msgspec.json.encode(told)


def submitted(ledger: Ledger, group: int) -> OpenSubmission:
    """A submission that the service has accepted."""
    group_id = f"tgrp_{group}"
    tasks = tuple((bytes((group, n, *bytes(14))), 0) for n in range(RUNS))
    with ledger.transaction():
        job_id = ledger.start_job(name="job", config="", source="", fields={})
        submission_id = ledger.record_intent(
            Intent(job_id, group_id, "core", ("0" * 32,), 25_000, b"", SYSTEM.stamp(), tasks)
        )
        ledger.record_accepted(submission_id, tuple(f"{group_id}_{n}" for n in range(RUNS)), None)
    return ledger.submission(submission_id)


@pytest.mark.anyio
async def test_what_is_read_is_bounded_while_the_disk_writes_nothing() -> None:
    ledger = Ledger.in_memory()
    submissions = [submitted(ledger, group) for group in range(GROUPS)]
    network, go = Network(), threading.Event()
    async with (
        raw_server(Service(submissions).answer) as server,
        Client(base_url=server.url, api_key=None, transport=network) as client,
        open_recorder(ledger) as recorder,
        anyio.create_task_group() as tasks,
    ):
        desk = Desk(recorder)
        driver = Driver(Groups(client), desk, Till())
        try:
            tasks.start_soon(recorder.record, Busy(go))
            for submission in submissions:
                tasks.start_soon(driver.run, collect(submission))
            with anyio.fail_after(30):
                await desk.all_readers_wait.wait()
            await network.until_halted()
            assert len(desk.given) == READERS
            assert READERS * CHUNK_BYTES <= desk.bytes_given() <= network.taken
            assert network.taken <= READERS * (CHUNK_BYTES + EVENT_BYTES + 2 * READ_BYTES)
        finally:
            go.set()
    assert ledger.totals().runs_completed == GROUPS * RUNS
    assert network.taken > GROUPS * RUNS * EVENT_BYTES
    ledger.close()
