"""The till: who may spend how much, and when. Budget, credit and quota of one command, without I/O.

Every POST that creates runs reserves here first. Money counts as at stake from the moment it is reserved until its run
has failed or was surely not made, so `paid + submitted + unresolved` never passes the budget.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from enrich.protocol.effects import AwaitTurn, Settled
from enrich.protocol.pace import Pace
from enrich.text.figures import usd_text

StopReason = Literal["budget", "credit", "deadline", "unreachable", "refused"]

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
LONGEST_RATE_PAUSE_S: Final = 300.0
OUT_OF_CREDIT: Final = "the account is out of credit: add some, and the same command goes on"
FEW: Final = 16  # runs: a batch of more that the credit does not cover is cut down …
FAST_STEP: Final = 8  # … by so much at once
UNREACHABLE_AFTER: Final = 9  # attempts in a row that came to nothing: about a minute and a half


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more may be sent by this command; `text` says why, for people."""

    why: StopReason
    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after so many seconds, or (None) when something has settled."""

    seconds: float | None


class Till:
    """Gives turns and counts money, in millionths of a dollar. `at_stake` starts with what earlier commands left."""

    def __init__(
        self,
        *,
        budget: int | None = None,
        in_flight: int = 0,
        pace: Pace | None = None,
        random_: Callable[[], float] = random.random,
    ) -> None:
        self._budget = budget
        self._pace = pace
        self._random = random_
        self._paid = 0
        self._at_stake = in_flight
        self._not_before = float("-inf")
        self._troubles = 0  # in a row, of any kind that calls for patience
        self._unsent = 0  # in a row
        self._credit_step: int | None = None  # after a 402: how many runs to try with, one batch at a time
        self._probing = False  # one batch is on the wire to find out
        self._holding = False  # nothing is tried before something at stake has settled
        self.stopped: Stop | None = None

    @property
    def at_stake(self) -> int:
        """Money reserved and not settled."""
        return self._at_stake

    def reserve(self, turn: AwaitTurn, now: float) -> int | Wait | Stop:
        """How many runs of this turn may be sent now, and reserve their money; or wait; or stop."""
        if self.stopped is not None:
            return self.stopped
        if now < self._not_before:
            return Wait(self._not_before - now)
        if turn.tasks == 0:
            return 0
        granted = turn.tasks
        if self._credit_step is not None:
            if self._probing or self._holding:
                return Wait(None)
            granted = min(granted, self._credit_step)
        if self._budget is not None:
            granted = min(granted, (self._budget - self._paid - self._at_stake) // turn.usd_micro)
        if granted < 1:
            if self._at_stake > 0:
                return Wait(None)  # a run that fails gives its money back
            return self.stop("budget", self._budget_text(turn.usd_micro))
        if self._pace is not None:
            fitting = self._pace.grant(granted, now)
            if not fitting.runs:
                return Wait(fitting.wait_s)
            granted = fitting.runs
        self._probing = self._credit_step is not None
        self._at_stake += granted * turn.usd_micro
        return granted

    def stalled(self, turn: AwaitTurn) -> Stop:
        """Everybody waits for something to settle, and nothing is under way that could: the end of this command."""
        if self._credit_step is not None:
            return self.stop("credit", OUT_OF_CREDIT)
        return self.stop("budget", self._budget_text(turn.usd_micro))

    def settled(self, event: Settled, now: float) -> None:
        """Take note of what became of money, and of how the service answered a POST."""
        self._at_stake += (event.found - event.freed - event.paid) * event.usd_micro
        self._paid += event.paid * event.usd_micro
        if event.freed or event.paid:
            self._holding = False
        if self._pace is not None and event.tried:
            self._note_pace(self._pace, event, now)
        self._heed(event, now)

    def _heed(self, event: Settled, now: float) -> None:
        """Take note of how the service answered."""
        match event.why:
            case "accepted":
                self._troubles = self._unsent = 0
                if self._probing and self._credit_step is not None:
                    self._credit_step *= 2
                self._probing = False
            case "credit":
                self._out_of_credit(tried=event.tried)
            case "believed" if self._credit_step is not None:
                self._holding = self._at_stake > 0  # what is under way may give credit back
                if event.freed <= 1 and not self._holding:
                    self.stop("credit", OUT_OF_CREDIT)
            case "rate" if self._pace is None or not event.tried:
                self._wait(now, event.retry_after_s, LONGEST_RATE_PAUSE_S)
            case "rate":
                self._probing = False
            case "unknown" if not event.freed:
                self._wait(now, event.retry_after_s, LONGEST_PAUSE_S)
            case "unknown" | "unsent":  # nothing was made, and no reason that passes by itself was given
                self._unsent += now >= self._not_before
                self._wait(now, event.retry_after_s, LONGEST_PAUSE_S / 2)
                if self._unsent >= UNREACHABLE_AFTER:
                    what = "can't be reached" if event.why == "unsent" else "takes no runs"
                    self.stop("unreachable", f"the service {what}: {event.said}".removesuffix(": "))
            case "refused":
                self._probing = False

    def stop(self, why: StopReason, text: str) -> Stop:
        """Nothing more may be sent; the first reason stands."""
        if self.stopped is None:
            self.stopped = Stop(why, text)
        return self.stopped

    def _out_of_credit(self, *, tried: int) -> None:
        """Try again with fewer runs when something at stake has settled: its reservation is then free."""
        self._probing = False
        self._credit_step = max(1, tried // (FAST_STEP if tried > FEW else 2))  # each step takes a look
        self._holding = True

    @staticmethod
    def _note_pace(pace: Pace, event: Settled, now: float) -> None:
        match event.why:
            case "rate":
                pace.refused(event.tried, now, event.retry_after_s)
            case "unsent":
                pace.unsent(event.tried)
            case _:  # what was refused for another reason may count at the service: nobody says that it does not
                pace.answered(event.tried, now)

    def _wait(self, now: float, retry_after_s: float | None, longest_s: float) -> None:
        self._troubles += now >= self._not_before  # what was on the wire together fails together, and counts once
        self._probing = False
        backoff = min(longest_s, FIRST_PAUSE_S * 2 ** min(self._troubles - 1, 10)) * (0.5 + 0.5 * self._random())
        # What the service asks for is the least: one that says "at once" again and again means no such thing.
        wait = backoff if retry_after_s is None else max(retry_after_s, min(backoff, LONGEST_PAUSE_S))
        self._not_before = max(self._not_before, now + min(wait, LONGEST_RATE_PAUSE_S))

    def _budget_text(self, price: int) -> str:
        amounts = (self._budget or 0, self._paid, price)
        limit, spent, run = (usd_text(Decimal(amount) / 1_000_000) for amount in amounts)
        return f"the budget of {limit} is reached: {spent} spent, and the next run costs {run}"
