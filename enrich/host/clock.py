"""Time as the submission protocol needs it: a wall clock that may jump, one that can't, and which boot."""

import time
from functools import cache
from pathlib import Path

from enrich.records import Stamp


def stamp() -> Stamp:
    """The present moment on this machine."""
    return Stamp(wall=time.time(), mono=time.monotonic(), boot=_boot_id())


@cache
def _boot_id() -> str:
    linux = Path("/proc/sys/kernel/random/boot_id")
    if linux.exists():
        return linux.read_text().strip()
    return f"since {round((time.time() - time.monotonic()) / 60)}"  # elsewhere: the minute of the boot
