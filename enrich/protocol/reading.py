"""What has ended → ledger: read a group's listing, or runs by their ids, and write down what came."""

from collections.abc import Iterable
from typing import Final

from enrich.api.errors import ApiError, ForbiddenError, NotFoundError, UnauthorizedError, UnreadableAnswerError
from enrich.protocol.effects import (
    FetchRun,
    Now,
    ReadRuns,
    RecordOutcomes,
    Reload,
    Script,
    Settled,
    StopRequested,
    do,
)
from enrich.protocol.endings import ENDED
from enrich.protocol.replies import Followed, ReadRun
from enrich.protocol.resolve import LOST_GROUP_S, note_extra
from enrich.protocol.waiting import LOST_AFTER, Waiting
from enrich.records import OpenSubmission, Outcome, Stamp, elapsed_s

OUTPUT_S: Final = 120.0  # an output may come so much later than its run is said to be completed
FETCHED_BYTES: Final = 1024 * 1024  # of runs fetched one by one that are held before they are written down
BY_ID: Final = 16  # so many runs are fetched one by one rather than by reading their group again


def take_up(waiting: Waiting) -> Script[None]:
    """Have the tasks of a submission here."""
    if waiting.is_put_away:
        waiting.take_up((yield from do(Reload(waiting.submission_id))))


def read_ended(submission: OpenSubmission, ended: Iterable[str]) -> Script[None]:
    """Bring in the outcomes of runs that have `ended`, and wait for nothing else.

    They were received before, by a ledger that is lost: their age is counted from when the service says they ended.
    """
    waiting = Waiting.of(submission)
    waiting.ended.update(ended)
    waiting.arrived = False
    yield from read(waiting, None)


def read(waiting: Waiting, news: Followed | None) -> Script[None]:
    """Read what has ended: the group's listing the first time, then by id, or once more when most is missing."""
    if not waiting.read_once or waiting.ended_unread(news) > BY_ID:
        # Behind the cursor is little or nothing where the service lists by creation, and all that is new where
        # it lists by last change.
        was_whole = waiting.cursor is None
        yield from read_stream(waiting, waiting.cursor)
        # By their ids it takes two requests a run: where an earlier command left many, they are read together at once.
        few = waiting.count_tasks() / 2 if waiting.read_once else BY_ID
        if not was_whole and waiting.ended_unread(news) > few:
            yield from read_stream(waiting, None)
        waiting.read_once = True
    if news is None and not waiting.ended:
        return
    yield from take_up(waiting)
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
        if (yield from may_get_output(run, waiting.empty)):
            waiting.ended.add(run_id)  # asked for again
            continue
        fetched.append(run)
        if len(fetched) == BY_ID or sum(len(one.raw) for one in fetched) >= FETCHED_BYTES:
            yield from _keep(waiting, fetched, None, fetched=True)
            fetched = []
    yield from _keep(waiting, fetched, None, fetched=True)


def read_stream(waiting: Waiting, cursor: str | None) -> Script[None]:
    """One reading of the `runs` listing, taken up again at its cursor as long as that brings something."""
    progress = True
    while progress and waiting.count_left():
        progress, reader = False, None
        while True:
            try:
                chunk = yield from do(ReadRuns(waiting.group_id, cursor, reader))
            except ApiError as error:
                if cursor is not None and reader is None and _may_be_of_the_cursor(error):
                    cursor = waiting.cursor = None
                    progress = True
                    break
                if not error.retryable and not (yield from is_new(waiting, error)):
                    raise
                return
            cursor = waiting.cursor = chunk.cursor or cursor
            yield from take_up(waiting)  # not before: whoever reads has one of few places, and many wait for one
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


def may_get_output(run: ReadRun, empty: dict[str, Stamp]) -> Script[bool]:
    """Whether the output of an ended run is still to come: what was paid for is not given up at the first look."""
    if run.has_output or run.status != "completed":
        return False
    now = yield from do(Now())
    return (elapsed_s(empty.setdefault(run.run_id, now), now) or 0.0) < OUTPUT_S


def is_new(waiting: Waiting, error: ApiError) -> Script[bool]:
    """Whether a group is not known yet, rather than not known: it may have been made a moment ago."""
    if not isinstance(error, NotFoundError):
        return False
    return (elapsed_s(waiting.since, (yield from do(Now()))) or 0.0) <= LOST_GROUP_S


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
