"""Batches → groups, once: steps 1 to 4 of the promise (see `enrich.protocol`)."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final, TypeAlias

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
)
from enrich.protocol.effects import (
    AddRuns,
    AwaitTurn,
    CreateGroup,
    Now,
    RecordAccepted,
    RecordIntent,
    RecordNotCreated,
    RecordRefused,
    RecordResolved,
    RecordUnknown,
    Reload,
    Say,
    Script,
    Settled,
    do,
)
from enrich.protocol.resolve import LOST_GROUP_S, SETTLE_S, made_nothing, resolve
from enrich.records import Intent, OpenSubmission, Question, Task, TaskBatch, elapsed_s
from enrich.spec.identity import fieldset_key, task_key

MAX_BATCH: Final = 1000
MAX_EXPOSURE_USD_MICRO: Final = 5_000_000  # what one unresolved submission may hold

# The body of the POST for a question's tasks, by their keys: its form is the service's.
Render: TypeAlias = Callable[[Question, Sequence[Task], Sequence[str]], bytes]


def batch_size(usd_micro: int) -> int:
    """Runs a batch may have, so that no unresolved submission holds more than $5 (one run, if that costs more)."""
    return max(1, min(MAX_BATCH, MAX_EXPOSURE_USD_MICRO // usd_micro))


def submit(
    batch: TaskBatch, tasks: Sequence[Task], *, render: Render, settle_s: float = SETTLE_S, give_up: bool = False
) -> Script[OpenSubmission | list[tuple[Task, ...]]]:
    """Send these tasks of a batch once, and learn what became of it.

    Gives the submission with the runs the service has for it, which may be fewer than were sent: what it surely does
    not have is free again, and the next plan asks for it. Where nothing was created, gives the tasks to send instead:
    the same ones after a reason that passes, in parts where some of them are invalid (unless `give_up`).

    Raises StopRequested or SpendingStopped, and ApiError where the service refuses key or permission.
    """
    group_id, made = batch.group or ((yield from _open_group(batch)), (yield from do(Now())))
    batch.group = None
    keys = task_keys(batch.question, tasks)
    body = render(batch.question, tasks, keys)
    intent = Intent(
        job_id=batch.job_id,
        group_id=group_id,
        processor=batch.question.processor,
        field_ids=batch.question.field_ids,
        usd_micro=batch.question.usd_micro,
        body_hash=blake2b(body, digest_size=16).digest(),
        stamp=(yield from do(Now())),
        tasks=tuple((task.input_key, task.generation) for task in tasks),
    )
    submission_id = yield from do(RecordIntent(intent))
    try:
        added = yield from do(AddRuns(group_id, body))
    except ApiError as error:
        if error.created_nothing:
            if isinstance(error, NotFoundError) and (elapsed_s(made, intent.stamp) or 0.0) <= LOST_GROUP_S:
                batch.group = group_id, made
            return (yield from _refused(submission_id, batch.question.usd_micro, tasks, error, give_up=give_up))
        if isinstance(error, CreditError | RateLimitedError):
            return (yield from _doubted(submission_id, batch.question.usd_micro, tasks, error, settle_s=settle_s))
        detail = str(error)
    else:
        if len(set(added.run_ids)) == len(added.run_ids) == len(tasks):
            yield from do(RecordAccepted(submission_id, added.run_ids, added.runs_cursor))
            yield from do(Settled(batch.question.usd_micro, tried=len(tasks), why="accepted"))
            return OpenSubmission.accepted(submission_id, intent, keys, added.run_ids, added.runs_cursor)
        detail = f"the answer names {len(set(added.run_ids))} runs, {len(tasks)} were sent"
    # Settling is measured from here and not from the intent: a process that was stopped between the two would
    # otherwise count the time in which it had not yet sent anything.
    yield from do(RecordUnknown(submission_id, (yield from do(Now())), detail))
    yield from do(Settled(batch.question.usd_micro, tried=len(tasks), why="unknown"))
    said = f"a request for {len(tasks)} runs has no clear answer ({detail}); its group is asked what became of it"
    yield from do(Say(said))
    return (yield from resolve((yield from do(Reload(submission_id))), settle_s=settle_s))


def task_keys(question: Question, tasks: Sequence[Task]) -> list[str]:
    """The keys of tasks, in their order."""
    fieldset = fieldset_key(question.field_ids)
    return [task_key(task.input_key, fieldset, question.processor, task.generation) for task in tasks]


def _open_group(batch: TaskBatch) -> Script[str]:
    """Make the group; it costs nothing, so it is simply tried again."""
    while True:
        try:
            group_id = yield from do(CreateGroup({"enrich_job": batch.job[:512]}))
        except ApiError as error:
            if not error.retryable:
                raise
            pace = _pace(error)
            if pace["why"] == "unknown":  # whether it was made after all does not matter
                pace["why"] = "unsent"
            yield from do(Settled(batch.question.usd_micro, **pace))
            yield from do(Say(f"no group could be made ({error}); trying again"))
            yield from do(AwaitTurn(0, batch.question.usd_micro))
        else:
            return group_id


def _refused(
    submission_id: int, usd_micro: int, tasks: Sequence[Task], error: ApiError, *, give_up: bool
) -> Script[OpenSubmission | list[tuple[Task, ...]]]:
    """Nothing was created. What to send instead; what is invalid by itself has failed, in the service's words."""
    parts = [tuple(tasks)]
    if isinstance(error, InvalidError):
        parts = [] if give_up else parts_of_invalid(tasks, error)
    yield from do(RecordNotCreated(submission_id, str(error)) if parts else RecordRefused(submission_id, str(error)))
    pace = _pace(error)
    yield from do(Settled(usd_micro, freed=len(tasks), tried=len(tasks), **pace))
    if isinstance(error, UnauthorizedError | ForbiddenError):
        raise error
    if pace["why"] in ("unknown", "unsent"):
        yield from do(Say(f"no runs could be added ({error}); trying again"))
    if parts:
        return parts
    return (yield from do(Reload(submission_id)))


def _doubted(
    submission_id: int, usd_micro: int, tasks: Sequence[Task], error: ApiError, *, settle_s: float
) -> Script[OpenSubmission | list[tuple[Task, ...]]]:
    """Refused by quota or credit: believed only after a look (see `made_nothing`).

    Until then its outcome is unknown, also for the next command, should this one die. What is sent again stays under
    watch.
    """
    yield from do(RecordUnknown(submission_id, (yield from do(Now())), str(error), doubted=True))
    yield from do(Settled(usd_micro, tried=len(tasks), **_pace(error)))
    submission = yield from do(Reload(submission_id))
    if not (yield from made_nothing(submission.group_id, settle_s=settle_s)):
        return (yield from resolve(submission, settle_s=settle_s))
    yield from do(RecordResolved(submission_id))
    yield from do(Settled(usd_micro, freed=len(tasks), why="believed"))
    return [tuple(tasks)]


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
