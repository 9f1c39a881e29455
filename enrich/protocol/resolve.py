"""What became of a POST whose answer is not known: steps 5 and 6 of the promise (see `enrich.protocol`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from enrich.api.errors import ApiError, ForbiddenError, NotFoundError, UnauthorizedError, UnreadableAnswerError
from enrich.protocol.effects import (
    EndWatch,
    FetchRun,
    FindLiveRun,
    ListGroup,
    Now,
    RecordAdopted,
    RecordExtra,
    RecordResolved,
    RecordUnknown,
    Reload,
    Say,
    Script,
    Settled,
    Sleep,
    do,
)
from enrich.protocol.replies import Listing, Sightings, is_complete
from enrich.records import OpenSubmission, RunState, Stamp, elapsed_s

SETTLE_S: Final = 900.0
AGREEMENT_S: Final = 30.0  # two complete listings this far apart must agree, or a settling time if that is less
REFUSAL_S: Final = 30.0  # a refusal may take effect so much later, or for a settling time if that is less
WATCH_S: Final = 24 * 3600.0
MOST_LISTINGS: Final = 120  # after the settling time, one in 30 s: then the next command has to look

LOST_GROUP_S: Final = 60.0  # a group just made may not show at once; after that, 404 means what it says

_FIRST_LISTING_S: Final = 1.0
_LISTING_S: Final = 30.0
_SHORTEST_WAIT_S: Final = 0.05


def resolve(submission: OpenSubmission, *, settle_s: float = SETTLE_S) -> Script[OpenSubmission]:
    """Find out what became of a submission whose outcome is unknown, without sending anything.

    What a listing shows is adopted at once. What is missing is free again only when the settling time has passed and
    after that two complete listings, far enough apart, agree; what is cut short in between tells nothing. A listing
    shows what there was when it was asked for: its answer may wait for hours for a process that was stopped. And a
    group never shrinks: a listing that lacks what was listed or counted before comes from an old replica. Nor is
    anything missing while the group shows a run of which nobody can tell what it was asked. Gives the submission as the
    ledger then has it.

    Raises UnreadableAnswerError when after MOST_LISTINGS it still can't be told: nothing is free then.
    """
    if submission.doubted:  # refused by quota or credit, and its command ended before it was looked at
        settle_s = min(settle_s, REFUSAL_S)
    inquiry = _Inquiry.of(submission, settle_s)
    if submission.state == "sending":
        # The process that sent it is gone, and nobody knows how long ago it did: its time begins now.
        inquiry.since = yield from do(Now())
        gone = "the process ended before the answer came"
        yield from do(RecordUnknown(submission.submission_id, inquiry.since, gone))
    listings = 0  # after the settling time
    wait_s = min(_FIRST_LISTING_S, settle_s / 4)
    while True:
        begun = yield from do(Now())
        passed = yield from _passed_s(inquiry, begun)
        listing = yield from _list(submission.group_id, patience=passed <= LOST_GROUP_S)
        tells = False
        if listing is not None:
            tells = (yield from _learn(inquiry, listing)) and passed >= settle_s
            if inquiry.all_found() or (tells and (yield from _agrees(inquiry, begun))):
                break
        left_s = settle_s - passed
        if left_s <= 0:
            listings += 1
            if not tells:
                said = _trouble(submission.group_id, listing)
                if listings > MOST_LISTINGS:
                    raise UnreadableAnswerError(f"{said}; none of it was sent again, and the next command looks again")
                yield from do(Say(f"{said}; asking again"))
        yield from do(Sleep(max(_SHORTEST_WAIT_S, min(wait_s, left_s) if left_s > 0 else wait_s)))
        wait_s = min(wait_s * 2, _LISTING_S, max(settle_s / 4, _FIRST_LISTING_S))
    yield from do(RecordResolved(submission.submission_id))
    missing = len(submission.tasks) - len(set(inquiry.known.values()))
    yield from do(Settled(submission.usd_micro, freed=missing, why="refused" if missing else "accepted"))
    return (yield from do(Reload(submission.submission_id)))


def made_nothing(group_id: str, *, settle_s: float) -> Script[bool]:
    """Whether an add that quota or credit refused created nothing, by its group, which had no run before.

    No document promises that it did not: an add that fits a quota only in part may be taken in part, and what is
    refused may take effect a little later. So the group is looked at, after a while; and twice, since one listing may
    come from an old replica.
    """
    for wait_s in (min(REFUSAL_S, settle_s), min(_FIRST_LISTING_S, settle_s / 4)):
        yield from do(Sleep(wait_s))
        listing = yield from _list(group_id, patience=True)
        if listing is None or listing.runs or not is_complete(listing, Sightings(set())):
            return False
    return True


@dataclass(slots=True)
class _Inquiry:
    """What is known so far of a submission whose outcome is not."""

    submission: OpenSubmission
    settle_s: float
    since: Stamp
    known: dict[str, int]  # n of a task by the id of its run
    ever: Sightings
    by_input: dict[str, int | None] = field(default_factory=dict)  # as `known`, of runs without a key; None: not ours
    listed: frozenset[str] = frozenset()  # by the last listing
    agreed: tuple[Stamp, frozenset[str]] | None = None  # the complete listing that another one must agree with

    @classmethod
    def of(cls, submission: OpenSubmission, settle_s: float) -> "_Inquiry":
        known = dict(submission.tied)
        return cls(submission, settle_s, submission.since, known, Sightings(set(known)))

    def all_found(self) -> bool:
        """Whether every task has a run."""
        return len(set(self.known.values())) == len(self.submission.tasks)


def _passed_s(inquiry: _Inquiry, now: Stamp) -> Script[float]:
    """Seconds of settling so far. After a reboot, or when a clock stepped back, settling starts again."""
    passed = elapsed_s(inquiry.since, now)
    if passed is not None:
        return passed
    inquiry.since, inquiry.agreed = now, None
    again = "the clock was set back, or the machine rebooted"
    yield from do(RecordUnknown(inquiry.submission.submission_id, now, again))
    return 0.0


def _learn(inquiry: _Inquiry, listing: Listing) -> Script[bool]:
    """Adopt what a listing shows; gives whether it shows all there is, and tells of each what it was asked."""
    are_told = yield from _identify(inquiry.submission, listing, inquiry.by_input)
    yield from _adopt(inquiry.submission, listing, inquiry.known, inquiry.by_input)
    inquiry.ever.note(listing)
    inquiry.listed = frozenset(run.run_id for run in listing.runs)
    return are_told and is_complete(listing, inquiry.ever)


def _agrees(inquiry: _Inquiry, begun: Stamp) -> Script[bool]:
    """Whether the last listing, asked for at `begun`, says the same as a complete one before it, far enough apart.

    What those in between may have shown is in `ever`.
    """
    apart = None
    if inquiry.agreed is not None and inquiry.agreed[1] == inquiry.listed:
        apart = elapsed_s(inquiry.agreed[0], begun)
    if apart is None:
        inquiry.agreed = ((yield from do(Now())), inquiry.listed)
        return False
    return apart >= min(AGREEMENT_S, inquiry.settle_s)


def watch(submission: OpenSubmission) -> Script[OpenSubmission]:
    """Look once for late runs of a submission that was resolved with tasks missing.

    A late run is adopted if its task is still free, or what was sent again failed, which costs nothing; else it is a
    double charge: both runs are kept, the first is used. The watch ends after a day.
    """
    over = _is_over(submission.since, (yield from do(Now())))
    try:
        listing = yield from _list(submission.group_id)
    except NotFoundError:
        if not over:
            raise
        yield from do(EndWatch(submission.submission_id))
        listing = None
    if listing is None:
        return submission
    unsettled = False
    by_input: dict[str, int | None] = {}
    are_told = yield from _identify(submission, listing, by_input)
    for run in listing.runs:
        n = submission.tasks.get(run.task or "", by_input.get(run.run_id))
        if n is None or run.run_id in submission.tied:
            continue
        live = yield from do(FindLiveRun(submission.submission_id, n))
        if live is None and submission.states[n] is RunState.RELEASED:
            found = yield from do(RecordAdopted(submission.submission_id, {n: run.run_id}))
            yield from do(Settled(submission.usd_micro, found=found, why="found"))
            submission.tied[run.run_id] = n
        elif live is None:  # the one of this very group failed
            yield from note_extra(submission.submission_id, n, run.run_id)
        elif live.state is RunState.SENT:
            unsettled = True  # sent again, and not yet known whether that made a run: look again
        elif live.run_id != run.run_id:
            yield from note_extra(live.submission_id, live.n, run.run_id)
            unsettled = unsettled or live.state is RunState.ACCEPTED  # should that one fail, this one answers
    ever = Sightings({*submission.run_ids, *submission.tied})
    ever.note(listing)
    if over and are_told and not unsettled and is_complete(listing, ever):
        yield from do(EndWatch(submission.submission_id))
    return (yield from do(Reload(submission.submission_id)))


def note_extra(submission_id: int, n: int, run_id: str) -> Script[None]:
    """The service has a second run for a task: write down the double charge, and count its money as at stake."""
    usd_micro = yield from do(RecordExtra(submission_id, n, run_id))
    if usd_micro is not None:
        yield from do(Settled(usd_micro, found=1, why="found"))


def _list(group_id: str, *, patience: bool = False) -> Script[Listing | None]:
    try:
        listing = yield from do(ListGroup(group_id))
    except NotFoundError:
        # Never taken for an empty listing: with another account's key every group of ours is unknown.
        if not patience:
            raise
        return None
    except ApiError as error:
        if not error.retryable:
            raise
        return None
    return listing


def _identify(submission: OpenSubmission, listing: Listing, by_input: dict[str, int | None]) -> Script[bool]:
    """Find out what the runs that are listed without a key were asked, and so their task (None: not one of these).

    The key may be told by the run itself, or its input tells. Gives whether it could be told of all of them.
    """
    for run in listing.runs:
        if run.task is not None or run.run_id in by_input or run.run_id in submission.tied:
            continue
        try:
            read = yield from do(FetchRun(run.run_id))
        except ApiError as error:
            if isinstance(error, UnauthorizedError | ForbiddenError):
                raise
            return False
        if read.task is None and read.input_key is None:
            return False
        n = submission.tasks.get(read.task or "")
        by_input[run.run_id] = submission.inputs.get(read.input_key or b"") if n is None else n
    return True


def _trouble(group_id: str, listing: Listing | None) -> str:
    """Why a listing does not settle what became of a request."""
    if listing is None:
        return f"group {group_id} can't be listed"
    listed = len({run.run_id for run in listing.runs})
    if listing.before == listing.after == listed:
        return f"group {group_id} lists {listed} runs, and it is not clear if that is all, or what they were asked"
    return f"group {group_id} counts {listing.after} runs and lists {listed}"


def _adopt(
    submission: OpenSubmission, listing: Listing, known: dict[str, int], by_input: Mapping[str, int | None]
) -> Script[None]:
    """Tie what a listing shows to its tasks; a second run of a task is a double charge."""
    taken = set(known.values())
    found: dict[int, str] = {}
    extra: list[tuple[int, str]] = []
    for run in listing.runs:
        n = submission.tasks.get(run.task or "", by_input.get(run.run_id))
        if n is None or run.run_id in known:
            continue
        if n in taken:
            extra.append((n, run.run_id))
        else:
            found[n] = run.run_id
            taken.add(n)
        known[run.run_id] = n
    if found:
        yield from do(RecordAdopted(submission.submission_id, found))
    for n, run_id in extra:
        yield from note_extra(submission.submission_id, n, run_id)


def _is_over(since: Stamp, now: Stamp) -> bool:
    """Whether a watch has lasted for a day. Over a reboot only the wall clock can tell, which may be a day off."""
    passed = elapsed_s(since, now)
    return passed > WATCH_S if passed is not None else now.wall - since.wall > 2 * WATCH_S
