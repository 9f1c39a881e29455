"""The service's calls, typed. POSTs are sent once and say what is known; GETs are retried.

Only `create_group` and `add_runs` change anything at the service, and only `add_runs` costs money: it makes
exactly one HTTP request. See `enrich.api.errors` for what each failure proves.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import anyio
import httpx
import msgspec
from msgspec import Raw

from enrich.api.connection import MAX_BODY_BYTES, Connection, Response
from enrich.api.errors import (
    ApiError,
    NotFoundError,
    RateLimitedError,
    StillActiveError,
    UnavailableError,
    UnknownOutcomeError,
    UnreadableAnswerError,
    sanitised,
)
from enrich.api.limits import Pause
from enrich.api.reading import UnreadableError, decode_body
from enrich.api.retry import Retry
from enrich.api.secret import Secret
from enrich.api.sse import MAX_EVENT_BYTES
from enrich.backends.streams import EventStream, harmless
from enrich.backends.wire import AddedRuns, Group, NewGroup, RunRecord, RunResult, decode_record, decode_result

__all__ = ["Client"]

_GROUPS = "v1/tasks/groups"
_RUNS = "v1/tasks/runs"
MAX_RESULT_BYTES = 64 * 1024 * 1024  # of one that is asked for by itself
MAX_PLAIN_EVENT_BYTES = 4 * 1024 * 1024  # of an event that brings no result; with one it may have MAX_EVENT_BYTES
_RESULT_GRACE_S = 30.0  # beyond the wait that the service was asked for

T = TypeVar("T")


class Client:
    """The API of one service with one key; an async context manager, for one event loop.

    `transport` is httpx's seam for tests; `clock` and `sleep` are those of retries and stalls.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: Secret | None,
        pause: Pause | None = None,
        retry: Retry | None = None,
        beta: Sequence[str] = (),
        request_timeout_s: float = 60.0,
        idle_s: float = 60.0,
        stall_s: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = anyio.current_time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._pause = pause or Pause(clock=clock, sleep=sleep)
        self._secret = api_key
        self._connection = Connection(base_url, api_key, beta=beta, transport=transport)
        self._retry = retry or Retry()
        self._request_timeout_s = request_timeout_s
        self._idle_s = idle_s
        self._stall_s = stall_s
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 (jitter)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._connection.__aexit__(exc_type, exc_value, traceback)

    @property
    def server_is_sandbox(self) -> bool | None:
        """Whether the service's last good answer said that it is a sandbox; None before the first one."""
        return self._connection.is_sandbox

    async def create_group(self, metadata: Mapping[str, str]) -> NewGroup:
        """Make a group, which is free. Sent once; what fails for a passing reason is `retryable`."""
        body = msgspec.json.encode({"metadata": metadata})
        return await self._post(_GROUPS, body, NewGroup, timeout_s=self._request_timeout_s, costs=False)

    async def add_runs(self, group_id: str, body: bytes, *, timeout_s: float = 60.0) -> AddedRuns:
        """Add runs to a group: exactly one HTTP request with this body. This is what costs money.

        `timeout_s` bounds the request from connecting to the last byte of the answer. Raises NotSentError or a
        StatusError when nothing was created as far as can be told, UnknownOutcomeError when that isn't known. How
        many run ids came back is for the caller to compare.
        """
        path = f"{_GROUPS}/{_segment(group_id)}/runs"
        return await self._post(path, body, AddedRuns, timeout_s=timeout_s, costs=True, refresh_status="false")

    async def group(self, group_id: str) -> Group:
        """The group with its counts."""
        return await self._get(f"{_GROUPS}/{_segment(group_id)}", partial(decode_record, kind=Group))

    async def run(self, run_id: str) -> RunRecord:
        """The state of a run, its error's message made fit to be shown."""
        record = await self._get(f"{_RUNS}/{_segment(run_id)}", partial(decode_record, kind=RunRecord))
        return harmless(record, self._secret)

    async def run_result(self, run_id: str, timeout_s: float = 1.0, *, max_bytes: int = MAX_RESULT_BYTES) -> RunResult:
        """The result of a run, waiting up to `timeout_s` for it (whole seconds, by the service).

        An error's message, where a run that brought a result has one, is made fit to be shown.

        Raises StillActiveError when it isn't finished by then, NotFoundError also for a run that failed, and
        TooLargeAnswerError for a result of more than `max_bytes`.
        """
        path = f"{_RUNS}/{_segment(run_id)}/result"
        wait_s = max(1, round(timeout_s))
        result = await self._get(
            path,
            partial(decode_result, run_id=run_id),
            deadline_s=wait_s + _RESULT_GRACE_S,
            max_bytes=max_bytes,
            may_be_active=True,
            timeout=str(wait_s),
        )
        return msgspec.structs.replace(result, run=harmless(result.run, self._secret))

    async def run_input(self, run_id: str) -> Raw:
        """What a run was created from, raw JSON."""
        return await self._get(f"{_RUNS}/{_segment(run_id)}/input", partial(decode_record, kind=Raw))

    @asynccontextmanager
    async def open_runs(
        self,
        group_id: str,
        *,
        after: str | None = None,
        include_input: bool = False,
        include_output: bool = False,
        status: str | None = None,
    ) -> AsyncIterator[EventStream]:
        """The snapshot of a group's runs, after the event id `after`: it ends when all is told.

        Opening is retried; what breaks later is raised by the stream.
        """
        params = {
            "last_event_id": after,
            "include_input": "true" if include_input else None,
            "include_output": "true" if include_output else None,
            "status": status,
        }
        path = f"{_GROUPS}/{_segment(group_id)}/runs"
        max_event_bytes = MAX_EVENT_BYTES if include_output else MAX_PLAIN_EVENT_BYTES
        async with self._open(path, params, lines_are_progress=False, max_event_bytes=max_event_bytes) as stream:
            yield stream

    @asynccontextmanager
    async def open_events(
        self, group_id: str, *, after: str | None = None, timeout_s: float | None = None
    ) -> AsyncIterator[EventStream]:
        """What happens in a group from now on: counts and finished runs without outputs.

        The service may close it at any time, and is asked to after `timeout_s`.
        """
        params = {"last_event_id": after, "timeout": None if timeout_s is None else f"{timeout_s:g}"}
        path = f"{_GROUPS}/{_segment(group_id)}/events"
        async with self._open(path, params, lines_are_progress=True, max_event_bytes=MAX_PLAIN_EVENT_BYTES) as stream:
            yield stream

    async def _post(self, path: str, body: bytes, kind: type[T], *, timeout_s: float, costs: bool, **params: str) -> T:
        answer = await self._connection.post(path, body, params=params, timeout_s=timeout_s, costs=costs)
        try:
            return decode_body(answer.body, kind)
        except UnreadableError as error:
            words = f"POST {path}: {self._unreadable(answer, error)}"
        if costs:
            raise UnknownOutcomeError(f"{words}; it may have taken effect", status=answer.status)
        raise UnreadableAnswerError(words, status=answer.status)

    async def _get(
        self,
        path: str,
        read: Callable[[bytes], T],
        *,
        deadline_s: float | None = None,
        max_bytes: int = MAX_BODY_BYTES,
        may_be_active: bool = False,
        **params: str,
    ) -> T:
        timeout_s = deadline_s or self._request_timeout_s

        async def once() -> T:
            try:
                answer = await self._connection.get(path, params=params, timeout_s=timeout_s, max_bytes=max_bytes)
            except UnavailableError as error:
                if may_be_active and error.status == 408:
                    raise StillActiveError(str(error), status=408) from None
                raise
            try:
                return read(answer.body)
            except UnreadableError as error:
                words = self._unreadable(answer, error)
            raise UnreadableAnswerError(f"GET {path}: {words}", status=answer.status)

        return await self._retried(once)

    @asynccontextmanager
    async def _open(
        self, path: str, params: Mapping[str, str | None], *, lines_are_progress: bool, max_event_bytes: int
    ) -> AsyncIterator[EventStream]:
        given = {name: value for name, value in params.items() if value is not None}
        async with AsyncExitStack() as stack:

            async def once() -> AsyncIterator[bytes]:
                opening = self._connection.stream(
                    path, params=given, timeout_s=self._request_timeout_s, idle_s=self._idle_s
                )
                return await stack.enter_async_context(opening)

            yield EventStream(
                await self._retried(once),
                self._secret,
                stall_s=self._stall_s,
                lines_are_progress=lines_are_progress,
                max_event_bytes=max_event_bytes,
                clock=self._clock,
            )

    async def _retried(self, once: Callable[[], Awaitable[T]]) -> T:
        """The first good outcome of a GET; raises the last error when the policy gives up."""
        attempt, waited_s = 0, 0.0
        while True:
            attempt += 1
            await self._pause.over()
            try:
                return await once()
            except ApiError as error:
                self._heed(error)
                wait_s = self._retry.wait_s(error, attempt, waited_s=waited_s, rng=self._rng)
                if wait_s is None:
                    raise
            waited_s += wait_s
            await self._sleep(wait_s)

    def _heed(self, error: ApiError) -> None:
        """Hold back all that is free of charge for as long as the service asks to after a 429."""
        if isinstance(error, RateLimitedError) and error.retry_after_s is not None:
            self._pause.lengthen(error.retry_after_s)

    def _unreadable(self, answer: Response, error: UnreadableError) -> str:
        reason = sanitised(str(error), self._secret, limit=200)
        return f"the answer {answer.status} can't be read ({len(answer.body)} bytes; {reason})"


def _segment(name: str) -> str:
    """An id as one segment of a path, whatever it contains. Raises NotFoundError for what can be none."""
    try:
        segment = quote(name, safe="")
    except UnicodeEncodeError:
        segment = ""
    if not segment.strip("."):
        raise NotFoundError(f"{sanitised(name, None, limit=80)!r} is no id", status=404)
    return segment
