"""What the service sends, as frozen types: tolerant of fields it adds, shallow where only bytes are kept.

Outputs and inputs stay raw JSON, as they came: they are stored before anything interprets them. Fields that
the service may leave out or send as null are optional; what a caller can't do without (ids, a status, the
number of runs) is required. Where a text can't be read as it is, its JSON is mended (see `mending`), and what
isn't required and isn't as expected is left out: a result that was paid for is worth more than its form. Ids and
other words are short: of what is longer than any of them, nothing is kept, sent back or shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeAlias, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Raw, Struct

from enrich.api.reading import UNREADABLE, UnreadableError, as_utf8
from enrich.text.mending import mended
from enrich.text.weight import why_too_heavy

__all__ = [
    "AddedRuns",
    "ErrorBody",
    "ErrorEvent",
    "Event",
    "Group",
    "GroupStatus",
    "GroupStatusEvent",
    "MetadataValue",
    "NewGroup",
    "RunEvent",
    "RunRecord",
    "RunResult",
    "decode_event",
    "decode_record",
    "decode_result",
]

NULL: Final = Raw(b"null")

MAX_VALUES: Final = 1_000_000  # of one event
_LARGE: Final = 1024 * 1024  # bytes: what is smaller has fewer

MAX_WORD: Final = 1000  # characters of an id, a state, a time, a value of metadata; the service's own are shorter

ShortText: TypeAlias = Annotated[str, Meta(max_length=MAX_WORD)]
MetadataValue: TypeAlias = ShortText | int | float | bool | None


class ErrorBody(Struct, frozen=True, gc=False):
    """The service's own account of an error. `detail` is raw JSON."""

    message: str | None = None
    ref_id: ShortText | None = None
    detail: Raw = NULL


class RunRecord(Struct, frozen=True, gc=False):
    """One run as the service sees it. `warnings` is raw JSON."""

    run_id: ShortText
    status: ShortText
    is_active: bool | None = None
    processor: ShortText | None = None
    metadata: dict[str, MetadataValue] | None = None
    error: ErrorBody | None = None
    interaction_id: ShortText | None = None
    taskgroup_id: ShortText | None = None
    created_at: ShortText | None = None
    modified_at: ShortText | None = None
    warnings: Raw = NULL


class RunResult(Struct, frozen=True, gc=False):
    """A completed run with its output, raw JSON."""

    run: RunRecord
    output: Raw = NULL


class GroupStatus(Struct, frozen=True, gc=False):
    """How many runs a group has, and how many in each status."""

    num_task_runs: int
    task_run_status_counts: dict[str, int] | None = None
    is_active: bool | None = None
    status_message: str | None = None
    modified_at: ShortText | None = None


class Group(Struct, frozen=True, gc=False):
    """A task group."""

    taskgroup_id: ShortText
    status: GroupStatus
    metadata: dict[str, MetadataValue] | None = None
    created_at: ShortText | None = None


class NewGroup(Struct, frozen=True, gc=False):
    """A task group that was just made: it is empty, and only its id is needed."""

    taskgroup_id: ShortText


class AddedRuns(Struct, frozen=True, gc=False):
    """The answer to adding runs. Which id belongs to which input is told by metadata, never by position."""

    run_ids: list[ShortText]
    run_cursor: ShortText | None = None
    event_cursor: ShortText | None = None
    status: GroupStatus | None = None


class RunEvent(Struct, frozen=True, gc=False, tag_field="type", tag="task_run.state"):
    """A run's state in a stream. `event_id` is what to resume after; `output` and `input` are raw JSON.

    `data` is the whole event as it came.
    """

    run: RunRecord
    event_id: ShortText | None = None
    output: Raw = NULL
    input: Raw = NULL
    data: bytes = msgspec.field(default=b"", name="(data)")  # set by decode_event, not by the JSON


class GroupStatusEvent(Struct, frozen=True, gc=False, tag_field="type", tag="task_group_status"):
    """A change of a group's counts."""

    status: GroupStatus
    event_id: ShortText | None = None


class ErrorEvent(Struct, frozen=True, gc=False, tag_field="type", tag="error"):
    """An error reported inside a stream; the stream may go on after it."""

    error: ErrorBody
    event_id: ShortText | None = None


Event: TypeAlias = RunEvent | GroupStatusEvent | ErrorEvent
_EVENTS: Final = (RunEvent, GroupStatusEvent, ErrorEvent)


class _Kind(Struct, frozen=True, gc=False):
    type: str


