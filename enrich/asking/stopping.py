"""A request to stop: it ends every wait, and what is being read has a little longer."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from enrich.api.errors import ApiError
from enrich.protocol.effects import StopRequested

T = TypeVar("T")


class Stopping:
    """Whether one command was asked to stop, and how long what it does may go on."""

    def __init__(self) -> None:
        self.requested = anyio.Event()
        self._reading_ends = float("inf")  # when what is being read is left, once the command is asked to end

    async def until_stop(self, action: Callable[[], Awaitable[T]], *, grace_s: float = 0.0) -> T:
        """The action's result; raises StopRequested as soon as the command is asked to stop.

        With `grace_s` it has that many seconds more, together with all that is tried from then on: a service that
        never comes to an end does not keep a command that is to end.
        """
        if self.requested.is_set() and self._patience_s(grace_s) <= 0:
            raise StopRequested
        results: list[T] = []
        errors: list[ApiError] = []

        async def act() -> None:
            try:
                results.append(await action())
            except ApiError as error:  # kept out of the task group, which would wrap it
                errors.append(error)
            tasks.cancel_scope.cancel()

        async def watch() -> None:
            await self.requested.wait()
            await anyio.sleep(self._patience_s(grace_s))
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(act)
            tasks.start_soon(watch)
        if errors:
            raise errors[0]
        if not results:
            raise StopRequested
        return results[0]

    async def sleep(self, seconds: float) -> None:
        """Wait; raises StopRequested as soon as the command is asked to stop. Thousands do it at a time."""
        with anyio.move_on_after(seconds):
            await self.requested.wait()
        if self.requested.is_set():
            raise StopRequested

    def _patience_s(self, grace_s: float) -> float:
        """Seconds for which a reading goes on after the command was asked to stop, by the first that asks."""
        if not grace_s:
            return 0.0
        now = anyio.current_time()
        self._reading_ends = min(self._reading_ends, now + grace_s)
        return max(0.0, self._reading_ends - now)
