"""How long to wait before a failed GET is sent again: a pure function of the error and what was tried.

Exponential back-off with jitter, so that many waiters don't come back together; a Retry-After of the service
is a lower bound. Whether an error can be retried at all is a fact of its class.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from enrich.api.errors import MAX_RETRY_AFTER_S, ApiError, RateLimitedError, StillActiveError, TooLargeAnswerError

__all__ = ["Retry"]

_MAX_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Retry:
    """A policy. Waiting for the rate limit counts against the time alone, not against the tries."""

    tries: int = 12  # requests in all
    first_s: float = 0.5
    longest_s: float = 30.0  # a wait of our own choice; the service may ask for more, up to 300 s
    total_s: float = 900.0  # waits in all

    def wait_s(self, error: ApiError, attempt: int, *, waited_s: float = 0.0, rng: random.Random) -> float | None:
        """Seconds until the next try after `attempt` of them failed (1 for the first), None to give up."""
        if not error.retryable or isinstance(error, StillActiveError | TooLargeAnswerError):
            return None
        if attempt >= self.tries and not isinstance(error, RateLimitedError):
            return None
        wait_s = min(self.first_s * 2 ** min(attempt - 1, _MAX_DOUBLINGS), self.longest_s)
        wait_s *= rng.uniform(0.5, 1.0)
        if error.retry_after_s is not None:
            wait_s = min(error.retry_after_s + wait_s, MAX_RETRY_AFTER_S)
        return wait_s if waited_s + wait_s <= self.total_s else None


NEVER = Retry(tries=1, total_s=0.0)
"""The policy of a caller that retries by itself."""
