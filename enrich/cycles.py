"""How often Python looks for cycles of objects that nobody holds any more.

A command makes objects by the million and hardly a cycle; reference counts free nearly all of them at once. At
Python's own pace, after each 700 objects, the search takes some 7% of the time of a join.
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
