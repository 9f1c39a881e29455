"""How often Python looks for cycles of objects that nobody holds any more.

A join makes objects by the million and not a cycle: reference counts free them at once. At Python's own pace, after
each 700 objects, the search takes 7% of its time. While the service is asked that pace is kept: cycles hold megabytes
there.
"""

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
