"""The pace: how many runs may be created now. A rolling window over all that creates runs, without I/O.

An account may create so many runs in any minute. A table within that goes at once. Of a larger one as much goes as
fits, and the rest when what was sent before leaves the window: no other order is done sooner. A run counts from the
moment when the service answered, which is never before the service counted it.

A refusal (429) teaches. It says that what is in the window is about all that fits, and with Retry-After also how long
the service's own window is. What was learnt is given up minute by minute, the faster the further it is from what was
told, since another program on the same account may have used the rest. A refusal while nothing of ours is in the
window teaches nothing that lasts: the next adds are smaller, and grow again as they are taken. How the service counts
what it refuses is unknown: after a second refusal in a row nothing is sent for a whole window, after which none of it
can count any more.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from enrich.records import Learnt

WINDOW_S: Final = 60.0
_LEAST_SHARE: Final = 20  # no add is smaller than this part of what is allowed, unless no more is wanted
_UP: Final = 1.1  # for a minute without a refusal
_UP_FROM_FAR: Final = 2.0  # where it is less than one in _FAR of what was told: many refusals have other reasons
_FAR: Final = 4
_LEAST_TAUGHT: Final = 20  # less than this part of what was told is not believed: refusals may come at random
_MOST_DOWN: Final = 10  # by one refusal: the window may be nearly empty of ours because another program fills it
_FIRST_ADDS: Final = 4  # on their way together: a refusal of one is soon one of all
_MORE_AFTER: Final = 10  # one more for so many in a row that were not refused …
MOST_ADDS: Final = 16  # … up to so many
_SHORTEST_S: Final = 1.0
_SLACK_S: Final = 0.3  # between our clock's seconds and the service's


@dataclass(frozen=True, slots=True)
class Grant:
    """How many runs may be sent now; with none, after how many seconds to ask again.

    `wait_s` None: when something that is being sent has been answered.
    """

    runs: int
    wait_s: float | None = None


class Pace:
    """What may be created now. All times are seconds of one clock that does not go back."""

    def __init__(self, told: int, now: float, *, learnt: Learnt | None = None) -> None:
        """`told` is the account's quota in runs a minute, `learnt` what an earlier command has learnt of it."""
        if told < 1:
            raise ValueError(f"a quota of {told} runs a minute")
        self._told = told
        self._ceiling, self._window_s, self._grown_at = float(told), WINDOW_S, now
        if learnt is not None:
            self._ceiling, self._window_s, self._grown_at = min(learnt.runs, told), learnt.window_s, learnt.at
        self._allowed = self._ceiling  # less after refusals that say nothing of how much fits
        self._made: deque[tuple[float, int]] = deque()  # when it was answered, how many runs
        self._counted = 0  # of those
        self._sending = 0  # runs on their way
        self._adds = 0  # in which they are
        self._taken = 0  # adds in a row that were not refused
        self._closed_until = now
        self._refusals = 0  # in a row
        self.learnt = learnt

    def seed(self, made: Iterable[tuple[float, int]]) -> None:
        """Count what was created before this command: when, and how many runs; oldest first."""
        for at, runs in made:
            self._count(runs, at)

    def grant(self, wanted: int, now: float) -> Grant:
        """Take leave to send some of `wanted` runs; what is granted is on its way until `answered` or `refused`."""
        self._grow(now)
        self._forget(now)
        if now < self._closed_until:
            return Grant(0, self._closed_until - now)
        if self._adds >= min(MOST_ADDS, _FIRST_ADDS + self._taken // _MORE_AFTER):
            return Grant(0)
        allowed = max(1, int(self._allowed))
        least = min(wanted, max(1, allowed // _LEAST_SHARE))
        free = allowed - self._counted - self._sending
        if free >= least:
            runs = min(wanted, free)
            self._sending += runs
            self._adds += 1
            return Grant(runs)
        lacking = least - free
        for at, runs in self._made:
            lacking -= runs
            if lacking <= 0:
                return Grant(0, max(_SLACK_S, at + self._window_s + _SLACK_S - now))
        return Grant(0)

    def answered(self, sent: int, now: float) -> None:
        """Runs that were on their way may have been created: the answer came, or will not come."""
        self.unsent(sent)
        self._taken += 1
        self._count(sent, now)
        if now >= self._closed_until:
            self._refusals = 0
            self._allowed = min(self._ceiling, self._allowed * 2)
        else:  # it was on its way when another was refused: so much fits, too
            self._fits(max(self._ceiling, float(self._counted)), now)

    def unsent(self, granted: int) -> None:
        """Nothing was sent of what was granted, or surely nothing was created, and not because of the quota."""
        self._sending -= granted
        self._adds -= 1

    def refused(self, sent: int, now: float, retry_after_s: float | None) -> None:
        """The service refused runs because of the quota."""
        self.unsent(sent)
        self._taken = 0
        wait_s = self._window_s if retry_after_s is None else retry_after_s
        if now >= self._closed_until:  # of several that were on their way together the first one teaches
            self._refusals += 1
            self._forget(now)
            self._learn(now, retry_after_s)
            if self._refusals > 1:
                wait_s = max(wait_s, self._window_s)
        self._closed_until = max(self._closed_until, now + wait_s + _SLACK_S)

    def _learn(self, now: float, retry_after_s: float | None) -> None:
        if self._counted and retry_after_s is not None:
            spanned = now - self._made[0][0] + retry_after_s  # until the oldest leaves the service's window
            self._window_s = min(WINDOW_S, max(_SHORTEST_S, spanned + _SLACK_S))
        if self._counted:
            least = max(self._allowed / _MOST_DOWN, self._told / _LEAST_TAUGHT)
            self._fits(min(self._ceiling, max(float(self._counted), least)), now)
        else:  # nothing of ours is in the window: the add may have been too large, or the service refuses everybody
            self._allowed = max(1.0, self._allowed / 2)

    def _fits(self, runs: float, now: float) -> None:
        self._ceiling, self._grown_at = min(float(self._told), max(1.0, runs)), now
        self._allowed = self._ceiling
        self.learnt = Learnt(self._ceiling, self._window_s, now)

    def _grow(self, now: float) -> None:
        """Give up what was learnt, slowly."""
        is_full = self._allowed >= self._ceiling
        while self._ceiling < self._told and now - self._grown_at >= WINDOW_S:
            is_far = self._ceiling * _FAR < self._told
            self._ceiling = min(float(self._told), self._ceiling * (_UP_FROM_FAR if is_far else _UP))
            self._grown_at += WINDOW_S
        if self._ceiling >= self._told:
            self._window_s, self._grown_at = WINDOW_S, now
        if is_full:
            self._allowed = self._ceiling

    def _count(self, runs: int, at: float) -> None:
        if runs:
            self._made.append((at, runs))
            self._counted += runs

    def _forget(self, now: float) -> None:
        while self._made and self._made[0][0] <= now - self._window_s:
            self._counted -= self._made.popleft()[1]
