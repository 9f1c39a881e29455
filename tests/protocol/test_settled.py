"""When all that was due has its answers from the top of the ladder, nothing needs comparing again."""

from collections import Counter

import pytest

from enrich.protocol.course import Due, is_settled


@pytest.mark.parametrize(
    ("top", "due", "completed", "settled"),
    [
        pytest.param("lite", {"lite": 3}, {"lite": 3}, True, id="one rung, all completed"),
        pytest.param("lite", {"lite": 3}, {"lite": 2}, False, id="one failed or was not taken"),
        pytest.param("core", {"lite": 3}, {"lite": 3}, False, id="some may be too weak for the first rung"),
        pytest.param("core", {"lite": 2, "core": 1}, {"lite": 2, "core": 1}, False, id="on both rungs"),
        pytest.param("core", {"core": 3}, {"core": 3}, True, id="all on the last rung"),
        pytest.param("lite", {}, {}, True, id="nothing was due"),
    ],
)
def test_settled(top: str, due: dict[str, int], completed: dict[str, int], settled: bool) -> None:
    assert is_settled(Due(due, top, ()), Counter(completed)) is settled
