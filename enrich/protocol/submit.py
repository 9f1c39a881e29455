"""Batches → groups, once: the protocol by which a question is paid for at most one time.

Generators that yield effects (see `effects`) and decide; they do no I/O. The order of their steps is the promise:

1. a group is made (free);
2. the intent is on disk, synced, before a socket is opened;
3. one POST, sent once;
4. its answer is *accepted*, *refused* (nothing was created) or *unknown*;
5. an unknown outcome is resolved by complete listings of the group, after a settling time, and never by sending
   again;
6. what once was unknown stays under watch.

What can be kept without an idempotency key: at most one payment for a task if a POST takes effect, and shows in the
listing, within the settling time of being sent. Beyond it each late POST costs its batch once more; that is found, and
reported.
"""

from collections.abc import Generator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from enrich.api.errors import (
    ApiError,
    CreditError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    UnauthorizedError,
    UnreadableAnswerError,
)
from enrich.protocol.effects import (
    AddRuns,
    AwaitTurn,
    CreateGroup,
    Effect,
    EndWatch,
    FetchRun,
    FindLiveRun,
    ListGroup,
    Listing,
    Now,
    ReadRun,
    RecordAccepted,
    RecordAdopted,
    RecordExtra,
    RecordIntent,
    RecordNotCreated,
    RecordRefused,
    RecordResolved,
    RecordUnknown,
    Reload,
    Say,
    Settled,
    Sleep,
)
from enrich.records import Batch, Intent, OpenSubmission, Question, RunState, Stamp, Task, elapsed_s
from enrich.spec.identity import GENERATION, INPUT, TASK, fieldset_key, run_metadata, task_key

SETTLE_S: Final = 900.0
AGREEMENT_S: Final = 30.0  # two complete listings this far apart must agree, or a settling time if that is less
WATCH_S: Final = 24 * 3600.0
MAX_BATCH: Final = 1000
MAX_EXPOSURE_USD_MICRO: Final = 5_000_000  # what one unresolved submission may hold

MOST_LISTINGS: Final = 120  # after the settling time, one in 30 s: then the next command has to look

LOST_GROUP_S: Final = 60.0  # a group just made may not show at once; after that, 404 means what it says

_FIRST_LISTING_S: Final = 1.0
_LISTING_S: Final = 30.0
_SHORTEST_WAIT_S: Final = 0.05

T = TypeVar("T")
Protocol = Generator[Effect, Any, T]


