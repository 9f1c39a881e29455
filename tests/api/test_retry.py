"""How long to wait is a pure function of the error and what was tried."""

from __future__ import annotations

import random

import pytest

from enrich.api.errors import (
    ApiError,
    CreditError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    StillActiveError,
    UnauthorizedError,
    UnavailableError,
    UnknownOutcomeError,
)
from enrich.api.retry import NEVER, Retry

RATE = RateLimitedError("", status=429)


def waits(policy: Retry, error: ApiError, *, seed: int = 0) -> list[float]:
    """All waits until the policy gives up."""
    rng = random.Random(seed)
    found: list[float] = []
    while (wait_s := policy.wait_s(error, len(found) + 1, waited_s=sum(found), rng=rng)) is not None:
        found.append(wait_s)
    return found


def test_waits_double_with_jitter_up_to_the_longest() -> None:
    found = waits(Retry(tries=9, first_s=1.0, longest_s=30.0), UnavailableError(""))
    bounds = [1, 2, 4, 8, 16, 30, 30, 30]
    assert len(found) == len(bounds)
    assert all(bound / 2 <= wait_s <= bound for wait_s, bound in zip(found, bounds, strict=True))
    assert found != waits(Retry(tries=9, first_s=1.0, longest_s=30.0), UnavailableError(""), seed=1)


def test_all_waits_together_are_bounded() -> None:
    for error in (UnavailableError(""), RATE, NotSentError("")):
        assert sum(waits(Retry(tries=1000, total_s=100.0), error)) <= 100.0


def test_waiting_for_the_rate_limit_outlasts_ten_minutes() -> None:
    assert sum(waits(Retry(), RATE)) > 600.0


@pytest.mark.parametrize(
    ("asked_s", "least", "most"),
    [
        pytest.param(20.0, 20.0, 20.5, id="as asked"),
        pytest.param(300.0, 300.0, 300.0, id="never above 300 s"),
    ],
)
def test_retry_after_is_a_lower_bound(asked_s: float, least: float, most: float) -> None:
    for error in (
        RateLimitedError("", status=429, retry_after_s=asked_s),
        UnavailableError("", status=503, retry_after_s=asked_s),
    ):
        wait_s = Retry().wait_s(error, 1, rng=random.Random(0))
        assert wait_s is not None
        assert least <= wait_s <= most


@pytest.mark.parametrize(
    "error",
    [
        InvalidError("", status=422),
        UnauthorizedError("", status=401),
        CreditError("", status=402),
        ForbiddenError("", status=403),
        NotFoundError("", status=404),
        UnknownOutcomeError(""),
        StillActiveError(""),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_does_not_pass_is_not_tried_again(error: ApiError) -> None:
    assert waits(Retry(), error) == []


def test_never() -> None:
    assert waits(NEVER, UnavailableError("")) == waits(NEVER, RATE) == []


def test_a_very_late_attempt_is_no_overflow() -> None:
    assert Retry().wait_s(RATE, 10_000, rng=random.Random(0)) is not None
