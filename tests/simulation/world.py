"""Simulated time: one heap of things to come, a wall clock that may jump, and which boot it is."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from enrich.records import Stamp


class World:
    """`now` is true time in seconds since the story began; nobody in the story can read it."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.now = 0.0
        self.tracing = say is not None
        self._say = say
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        self._wall_at_start = 1_750_000_000.0
        self._booted_at = -3_600.0
        self._boots = 1

    def at(self, when: float, action: Callable[..., None], *given: Any) -> None:
        """Do something at a time that is not over; things of the same time in the order of asking."""
        self._number += 1
        heappush(self._heap, (when, self._number, action, given))

    def step(self) -> bool:
        """Go on to the next thing; False when there is none."""
        if not self._heap:
            return False
        when, _, action, given = heappop(self._heap)
        self.now = max(self.now, when)
        action(*given)
        return True

    def forget(self) -> None:
        """Nothing that was to come will: every process is gone."""
        self._heap.clear()

    def stamp(self) -> Stamp:
        """What a process reads from its clocks."""
        return Stamp(self._wall_at_start + self.now, self.now - self._booted_at, f"boot {self._boots}")

    def set_wall_clock(self, by_s: float) -> None:
        """The wall clock jumps; the monotonic one does not."""
        self._wall_at_start += by_s
        self.say(f"the wall clock is set by {by_s:+.0f} s")

    def reboot(self) -> None:
        """The machine starts again: another boot, the monotonic clock near zero."""
        self._boots += 1
        self._booted_at = self.now - 20.0
        self.say("the machine reboots")

    def say(self, text: str) -> None:
        """A line of the trace, with the time."""
        if self._say is not None:
            minutes, seconds = divmod(self.now, 60)
            hours, minutes = divmod(int(minutes), 60)
            self._say(f"[{hours:3d}:{minutes:02d}:{seconds:06.3f}] {text}")
