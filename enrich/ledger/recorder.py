"""The one writer of a running command: transitions from many tasks, made durable together.

While one transaction is being synced, what comes in waits and shares the next one, so that a hundred groups cost
few more fsyncs than one. Writing happens on a worker thread, never on the event loop; who records something waits
until it is on disk, so a slow disk slows the network and not the memory.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio
import anyio.to_thread

from enrich.ledger.store import Ledger


class Transition(Protocol):
    """One change of the ledger, or a question to it that must see all changes before."""

    def apply(self, ledger: Ledger) -> Any: ...


class _Slot:
    def __init__(self, transition: Transition) -> None:
        self.transition = transition
        self.done = anyio.Event()
        self.result: Any = None
        self.error: BaseException | None = None


class Recorder:
    """Applies transitions in the order of asking. Use `open_recorder`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[_Slot] = []
        self._wake = anyio.Event()
        self._ended = False
        self._limiter = anyio.CapacityLimiter(1)
        self.commits = 0

    async def record(self, transition: Transition) -> Any:
        """What the transition gives, once it is durable. Raises what the ledger or the disk raises.

        A transition that was asked for is made even if the asking task is cancelled.
        """
        slot = _Slot(transition)
        self._waiting.append(slot)
        self._wake.set()
        with anyio.CancelScope(shield=True):
            await slot.done.wait()
        if slot.error is not None:
            raise slot.error
        return slot.result

    async def write(self) -> None:
        """Serve until ended. No cancellation from outside ends it: tasks that are cancelled record what they did."""
        with anyio.CancelScope(shield=True):
            while not self._ended:
                await self._wake.wait()
                self._wake = anyio.Event()
                await self._flush()

    def end(self) -> None:
        """Nobody records any more: `write` ends with what was asked for so far."""
        self._ended = True
        self._wake.set()

    async def _flush(self) -> None:
        while self._waiting:
            slots, self._waiting = self._waiting, []
            await anyio.to_thread.run_sync(self._apply, slots, limiter=self._limiter)
            for slot in slots:
                slot.done.set()

    def _apply(self, slots: list[_Slot]) -> None:
        try:
            with self._ledger.transaction():
                for slot in slots:
                    slot.result = slot.transition.apply(self._ledger)
        except BaseException as error:  # noqa: BLE001 — handed on to every task that waits for this transaction
            for slot in slots:
                slot.error = error
        else:
            self.commits += 1


@asynccontextmanager
async def open_recorder(ledger: Ledger) -> AsyncIterator[Recorder]:
    """A recorder that serves while the block runs, and has written all it was given when it ends."""
    recorder = Recorder(ledger)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.write)
        try:
            yield recorder
        finally:
            recorder.end()
