"""Groups → what has ended: look at a group until all its runs have outcomes, and say what is read when.

A generator of effects, like `submit`. A group's events and counts only tell that something ended; `reading` brings it.
What decides that a group is done is the set of runs the ledger waits for: never a cursor, a count, or the end of a
stream. Outputs are read once where the service allows it: one reading when all has ended, an early one when more than
half has ended and the rest is slow, stragglers by their id. So bytes read stay within 1.5 times the results.
"""

from dataclasses import dataclass
from typing import Final

from enrich.api.errors import ApiError, UnauthorizedError
from enrich.protocol.effects import (
    EndVisits,
    FetchRun,
    FollowEvents,
    Now,
    PlanVisit,
    PollGroup,
    RecordExtraOutcome,
    Say,
    Script,
    Settled,
    Sleep,
    StopRequested,
    do,
)
from enrich.protocol.endings import ENDED, is_broken
from enrich.protocol.reading import BY_ID, is_new, may_get_output, read, read_stream, take_up
from enrich.protocol.replies import Followed
from enrich.protocol.visits import Visit, Waited
from enrich.protocol.waiting import Waiting
from enrich.records import OpenSubmission, Stamp, elapsed_s
from enrich.text.figures import counted

FOLLOW_S: Final = 30.0  # a group without news for this long is quiet
QUIET_S: Final = (10.0, 30.0)  # a group that is asked for its counts is quiet after so long, at least and at most …
QUIET_SHARE: Final = 0.5  # … and in between after this share of its age
POLL_S: Final = (2.0, 30.0)  # first and longest wait between polls, where events are refused or break
LOOK_S: Final = (600.0, 7200.0)  # told of no end for so long, it looks at the runs themselves; then more seldom
_BROKEN_STREAMS: Final = 2  # after so many, poll for a while


def collect(submission: OpenSubmission) -> Script[None]:
    """Bring every accepted run's outcome into the ledger. See `await_outcomes`."""
    return await_outcomes(Waiting.of(submission))


def await_outcomes(waiting: Waiting) -> Script[None]:
    """Bring every outcome that is waited for into the ledger.

    When the command is asked to stop, what has ended is read once more before StopRequested goes on its way.
    Returns with runs still open only where the service does not know them any more, tells of them what can't be read,
    or of one that has ended not what it was asked. The next command looks again.
    """
    lookout = _Lookout.of(waiting, (yield from do(Now())))
    try:
        yield from _until_all_read(waiting, lookout)
    except (ApiError, StopRequested):
        yield from do(EndVisits(waiting.submission_id, waiting.processor, None))
        raise
    age_s = lookout.age_s((yield from do(Now())))
    yield from do(EndVisits(waiting.submission_id, waiting.processor, age_s))
    if not waiting.is_put_away and waiting.open and (lost := waiting.lost()):
        said = (
            f"of {counted(len(lost), 'run')} of group {waiting.group_id} the service does not tell how it ended, or "
            "what it was asked: the rows stay pending, and the next command looks again"
        )
        yield from do(Say(said))


def _until_all_read(waiting: Waiting, lookout: "_Lookout") -> Script[None]:
    looked_at, look_s = lookout.begun, LOOK_S[0]
    while not waiting.is_over():
        try:
            news = yield from _news(waiting, lookout)
        except StopRequested:
            yield from read(waiting, None)
            raise
        if news is None:
            continue
        was_told = lookout.told
        quiet = lookout.note(waiting, news, (yield from do(Now())))
        if lookout.told != was_told:
            looked_at = lookout.told_at
        outcomes = waiting.outcomes
        if _worth_reading(waiting, news, quiet=quiet):
            yield from read(waiting, news)
        elif (elapsed_s(looked_at, lookout.now) or 0.0) >= look_s:
            # Events and counts may be wrong for ever: the listing shows what there is.
            looked_at, look_s = lookout.now, min(look_s * 2, LOOK_S[1])
            yield from read_stream(waiting, None)
        else:
            continue
        if waiting.outcomes > outcomes:
            lookout.begin_anew()
        elif not waiting.is_over():  # told of an end that can't be read yet: ask again, but not at once
            yield from lookout.wait(waiting)


