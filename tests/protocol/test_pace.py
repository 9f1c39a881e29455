"""The pace keeps within a quota that it knows, learns one that it does not, and shares one with others."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.protocol.pace import Grant, Pace
from enrich.records import Learnt

MOST_RUNS = 200  # of an add: $5 of the dearer processors
AT_ONCE = 16  # adds that may be on their way


@dataclass
class Account:
    """A service's quota: `runs` in any `seconds`, by its own clock, as it meets the adds."""

    runs: int
    seconds: float
    partly: bool = False
    counts_refused: bool = False
    tells: bool = True
    made: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, runs: int, at: float) -> tuple[int, float | None]:
        """How many are made, and Retry-After."""
        while self.made and self.made[0][0] <= at - self.seconds:
            self.made.popleft()
        free = max(0, self.runs - sum(one for _, one in self.made))
        taken = runs if runs <= free else free if self.partly else 0
        if counted := runs if self.counts_refused else taken:
            self.made.append((at, counted))
        oldest = self.made[0][0] if self.made else at
        wait_s = None if taken == runs or not self.tells else max(1.0, oldest + self.seconds - at)
        return taken, wait_s


@dataclass
class Payer:
    """A command that creates runs on an account at a pace."""

    rows: int
    pace: Pace
    done_at: float = 0.0
    adds: int = 0
    refused: int = 0


def play(account: Account, *payers: Payer, seed: int = 0, until_s: float = 7200.0) -> None:
    """Let them all send what they have; an add takes up to half a second, and meets the account somewhere in it."""
    rng, number = Random(seed), count()
    events: list[tuple[float, int, str, Payer, int]] = [(0.0, next(number), "ask", payer, 0) for payer in payers]
    left = {id(payer): payer.rows for payer in payers}
    flying = {id(payer): 0 for payer in payers}
    asking = {id(payer) for payer in payers}
    heapq.heapify(events)
    while events:
        now, _, what, payer, runs = heapq.heappop(events)
        if now > until_s:
            return
        key = id(payer)
        if what == "met":
            taken, wait_s = account.add(runs, now)
            answered = now + rng.uniform(0.0, 0.25)
            heapq.heappush(events, (answered, next(number), "answered", payer, runs if taken == runs else -runs))
            payer.refused += taken < runs
            waits[id(payer), answered] = (taken, wait_s)
            continue
        if what == "answered":
            flying[key] -= 1
            taken, wait_s = waits.pop((key, now))
            if runs > 0:
                payer.pace.answered(runs, now)
            else:
                payer.pace.refused(-runs, now, wait_s)
                left[key] += -runs - taken
            payer.done_at = now
        else:
            asking.discard(key)
        while left[key] and flying[key] < AT_ONCE:
            grant = payer.pace.grant(min(MOST_RUNS, left[key]), now)
            if not grant.runs:
                if grant.wait_s is not None and key not in asking:
                    asking.add(key)
                    heapq.heappush(events, (now + grant.wait_s, next(number), "ask", payer, 0))
                break
            left[key] -= grant.runs
            flying[key] += 1
            payer.adds += 1
            heapq.heappush(events, (now + rng.uniform(0.0, 0.25), next(number), "met", payer, grant.runs))
    assert not any(left.values())


waits: dict[tuple[int, float], tuple[int, float | None]] = {}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("rows", "floor_s"), [(1500, 0), (2000, 0), (2001, 60), (6000, 120), (100_000, 49 * 60)])
def test_a_quota_that_is_known_is_kept_and_used_up(rows: int, floor_s: float, seed: int) -> None:
    payer = Payer(rows, Pace(2000, 0.0))
    play(Account(2000, 60), payer, seed=seed)
    assert payer.refused == 0
    assert payer.done_at <= floor_s * 1.02 + 2


@pytest.mark.parametrize("account", [
    pytest.param(Account(2000, 20), id="in a shorter window"),
    pytest.param(Account(2000, 20, partly=True), id="taken in part"),
    pytest.param(Account(2000, 20, counts_refused=True), id="refused ones count"),
])  # fmt: skip
@pytest.mark.parametrize("told", [6000, 12_000, 60_000])
@pytest.mark.parametrize("seed", range(3))
def test_a_quota_of_another_form_is_learnt_by_a_refusal(account: Account, told: int, seed: int) -> None:
    account = Account(account.runs, account.seconds, account.partly, account.counts_refused)
    payer = Payer(6000, Pace(told, 0.0))
    play(account, payer, seed=seed)
    assert payer.done_at <= 60 * (1.1 if not account.counts_refused else 2.5)  # what is refused uses the quota up, too
    assert payer.refused <= (5 if told == 6000 and not account.counts_refused else 20)


