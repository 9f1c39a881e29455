"""What a submission still waits for. While it waits, little of it is held: the ledger has the rest."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from enrich.protocol.replies import Followed
from enrich.records import OpenGroup, OpenSubmission, RunState, Stamp

LOST_AFTER: Final = 5  # a run of which the service could not tell so often is given up for this command


@dataclass(slots=True)
class Waiting:
    """What a submission still waits for, as far as its results have been read.

    Its tasks take some 400 bytes a run. They are here when something is read (`take_up`), and put away meanwhile.
    """

    submission_id: int
    group_id: str
    processor: str
    usd_micro: int
    since: Stamp
    cursor: str | None  # behind the last run that was read
    left: int  # runs to wait for, as long as the tasks are put away
    outcomes: int  # that are here
    open: set[int] = field(default_factory=set)  # n of the runs without an outcome here
    run_of: dict[int, str] = field(default_factory=dict)  # n -> id of the run that stands for it
    ended: set[str] = field(default_factory=set)  # ids of runs said to have ended, and not read yet
    extras: set[str] = field(default_factory=set)
    unknown: Counter[str] = field(default_factory=Counter)  # how often the service could not tell of a run, or its task
    empty: dict[str, Stamp] = field(default_factory=dict)  # completed runs without an output, and since when
    read_once: bool = False
    arrived: bool = True  # now, for the first time: when else is for the service to say
    _submission: OpenSubmission | None = None

    @classmethod
    def of(cls, submission: OpenSubmission) -> "Waiting":
        """With the submission's tasks."""
        waiting = cls(
            submission.submission_id,
            submission.group_id,
            submission.processor,
            submission.usd_micro,
            submission.since,
            submission.runs_cursor,
            left=0,
            outcomes=0,
        )
        waiting.take_up(submission)
        return waiting

    @classmethod
    def of_group(cls, group: OpenGroup) -> "Waiting":
        """Without its tasks."""
        return cls(
            group.submission_id,
            group.group_id,
            group.processor,
            group.price_micro or 0,
            group.since,
            group.runs_cursor,
            left=group.left,
            outcomes=group.outcomes,
        )

    @property
    def submission(self) -> OpenSubmission:
        """The tasks, which are not put away."""
        assert self._submission is not None
        return self._submission

    @property
    def is_put_away(self) -> bool:
        """Whether the tasks are in the ledger only."""
        return self._submission is None

    def take_up(self, submission: OpenSubmission) -> None:
        """Have the tasks here, as the ledger has them."""
        self._submission = submission
        self.open = {n for n, state in enumerate(submission.states) if state is RunState.ACCEPTED}
        self.run_of = {n: run_id for run_id, n in submission.tied.items()}
        self.outcomes = sum(state in (RunState.COMPLETED, RunState.FAILED) for state in submission.states)

    def put_away(self) -> None:
        """Let the tasks go; what the ledger does not know of them stays."""
        if self._submission is not None:
            unread = self.unread()
            self.left = len(unread) if self.open else 0
            self.ended &= unread
            self._submission, self.open, self.run_of = None, set(), {}

    def is_over(self) -> bool:
        """Whether nothing is waited for."""
        if self._submission is None:
            return not self.left
        return not self.open or not self.unread()

    def count_left(self) -> int:
        """How many tasks have no outcome here, as far as is known."""
        return self.left if self._submission is None else len(self.open)

    def count_tasks(self) -> int:
        """How many there are, as far as is known."""
        return self.left + self.outcomes if self._submission is None else len(self._submission.states)

    def unread(self) -> frozenset[str]:
        """Ids of the accepted runs without an outcome here, but for those that are given up."""
        submission = self.submission
        untied = submission.run_ids.difference(submission.tied)
        still = [run_id for run_id, n in submission.tied.items() if n in self.open]
        return untied.union(still).difference(self.lost())

    def lost(self) -> list[str]:
        """Ids of the runs that are given up for this command."""
        return [run_id for run_id, times in self.unknown.items() if times >= LOST_AFTER]

    def ended_unread(self, news: Followed | None) -> int:
        """How many runs have surely ended and were not read, by the ids told or by the group's own count."""
        told = 0
        if self.ended:
            told = len(self.ended) if self._submission is None else len(self.ended & self.unread())
        if news is None or news.count_ended is None:
            return told
        return max(told, news.count_ended - self.outcomes)