@dataclass(slots=True)
class _Lookout:
    """How a group is watched: where its events were left, how many streams in a row broke, the next wait in seconds."""

    begun: Stamp
    before_s: float  # its age then
    now: Stamp  # when it was looked at last
    told_at: Stamp  # when that told of more runs that have ended than the look before, or of fewer
    told: int = 0
    cursor: str | None = None
    broken: int = 0
    poll_s: float = POLL_S[0]

    @classmethod
    def of(cls, waiting: Waiting, now: Stamp) -> "_Lookout":
        return cls(now, elapsed_s(waiting.since, now) or 0.0, now, now)

    def age_s(self, now: Stamp) -> float:
        """Seconds since the group was sent, as far as they can be known."""
        return self.before_s + (elapsed_s(self.begun, now) or 0.0)

    def waited(self, waiting: Waiting) -> Waited:
        """What the next visit is planned by."""
        number, processor, left = waiting.submission_id, waiting.processor, waiting.count_left()
        quiet_s = elapsed_s(self.told_at, self.now) or 0.0
        return Waited(number, processor, self.age_s(self.now), quiet_s, left, min(self.told, left))

    def note(self, waiting: Waiting, news: Followed, now: Stamp) -> bool:
        """Take note of what was told; gives whether the group is quiet."""
        quiet = news.ended <= waiting.ended
        waiting.ended |= news.ended
        ended = waiting.ended_unread(news)
        if ended != self.told:
            self.told, self.told_at = ended, now
        self.now = now
        if waiting.is_put_away:  # it tells no ids, and is asked more often than a stream is silent
            least, most = QUIET_S
            span_s = min(most, max(least, self.age_s(now) * QUIET_SHARE))
            quiet = (elapsed_s(self.told_at, now) or 0.0) >= span_s
        return quiet

    def begin_anew(self) -> None:
        """Something came of it."""
        self.broken, self.poll_s, self.told = 0, POLL_S[0], 0

    def wait(self, waiting: Waiting) -> Script[None]:
        """Longer from time to time."""
        waiting.put_away()
        yield from do(Sleep(self.poll_s))
        self.poll_s = min(self.poll_s * 2, POLL_S[1])


def _news(waiting: Waiting, lookout: _Lookout) -> Script[Followed | None]:
    """What is new of a group, by its events or, where many are waited for, or they break or are refused, by its counts;
    None where neither can be had this time.
    """
    lookout.now = yield from do(Now())
    visit = yield from do(PlanVisit(lookout.waited(waiting)))
    polled = not visit.follow or lookout.broken >= _BROKEN_STREAMS
    try:
        if polled:
            yield from _wait_for(visit, waiting, lookout)
            return (yield from do(PollGroup(waiting.group_id)))
        yield from take_up(waiting)
        if waiting.is_over():
            return None
        awaited = waiting.unread() - waiting.ended
        news = yield from do(FollowEvents(waiting.group_id, lookout.cursor, FOLLOW_S, awaited))
    except UnauthorizedError:
        raise
    except ApiError as error:
        if polled and not error.retryable and not (yield from is_new(waiting, error)):
            raise  # the group itself can't be asked about
        lookout.broken = _BROKEN_STREAMS  # events may be refused where the group can still be polled
        return None
    lookout.cursor = news.cursor or lookout.cursor
    lookout.broken = lookout.broken + 1 if is_broken(news) else 0
    return news


def _wait_for(visit: Visit, waiting: Waiting, lookout: _Lookout) -> Script[None]:
    if visit.follow:
        yield from lookout.wait(waiting)
    else:
        waiting.put_away()
        yield from do(Sleep(visit.after_s))


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
            if run.status in ENDED and not (yield from may_get_output(run, empty)):
                paid = int(run.status == "completed")
                _, usd_micro = yield from do(RecordExtraOutcome(run_id, bool(paid), run.raw))
                yield from do(Settled(usd_micro, paid=paid, freed=1 - paid))
                return
        yield from do(Sleep(poll_s))
        poll_s = min(poll_s * 2, POLL_S[1])


def _worth_reading(waiting: Waiting, news: Followed, *, quiet: bool) -> bool:
    """Whether to read outputs now: all has ended, or more than half has and the rest is slow.

    After the first reading, runs whose ids are told are fetched one by one as they end.
    """
    left = waiting.count_left()
    ended = waiting.ended_unread(news)
    if news.active is False or ended >= left:
        return True
    if waiting.read_once and (waiting.ended or left <= BY_ID):
        return ended > 0
    return quiet and 2 * ended > left