@pytest.mark.parametrize("counts", [False, True])
def test_a_service_that_does_not_say_how_long_is_waited_for(counts: bool) -> None:
    payer = Payer(6000, Pace(8000, 0.0))
    play(Account(2000, 60, counts_refused=counts, tells=False), payer)
    assert payer.done_at <= 5 * 60
    assert payer.refused <= 10


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("counts", [False, True])
def test_two_on_one_account_share_it(tells: bool, counts: bool) -> None:
    first, second = Payer(10_000, Pace(2000, 0.0)), Payer(10_000, Pace(2000, 0.0))
    play(Account(2000, 60, counts_refused=counts, tells=tells), first, second)
    floor_s = 9 * 60  # of both together
    assert max(first.done_at, second.done_at) <= floor_s * (1.7 if tells and not counts else 4)


def test_what_was_created_before_counts() -> None:
    pace = Pace(100, 50.0)
    pace.seed([(0.0, 60), (30.0, 30)])
    assert pace.grant(100, 50.0) == Grant(10)
    pace.answered(10, 51.0)
    waiting = pace.grant(50, 52.0)
    assert waiting.runs == 0
    assert waiting.wait_s == pytest.approx(8.0, abs=0.5)
    assert pace.grant(50, 60.1) == Grant(50)


def test_what_is_on_its_way_counts_until_it_is_answered() -> None:
    pace = Pace(100, 0.0)
    assert pace.grant(100, 0.0) == Grant(100)
    assert pace.grant(1, 1000.0) == Grant(0)  # nothing has been answered: when it is, one asks again
    pace.answered(100, 1000.0)
    assert pace.grant(1, 1059.0).runs == 0
    assert pace.grant(100, 1060.1) == Grant(100)
    pace.unsent(100)
    assert pace.grant(100, 1060.1) == Grant(100)


def test_few_adds_are_on_their_way_until_some_have_been_taken() -> None:
    pace = Pace(10**6, 0.0)
    for taken, together in ((0, 4), (10, 5), (40, 9), (200, 16)):
        for _ in range(taken):
            assert pace.grant(10, 0.0) == Grant(10)
            pace.answered(10, 0.0)
        assert [pace.grant(10, 0.0).runs for _ in range(together + 1)] == [10] * together + [0]
        for _ in range(together):
            pace.unsent(10)
    assert pace.grant(10, 1.0) == Grant(10)
    pace.refused(10, 1.0, 5.0)
    assert [pace.grant(10, 7.0).runs for _ in range(5)] == [10] * 4 + [0]


def test_a_service_that_refuses_everybody_for_a_while_teaches_nothing() -> None:
    pace, now = Pace(2000, 0.0), 0.0
    for _ in range(30):  # half an hour of 429
        grant = pace.grant(1000, now)
        assert grant.runs
        pace.refused(grant.runs, now, None)
        now += pace.grant(1000, now).wait_s or 0.0
    assert grant.runs == 1  # an add that was too large would have been taken by now
    sent = 0
    for _ in range(12):
        grant = pace.grant(1000, now)
        sent += grant.runs
        pace.answered(grant.runs, now)
    assert sent == 2000
    assert pace.learnt is None


def test_a_quota_far_below_what_was_told_is_found_though_large_adds_are_refused_whole() -> None:
    payer = Payer(100, Pace(2000, 0.0))
    play(Account(20, 60), payer)
    assert payer.done_at <= 60 * 40


def test_no_add_is_a_crumb() -> None:
    pace = Pace(2000, 0.0)
    pace.seed([(0.0, 1), (10.0, 1950), (30.0, 48)])
    assert pace.grant(1000, 60.1).runs == 0  # one would fit
    assert pace.grant(1, 60.1) == Grant(1)


def test_what_was_learnt_is_where_the_next_command_begins_and_is_given_up_slowly() -> None:
    pace = Pace(10_000, 0.0, learnt=Learnt(1000, 20.0, 0.0))
    for now, runs in ((1.0, 1000), (61.0, 2000), (121.0, 4000), (181.0, 4400), (241.0, 4840), (3600.0, 10_000)):
        assert pace.grant(20_000, now) == Grant(runs)
        pace.unsent(runs)


def test_a_quota_is_a_number_of_runs() -> None:
    with pytest.raises(ValueError, match="0 runs a minute"):
        Pace(0, 0.0)


@given(
    quota=st.integers(1, 3000),
    sizes=st.lists(st.tuples(st.integers(1, 1500), st.floats(0, 40), st.floats(0, 3)), min_size=1, max_size=40),
)
def test_in_no_window_there_are_more_than_the_quota(quota: int, sizes: list[tuple[int, float, float]]) -> None:
    pace, now, met = Pace(quota, 0.0), 0.0, []
    for wanted, later, takes in sizes:
        now += later
        grant = pace.grant(wanted, now)
        if grant.runs:
            met.append((now, grant.runs))  # at the earliest
            now += takes
            pace.answered(grant.runs, now)
    for at, _ in met:
        assert sum(runs for when, runs in met if at <= when < at + 60) <= quota
