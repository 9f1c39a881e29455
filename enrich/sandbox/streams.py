"""The two event streams of a group and the one of a run, as frames before they become bytes.

Each stream is an async iterator of lists of frames; an empty list says only that the stream is alive.
`listing` is a snapshot: it gives what is there now and ends. `group_events` and `run_events` are live.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from enrich.sandbox.problems import BadRequestError, fault
from enrich.sandbox.registry import Group, Registry, Run
from enrich.sandbox.rendering import run_event, status_event, timestamp

Json = Any

FRAMES_AT_ONCE = 64
MIN_PAUSE_S = 0.02  # a live stream says at most this often what is new
MAX_STREAM_S = 3_600.0
MAX_RUN_STREAM_S = 570.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One event: its kind, its cursor, and its data as JSON."""

    kind: str
    event_id: str | None
    data: bytes


class Bell:
    """Wakes whoever waits when runs were added or the sandbox closes."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.closing = False

    def ring(self) -> None:
        """Wake all who wait now."""
        self._rung.set()
        self._rung = asyncio.Event()

    def close(self) -> None:
        """Wake all, for the last time: no stream goes on after this."""
        self.closing = True
        self.ring()

    async def sleep(self, seconds: float) -> None:
        """Sleep through every ring but the last."""
        end = time.monotonic() + seconds
        while not self.closing and (rest := end - time.monotonic()) > 0:
            await self.wait(rest)

    async def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the next ring."""
        if self.closing:
            return
        try:
            await asyncio.wait_for(self._rung.wait(), seconds)
        except TimeoutError:
            return


@dataclass(frozen=True, slots=True)
class ListingQuery:
    """What a listing was asked for, and how the service happens to list."""

    after: str | None
    status: str | None
    with_input: bool
    output: Callable[[Run], Json] | None  # None: no outputs wanted
    by_change: bool = False
    finished_only: bool = False
    lag_s: float = 0.0


def cursor_number(cursor: str | None, loc: str = "last_event_id") -> int:
    """A cursor that counts runs; empty or absent is the start."""
    if not cursor:
        return 0
    if not cursor.isdecimal() or len(cursor) > 12:
        raise BadRequestError([fault(["query", loc], "Input should be an event id of this stream", "value_error")])
    return int(cursor)


async def listing(group: Group, now: float, query: ListingQuery) -> AsyncIterator[list[Frame]]:
    """The runs of a group as they are at `now`, from the cursor on."""
    frames = _listed(group, now, query)
    while some := list(islice(frames, FRAMES_AT_ONCE)):
        yield some
        await asyncio.sleep(0)  # rendering never suspends: let others have their turn


def _listed(group: Group, now: float, query: ListingQuery) -> Iterator[Frame]:
    for event_id, run in _ordered(group, now, query):
        status = run.status(now)
        if query.status is not None and status != query.status:
            continue
        if query.finished_only and status in ("queued", "running"):
            continue
        output = query.output(run) if query.output is not None and status == "completed" else None
        data = run_event(run, now, event_id=event_id, with_input=query.with_input, output=output)
        yield Frame("task_run.state", event_id, data)


def _ordered(group: Group, now: float, query: ListingQuery) -> Iterator[tuple[str, Run]]:
    visible = group.created_by(now - query.lag_s)
    if not query.by_change:
        start = cursor_number(query.after)
        return ((str(run.index + 1), run) for run in group.runs[start:visible])
    changed = sorted((f"{run.modified_at(now) * 1e6:017.0f}-{run.index:07}", run) for run in group.runs[:visible])
    return ((cursor, run) for cursor, run in changed if cursor > (query.after or ""))


def run_cursor_of(group: Group, now: float, *, by_change: bool) -> str | None:
    """The place in a listing just before runs that are added now; None for the first ones of a group."""
    if not group.runs:
        return None
    return f"{now * 1e6:017.0f}" if by_change else str(len(group.runs))


async def group_events(
    group: Group,
    registry: Registry,
    bell: Bell,
    *,
    after: int,
    timeout_s: float,
    keep_alive_s: float,
    grace_s: float,
    status: Callable[[Group, float], Json],
) -> AsyncIterator[list[Frame]]:
    """Status changes and runs that ended, as they happen, until the group has been inactive for a while."""
    began = said_at = active_at = registry.now()
    told, cursor = None, after
    while not bell.closing:
        now = registry.now()
        group.advance(now)
        for ended in _in_chunks(group.ended[cursor:]):
            yield [_ended_frame(run, now, cursor + place) for place, run in enumerate(ended, start=1)]
            cursor, said_at = cursor + len(ended), now
        shown = status(group, now)
        if shown != told:
            yield [Frame("task_group_status", str(cursor), status_event(str(cursor), shown))]
            told, said_at = shown, now
        elif now - said_at >= keep_alive_s:
            yield []
            said_at = now
        active_at = now if group.is_active() else active_at
        end = min(began + timeout_s, active_at + grace_s if not group.is_active() else began + MAX_STREAM_S)
        if now >= end:
            return
        wake = min(group.next_change(), registry.next_pending(), said_at + keep_alive_s, end)
        await bell.wait(max(wake - now, MIN_PAUSE_S))


def _in_chunks(runs: Sequence[Run]) -> Iterator[Sequence[Run]]:
    return (runs[start : start + FRAMES_AT_ONCE] for start in range(0, len(runs), FRAMES_AT_ONCE))


def _ended_frame(run: Run, now: float, place: int) -> Frame:
    data = run_event(run, now, event_id=str(place), with_input=False, output=None)
    return Frame("task_run.state", str(place), data)


async def run_events(
    run: Run, registry: Registry, bell: Bell, *, keep_alive_s: float, output: Callable[[Run], Json]
) -> AsyncIterator[list[Frame]]:
    """The life of one run from its beginning; the last event carries the output. Not resumable."""
    began = now = registry.now()
    yield [_state_frame(run, run.created_at, None)]
    if run.request.enable_events:
        yield [_message_frame("plan", "Planning the task (invented by the sandbox)", run.started_at)]
    while run.status(now) in ("queued", "running"):
        if bell.closing or now >= began + MAX_RUN_STREAM_S:
            return
        await bell.wait(max(MIN_PAUSE_S, min(run.finished_at - now, keep_alive_s)))
        now = registry.now()
        if run.status(now) in ("queued", "running"):
            yield []
    if run.request.enable_events:
        yield [_message_frame("result", "Writing the answer (invented by the sandbox)", now), _stats_frame()]
    yield [_state_frame(run, now, output(run) if run.status(now) == "completed" else None)]


def _state_frame(run: Run, now: float, output: Json) -> Frame:
    return Frame("task_run.state", None, run_event(run, now, event_id=None, with_input=False, output=output))


def _message_frame(step: str, message: str, at: float) -> Frame:
    kind = f"task_run.progress_msg.{step}"
    return Frame(kind, None, msgspec.json.encode({"type": kind, "message": message, "timestamp": timestamp(at)}))


def _stats_frame() -> Frame:
    stats = {"num_sources_considered": 0, "num_sources_read": 0, "sources_read_sample": []}
    kind = "task_run.progress_stats"
    return Frame(kind, None, msgspec.json.encode({"type": kind, "source_stats": stats, "progress_meter": 100.0}))
