"""Streams of results → ledger: read what has ended, seldom and to the end.

A generator of effects, like `submit`. A group's events only tell that something ended; the `runs` listing brings it.
What decides that a group is read is the set of runs the ledger waits for: never a cursor, a count, or the end of a
stream. Outputs are read once where the service allows it: one reading when all has ended, an early one when more than
half has ended and the rest is slow, stragglers by their id. So bytes read stay within 1.5 times the results.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from enrich.api.errors import ApiError, ForbiddenError, NotFoundError, UnauthorizedError, UnreadableAnswerError
from enrich.protocol.effects import (
    FetchRun,
    FollowEvents,
    Now,
    PollGroup,
    ReadRuns,
    RecordExtraOutcome,
    RecordOutcomes,
    Say,
    Script,
    Settled,
    Sleep,
    StopRequested,
    do,
)
from enrich.protocol.endings import ENDED, is_broken
from enrich.protocol.replies import Followed, ReadRun
from enrich.protocol.resolve import LOST_GROUP_S, note_extra
from enrich.records import OpenSubmission, Outcome, RunState, Stamp, elapsed_s
from enrich.text.figures import counted

FOLLOW_S: Final = 30.0  # a group without news for this long is quiet
POLL_S: Final = (2.0, 30.0)  # first and longest wait between polls, where events are refused or break
LOST_AFTER: Final = 5  # a run of which the service could not tell so often is given up for this command
OUTPUT_S: Final = 120.0  # an output may come so much later than its run is said to be completed
LOOK_S: Final = (600.0, 7200.0)  # told of no end for so long, it looks at the runs themselves; then more seldom
FETCHED_BYTES: Final = 1024 * 1024  # of runs fetched one by one that are held before they are written down
BY_ID: Final = 16  # so many runs are fetched one by one rather than by reading their group again
_BROKEN_STREAMS: Final = 2  # after so many, poll for a while


@dataclass(slots=True)
class Waiting:
    """What a submission still waits for, as far as its results have been read."""

    submission: OpenSubmission
    open: set[int]  # n of the runs without an outcome here
    run_of: dict[int, str]  # n -> id of the run that stands for it
    outcomes: int = 0  # that are here
    ended: set[str] = field(default_factory=set)  # ids of runs said to have ended, and not read yet
    extras: set[str] = field(default_factory=set)
    unknown: Counter[str] = field(default_factory=Counter)  # how often the service could not tell of a run, or its task
    empty: dict[str, Stamp] = field(default_factory=dict)  # completed runs without an output, and since when
    cursor: str | None = None  # behind the last run that was read
    read_once: bool = False
    arrived: bool = True  # now, for the first time: when else is for the service to say

    @classmethod
    def of(cls, submission: OpenSubmission) -> "Waiting":
        still = {n for n, state in enumerate(submission.states) if state is RunState.ACCEPTED}
        run_of = {n: run_id for run_id, n in submission.tied.items()}
        here = sum(state in (RunState.COMPLETED, RunState.FAILED) for state in submission.states)
        return cls(submission, still, run_of, here, cursor=submission.runs_cursor)

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
        told = len(self.ended & self.unread()) if self.ended else 0
        if news is None or news.count_ended is None:
            return told
        return max(told, news.count_ended - self.outcomes)


def collect(submission: OpenSubmission) -> Script[None]:
    """Bring every accepted run's outcome into the ledger.

    When the command is asked to stop, what has ended is read once more before StopRequested goes on its way.
    Returns with runs still open only where the service does not know them any more, tells of them what can't be read,
    or of one that has ended not what it was asked. The next command looks again.
    """
    waiting, lookout = Waiting.of(submission), _Lookout()
    told, told_at, look_s = 0, (yield from do(Now())), LOOK_S[0]
    while waiting.open and waiting.unread():
        try:
            news = yield from _news(waiting, lookout)
        except StopRequested:
            yield from _read(waiting, None)
            raise
        if news is None:
            continue
        quiet = news.ended <= waiting.ended
        waiting.ended |= news.ended
        now, ended = (yield from do(Now())), waiting.ended_unread(news)
        if ended != told:
            told, told_at = ended, now
        left = len(waiting.open)
        if _worth_reading(waiting, news, quiet=quiet):
            yield from _read(waiting, news)
        elif (elapsed_s(told_at, now) or 0.0) >= look_s:
            # Events and counts may be wrong for ever: the listing shows what there is.
            told_at, look_s = now, min(look_s * 2, LOOK_S[1])
            yield from _read_stream(waiting, None)
        else:
            continue
        if len(waiting.open) < left:
            lookout.begin_anew()
        elif waiting.open:  # told of an end that can't be read yet: ask again, but not at once
            yield from lookout.wait()
    if waiting.open and (lost := waiting.lost()):
        said = (
            f"of {counted(len(lost), 'run')} of group {submission.group_id} the service does not tell how it ended, or "
            "what it was asked: the rows stay pending, and the next command looks again"
        )
        yield from do(Say(said))


@dataclass(slots=True)
class _Lookout:
    """How a group is watched: where its events were left, how many streams in a row broke, the next wait in seconds."""

    cursor: str | None = None
    broken: int = 0
    poll_s: float = POLL_S[0]

    def begin_anew(self) -> None:
        """Something came of it."""
        self.broken, self.poll_s = 0, POLL_S[0]

    def wait(self) -> Script[None]:
        """Longer from time to time."""
        yield from do(Sleep(self.poll_s))
        self.poll_s = min(self.poll_s * 2, POLL_S[1])


def _news(waiting: Waiting, lookout: _Lookout) -> Script[Followed | None]:
    """What is new of a group, by its events or, where they break or are refused, by its counts; None where neither can
    be had this time.
    """
    submission = waiting.submission
    try:
        if lookout.broken >= _BROKEN_STREAMS:
            yield from lookout.wait()
            return (yield from do(PollGroup(submission.group_id)))
        awaited = waiting.unread() - waiting.ended
        news = yield from do(FollowEvents(submission.group_id, lookout.cursor, FOLLOW_S, awaited))
    except UnauthorizedError:
        raise
    except ApiError as error:
        polled = lookout.broken >= _BROKEN_STREAMS
        if polled and not error.retryable and not (yield from _is_new(submission, error)):
            raise  # the group itself can't be asked about
        lookout.broken = _BROKEN_STREAMS  # events may be refused where the group can still be polled
        return None
    lookout.cursor = news.cursor or lookout.cursor
    lookout.broken = lookout.broken + 1 if is_broken(news) else 0
    return news


def collect_extra(run_id: str) -> Script[None]:
    """Bring the outcome of a run that is a double charge into the ledger; it is kept, not used."""
    poll_s = POLL_S[0]
    empty: dict[str, Stamp] = {}
    while True:
        try:
            run = yield from do(FetchRun(run_id))
        except ApiError as error:
            if not error.retryable:
                raise
        else:
            if run.status in ENDED and not (yield from _may_get_output(run, empty)):
                paid = int(run.status == "completed")
                _, usd_micro = yield from do(RecordExtraOutcome(run_id, bool(paid), run.raw))
                yield from do(Settled(usd_micro, paid=paid, freed=1 - paid))
                return
        yield from do(Sleep(poll_s))
        poll_s = min(poll_s * 2, POLL_S[1])


def read_ended(submission: OpenSubmission, ended: Iterable[str]) -> Script[None]:
    """Bring in the outcomes of runs that have `ended`, and wait for nothing else.

    They were received before, by a ledger that is lost: their age is counted from when the service says they ended.
    """
    waiting = Waiting.of(submission)
    waiting.ended.update(ended)
    waiting.arrived = False
    yield from _read(waiting, None)


def _worth_reading(waiting: Waiting, news: Followed, *, quiet: bool) -> bool:
    """Whether to read outputs now: all has ended, or more than half has and the rest is slow.

    After the first reading, runs whose ids are told are fetched one by one as they end.
    """
    left = len(waiting.open)
    ended = waiting.ended_unread(news)
    if news.active is False or ended >= left:
        return True
    if waiting.read_once and (waiting.ended or left <= BY_ID):
        return ended > 0
    return quiet and 2 * ended > left


def _read(waiting: Waiting, news: Followed | None) -> Script[None]:
    """Read what has ended: the group's listing the first time, then by id, or once more when most is missing."""
    if not waiting.read_once or waiting.ended_unread(news) > BY_ID:
        # Behind the cursor is little or nothing where the service lists by creation, and all that is new where
        # it lists by last change.
        was_whole = waiting.cursor is None
        yield from _read_stream(waiting, waiting.cursor)
        # By their ids it takes two requests a run: where an earlier command left many, they are read together at once.
        few = len(waiting.submission.states) / 2 if waiting.read_once else BY_ID
        if not was_whole and waiting.ended_unread(news) > few:
            yield from _read_stream(waiting, None)
        waiting.read_once = True
    unread = waiting.unread()
    certain = news is not None and (news.active is False or len(unread) <= BY_ID)
    fetched: list[ReadRun] = []
    for run_id in sorted(unread if certain else unread & waiting.ended):
        try:
            run = yield from do(FetchRun(run_id))
        except StopRequested:
            yield from _keep(waiting, fetched, None, fetched=True)
            raise
        except ApiError as error:
            if not isinstance(error, NotFoundError) and not error.retryable:
                raise
            if isinstance(error, UnreadableAnswerError):
                waiting.unknown[run_id] = LOST_AFTER  # it was asked for again and again, for minutes
            waiting.unknown[run_id] += isinstance(error, NotFoundError)
            continue
        if (yield from _may_get_output(run, waiting.empty)):
            waiting.ended.add(run_id)  # asked for again
            continue
        fetched.append(run)
        if len(fetched) == BY_ID or sum(len(one.raw) for one in fetched) >= FETCHED_BYTES:
            yield from _keep(waiting, fetched, None, fetched=True)
            fetched = []
    yield from _keep(waiting, fetched, None, fetched=True)


