"""What is being read when a command is asked to stop is read to its end, within a second; what only waits is not."""

import json
from typing import Any

import anyio
import httpx
import pytest

from enrich.asking.driver import Driver
from enrich.backends.groups import Groups
from enrich.backends.parallel import Client
from enrich.ledger.recorder import open_recorder
from enrich.ledger.store import Ledger
from enrich.protocol.effects import (
    Effect,
    FetchRun,
    FollowEvents,
    ListGroup,
    PollGroup,
    ReadRuns,
    Script,
    Sleep,
    StopRequested,
    do,
)
from enrich.protocol.till import Till
from tests.faults.fast_loop import run_fast

GROUP = {"taskgroup_id": "g1", "status": {"num_task_runs": 1, "is_active": True}}
EVENT = {"type": "task_run.state", "event_id": "e1", "run": {"run_id": "a", "status": "running"}}


async def answer(request: httpx.Request) -> httpx.Response:
    """Every answer takes a tenth of a second."""
    await anyio.sleep(0.1)
    name = request.url.path.rpartition("/")[2]
    if name in ("runs", "events"):
        body = b"data: %s\n\n" % json.dumps(EVENT).encode()
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    return httpx.Response(200, json=GROUP if name == "g1" else {**EVENT["run"], "input": {}})


def stopped_at_once(ledger: Ledger, effect: Effect[Any]) -> Any:
    """What comes of an effect during which the command is asked to stop; None where that ends it."""

    def script() -> Script[Any]:
        return (yield from do(effect))

    async def drive() -> Any:
        async with (
            Client(base_url="https://api.example", api_key=None, transport=httpx.MockTransport(answer)) as client,
            open_recorder(ledger) as recorder,
            anyio.create_task_group() as tasks,
        ):
            driver = Driver(Groups(client), recorder, Till())

            async def stop() -> None:
                await anyio.sleep(0.05)
                driver.stopping.requested.set()

            tasks.start_soon(stop)
            try:
                return await driver.run(script())
            except StopRequested:
                return None

    return run_fast(drive, 10.0)


@pytest.mark.parametrize("effect", [FetchRun("a"), ListGroup("g1"), PollGroup("g1"), ReadRuns("g1", None)])
def test_what_is_being_read_is_read_to_its_end(ledger_in_memory: Ledger, effect: Effect[Any]) -> None:
    assert stopped_at_once(ledger_in_memory, effect) is not None


@pytest.mark.parametrize("effect", [Sleep(60.0), FollowEvents("g1", "e0", 30.0, frozenset("ab"))])
def test_what_only_waits_ends_at_once(ledger_in_memory: Ledger, effect: Effect[Any]) -> None:
    assert stopped_at_once(ledger_in_memory, effect) is None
