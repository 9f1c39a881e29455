"""Memory of this process: how often Python looks for cycles, and what a step has freed goes back to the system.

A join makes objects by the million and not a cycle: reference counts free them at once. At Python's own pace, after
each 700 objects, the search takes 7% of its time. While the service is asked that pace is kept: cycles hold megabytes
there.

glibc keeps what is freed for the thread that freed it, and the next step runs in another thread: at the peak both would
be counted.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_OBJECTS: Final = 50_000


@contextmanager
def seldom_sought() -> Iterator[None]:
    """Look for cycles after so many objects only while the block runs, unless the program does so even less often."""
    young, *older = before = gc.get_threshold()
    if 0 < young < _OBJECTS:
        gc.set_threshold(_OBJECTS, *older)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def give_back() -> None:
    """Return freed memory to the system, where the C library has a call for it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
