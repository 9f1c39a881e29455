"""The one writer of a command: it serves whoever records, until nobody is left who could."""

import threading
from typing import Any

import anyio
import pytest
from anyio.lowlevel import cancel_shielded_checkpoint

from enrich.ledger.recorder import open_recorder
from enrich.ledger.store import Ledger


class Entry:
    """A job of this name; its transaction takes until it is let go."""

    def __init__(self, name: str, go: threading.Event | None = None) -> None:
        self._name = name
        self._go = go

    def apply(self, ledger: Ledger) -> Any:
        if self._go is not None:
            self._go.wait()
        return ledger.start_job(name=self._name, config="", source="", fields={})


def names(ledger: Ledger) -> list[str]:
    return [name for (name,) in ledger.connection.execute("SELECT name FROM job ORDER BY job_id")]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_task_that_is_cancelled_from_outside_records_what_it_still_has_to() -> None:
    """From one recording to the next there is nothing at which a cancellation could end the task."""
    ledger, go = Ledger.in_memory(), threading.Event()
    given: list[int] = []

    async def record_all() -> None:
        for entry in (Entry("first", go), Entry("second"), Entry("third")):
            given.append(await recorder.record(entry))
            await cancel_shielded_checkpoint()  # as long as a cancellation takes to arrive
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        async with open_recorder(ledger) as recorder, anyio.create_task_group() as tasks:
            tasks.start_soon(record_all)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            go.set()
    assert scope.cancelled_caught
    assert given == [1, 2, 3]
    assert names(ledger) == ["first", "second", "third"]
    ledger.close()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_what_was_asked_for_when_the_block_ends_in_an_error_is_written() -> None:
    ledger, go = Ledger.in_memory(), threading.Event()

    async def fail() -> None:
        async with open_recorder(ledger) as recorder, anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.record, Entry("first", go))
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(recorder.record, Entry("second"))
            await anyio.wait_all_tasks_blocked()
            go.set()
            raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup):
        await fail()
    assert names(ledger) == ["first", "second"]
    ledger.close()
