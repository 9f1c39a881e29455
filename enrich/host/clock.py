"""Time as a command needs it: a wall clock that may jump, one that can't, and which boot. Nobody else reads a clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from enrich.records import Stamp


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from: `wall` in Unix seconds, `mono` in seconds that never step back."""

    wall: Callable[[], float]
    mono: Callable[[], float]

    def stamp(self) -> Stamp:
        """The present moment, by all that is known of it."""
        return Stamp(wall=self.wall(), mono=self.mono(), boot=_boot_id())

    def moment(self) -> datetime:
        """The present moment as a date, in UTC."""
        return datetime.fromtimestamp(self.wall(), UTC)


SYSTEM = Clock(time.time, time.monotonic)  # this machine's


@cache
def _boot_id() -> str:
    linux = Path("/proc/sys/kernel/random/boot_id")
    if linux.exists():
        return linux.read_text().strip()
    return f"since {round((time.time() - time.monotonic()) / 60)}"  # elsewhere: the minute of the boot
