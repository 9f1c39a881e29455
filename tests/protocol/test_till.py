"""Budget, credit and pace: who may spend how much, and when."""

from typing import Any

import pytest

from enrich.protocol.effects import AwaitTurn, Settled
from enrich.protocol.pace import Pace
from enrich.protocol.till import Stop, Till, Wait

PRICE = 25_000


def till(**options) -> Till:
    return Till(random_=lambda: 1.0, **options)


def test_without_a_budget_all_is_granted() -> None:
    assert till().reserve(AwaitTurn(200, PRICE), 0.0) == 200


def test_a_budget_grants_what_is_left_of_it() -> None:
    one = till(budget=10 * PRICE)
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == 8
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == 2
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == Wait(None)  # a run that fails gives its money back


def test_a_failed_run_gives_its_money_back_and_a_completed_one_does_not() -> None:
    one = till(budget=2 * PRICE)
    assert one.reserve(AwaitTurn(2, PRICE), 0.0) == 2
    one.settled(Settled(PRICE, paid=1, freed=1), 0.0)
    assert one.reserve(AwaitTurn(2, PRICE), 0.0) == 1
    one.settled(Settled(PRICE, paid=1), 0.0)
    stop = one.reserve(AwaitTurn(2, PRICE), 0.0)
    assert isinstance(stop, Stop)
    assert stop.text == "the budget of $0.05 is reached: $0.05 spent, and the next run costs $0.025"


def test_what_earlier_commands_left_in_flight_counts() -> None:
    assert till(budget=4 * PRICE, in_flight=3 * PRICE).reserve(AwaitTurn(4, PRICE), 0.0) == 1


def test_troubles_in_a_row_wait_longer_and_longer_and_never_too_long() -> None:
    one, waits, now = till(), [], 0.0
    for _ in range(10):
        one.settled(Settled(PRICE, why="unknown"), now)
        wait = one.reserve(AwaitTurn(1, PRICE), now)
        assert isinstance(wait, Wait)
        assert wait.seconds is not None
        waits.append(wait.seconds)
        now += wait.seconds
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    one.settled(Settled(PRICE, why="accepted"), now)
    one.settled(Settled(PRICE, why="unknown"), now)
    assert one.reserve(AwaitTurn(1, PRICE), now) == Wait(0.5)


@pytest.mark.parametrize(("said", "waited"), [(7.0, 7.0), (10_000.0, 300.0), (None, 0.5), (0.0, 0.5)])
def test_a_rate_limit_waits_as_it_says_within_reason(said: float | None, waited: float) -> None:
    one = till()
    one.settled(Settled(PRICE, why="rate", retry_after_s=said), 0.0)
    assert one.reserve(AwaitTurn(1, PRICE), 0.0) == Wait(waited)


@pytest.mark.parametrize("why", ["rate", "unknown", "unsent"])
def test_a_service_that_says_at_once_again_and_again_is_asked_more_and_more_seldom(why: Any) -> None:
    one, now, waits = till(), 0.0, []
    for _ in range(8):
        one.settled(Settled(PRICE, why=why, retry_after_s=0.0), now)
        answer = one.reserve(AwaitTurn(1, PRICE), now)
        assert isinstance(answer, Wait)
        assert answer.seconds is not None
        waits.append(answer.seconds)
        now += answer.seconds
    assert waits[:6] == [0.5, 1, 2, 4, 8, 16]
    assert sum(waits) > 60


def test_out_of_credit_tries_smaller_steps_while_something_runs() -> None:
    one = till()
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == 8  # runs
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == 8
    one.settled(Settled(PRICE, tried=8, why="credit"), 0.0)
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == Wait(None)  # until something that runs has ended
    one.settled(Settled(PRICE, paid=4), 0.0)
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == 4
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == Wait(None)  # one probe at a time
    one.settled(Settled(PRICE, why="accepted"), 0.0)
    assert one.reserve(AwaitTurn(20, PRICE), 0.0) == 8  # it went well: twice as many


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(Settled(PRICE, freed=8, why="refused"), id="an unknown request that made nothing"),
        pytest.param(Settled(PRICE, freed=8, why="rate", retry_after_s=1.0), id="too many requests"),
        pytest.param(Settled(PRICE, freed=8, why="unsent"), id="never sent"),
    ],
)
def test_out_of_credit_tries_again_when_what_was_at_stake_was_never_made(event: Settled) -> None:
    one = till()
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == 8
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == 8
    one.settled(Settled(PRICE, tried=8, why="credit"), 0.0)
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == Wait(None)
    one.settled(Settled(PRICE, freed=8, why="believed"), 0.0)
    one.settled(event, 0.0)
    assert one.at_stake == 0
    assert one.reserve(AwaitTurn(8, PRICE), 10.0) == 4


def test_out_of_credit_with_nothing_in_flight_ends_at_the_smallest_step() -> None:
    one = till()
    for tried in (4, 2, 1):
        assert one.reserve(AwaitTurn(4, PRICE), 0.0) == tried
        one.settled(Settled(PRICE, tried=tried, why="credit"), 0.0)
        assert one.reserve(AwaitTurn(4, PRICE), 0.0) == Wait(None)  # a refusal is believed only after a look
        one.settled(Settled(PRICE, freed=tried, why="believed"), 0.0)
    stop = one.reserve(AwaitTurn(4, PRICE), 0.0)
    assert isinstance(stop, Stop)
    assert stop.why == "credit"


