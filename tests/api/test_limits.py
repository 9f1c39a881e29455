"""Never more than the account's rate in any minute; fair; POSTs can be held back alone."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from enrich.api.limits import RateLimiter, limiter_from
from enrich.errors import UsageError
from tests.api.fake_time import FakeTime

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    """Time that jumps to the next deadline when all wait."""
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


async def test_a_burst_goes_through_and_the_rest_at_the_rate() -> None:
    limiter = RateLimiter(per_minute=70, burst=10)
    start = anyio.current_time()
    times = []
    for _ in range(13):
        await limiter.acquire()
        times.append(round(anyio.current_time() - start, 3))
    assert times == [0.0] * 10 + [1.0, 2.0, 3.0]


@given(
    gaps=st.lists(st.sampled_from([0.0, 0.0, 0.1, 5.0, 70.0]), min_size=1, max_size=80),
    burst=st.integers(1, 19),
    posts=st.booleans(),
)
def test_no_minute_sees_more_than_the_rate(gaps: list[float], burst: int, posts: bool) -> None:
    time = FakeTime()
    limiter = RateLimiter(per_minute=20, burst=burst, clock=time.clock, sleep=time.sleep)
    times: list[float] = []

    async def ask() -> None:
        for gap in gaps:
            time.now += gap
            await (limiter.acquire_post() if posts else limiter.acquire())
            times.append(time.now)

    anyio.run(ask)
    for at, begin in enumerate(times):
        assert sum(begin <= moment < begin + 59.99 for moment in times[at:]) <= 20


async def test_waiters_are_served_in_the_order_of_asking_and_a_cancelled_one_takes_nothing() -> None:
    limiter = RateLimiter(per_minute=61, burst=1)
    served: list[tuple[str, float]] = []

    async def ask(name: str, patience_s: float) -> None:
        with anyio.move_on_after(patience_s):
            await limiter.acquire()
            served.append((name, round(anyio.current_time() - start, 3)))

    start = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for name, patience_s in [("a", 99), ("b", 0.5), ("c", 99), ("d", 1.5), ("e", 99)]:
            tasks.start_soon(ask, name, patience_s)
            await anyio.lowlevel.checkpoint()
    assert sorted(name for name, _ in served) == ["a", "c", "e"]
    assert [at for _, at in served] == [0.0, 1.0, 2.0]


async def test_slowing_down_holds_back_posts_and_nothing_else() -> None:
    limiter = RateLimiter()
    start = anyio.current_time()
    ended: dict[str, float] = {}

    async def ask(name: str) -> None:
        await (limiter.acquire_post() if name == "post" else limiter.acquire())
        ended[name] = round(anyio.current_time() - start, 3)

    limiter.slow_down(30)
    limiter.slow_down(10)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "post")
        tasks.start_soon(ask, "get")
    assert ended == {"get": 0.0, "post": 30.0}


async def test_a_post_that_queues_when_the_429_comes_is_held_back_too() -> None:
    limiter = RateLimiter(per_minute=61, burst=1)
    start = anyio.current_time()
    await limiter.acquire()

    async def post() -> float:
        await limiter.acquire_post()
        return anyio.current_time() - start

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.lowlevel.checkpoint)
        waiting = start_waiting(tasks, post)
        await anyio.sleep(0.5)
        limiter.slow_down(20)
    assert round(waiting[0], 3) == 20.5


def start_waiting(tasks: Any, ask: Any) -> list[float]:
    results: list[float] = []

    async def keep() -> None:
        results.append(await ask())

    tasks.start_soon(keep)
    return results


@pytest.mark.parametrize(("per_minute", "burst"), [(10, 0), (10, 10), (1, 1)])
async def test_a_burst_leaves_room_for_the_rate(per_minute: int, burst: int) -> None:
    with pytest.raises(ValueError, match="burst must be"):
        RateLimiter(per_minute, burst=burst)


async def test_an_account_with_another_limit_says_so_in_the_environment() -> None:
    limiter = limiter_from({"ENRICH_REQUESTS_PER_MINUTE": "60"})
    start = anyio.current_time()
    for _ in range(30 + 15):  # a burst of half of it, then what is left of the rate: one in two seconds
        await limiter.acquire()
    assert anyio.current_time() - start == pytest.approx(30)


@pytest.mark.parametrize("text", ["0", "1", "-5", "fast", "1e3", "٣٠"])
async def test_a_limit_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"ENRICH_REQUESTS_PER_MINUTE: expected .* got '{text}'"):
        limiter_from({"ENRICH_REQUESTS_PER_MINUTE": text})
