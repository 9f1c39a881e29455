"""When all that was due has its answers from the top of the ladder, nothing needs comparing again."""

from collections import Counter

import pytest

from enrich.asking.rounds import is_settled
from enrich.planning.costs import Summary
from enrich.planning.due import Rung

CHEAP, DEAR = Rung("lite", 5_000), Rung("core", 25_000)


@pytest.mark.parametrize(
    ("ladder", "due", "completed", "settled"),
    [
        pytest.param((CHEAP,), {"lite": 3}, {"lite": 3}, True, id="one rung, all completed"),
        pytest.param((CHEAP,), {"lite": 3}, {"lite": 2}, False, id="one failed or was not taken"),
        pytest.param((CHEAP, DEAR), {"lite": 3}, {"lite": 3}, False, id="some may be too weak for the first rung"),
        pytest.param((CHEAP, DEAR), {"lite": 2, "core": 1}, {"lite": 2, "core": 1}, False, id="on both rungs"),
        pytest.param((CHEAP, DEAR), {"core": 3}, {"core": 3}, True, id="all on the last rung"),
        pytest.param((DEAR, CHEAP), {"lite": 3}, {"lite": 3}, False, id="what is dear is the top, wherever it stands"),
        pytest.param((CHEAP,), {}, {}, True, id="nothing was due"),
    ],
)
def test_settled(ladder: tuple[Rung, ...], due: dict[str, int], completed: dict[str, int], settled: bool) -> None:
    summary = Summary(ladder=ladder, runs=Counter(due))
    assert is_settled(summary, Counter(completed)) is settled