def batch_size(usd_micro: int) -> int:
    """Runs a batch may have, so that no unresolved submission holds more than $5 (one run, if that costs more)."""
    return max(1, min(MAX_BATCH, MAX_EXPOSURE_USD_MICRO // usd_micro))


def submit(
    batch: Batch, tasks: Sequence[Task], *, settle_s: float = SETTLE_S, give_up: bool = False
) -> Protocol[OpenSubmission | list[tuple[Task, ...]]]:
    """Send these tasks of a batch once, and learn what became of it.

    Gives the submission with the runs the service has for it, which may be fewer than were sent: what it surely does
    not have is free again, and the next plan asks for it. Where nothing was created, gives the tasks to send instead:
    the same ones after a reason that passes, in parts where some of them are invalid (unless `give_up`).

    Raises StopRequested or SpendingStopped, and ApiError where the service refuses key or permission.
    """
    group_id, made = batch.group or ((yield from _open_group(batch)), (yield Now()))
    batch.group = None
    keys = task_keys(batch.question, tasks)
    body = render_body(batch.question, tasks, keys)
    intent = Intent(
        job_id=batch.job_id,
        group_id=group_id,
        processor=batch.question.processor,
        field_ids=batch.question.field_ids,
        usd_micro=batch.question.usd_micro,
        body_hash=blake2b(body, digest_size=16).digest(),
        stamp=(yield Now()),
        tasks=tuple((task.input_key, task.generation) for task in tasks),
    )
    submission_id: int = yield RecordIntent(intent)
    try:
        added = yield AddRuns(group_id, body)
    except ApiError as error:
        if error.created_nothing:
            if isinstance(error, NotFoundError) and (elapsed_s(made, intent.stamp) or 0.0) <= LOST_GROUP_S:
                batch.group = group_id, made
            return (yield from _refused(submission_id, batch.question.usd_micro, tasks, error, give_up=give_up))
        detail = str(error)
    else:
        if len(set(added.run_ids)) == len(added.run_ids) == len(tasks):
            yield RecordAccepted(submission_id, added.run_ids, added.runs_cursor)
            yield Settled(batch.question.usd_micro, why="accepted")
            return OpenSubmission.accepted(submission_id, intent, keys, added.run_ids, added.runs_cursor)
        detail = f"the answer names {len(set(added.run_ids))} runs, {len(tasks)} were sent"
    # Settling is measured from here and not from the intent: a process that was stopped between the two would
    # otherwise count the time in which it had not yet sent anything.
    yield RecordUnknown(submission_id, (yield Now()), detail)
    yield Settled(batch.question.usd_micro, why="unknown")
    yield Say(f"a request for {len(tasks)} runs has no clear answer ({detail}); its group is asked what became of it")
    return (yield from resolve((yield Reload(submission_id)), settle_s=settle_s))


def resolve(submission: OpenSubmission, *, settle_s: float = SETTLE_S) -> Protocol[OpenSubmission]:
    """Find out what became of a submission whose outcome is unknown, without sending anything.

    What a listing shows is adopted at once. What is missing is free again only when the settling time has passed and
    after that two complete listings, far enough apart, agree; what is cut short in between tells nothing. A listing
    shows what there was when it was asked for: its answer may wait for hours for a process that was stopped. And a
    group never shrinks: a listing that lacks what was listed or counted before comes from an old replica. Nor is
    anything missing while the group shows a run of which nobody can tell what it was asked. Gives the submission as the
    ledger then has it.

    Raises UnreadableAnswerError when after MOST_LISTINGS it still can't be told: nothing is free then.
    """
    since = submission.since
    if submission.state == "sending":
        # The process that sent it is gone, and nobody knows how long ago it did: its time begins now.
        since = yield Now()
        yield RecordUnknown(submission.submission_id, since, "the process ended before the answer came")
    known = dict(submission.tied)
    by_input: dict[str, int | None] = {}
    ever, most = set(known), 0  # ids listed, and runs counted, so far
    listings = 0  # after the settling time
    agreed: tuple[Stamp, frozenset[str]] | None = None
    wait_s = min(_FIRST_LISTING_S, settle_s / 4)
    while True:
        begun = yield Now()
        passed = elapsed_s(since, begun)
        if passed is None:  # a reboot, or a clock that stepped back: settling starts again
            since, agreed, passed = begun, None, 0.0
            yield RecordUnknown(submission.submission_id, begun, "the clock was set back, or the machine rebooted")
        listing = yield from _list(submission.group_id, patience=passed <= LOST_GROUP_S)
        tells = False
        if listing is not None:
            are_told = yield from _identify(submission, listing, by_input)
            yield from _adopt(submission, listing, known, by_input)
            if len(set(known.values())) == len(submission.tasks):
                break
            seen = frozenset(run.run_id for run in listing.runs)
            ever |= seen
            most = max(most, listing.before, listing.after, len(ever))
            tells = passed >= settle_s and are_told and is_complete(listing, most)
            if tells:  # what those in between may have shown is in `most`
                apart = elapsed_s(agreed[0], begun) if agreed else None
                if agreed is None or agreed[1] != seen or apart is None:
                    agreed = ((yield Now()), seen)
                elif apart >= min(AGREEMENT_S, settle_s):
                    break
        left_s = settle_s - passed
        if left_s <= 0:
            listings += 1
            if not tells:
                said = _trouble(submission.group_id, listing)
                if listings > MOST_LISTINGS:
                    raise UnreadableAnswerError(f"{said}; none of it was sent again, and the next command looks again")
                yield Say(f"{said}; asking again")
        yield Sleep(max(_SHORTEST_WAIT_S, min(wait_s, left_s) if left_s > 0 else wait_s))
        wait_s = min(wait_s * 2, _LISTING_S, max(settle_s / 4, _FIRST_LISTING_S))
    yield RecordResolved(submission.submission_id)
    missing = len(submission.tasks) - len(set(known.values()))
    yield Settled(submission.usd_micro, freed=missing, why="refused" if missing else "accepted")
    resolved: OpenSubmission = yield Reload(submission.submission_id)
    return resolved


def watch(submission: OpenSubmission) -> Protocol[OpenSubmission]:
    """Look once for late runs of a submission that was resolved with tasks missing.

    A late run is adopted if its task is still free, or what was sent again failed, which costs nothing; else it is a
    double charge: both runs are kept, the first is used. The watch ends after a day.
    """
    over = _is_over(submission.since, (yield Now()))
    try:
        listing = yield from _list(submission.group_id)
    except NotFoundError:
        if not over:
            raise
        yield EndWatch(submission.submission_id)
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
        live = yield FindLiveRun(submission.submission_id, n)
        if live is None and submission.states[n] is RunState.RELEASED:
            found = yield RecordAdopted(submission.submission_id, {n: run.run_id})
            yield Settled(submission.usd_micro, found=found, why="found")
            submission.tied[run.run_id] = n
        elif live is None:  # the one of this very group failed
            yield from note_extra(submission.submission_id, n, run.run_id)
        elif live.state is RunState.SENT:
            unsettled = True  # sent again, and not yet known whether that made a run: look again
        elif live.run_id != run.run_id:
            yield from note_extra(live.submission_id, live.n, run.run_id)
    if over and are_told and not unsettled and is_complete(listing):
        yield EndWatch(submission.submission_id)
    seen: OpenSubmission = yield Reload(submission.submission_id)
    return seen


def note_extra(submission_id: int, n: int, run_id: str) -> Protocol[None]:
    """The service has a second run for a task: write down the double charge, and count its money as at stake."""
    usd_micro: int | None = yield RecordExtra(submission_id, n, run_id)
    if usd_micro is not None:
        yield Settled(usd_micro, found=1, why="found")


def is_complete(listing: Listing, known: int = 0) -> bool:
    """Whether a listing shows all of a group: as many distinct runs as the group counted before and after it, and no
    fewer than the `known` ones.

    A stream that was cut with a clean end looks whole; only the count tells.
    """
    return listing.before == listing.after == len({run.run_id for run in listing.runs}) >= known


def task_keys(question: Question, tasks: Sequence[Task]) -> list[str]:
    """The keys of tasks, in their order."""
    fieldset = fieldset_key(question.field_ids)
    return [task_key(task.input_key, fieldset, question.processor, task.generation) for task in tasks]


def render_body(question: Question, tasks: Sequence[Task], keys: Sequence[str]) -> bytes:
    """The body of the POST that adds these tasks, by their keys, to a group."""
    fresh, building = _frame(question, builds=False), _frame(question, builds=True)
    parts: list[bytes] = []
    for task, key in zip(tasks, keys, strict=True):
        frame = fresh if task.previous is None else building
        parts += (b",", frame[0], task.document, frame[1], key.encode(), frame[2], task.input_key.hex().encode())
        parts += (frame[3], b"%d" % task.generation, frame[4])
        if task.previous is not None:
            parts += (msgspec.json.encode(task.previous), frame[5])
    body = {"default_task_spec": question.spec, "inputs": [msgspec.Raw(b"".join(parts[1:]))]}
    return msgspec.json.encode(body)


def _frame(question: Question, *, builds: bool) -> list[bytes]:
    """The JSON of a run of this question, in the pieces between what differs from task to task.

    Between them come document, task key, input key, generation and, where it `builds` on it, the earlier interaction.
    """
    ours = dict.fromkeys((TASK, INPUT, GENERATION), msgspec.Raw(b'"\0"'))  # in JSON no NUL stands for itself
    run_input: dict[str, Any] = {
        "processor": question.processor,
        "input": msgspec.Raw(b"\0"),
        "metadata": run_metadata("", b"", question.field_ids, 0) | ours,
        **question.settings,
    }
    if builds:
        run_input["previous_interaction_id"] = msgspec.Raw(b"\0")
    return msgspec.json.encode(run_input).split(b"\0")


def _open_group(batch: Batch) -> Protocol[str]:
    """Make the group; it costs nothing, so it is simply tried again."""
    while True:
        try:
            group_id: str = yield CreateGroup({"enrich_job": batch.job[:512]})
        except ApiError as error:
            if not error.retryable:
                raise
            pace = _pace(error)
            if pace["why"] == "unknown":  # whether it was made after all does not matter
                pace["why"] = "unsent"
            yield Settled(batch.question.usd_micro, **pace)
            yield Say(f"no group could be made ({error}); trying again")
            yield AwaitTurn(0, batch.question.usd_micro)
        else:
            return group_id


def _refused(
    submission_id: int, usd_micro: int, tasks: Sequence[Task], error: ApiError, *, give_up: bool
) -> Protocol[OpenSubmission | list[tuple[Task, ...]]]:
    """Nothing was created. What to send instead; what is invalid by itself has failed, in the service's words."""
    parts = [tuple(tasks)]
    if isinstance(error, InvalidError):
        parts = [] if give_up else parts_of_invalid(tasks, error)
    yield RecordNotCreated(submission_id, str(error)) if parts else RecordRefused(submission_id, str(error))
    pace = _pace(error)
    yield Settled(usd_micro, freed=len(tasks), **pace)
    if isinstance(error, UnauthorizedError | ForbiddenError):
        raise error
    if pace["why"] in ("unknown", "unsent"):
        yield Say(f"no runs could be added ({error}); trying again")
    if parts:
        return parts
    refused: OpenSubmission = yield Reload(submission_id)
    return refused


def parts_of_invalid(tasks: Sequence[Task], error: InvalidError) -> list[tuple[Task, ...]]:
    """How to send tasks of which some were refused as invalid; nothing when it is the only one, as it is.

    One bad input must not fail a thousand good ones. The service may name it (`loc: [body, inputs, 3]`); else the
    tasks are halved. What builds on an earlier interaction is first tried without: not every account may.
    """
    if any(task.previous is not None for task in tasks):
        return [tuple(replace(task, previous=None) for task in tasks)]
    if len(tasks) == 1:
        return []
    named = _named_inputs(error.detail, len(tasks))
    if named and len(named) < len(tasks):
        good = tuple(task for i, task in enumerate(tasks) if i not in named)
        return [good, *((tasks[i],) for i in sorted(named))]
    half = len(tasks) // 2
    return [tuple(tasks[:half]), tuple(tasks[half:])]


def _named_inputs(detail: object, count: int) -> set[int]:
    """Indexes of inputs that a validation error names."""
    faults = detail if isinstance(detail, list) else []
    places = [fault.get("loc") for fault in faults if isinstance(fault, dict)]
    return {
        place[at + 1]
        for place in places
        if isinstance(place, list)
        for at, step in enumerate(place[:-1])
        if step == "inputs" and type(place[at + 1]) is int and 0 <= place[at + 1] < count
    }


def _pace(error: ApiError) -> dict[str, Any]:
    """What the owner of the pace is told of a refusal."""
    said = str(error)
    match error:
        case RateLimitedError():
            return {"why": "rate", "retry_after_s": error.retry_after_s, "said": said}
        case CreditError():
            return {"why": "credit", "said": said}
        case NotSentError():
            return {"why": "unsent", "said": said}
        case InvalidError():
            return {"why": "refused", "said": said}
        case _:
            return {"why": "unknown", "retry_after_s": error.retry_after_s, "said": said}


def _list(group_id: str, *, patience: bool = False) -> Protocol[Listing | None]:
    try:
        listing: Listing = yield ListGroup(group_id)
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


def _identify(submission: OpenSubmission, listing: Listing, by_input: dict[str, int | None]) -> Protocol[bool]:
    """Find out what the runs that are listed without a key were asked, and so their task (None: not one of these).

    The key may be told by the run itself, or its input tells. Gives whether it could be told of all of them.
    """
    for run in listing.runs:
        if run.task is not None or run.run_id in by_input or run.run_id in submission.tied:
            continue
        try:
            read: ReadRun = yield FetchRun(run.run_id)
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
) -> Protocol[None]:
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
        yield RecordAdopted(submission.submission_id, found)
    for n, run_id in extra:
        yield from note_extra(submission.submission_id, n, run_id)


def _is_over(since: Stamp, now: Stamp) -> bool:
    """Whether a watch has lasted for a day. Over a reboot only the wall clock can tell, which may be a day off."""
    passed = elapsed_s(since, now)
    return passed > WATCH_S if passed is not None else now.wall - since.wall > 2 * WATCH_S
