"""An event loop on which the client's hours are minutes: what it waits by its loop's clock passes so many times faster.

Time-outs, back-off and polls of the client are measured on its loop; the settling time is not (it is measured on the
machine's clocks), and neither are the sandbox's delays. So a stream that is given up after a minute of silence is given
up after six seconds at speed 10, by the very code that runs at speed 1.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio

T = TypeVar("T")


class _HastySelector(selectors.DefaultSelector):
    """Waits so many times shorter than it is told to."""

    speed = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self.speed)


class FastLoop(asyncio.SelectorEventLoop):
    """A loop whose `time` runs `speed` times as fast as the machine's."""

    def __init__(self, speed: float) -> None:
        selector = _HastySelector()
        selector.speed = speed
        self._speed = speed
        super().__init__(selector)

    def time(self) -> float:
        return super().time() * self._speed


def run_fast(call: Callable[[], Awaitable[T]], speed: float) -> T:
    """Run an async call to its end on a loop of its own."""
    return anyio.run(call, backend_options={"loop_factory": partial(FastLoop, speed)})
