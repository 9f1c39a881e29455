"""The account's rate limit, kept on this side: one bucket for every request the client makes.

Never more than `per_minute` requests in any 60 seconds: a bucket of `burst` tokens that fills with what is
left of the rate. Served in the order of asking; a waiter that is cancelled takes nothing. Requests that
create (POST) can be held back on their own after a 429, while results still come in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import anyio

from enrich.api.environment import REQUESTS_VARIABLE
from enrich.errors import UsageError

__all__ = ["RateLimiter", "limiter_from"]

REQUESTS_PER_MINUTE: Final = 2000  # the service's limit for an account

_BURST: Final = 100
_WINDOW_S = 60.0
_ROUNDING = 1e-6  # seconds and tokens: below it a wait is over, since a clock may not be able to tell


class RateLimiter:
    """A token bucket in the time of `clock` (seconds, monotonic); one event loop."""

    def __init__(
        self,
        per_minute: int = REQUESTS_PER_MINUTE,
        *,
        burst: int = _BURST,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        if not 1 <= burst < per_minute:
            raise ValueError(f"burst must be at least 1 and less than per_minute, not {burst} of {per_minute}")
        self._rate = (per_minute - burst) / _WINDOW_S  # tokens a second
        self._burst = float(burst)
        self._clock = clock or anyio.current_time
        self._sleep = sleep
        self._tokens = self._burst
        self._filled_at: float | None = None
        self._post_not_before = float("-inf")
        self._queue = anyio.Lock()
        self._posts = anyio.Lock()

    async def acquire(self) -> None:
        """Wait for the turn of a request that creates nothing."""
        async with self._queue:
            while (wait_s := self._missing_s()) > _ROUNDING:
                await self._sleep(wait_s)
            self._tokens -= 1

    async def acquire_post(self) -> None:
        """Wait for the turn of a request that creates, and until no `slow_down` holds it back."""
        async with self._posts:
            while True:
                while (wait_s := self._post_not_before - self._clock()) > _ROUNDING:
                    await self._sleep(wait_s)
                await self.acquire()
                if self._post_not_before <= self._clock() + _ROUNDING:
                    return
                self._tokens += 1  # held back while it queued: the turn goes to someone else

    def slow_down(self, seconds: float) -> None:
        """No POST for so many seconds from now; a pause that lasts longer already stays."""
        self._post_not_before = max(self._post_not_before, self._clock() + seconds)

    def _missing_s(self) -> float:
        """Seconds until a token is there; zero or less if one is."""
        now = self._clock()
        if self._filled_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        return (1 - self._tokens) / self._rate


def limiter_from(environ: Mapping[str, str]) -> RateLimiter:
    """A limiter for the rate in ENRICH_REQUESTS_PER_MINUTE, for accounts with another limit than the usual.

    Raises UsageError when it is set and no whole number above 1.
    """
    text = environ.get(REQUESTS_VARIABLE, "").strip()
    if not text:
        return RateLimiter()
    if not (text.isascii() and text.isdecimal() and int(text) > 1):
        raise UsageError(f"{REQUESTS_VARIABLE}: expected requests a minute, 2 or more, got {text!r}")
    return RateLimiter(int(text), burst=min(_BURST, int(text) // 2))
