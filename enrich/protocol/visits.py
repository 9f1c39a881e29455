"""When groups are visited: soon at first, then more seldom, and often again when most of a group has ended.

A small job is as prompt as its service: the events of a few groups are followed. Of many groups each costs a small
question from time to time, so many of them a second in all. How long the groups of a processor take is learnt from
those whose end was seen. Without I/O; all times are given, in seconds.
"""

from dataclasses import dataclass
from typing import Final

FEW: Final = 16  # groups that are followed by their events; of more each is asked for its counts
POLLS_PER_S: Final = 40.0  # of all groups together
SOON_S: Final = 1.0  # between the visits of a group that is new, or of which most has ended
LONGEST_S: Final = 60.0
_SHARE: Final = 0.1  # of a group's age, or of the time without news of it: so late is its end seen at most
_EARLY: Final = 0.7  # of the shortest time that a group of this processor took: none has ended before


@dataclass(frozen=True, slots=True)
class Waited:
    """What is known of a group that is waited for.

    `age_s` since it was sent; `quiet_s` since it last told of an end; `left` of its runs have no outcome here, `ended`
    of those are said to have ended.
    """

    submission_id: int
    processor: str
    age_s: float
    quiet_s: float
    left: int
    ended: int

    @property
    def is_ending(self) -> bool:
        """Whether more than half of what is left has ended."""
        return 2 * self.ended > self.left


@dataclass(frozen=True, slots=True)
class Visit:
    """How a group is visited next: followed by its events at once, or asked for its counts after so many seconds."""

    follow: bool
    after_s: float = 0.0


@dataclass(slots=True)
class _Open:
    """A group that is waited for."""

    asked: bool = False  # for its counts, last time
    was_seen: bool = False  # under way


class Visits:
    """The visits of one command."""

    def __init__(self, *, few: int = FEW) -> None:
        self._few = few
        self._open: dict[int, _Open] = {}  # by submission
        self._usual_s: dict[str, float] = {}  # by processor: the shortest time that a group took

    def plan(self, waited: Waited) -> Visit:
        """How and when to look at a group next."""
        known = waited.submission_id in self._open
        group = self._open.setdefault(waited.submission_id, _Open())
        group.was_seen = group.was_seen or (known and waited.ended < waited.left)
        # Near its end a group that was asked tells the same once more by its counts, without all its events.
        goes_on = group.asked and waited.is_ending and waited.quiet_s < SOON_S / _SHARE
        group.asked = goes_on or len(self._open) > self._few
        if not group.asked:
            return Visit(follow=True)
        return Visit(follow=False, after_s=max(self._interval_s(waited, known=known), len(self._open) / POLLS_PER_S))

    def over(self, submission_id: int, processor: str, age_s: float | None) -> None:
        """A group is not waited for any more. `age_s` is how long it took, None where it has not ended."""
        group = self._open.pop(submission_id, None)
        if group is not None and group.was_seen and age_s is not None:
            self._usual_s[processor] = min(age_s, self._usual_s.get(processor, age_s))

    def _interval_s(self, waited: Waited, *, known: bool) -> float:
        if waited.is_ending:
            wanted_s = waited.quiet_s * _SHARE
        else:
            early_s = self._usual_s.get(waited.processor, 0.0) * _EARLY - waited.age_s
            wanted_s = max(early_s, waited.age_s * _SHARE if known else 0.0)
        return min(LONGEST_S, max(SOON_S, wanted_s))