_EVENT: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_KIND: Final[msgspec.json.Decoder[_Kind]] = msgspec.json.Decoder(_Kind)
_KNOWN: Final = frozenset({"task_run.state", "task_group_status", "error"})

T = TypeVar("T")


def decode_record(body: bytes, kind: type[T]) -> T:
    """The body of an answer that tells what is known of a run or group, mended if need be. Raises UnreadableError."""
    body = as_utf8(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        reason = str(error)
    for readable in _readings(body, kind):
        try:
            return msgspec.json.decode(readable, type=kind, strict=False)  # "7" and 7.0 are counts, too
        except UNREADABLE:
            pass
    raise UnreadableError(reason)


def decode_result(body: bytes, run_id: str) -> RunResult:
    """The result of a run. Raises UnreadableError.

    One that is too heavy to be mended is kept as it came: as an output that is read no further.
    """
    try:
        return decode_record(body, RunResult)
    except UnreadableError:
        if why_too_heavy(body) and body[:100].lstrip().startswith(b"{") and run_id.encode() in body:
            return RunResult(RunRecord(run_id, "completed"), Raw(body))
        raise


def decode_event(data: bytes, *, last_id: str = "") -> Event | None:
    """The event in the data of one server-sent event; None if it is of an unknown kind.

    `last_id` stands in where the JSON names no `event_id`. Raises UnreadableError: a dropped event would
    look like a run that never came.
    """
    if len(data) > _LARGE and _values_in(data) > MAX_VALUES:
        raise UnreadableError(f"an event of more than {MAX_VALUES} values")
    data = as_utf8(data)
    event: Event | None
    try:
        event = _EVENT.decode(data)
    except UNREADABLE as error:
        if _is_of_unknown_kind(data):
            return None
        again = _read_again(data)
        if again is None:
            raise UnreadableError(str(error)) from None
        data, event = again
    if event is not None and event.event_id is None and 0 < len(last_id) <= MAX_WORD:
        msgspec.structs.force_setattr(event, "event_id", last_id)
    if isinstance(event, RunEvent):
        msgspec.structs.force_setattr(event, "data", data)
    return event


def _read_again(data: bytes) -> tuple[bytes, Event | None] | None:
    """An event that could not be read, mended, with its text: None in its place if it is of an unknown kind."""
    for readable in _readings(data, *_EVENTS):
        try:
            return readable, _EVENT.decode(readable)
        except UNREADABLE:
            if _is_of_unknown_kind(readable):
                return readable, None
    return None


def _readings(data: bytes, *kinds: Any) -> Iterator[bytes]:
    """What a text may have meant, from the mildest change on: strict JSON, then without what does not fit."""
    strict = mended(data)
    if strict is None:
        return
    yield strict
    document = msgspec.json.decode(strict)
    for kind in kinds:
        if isinstance(document, dict) and isinstance(kind, type) and issubclass(kind, Struct):
            yield msgspec.json.encode(_fitting(document, kind))


def _fitting(document: dict[str, Any], kind: type[Struct]) -> dict[str, Any]:
    """The document without the optional members that are not of their type, at any depth."""
    fitting = dict(document)
    for member in msgspec.structs.fields(kind):
        if (value := document.get(member.encode_name)) is None or member.type is Raw:
            continue
        inner = next((one for one in (member.type, *get_args(member.type)) if _is_struct(one)), None)
        if inner is ErrorBody and isinstance(value, str):
            value = {"message": value}
        if inner is not None and isinstance(value, dict):
            value = _fitting(value, inner)
        fitting[member.encode_name] = value
        if isinstance(value, dict) and (kinds := _kinds_of_values(member.type)):
            fitting[member.encode_name] = {name: one for name, one in value.items() if _fits(one, kinds)}
        elif not member.required and not _fits(value, member.type):
            del fitting[member.encode_name]
    return fitting


def _kinds_of_values(kind: Any) -> Any:
    """The type of a mapping's values; None for what is no mapping."""
    mapping = next((one for one in (kind, *get_args(kind)) if get_origin(one) is dict), None)
    return None if mapping is None else get_args(mapping)[1]


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except UNREADABLE:
        return False
    return True


def _values_in(data: bytes) -> int:
    """How many values a JSON text has, at most: each takes some 100 bytes of memory, and may have been one of text."""
    return data.count(b",") + data.count(b"[") + data.count(b"{") + 1


def _is_of_unknown_kind(data: bytes) -> bool:
    try:
        return _KIND.decode(data).type not in _KNOWN
    except UNREADABLE:
        return False