def test_a_large_batch_that_the_credit_does_not_cover_is_cut_down_fast() -> None:
    one = till()
    for tried in (1000, 125, 15, 7, 3, 1):
        assert one.reserve(AwaitTurn(1000, PRICE), 0.0) == tried
        one.settled(Settled(PRICE, tried=tried, why="credit"), 0.0)
        one.settled(Settled(PRICE, freed=tried, why="believed"), 0.0)
    assert isinstance(one.reserve(AwaitTurn(1000, PRICE), 0.0), Stop)


def paced(told: int) -> Till:
    return Till(pace=Pace(told, 0.0), random_=lambda: 1.0)


def test_a_turn_is_cut_to_what_the_quota_allows() -> None:
    one = paced(1500)
    assert one.reserve(AwaitTurn(1000, PRICE), 0.0) == 1000
    assert one.reserve(AwaitTurn(1000, PRICE), 0.0) == 500
    assert one.at_stake == 1500 * PRICE
    assert one.reserve(AwaitTurn(1000, PRICE), 0.0) == Wait(None)  # until one of them is answered
    one.settled(Settled(PRICE, tried=1000, why="accepted"), 1.0)
    one.settled(Settled(PRICE, tried=500, why="unknown"), 2.0)  # it may have been made
    waiting = one.reserve(AwaitTurn(1000, PRICE), 3.0)
    assert isinstance(waiting, Wait)
    assert waiting.seconds == pytest.approx(58, abs=0.5)
    assert one.reserve(AwaitTurn(1000, PRICE), 61.1) == 1000


def test_a_refusal_by_the_quota_is_waited_for_and_keeps_its_money_until_it_is_believed() -> None:
    one = paced(2000)
    assert one.reserve(AwaitTurn(1000, PRICE), 0.0) == 1000
    one.settled(Settled(PRICE, tried=1000, why="rate", retry_after_s=7.0), 0.0)
    assert one.at_stake == 1000 * PRICE
    waiting = one.reserve(AwaitTurn(1000, PRICE), 1.0)
    assert isinstance(waiting, Wait)
    assert waiting.seconds == pytest.approx(6, abs=0.5)
    one.settled(Settled(PRICE, freed=1000, why="believed"), 8.0)
    assert one.at_stake == 0
    assert one.reserve(AwaitTurn(1000, PRICE), 8.0) == 1000


def test_what_was_never_sent_does_not_use_the_quota_up() -> None:
    one = paced(10)
    assert one.reserve(AwaitTurn(10, PRICE), 0.0) == 10
    one.settled(Settled(PRICE, freed=10, tried=10, why="unsent"), 0.0)
    assert one.reserve(AwaitTurn(10, PRICE), 10.0) == 10


@pytest.mark.parametrize(
    ("event", "said"),
    [
        pytest.param(
            Settled(PRICE, why="unsent", said="no connection"), "can't be reached: no connection", id="unsent"
        ),
        pytest.param(Settled(PRICE, freed=1, why="unknown", said="404"), "takes no runs: 404", id="not made"),
    ],
)
def test_what_comes_to_nothing_again_and_again_is_not_tried_for_ever(event: Settled, said: str) -> None:
    one, now = till(), 0.0
    while not isinstance(answer := one.reserve(AwaitTurn(1, PRICE), now), Stop):
        if isinstance(answer, Wait) and answer.seconds:
            now += answer.seconds
        else:
            one.settled(event, now)
    assert answer == Stop("unreachable", f"the service {said}")
    assert 60 < now < 180


def test_a_stop_stands() -> None:
    one = till()
    one.stop("refused", "the key")
    one.stop("budget", "later")
    assert one.reserve(AwaitTurn(1, PRICE), 0.0) == Stop("refused", "the key")


def test_to_wait_for_the_service_alone_needs_no_money_and_ends_no_spending() -> None:
    one = till(budget=PRICE)
    assert one.reserve(AwaitTurn(1, PRICE), 0.0) == 1
    one.settled(Settled(PRICE, paid=1), 0.0)
    assert one.reserve(AwaitTurn(0, PRICE), 0.0) == 0
    assert one.stopped is None


@pytest.mark.parametrize(
    ("event", "at_stake", "left"),
    [
        pytest.param(Settled(PRICE, paid=2), 4, 4, id="paid"),
        pytest.param(Settled(PRICE, freed=2), 4, 6, id="freed"),
        pytest.param(Settled(PRICE, paid=2, freed=1), 3, 5, id="both"),
        pytest.param(Settled(PRICE, found=2), 8, 2, id="found later"),
        pytest.param(Settled(2 * PRICE, paid=1), 4, 4, id="at twice the price"),
    ],
)
def test_money_is_at_stake_until_it_is_paid_or_free_again(event: Settled, at_stake: int, left: int) -> None:
    one = till(budget=10 * PRICE)
    assert one.reserve(AwaitTurn(6, PRICE), 0.0) == 6
    one.settled(event, 0.0)
    assert one.at_stake == at_stake * PRICE
    assert one.reserve(AwaitTurn(10, PRICE), 0.0) == left


