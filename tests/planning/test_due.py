"""The steps of the comparison, one by one: what a run came to, what runs come to together."""

from datetime import timedelta

import pytest

from enrich.answers.answer import Answer
from enrich.config import Refresh
from enrich.planning.due import (
    Attempt,
    FailedBefore,
    Finding,
    Missing,
    Stale,
    Stands,
    TooWeak,
    Worth,
    attempts_of,
    finding_of,
    stronger_than,
)
from enrich.planning.freshness import failure_stands, is_stale, may_be_stale
from enrich.planning.rules import Rules, Rung
from enrich.records import Held, RunState
from enrich.spec import Field

NOW = 1_800_000_000
DAY = 86_400
HQ = Field("hq", {"type": "string"}, "hq-1", nullable=False)
LITE, CORE, PRO = Rung("lite", 5_000), Rung("core", 25_000), Rung("pro", 100_000)
LADDER = (LITE, CORE, PRO)
REFRESH = Refresh(answers=timedelta(days=30), not_found=timedelta(days=7), failed=timedelta(hours=12))


def run(
    n: int = 1,
    rung: Rung = CORE,
    *,
    state: RunState = RunState.COMPLETED,
    age_days: float = 1,
    field_id: str = "hq-1",
) -> Held:
    at = int(NOW - age_days * DAY)
    return Held(n, 0, 0, state, frozenset({field_id}), rung.processor, f"trun_{n}", at, 1, 0, None)


def answer(verdict: str) -> Answer:
    return Answer("x", "high", "", "[]", verdict, "", strong=verdict in ("accept", "not_found"))


def rules(*, ladder: tuple[Rung, ...] = LADDER, last_submission: int = 99, retry_failed: bool = False) -> Rules:
    prices = {rung.processor: rung.usd_micro for rung in LADDER}
    refresh = {"hq-1": REFRESH}
    return Rules(ladder, refresh, prices.__getitem__, {}, NOW, last_submission, retry_failed=retry_failed)


@pytest.mark.parametrize(
    ("held", "verdict", "options", "worth"),
    [
        pytest.param(run(), "accept", {}, "stands", id="a strong answer"),
        pytest.param(run(), "review", {}, "weak", id="a doubtful answer below a stronger rung"),
        pytest.param(run(rung=PRO), "review", {}, "stands", id="a doubtful answer from the top"),
        pytest.param(run(age_days=31), "accept", {}, "stale", id="older than its refresh"),
        pytest.param(run(age_days=8), "not_found", {}, "stale", id="not found, older than its own refresh"),
        pytest.param(run(age_days=8), "accept", {}, "stands", id="found, older than what is not found may be"),
        pytest.param(run(age_days=31), "accept", {"last_submission": 0}, "stands", id="of this very command"),
        pytest.param(run(state=RunState.FAILED, age_days=0.1), "", {}, "failed", id="failed just now"),
        pytest.param(run(state=RunState.REFUSED, age_days=1), "", {}, "failed before", id="refused yesterday"),
        pytest.param(
            run(state=RunState.FAILED, age_days=0.1),
            "",
            {"retry_failed": True},
            "failed before",
            id="to be tried again",
        ),
    ],
)
def test_a_run_comes_to_one_thing(held: Held, verdict: str, options: dict[str, int], worth: Worth) -> None:
    price = {rung.processor: rung.usd_micro for rung in LADDER}[held.processor]
    found = attempts_of(HQ, [held], lambda _: {"hq-1": answer(verdict)}, rules(**options))
    assert found == [Attempt(held, worth, price)]


@pytest.mark.parametrize("state", [RunState.SENT, RunState.ACCEPTED, RunState.RELEASED])
def test_what_has_not_ended_is_no_attempt(state: RunState) -> None:
    assert attempts_of(HQ, [run(state=state)], lambda _: {}, rules()) == []


def test_a_run_of_another_field_is_no_attempt() -> None:
    assert attempts_of(HQ, [run(field_id="year-1")], lambda _: {}, rules()) == []


