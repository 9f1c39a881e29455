"""An event loop on which the client's hours are minutes: what it waits by its loop's clock passes so many times faster.

Time-outs, back-off and polls of the client are measured on its loop; the settling time is not (it is measured on the
machine's clocks), and neither are the sandbox's delays. So a stream that is given up after a minute of silence is given
up after six seconds at speed 10, by the very code that runs at speed 1.

Only naps pass faster, and a nap counts for as long as it was meant to last. On a machine that is busy with other things
it lasts longer: time then goes more slowly here, and nobody is given up because others had the processor.
"""

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio

T = TypeVar("T")

Ready = list[tuple[selectors.SelectorKey, int]]

NAP_S = 0.002


class _HastySelector(selectors.DefaultSelector):
    """Waits so many times shorter than it is told to, in naps. `ahead_s` is what it has gained on the machine."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.ahead_s = 0.0
        self._speed = speed

    def select(self, timeout: float | None = None) -> Ready:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        left_s = timeout
        while True:
            nap_s = min(left_s / self._speed, NAP_S)
            begun = time.monotonic()
            ready = super().select(nap_s)
            passed_s = time.monotonic() - begun
            gained_s = min(passed_s, nap_s) * (self._speed - 1)
            self.ahead_s += gained_s
            left_s -= passed_s + gained_s
            if ready or left_s <= 0:
                return ready


class FastLoop(asyncio.SelectorEventLoop):
    """A loop whose `time` runs up to `speed` times as fast as the machine's."""

    def __init__(self, speed: float) -> None:
        self._hasty = _HastySelector(speed)
        super().__init__(self._hasty)

    def time(self) -> float:
        return super().time() + self._hasty.ahead_s


def run_fast(call: Callable[[], Awaitable[T]], speed: float) -> T:
    """Run an async call to its end on a loop of its own."""
    return anyio.run(call, backend_options={"loop_factory": partial(FastLoop, speed)})
