"""The account's quota: so many runs may be created in a rolling window of time.

What services do with an add that fits only in part, whether what they refuse counts, and whether they say how long to
wait, no document says. So the sandbox can be told to do either.
"""

import re
from collections import deque
from dataclasses import dataclass
from math import ceil

from enrich.sandbox.settings import Quota, SandboxError

_FORM = re.compile(r"(\d+)/(\d+(?:\.\d+)?)((?:,[a-z-]+)*)")
_WORDS = {"partly": "partly", "count-refused": "counts_refused", "no-retry-after": "is_silent"}


def parse_quota(text: str) -> Quota:
    """Read `RUNS/SECONDS[,partly][,count-refused][,no-retry-after]`. Raises SandboxError."""
    found = _FORM.fullmatch(text)
    words = found[3].split(",")[1:] if found is not None else []
    if found is None or not set(words) <= set(_WORDS):
        raise SandboxError(
            f"quota {text!r}: expected RUNS/SECONDS such as 2000/60, and after it any of {', '.join(_WORDS)},"
            " with commas between them"
        )
    return Quota(int(found[1]), float(found[2]), **{_WORDS[word]: True for word in words})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a quota says of an add: how many of its runs are made, and after how many seconds all would fit.

    `wait_s` is None where there is nothing to wait for, or where the service does not tell.
    """

    runs: int
    wait_s: int | None


class Meter:
    """Counts runs against a quota."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._made: deque[tuple[float, int]] = deque()  # when, how many

    def take(self, runs: int, now: float) -> Verdict:
        """Let an add of so many runs in, as far as the quota allows, at a time that never goes back."""
        quota = self._quota
        while self._made and self._made[0][0] <= now - quota.seconds:
            self._made.popleft()
        free = max(0, quota.runs - sum(count for _, count in self._made))
        made = runs if runs <= free else free if quota.partly else 0
        counted = runs if quota.counts_refused else made
        wait_s = None if made == runs or quota.is_silent else self._wait_s(runs - made, now)
        if counted:
            self._made.append((now, counted))
        return Verdict(made, wait_s)

    def _wait_s(self, runs: int, now: float) -> int:
        """After how many whole seconds so many would fit; a window, if they never will."""
        left = sum(count for _, count in self._made) + runs - self._quota.runs
        for at, count in self._made:
            left -= count
            if left <= 0:
                return max(1, ceil(at + self._quota.seconds - now))
        return max(1, ceil(self._quota.seconds))