def test_the_words_of_a_fresh_answer_from_the_top_are_not_read() -> None:
    def never(held: Held) -> dict[str, Answer]:
        raise AssertionError("decompressed for nothing")

    (attempt,) = attempts_of(HQ, [run(rung=PRO)], never, rules())
    assert attempt.worth == "stands"


def attempt(worth: Worth, n: int = 1, rung: Rung = CORE, age_days: float = 1) -> Attempt:
    return Attempt(run(n, rung, age_days=age_days), worth, rung.usd_micro)


@pytest.mark.parametrize(
    ("attempts", "finding"),
    [
        pytest.param([], Missing(), id="nothing"),
        pytest.param([attempt("stale"), attempt("weak", 2), attempt("stands", 3)], Stands(), id="one answer stands"),
        pytest.param([attempt("weak")], TooWeak(run(), PRO), id="one rung up"),
        pytest.param(
            [attempt("weak", 1, CORE, 2), attempt("weak", 2, LITE, 1)],
            TooWeak(run(2, LITE), PRO),
            id="the newest is built on, the strongest is climbed from",
        ),
        pytest.param([attempt("weak", 1, LITE), attempt("failed", 2, CORE)], Stands(), id="the next rung just failed"),
        pytest.param(
            [attempt("weak", 1, LITE), attempt("failed before", 2, CORE)], TooWeak(run(1, LITE), CORE), id="and before"
        ),
        pytest.param(
            [attempt("weak", 1, CORE), attempt("failed", 2, LITE)], TooWeak(run(1), PRO), id="a weaker failed"
        ),
        pytest.param([attempt("stale"), attempt("failed", 2)], Stands(), id="a failure stands before a stale answer"),
        pytest.param([attempt("stale"), attempt("failed before", 2)], Stale(), id="a stale answer before old failures"),
        pytest.param([attempt("failed before")], FailedBefore(), id="old failures alone"),
    ],
)
def test_attempts_come_to_one_finding(attempts: list[Attempt], finding: Finding) -> None:
    assert finding_of(attempts, LADDER) == finding
    assert finding_of(attempts[::-1], LADDER) == finding


@pytest.mark.parametrize(("usd_micro", "rung"), [(0, LITE), (5_000, CORE), (5_001, CORE), (100_000, None)])
def test_a_stronger_rung_is_a_dearer_one(usd_micro: int, rung: Rung | None) -> None:
    assert stronger_than(usd_micro, LADDER) == rung


@pytest.mark.parametrize(
    ("age_s", "stale", "maybe", "not_found_stale"),
    [
        pytest.param(7 * DAY - 1, False, False, False, id="young"),
        pytest.param(7 * DAY, False, True, True, id="on the second that what was not found is due"),
        pytest.param(30 * DAY - 1, False, True, True, id="found, not due yet"),
        pytest.param(30 * DAY, True, True, True, id="due"),
    ],
)
def test_an_answer_is_stale_from_the_second_of_its_refresh_on(
    age_s: int, stale: bool, maybe: bool, not_found_stale: bool
) -> None:
    at = NOW - age_s
    assert is_stale(answer("accept"), at, REFRESH, NOW) is stale
    assert is_stale(answer("not_found"), at, REFRESH, NOW) is not_found_stale
    assert may_be_stale(at, REFRESH, NOW) is maybe


@pytest.mark.parametrize(("age_s", "stands"), [(DAY // 2 - 1, True), (DAY // 2, False)])
def test_a_failure_stands_until_the_second_of_its_refresh(age_s: int, stands: bool) -> None:
    assert failure_stands(NOW - age_s, REFRESH, NOW) is stands


def test_what_is_never_refreshed_stands_for_ever() -> None:
    never = Refresh(answers=None, not_found=None, failed=None)
    assert not may_be_stale(0, never, NOW)
    assert failure_stands(0, never, NOW)
