"""What may be due later because of runs that are under way: from the lowest rung on which any question may be asked."""

import pytest

from enrich.answers.answer import Answer
from enrich.config import Refresh
from enrich.planning.outlook import Outlook, climb_from, outlooks
from enrich.planning.rules import Rules, Rung
from enrich.records import Held, RunState
from enrich.spec import Field

NOW = 1_800_000_000
HQ = Field("hq", {"type": "string"}, "hq-1", nullable=False)
YEAR = Field("year", {"type": ["integer", "null"]}, "year-1", nullable=True)
LITE, CORE, PRO = Rung("lite", 5_000), Rung("core", 25_000), Rung("pro", 100_000)
LADDER = (LITE, CORE, PRO)
PRICES = {rung.processor: rung.usd_micro for rung in LADDER}


def held(n: int, state: RunState, processor: str, *fields: str) -> Held:
    at = NOW - 60 if state is RunState.COMPLETED else None
    block = 1 if state is RunState.COMPLETED else None
    return Held(n, 0, 0, state, frozenset(fields), processor, f"trun_{n}", at, block, 0, None)


def weak(run: Held) -> dict[str, Answer]:
    return {one: Answer("x", "low", "", "[]", "withhold", "", strong=False) for one in run.field_ids}


def rules(**options: object) -> Rules:
    given = {"sent": {2: NOW}, "watched": frozenset[int](), **options}
    return Rules(
        ladder=LADDER,
        refresh={"hq-1": Refresh(), "year-1": Refresh()},
        price=lambda name: PRICES.get(name, 0),
        names={},
        now=NOW,
        last_submission=99,
        retry_failed=False,
        **given,  # type: ignore[arg-type]
    )


def found(*runs: Held) -> list[Outlook]:
    return list(outlooks([HQ, YEAR], runs, weak, rules(), None))


def test_of_two_questions_the_lower_rung_is_where_it_may_begin() -> None:
    """One was too weak on the lowest rung already, the other was never asked: both travel in what is unresolved."""
    earlier = held(1, RunState.COMPLETED, "lite", "hq-1")
    sent = held(2, RunState.SENT, "core", "hq-1", "year-1")
    assert found(earlier, sent) == [Outlook("unresolved", LITE, PRO, both=False)]


def test_what_the_service_has_can_only_be_too_weak() -> None:
    assert found(held(2, RunState.ACCEPTED, "lite", "hq-1", "year-1")) == [Outlook("in flight", None, CORE)]


def test_at_the_top_nothing_can_follow_from_what_is_in_flight() -> None:
    assert found(held(2, RunState.ACCEPTED, "pro", "hq-1", "year-1")) == []


@pytest.mark.parametrize(
    ("rung", "expected"),
    [(LITE, [LITE, CORE, PRO]), (CORE, [CORE, PRO]), (Rung("old", 30_000), [Rung("old", 30_000), PRO])],
)
def test_each_step_up_is_the_next_that_is_dearer(rung: Rung, expected: list[Rung]) -> None:
    assert list(climb_from(rung, LADDER)) == expected
