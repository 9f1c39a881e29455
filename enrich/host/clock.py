"""Time as the submission protocol needs it: a wall clock that may jump, one that can't, and which boot.

A settling time is measured on the monotonic clock of one boot. After a reboot, or when the wall clock has
stepped back behind a stamp, nothing can be said about the time that passed, and the measuring starts again.
"""

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment: `wall` in Unix seconds, `mono` in seconds of the boot named by `boot`."""

    wall: float
    mono: float
    boot: str


def stamp() -> Stamp:
    """The present moment on this machine."""
    return Stamp(wall=time.time(), mono=time.monotonic(), boot=_boot_id())


def elapsed_s(since: Stamp, now: Stamp) -> float | None:
    """Seconds that surely passed between two stamps; None where that can't be known."""
    if since.boot != now.boot or now.wall < since.wall or now.mono < since.mono:
        return None
    return now.mono - since.mono


@cache
def _boot_id() -> str:
    linux = Path("/proc/sys/kernel/random/boot_id")
    if linux.exists():
        return linux.read_text().strip()
    return f"since {round((time.time() - time.monotonic()) / 60)}"  # elsewhere: the minute of the boot