def _read_stream(waiting: Waiting, cursor: str | None) -> Script[None]:
    """One reading of the `runs` listing, taken up again at its cursor as long as that brings something."""
    submission = waiting.submission
    progress = True
    while progress and waiting.open:
        progress, reader = False, None
        while True:
            try:
                chunk = yield from do(ReadRuns(submission.group_id, cursor, reader))
            except ApiError as error:
                if cursor is not None and reader is None and _may_be_of_the_cursor(error):
                    cursor = waiting.cursor = None
                    progress = True
                    break
                if not error.retryable and not (yield from _is_new(submission, error)):
                    raise
                return
            cursor = waiting.cursor = chunk.cursor or cursor
            left = len(waiting.open)
            yield from _keep(waiting, chunk.runs, cursor)
            progress = progress or len(waiting.open) < left
            reader = chunk.reader
            del chunk  # megabytes, while the next ones come
            if reader is None:
                break
            if not left:  # a whole chunk more than was waited for: a listing may repeat itself without end
                return


def _keep(waiting: Waiting, runs: Iterable[ReadRun], cursor: str | None, *, fetched: bool = False) -> Script[None]:
    """Write what came into the ledger, cursor and results in one transaction."""
    submission = waiting.submission
    outcomes: list[Outcome] = []
    for run in runs:
        n = _task_of(submission, run)
        if n is None:
            if fetched and run.status in ENDED:
                waiting.unknown[run.run_id] += 1  # ours, by its id
            continue  # else somebody else's run in our group
        if _is_extra(waiting, n, run.run_id):
            if run.run_id not in waiting.extras:
                waiting.extras.add(run.run_id)
                yield from note_extra(submission.submission_id, n, run.run_id)
            continue
        submission.tied[run.run_id] = n
        waiting.run_of[n] = run.run_id
        if n not in waiting.open or run.status not in ENDED:
            continue
        if run.status == "completed" and not run.has_output and not fetched:
            waiting.ended.add(run.run_id)  # its output is asked for by id
            continue
        waiting.open.discard(n)
        waiting.outcomes += 1
        waiting.ended.discard(run.run_id)
        # An answer's age begins here, by our own clock: by a service's clock that is far off it would be stale at
        # once, and asked, and paid for, again and again.
        at = None if waiting.arrived else run.at
        outcomes.append(Outcome(n, run.run_id, run.status == "completed", run.raw, run.error, at))
    if outcomes:
        yield from do(RecordOutcomes(submission.submission_id, submission.processor, outcomes, cursor))
        paid = sum(outcome.completed for outcome in outcomes)
        yield from do(Settled(submission.usd_micro, paid=paid, freed=len(outcomes) - paid))


