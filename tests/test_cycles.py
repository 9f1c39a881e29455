"""The pace at which cycles are sought is the program's own again after a join."""

import gc
from collections.abc import Iterator

import pytest

from enrich.cycles import seldom_sought


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
