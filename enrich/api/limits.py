"""How many runs the account may create in a minute, as the environment says, and a pause for free requests.

The service counts runs, not requests: reading is free. Only where it refuses a reading all the same (429) do all of
them wait.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import anyio

from enrich.api.environment import OLD_REQUESTS_VARIABLE, RUNS_VARIABLE
from enrich.errors import UsageError

__all__ = ["RUNS_PER_MINUTE", "Pause", "runs_per_minute"]

RUNS_PER_MINUTE: Final = 2000  # the service's quota for an account

_ROUNDING = 1e-6  # seconds: below it a wait is over, since a clock may not be able to tell


class Pause:
    """Holds requests back until the service may be asked again, in the time of `clock` (seconds, monotonic)."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._clock = clock or anyio.current_time
        self._sleep = sleep
        self._not_before = float("-inf")

    async def over(self) -> None:
        """Wait for its end."""
        while (wait_s := self._not_before - self._clock()) > _ROUNDING:
            await self._sleep(wait_s)

    def lengthen(self, seconds: float) -> None:
        """No request for so many seconds from now; a pause that lasts longer already stays."""
        self._not_before = max(self._not_before, self._clock() + seconds)


def runs_per_minute(environ: Mapping[str, str], configured: int | None = None) -> int:
    """The account's quota: ENRICH_RUNS_PER_MINUTE, else the config's, else the usual one.

    Raises UsageError when the variable is no whole number above 0, or the older variable is set.
    """
    if environ.get(OLD_REQUESTS_VARIABLE, "").strip():
        raise UsageError(
            f"{OLD_REQUESTS_VARIABLE}: is not read any more, since the service counts runs and not requests; set"
            f" {RUNS_VARIABLE} to the runs that your account may create in a minute"
        )
    text = environ.get(RUNS_VARIABLE, "").strip()
    if not text:
        return configured or RUNS_PER_MINUTE
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise UsageError(f"{RUNS_VARIABLE}: expected runs a minute, 1 or more, got {text!r}")
    return int(text)
