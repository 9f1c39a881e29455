"""What a step has freed does not count any more when the next one begins."""

import ctypes
import threading
from pathlib import Path

import pytest

from enrich.freeing import give_back

PIECES = 30_000
PIECE_BYTES = 2_000


def resident_bytes() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library has no malloc_trim")
def test_freed_memory_goes_back_to_the_system() -> None:
    last: list[bytes] = []

    def step() -> None:
        pieces = [bytes(PIECE_BYTES) for _ in range(PIECES)]
        last.append(pieces[-1])  # at the top of the heap: what is below it does not go back by itself

    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    before = resident_bytes()
    give_back()
    assert before - resident_bytes() > PIECES * PIECE_BYTES / 2
