"""The driver waits without turning round and round, and counts each run once."""

from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from enrich.asking.driver import Driver
from enrich.backends.groups import Groups
from enrich.backends.parallel import Client
from enrich.ledger.recorder import open_recorder
from enrich.ledger.store import Ledger
from enrich.protocol.effects import AwaitTurn, Entrust, FollowEvents, RecordOutcomes, Script, Settled, Sleep
from enrich.protocol.replies import Followed
from enrich.protocol.till import Stop, Till, Wait
from enrich.records import Intent, Outcome, Stamp
from tests.faults.fast_loop import run_fast

PRICE = 25_000
MOST_ASKED = 20  # a driver that turns round and round is stopped here


class CountingTill(Till):
    """The till, with how often it was asked."""

    asked = 0

    def reserve(self, turn: AwaitTurn, now: float) -> int | Wait | Stop:
        self.asked += 1
        assert self.asked <= MOST_ASKED
        return super().reserve(turn, now)


@asynccontextmanager
async def driving(ledger: Ledger, till: Till, body: bytes = b"") -> AsyncIterator[Driver]:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    transport = httpx.MockTransport(answer)
    async with (
        Client(base_url="https://api.example", api_key=None, transport=transport) as client,
        open_recorder(ledger) as recorder,
    ):
        yield Driver(Groups(client), recorder, till)


def test_nothing_is_done_while_money_is_awaited(ledger_in_memory: Ledger) -> None:
    """A request that is held by the budget is looked at again when a run before it has failed, and not until then."""
    till = CountingTill(budget=PRICE)
    granted: list[int] = []

    def spend() -> Generator[Any, Any, None]:
        granted.append((yield AwaitTurn(1, PRICE)))
        yield Sleep(5.0)
        yield Settled(PRICE, freed=1)

    async def both() -> None:
        async with driving(ledger_in_memory, till) as driver, anyio.create_task_group() as tasks:
            tasks.start_soon(driver.run, spend())
            tasks.start_soon(driver.run, spend())

    run_fast(both, 50.0)
    assert granted == [1, 1]
    assert till.asked == 3


def test_what_was_entrusted_and_has_not_begun_may_still_settle_something(ledger_in_memory: Ledger) -> None:
    """The first run fails a while later: until then the second one is held, and not refused by the budget."""
    till = Till(budget=PRICE)
    granted: list[int] = []

    def fail() -> Script[None]:
        yield Sleep(5.0)
        yield Settled(PRICE, freed=1)

    def spend() -> Script[None]:
        granted.append((yield AwaitTurn(1, PRICE)))
        yield Entrust(fail())
        granted.append((yield AwaitTurn(1, PRICE)))

    async def both() -> None:
        async with driving(ledger_in_memory, till) as driver, anyio.create_task_group() as tasks:
            await driver.run(spend(), beside=lambda script: tasks.start_soon(driver.run, script))

    run_fast(both, 50.0)
    assert granted == [1, 1]
    assert till.stopped is None


@pytest.mark.anyio
async def test_a_run_whose_end_was_told_and_then_read_is_counted_once(ledger_in_memory: Ledger) -> None:
    ledger = ledger_in_memory
    with ledger.transaction():
        job_id = ledger.start_job(name="job", config="", source="", fields={})
        tasks = tuple((bytes((n, *bytes(15))), 0) for n in range(2))
        stamp = Stamp(0, 0, "boot")
        number = ledger.record_intent(Intent(job_id, "tgrp_1", "core", ("f" * 16,), PRICE, b"", stamp, tasks))
        ledger.record_accepted(number, ["a", "b"], None)
    told = (
        b'data: {"type":"task_group_status","event_id":"e0","status":{"num_task_runs":2,"is_active":true}}\n\n'
        b'data: {"type":"task_run.state","event_id":"e1","run":{"run_id":"a","status":"completed"}}\n\n'
    )
    counted: list[int] = []

    async with driving(ledger, Till(), told) as driver:

        def follow_and_read() -> Generator[Any, Any, None]:
            news: Followed = yield FollowEvents("tgrp_1", "e0", 30.0, frozenset({"a"}))
            assert news.ended == {"a"}
            counted.append(driver.counts.ended)
            for n, run_id in enumerate("ab"):
                yield RecordOutcomes(number, "core", [Outcome(n, run_id, completed=True, raw=b"{}")], None)
                counted.append(driver.counts.ended)

        await driver.run(follow_and_read())
    assert counted == [1, 1, 2]
