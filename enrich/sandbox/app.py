"""The calls of the service over HTTP, under `/v1` and `/v1beta`, and the sandbox's own under `/sandbox`.

Every answer carries `x-enrich-sandbox: 1`, so that nobody takes an invented answer for a real one.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from enrich.sandbox.bill import bill
from enrich.sandbox.connection import Connection, NoAnswer
from enrich.sandbox.creating import create_runs, refuse_by_fault, wants_elements
from enrich.sandbox.framing import stream_bytes
from enrich.sandbox.guard import Guard
from enrich.sandbox.problems import ServiceError
from enrich.sandbox.rendering import group_json, run_input, run_json, run_result, runs_as_they_are
from enrich.sandbox.requests import (
    group_metadata,
    query_flag,
    query_number,
    query_status,
)
from enrich.sandbox.service import Service
from enrich.sandbox.settings import SandboxSettings
from enrich.sandbox.streams import (
    MAX_STREAM_S,
    Frame,
    ListingQuery,
    cursor_number,
    group_events,
    listing,
    run_cursor_of,
    run_events,
)

Json = Any
Call = Callable[[Service, Request], Awaitable[Response]]

SANDBOX_HEADER = "x-enrich-sandbox"
PREFIXES = ("/v1", "/v1beta")
MAX_BODY_BYTES = 128 * 1024 * 1024  # a thousand inputs of 25,000 characters have 100 MB at most


def create_app(settings: SandboxSettings, *, clock: Callable[[], float] = time.time) -> Starlette:
    """A sandbox as an ASGI app, by a clock in seconds since 1970.

    Raises SandboxError for a bad setting, facts or state file.
    """
    service = Service(settings, clock)
    own = {
        "/sandbox/bill": _bill,
        "/sandbox/requests": _requests,
        "/sandbox/runs": _runs,
    }
    routes = [
        Route(prefix + path, _guarded(service, call, f"{method} {prefix}{path}"), methods=[method])
        for prefix in PREFIXES
        for (method, path), call in CALLS.items()
    ]
    routes += [Route(path, _unguarded(service, call), methods=["GET"]) for path, call in own.items()]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            service.close()

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(_SaysSandbox),
            Middleware(Guard, is_key=service.is_key, max_body_bytes=MAX_BODY_BYTES),
        ],
        exception_handlers={HTTPException: _not_a_call, Exception: _crashed},
        lifespan=lifespan,
    )
    app.state.service = service
    return app


class _SaysSandbox:
    """Marks every answer as the sandbox's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (SANDBOX_HEADER.encode(), b"1")]
            await send(message)

        await self._app(scope, receive, marked)


def _guarded(service: Service, call: Call, name: str) -> Callable[[Request], Awaitable[Response]]:
    """A call of the service: counted, refusals as answers."""

    async def endpoint(request: Request) -> Response:
        service.requests[name] += 1
        try:
            refuse_by_fault(service.faults, name)
            return await call(service, request)
        except ServiceError as error:
            return Response(error.body(), error.status, error.headers, "application/json")
        except ClientDisconnect:  # killed in the middle of sending: nothing was created, nobody is there
            return NoAnswer(Connection.of(request), "silent")

    return endpoint


def _unguarded(service: Service, call: Call) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await call(service, request)

    return endpoint


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


