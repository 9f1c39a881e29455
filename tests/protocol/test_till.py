"""Budget, credit and pace: who may spend how much, and when."""

from typing import Any

import pytest

from enrich.protocol.effects import AwaitTurn, Settled
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
    one.settled(Settled(PRICE, freed=8, why="credit"), 0.0)
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
    one.settled(Settled(PRICE, freed=8, why="credit"), 0.0)
    assert one.reserve(AwaitTurn(8, PRICE), 0.0) == Wait(None)
    one.settled(event, 0.0)
    assert one.at_stake == 0
    assert one.reserve(AwaitTurn(8, PRICE), 10.0) == 4


def test_out_of_credit_with_nothing_in_flight_ends_at_the_smallest_step() -> None:
    one = till()
    for tried in (4, 2, 1):
        assert one.reserve(AwaitTurn(4, PRICE), 0.0) == tried
        one.settled(Settled(PRICE, freed=tried, why="credit"), 0.0)
    stop = one.reserve(AwaitTurn(4, PRICE), 0.0)
    assert isinstance(stop, Stop)
    assert stop.why == "credit"


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