@pytest.mark.parametrize(("random", "waited"), [(0.0, 0.25), (0.5, 0.375), (1.0, 0.5)])
def test_a_pause_is_spread_over_its_second_half_and_ends_when_it_is_over(random: float, waited: float) -> None:
    one = Till(random_=lambda: random)
    one.settled(Settled(PRICE, why="unknown"), 0.0)
    assert one.reserve(AwaitTurn(1, PRICE), 0.0) == Wait(waited)
    assert one.reserve(AwaitTurn(1, PRICE), waited / 2) == Wait(waited / 2)
    assert one.reserve(AwaitTurn(1, PRICE), waited) == 1


def test_what_fails_together_counts_as_one_trouble() -> None:
    one = till()
    for now in (0.0, 0.125, 0.25):
        one.settled(Settled(PRICE, why="unknown"), now)
    assert one.reserve(AwaitTurn(1, PRICE), 0.25) == Wait(0.5)
    one.settled(Settled(PRICE, why="unknown"), 0.75)
    assert one.reserve(AwaitTurn(1, PRICE), 0.75) == Wait(1.0)


@pytest.mark.parametrize(
    ("event", "longest"),
    [
        pytest.param(Settled(PRICE, why="rate"), 300.0, id="too many requests"),
        pytest.param(Settled(PRICE, why="unknown"), 60.0, id="unknown"),
        pytest.param(Settled(PRICE, why="unknown", freed=1), 30.0, id="nothing was made"),
        pytest.param(Settled(PRICE, why="unsent"), 30.0, id="never sent"),
        pytest.param(Settled(PRICE, why="unknown", retry_after_s=45.0), 60.0, id="no less than it asks for"),
        pytest.param(Settled(PRICE, why="unknown", retry_after_s=90.0), 90.0, id="as long as it asks for"),
        pytest.param(Settled(PRICE, why="unknown", retry_after_s=900.0), 300.0, id="but not for ever"),
    ],
)
def test_no_pause_is_longer_than_it_may_be(event: Settled, longest: float) -> None:
    one, now = till(), 0.0
    waits: list[float] = []
    while one.stopped is None and len(waits) < 20:
        one.settled(event, now)
        answer = one.reserve(AwaitTurn(1, PRICE), now)
        if isinstance(answer, Wait) and answer.seconds is not None:
            waits.append(answer.seconds)
            now += answer.seconds
    assert max(waits) == longest


def test_only_troubles_in_a_row_make_a_service_unreachable() -> None:
    one, now = till(), 0.0
    for n in range(40):
        one.settled(Settled(PRICE, why="accepted" if n % 8 == 7 else "unsent"), now)
        now += 1000.0
    assert one.stopped is None


def test_requests_of_unknown_outcome_do_not_make_a_service_unreachable() -> None:
    one = till()
    for n in range(40):
        one.settled(Settled(PRICE, why="unknown"), 1000.0 * n)
    assert one.stopped is None


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(Settled(PRICE, why="refused"), id="refused as invalid"),
        pytest.param(Settled(PRICE, why="unknown"), id="of unknown outcome"),
    ],
)
def test_a_probe_that_says_nothing_of_credit_is_followed_by_another(event: Settled) -> None:
    one = till()
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == 8
    one.settled(Settled(PRICE, tried=8, why="credit"), 0.0)
    one.settled(Settled(PRICE, freed=8, why="believed"), 0.0)
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == 4
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == Wait(None)
    one.settled(event, 0.0)
    assert one.reserve(AwaitTurn(8, PRICE), 1.0) == 4


def test_when_everybody_waits_the_reason_is_told() -> None:
    one = till(budget=PRICE)
    assert one.reserve(AwaitTurn(1, PRICE), 0.0) == 1
    stop = one.stalled(AwaitTurn(1, PRICE))
    assert stop == Stop("budget", "the budget of $0.025 is reached: $0.00 spent, and the next run costs $0.025")
    assert one.stopped == stop
    other = till()
    assert other.reserve(AwaitTurn(8, PRICE), 0.0) == 8
    other.settled(Settled(PRICE, tried=4, why="credit"), 0.0)
    assert other.stalled(AwaitTurn(1, PRICE)).why == "credit"


def test_the_last_run_that_credit_does_not_cover_waits_for_what_runs() -> None:
    one = till()
    assert one.reserve(AwaitTurn(1, PRICE), 0.0) == 1
    assert one.reserve(AwaitTurn(1, PRICE), 0.0) == 1
    one.settled(Settled(PRICE, tried=1, why="credit"), 0.0)
    one.settled(Settled(PRICE, freed=1, why="believed"), 0.0)
    assert one.reserve(AwaitTurn(1, PRICE), 0.0) == Wait(None)
    one.settled(Settled(PRICE, freed=1), 0.0)
    assert one.reserve(AwaitTurn(1, PRICE), 0.0) == 1