async def _not_a_call(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = msgspec.json.encode({"detail": error.detail})
    return Response(body, error.status_code, error.headers, "application/json")


async def _crashed(_: Request, error: Exception) -> Response:
    body = ServiceError(500, f"a fault of the sandbox itself: {type(error).__name__}: {error}").body()
    return Response(body, 500, {SANDBOX_HEADER: "1"}, "application/json")


async def _create_group(service: Service, request: Request) -> Response:
    group = service.registry.create_group(group_metadata(await request.body()))
    if service.faults.take("group-lost"):
        return NoAnswer(Connection.of(request), "close")
    return _json(group_json(group, service.status(group, service.registry.now())))


async def _retrieve_group(service: Service, request: Request) -> Response:
    group = service.group(request.path_params["taskgroup_id"])
    return _json(group_json(group, service.status(group, service.registry.now())))


async def _add_runs(service: Service, request: Request) -> Response:
    group = service.group(request.path_params["taskgroup_id"])
    refresh = query_flag(request.query_params, "refresh_status", default=True)
    runs = service.parser.add_runs(await request.body())
    now = service.registry.now()
    before = service.status(group, now)
    event_cursor = str(len(group.ended)) if group.runs else None
    run_cursor = run_cursor_of(group, now, by_change=service.faults.always("listing-by-change") is not None)

    def added(run_ids: list[str]) -> bytes:
        return msgspec.json.encode(
            {
                "status": service.status(group, service.registry.now()) if refresh else before,
                "run_ids": run_ids,
                "run_cursor": run_cursor,
                "event_cursor": event_cursor,
            }
        )

    return await create_runs(service, request, group, runs, added)


async def _list_runs(service: Service, request: Request) -> Response:
    group = service.group(request.path_params["taskgroup_id"])
    query = request.query_params
    with_output = query_flag(query, "include_output", default=False)
    faults = service.faults
    lag, by_change = faults.always("listing-lag"), faults.always("listing-by-change") is not None
    if not by_change:
        cursor_number(query.get("last_event_id"))
    stream = listing(
        group,
        service.registry.now(),
        ListingQuery(
            after=query.get("last_event_id"),
            status=query_status(query),
            with_input=query_flag(query, "include_input", default=False),
            output=service.output if with_output else None,
            by_change=by_change,
            finished_only=faults.always("listing-finished-only") is not None,
            lag_s=lag.number if lag is not None else 0.0,
        ),
    )
    return _streamed(service, request, stream)


async def _group_events(service: Service, request: Request) -> Response:
    refused = service.faults.take("events-refused")
    if refused is not None:
        raise ServiceError(int(refused.word), "The sandbox was told to refuse this stream")
    group = service.group(request.path_params["taskgroup_id"])
    query = request.query_params
    stream = group_events(
        group,
        service.registry,
        service.bell,
        after=cursor_number(query.get("last_event_id")),
        timeout_s=query_number(query, "timeout", default=MAX_STREAM_S, kind=float),
        keep_alive_s=service.settings.keep_alive_s,
        grace_s=service.settings.group_grace_s,
        status=service.status,
    )
    return _streamed(service, request, stream)


def _streamed(service: Service, request: Request, stream: AsyncIterator[list[Frame]]) -> Response:
    content = stream_bytes(stream, service.faults, Connection.of(request), service.bell.sleep)
    return StreamingResponse(content, media_type="text/event-stream")


async def _retrieve_group_run(service: Service, request: Request) -> Response:
    group = service.group(request.path_params["taskgroup_id"])
    run = service.run(request.path_params["run_id"])
    if run.group is not group:
        raise ServiceError(404, "Run id not found")
    return _json(msgspec.json.encode(run_json(run, service.registry.now())))


async def _create_run(service: Service, request: Request) -> Response:
    run = service.parser.single_run(await request.body())

    def created(run_ids: list[str]) -> bytes:
        if not run_ids:
            return b"{}"
        return msgspec.json.encode(run_json(service.run(run_ids[0]), service.registry.now()))

    return await create_runs(service, request, None, [run], created)


async def _retrieve_run(service: Service, request: Request) -> Response:
    run = service.run(request.path_params["run_id"])
    return _json(msgspec.json.encode(run_json(run, service.registry.now())))


async def _run_input(service: Service, request: Request) -> Response:
    return _json(run_input(service.run(request.path_params["run_id"])))


async def _run_result(service: Service, request: Request) -> Response:
    run = service.run(request.path_params["run_id"])
    timeout_s = query_number(request.query_params, "timeout", default=600, kind=int)
    end = service.registry.now() + timeout_s
    while (now := service.registry.now()) < run.finished_at and run.status(now) in ("queued", "running"):
        if now >= end or service.bell.closing:
            raise ServiceError(408, "Request timed out; run still active")
        await service.bell.wait(min(run.finished_at, end) - now)
    if run.status(now) != "completed":
        raise ServiceError(404, "Run failed or run id not found", detail={"status": run.status(now)})
    output = service.output(run, element_basis=wants_elements(request))
    return _json(run_result(run, now, output))


async def _run_events(service: Service, request: Request) -> Response:
    run = service.run(request.path_params["run_id"])
    stream = run_events(
        run,
        service.registry,
        service.bell,
        keep_alive_s=service.settings.keep_alive_s,
        output=service.output,
    )
    return _streamed(service, request, stream)


async def _bill(service: Service, request: Request) -> Response:
    with_tasks = query_flag(request.query_params, "tasks", default=True)
    runs = service.registry
    return _json(msgspec.json.encode(bill(runs.runs.values(), runs.now(), with_tasks=with_tasks)))


async def _requests(service: Service, _: Request) -> Response:
    return _json(msgspec.json.encode(dict(service.requests)))


async def _runs(service: Service, _: Request) -> Response:
    return _json(runs_as_they_are(service.registry))


CALLS: Mapping[tuple[str, str], Call] = {
    ("POST", "/tasks/groups"): _create_group,
    ("GET", "/tasks/groups/{taskgroup_id}"): _retrieve_group,
    ("POST", "/tasks/groups/{taskgroup_id}/runs"): _add_runs,
    ("GET", "/tasks/groups/{taskgroup_id}/runs"): _list_runs,
    ("GET", "/tasks/groups/{taskgroup_id}/events"): _group_events,
    ("GET", "/tasks/groups/{taskgroup_id}/runs/{run_id}"): _retrieve_group_run,
    ("POST", "/tasks/runs"): _create_run,
    ("GET", "/tasks/runs/{run_id}"): _retrieve_run,
    ("GET", "/tasks/runs/{run_id}/input"): _run_input,
    ("GET", "/tasks/runs/{run_id}/result"): _run_result,
    ("GET", "/tasks/runs/{run_id}/events"): _run_events,
}
