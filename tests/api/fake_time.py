"""Time that only moves when somebody sleeps."""

from __future__ import annotations

import anyio


class FakeTime:
    """A clock that stands still but for sleeping; `slept` is every wait in order."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await anyio.lowlevel.checkpoint()