def _may_get_output(run: ReadRun, empty: dict[str, Stamp]) -> Script[bool]:
    """Whether the output of an ended run is still to come: what was paid for is not given up at the first look."""
    if run.has_output or run.status != "completed":
        return False
    now = yield from do(Now())
    return (elapsed_s(empty.setdefault(run.run_id, now), now) or 0.0) < OUTPUT_S


def _is_new(submission: OpenSubmission, error: ApiError) -> Script[bool]:
    """Whether a group is not known yet, rather than not known: it may have been made a moment ago."""
    if not isinstance(error, NotFoundError):
        return False
    return (elapsed_s(submission.since, (yield from do(Now()))) or 0.0) <= LOST_GROUP_S


def _may_be_of_the_cursor(error: ApiError) -> bool:
    """Whether a listing may have been refused for where it was to begin: a cursor saves bytes, and no more."""
    return not error.retryable and not isinstance(error, UnauthorizedError | ForbiddenError)


def _is_extra(waiting: Waiting, n: int, run_id: str) -> bool:
    """Whether a run that carries our task key is not the one that stands for the task: a double charge."""
    return waiting.run_of.get(n, run_id) != run_id


def _task_of(submission: OpenSubmission, run: ReadRun) -> int | None:
    """Which task a run answers: by our metadata, never by position; by its input where the metadata is gone."""
    n = submission.tied.get(run.run_id)
    if n is None and run.task is not None:
        n = submission.tasks.get(run.task)
    if n is None and run.input_key is not None and run.run_id in submission.run_ids:
        n = submission.inputs.get(run.input_key)
    return n
