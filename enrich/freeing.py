"""Memory that a step has freed goes back to the system before the next step begins.

glibc keeps what is freed for the thread that freed it, and the next step runs in another thread: at the peak both would
be counted.
"""

import ctypes


def give_back() -> None:
    """Return freed memory to the system, where the C library has a call for it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
