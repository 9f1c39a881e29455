"""Cycles are sought at the pace of the program again after a join; what a step has freed does not count in the next."""

import ctypes
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from enrich.host.memory import give_back, seldom_sought

PIECES = 30_000
PIECE_BYTES = 2_000


@pytest.fixture(autouse=True)
def pace() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("before", "inside"),
    [
        pytest.param((700, 10, 10), (50_000, 10, 10), id="Python's own"),
        pytest.param((90_000, 5, 5), (90_000, 5, 5), id="more seldom"),
        pytest.param((0, 10, 10), (0, 10, 10), id="never"),
    ],
)
def test_cycles_are_sought_seldom_for_the_length_of_a_block(before: tuple[int, ...], inside: tuple[int, ...]) -> None:
    gc.set_threshold(*before)

    def run() -> None:
        with seldom_sought():
            assert gc.get_threshold() == inside
            raise KeyError("ended")

    with pytest.raises(KeyError, match="ended"):
        run()
    assert gc.get_threshold() == before


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
