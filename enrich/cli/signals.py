"""Signals: the first asks the command to end in good order, the second ends it at once.

A terminal that is lost sends SIGHUP as often as it likes, from the kernel, the shell and the terminal's own program: it
is told, not asked for, so it asks for an end in good order and is never the signal that ends at once.
"""

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio.abc import TaskStatus

from enrich.errors import ExitCode, ungrouped
from enrich.host.interruption import Interruption

# A terminal that is lost (SIGHUP) ends a command with the code of SIGTERM.
_CODES: Final = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.TERMINATED,
}
FIRST: Final = "ending: no more is sent, and the same command goes on later. Another signal ends at once"
SECOND: Final = "ended at once; nothing is lost, and the same command goes on"


@asynccontextmanager
async def obeying_signals(interruption: Interruption, note: Callable[[str], None]) -> AsyncIterator[None]:
    """Obey signals while the block runs. What was ignored from the start (nohup, a shell's `&`) stays ignored."""
    wanted = [number for number in _CODES if signal.getsignal(number) is not signal.SIG_IGN]
    with ungrouped():
        async with anyio.create_task_group() as tasks:
            await tasks.start(_obey, wanted, interruption, note)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()


async def _obey(
    wanted: list[signal.Signals],
    interruption: Interruption,
    note: Callable[[str], None],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(*wanted) as received:
        task_status.started()
        asked = False  # by a person, or by what stands for one
        async for number in received:
            if asked and number != signal.SIGHUP:
                note(SECOND)
                os._exit(_CODES[number])  # as sudden as kill -9, which the ledger and the outputs are made for
            asked = asked or number != signal.SIGHUP
            if interruption.code is None:
                interruption.request(_CODES[number])
                note(FIRST)
