"""A stub of the service that is not what is measured: raw HTTP/1.1 on asyncio, answers rendered before it serves.

It speaks the calls of the task group API that `enrich` and the official CLI make; every run completes at once. An
event is bytes joined around an output rendered at start and the metadata and input as they were posted. Nothing is
checked. What it sent, by kind, is told at `/stub/counts`.

    python -m benchmarks.stub        prints its address when it serves
"""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

import msgspec

from benchmarks.answers import render_outputs

CHUNK_RUNS: Final = 64  # events in one write
_HIGH_WATER: Final = 1 << 20
_NULL: Final = msgspec.Raw(b"null")
_NOW: Final = b"2026-01-01T00:00:00.000000Z"


class _RunInput(msgspec.Struct):
    input: msgspec.Raw
    processor: str
    metadata: msgspec.Raw = _NULL


class _AddRuns(msgspec.Struct):
    inputs: list[msgspec.Raw]


_ADD = msgspec.json.Decoder(_AddRuns)
_INPUT = msgspec.json.Decoder(_RunInput)


class Group:
    """One task group: for each run its number and what was posted for it."""

    def __init__(self, number: int) -> None:
        self.id = f"tgrp_{number:032x}"
        self.runs: list[tuple[int, bytes]] = []

    def status(self) -> bytes:
        """Its counts: all completed."""
        runs = len(self.runs)
        return (
            b'{"num_task_runs":%d,"task_run_status_counts":{"completed":%d},"is_active":false,'
            b'"status_message":null,"modified_at":"%b"}' % (runs, runs, _NOW)
        )

    def json(self) -> bytes:
        """The group as the API shows it."""
        return b'{"taskgroup_id":"%b","metadata":{},"status":%b,"created_at":"%b"}' % (
            self.id.encode(),
            self.status(),
            _NOW,
        )


class Service:
    """All groups, and what was sent."""

    def __init__(self) -> None:
        self.outputs = render_outputs()
        self.groups: dict[str, Group] = {}
        self.counts: Counter[str] = Counter()
        self._numbers = itertools.count(1)

    def add_group(self) -> Group:
        """Make a group."""
        group = Group(len(self.groups) + 1)
        self.groups[group.id] = group
        self.counts["groups"] += 1
        return group

    def add_runs(self, group: Group, body: bytes) -> bytes:
        """Keep what was posted; gives the API's answer."""
        before = len(group.runs)
        group.runs.extend((next(self._numbers), bytes(raw)) for raw in _ADD.decode(body).inputs)
        added = group.runs[before:]
        self.counts["posts"] += 1
        self.counts["runs"] += len(added)
        ids = b",".join(b'"trun_%032x"' % number for number, _ in added)
        cursor = b"%d" % before if before else b""
        return b'{"run_ids":[%b],"run_cursor":"%b","event_cursor":"%b","status":%b}' % (
            ids,
            cursor,
            cursor,
            group.status(),
        )

    def events(self, group: Group, after: int) -> Iterator[bytes]:
        """The live stream of a group in which all has ended: each run's state without output, then the counts."""
        for start in range(after, len(group.runs), CHUNK_RUNS):
            yield b"".join(
                self._event(group, place, number, raw, with_input=False, output=b"null")
                for place, (number, raw) in enumerate(group.runs[start : start + CHUNK_RUNS], start)
            )
        yield (
            b'event: task_group_status\nid: %d\ndata: {"type":"task_group_status","event_id":"%d","status":%b}\n\n'
            % (
                len(group.runs),
                len(group.runs),
                group.status(),
            )
        )

    def listing(self, group: Group, after: int, *, with_input: bool, with_output: bool) -> Iterator[bytes]:
        """The snapshot of a group's runs."""
        for start in range(after, len(group.runs), CHUNK_RUNS):
            yield b"".join(
                self._event(
                    group,
                    place,
                    number,
                    raw,
                    with_input=with_input,
                    output=self._output(raw) if with_output else b"null",
                )
                for place, (number, raw) in enumerate(group.runs[start : start + CHUNK_RUNS], start)
            )

    def _output(self, raw: bytes) -> bytes:
        return self.outputs[crc32(_INPUT.decode(raw).input) % len(self.outputs)]

    def _event(self, group: Group, place: int, number: int, raw: bytes, *, with_input: bool, output: bytes) -> bytes:
        asked = _INPUT.decode(raw)
        return (
            b"event: task_run.state\nid: %d\n"
            b'data: {"type":"task_run.state","event_id":"%d","run":{"run_id":"trun_%032x",'
            b'"interaction_id":"trun_%032x","status":"completed","is_active":false,"warnings":null,"error":null,'
            b'"processor":"%b","metadata":%b,"taskgroup_id":"%b","created_at":"%b","modified_at":"%b"},'
            b'"input":%b,"output":%b}\n\n'
        ) % (
            place + 1,
            place + 1,
            number,
            number,
            asked.processor.encode(),
            asked.metadata,
            group.id.encode(),
            _NOW,
            _NOW,
            raw if with_input else b"null",
            output,
        )


class Exchange(asyncio.Protocol):
    """One connection: requests one after the other, bodies by content-length."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = bytearray()
        self._room = asyncio.Event()
        self._room.set()
        self._streaming: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._streaming is not None:
            self._streaming.cancel()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head_end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:head_end])
            size = _content_length(head)
            if len(self._received) < head_end + 4 + size:
                return
            body = bytes(self._received[head_end + 4 : head_end + 4 + size])
            del self._received[: head_end + 4 + size]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            self._answer(method, target, body)

    def _answer(self, method: str, target: str, body: bytes) -> None:
        url = urlsplit(target)
        query = parse_qs(url.query)
        parts = url.path.removeprefix("/v1beta/").removeprefix("/v1/").strip("/").split("/")
        service = self._service
        if parts == ["stub", "counts"]:
            self._send(msgspec.json.encode(service.counts))
            return
        service.counts[f"{method} {parts[-1] if len(parts) > 3 else 'groups'}"] += 1
        match method, parts:
            case "POST", ["tasks", "groups"]:
                self._tell(service.add_group().json())
            case "GET", ["tasks", "groups", group_id]:
                self._tell(service.groups[group_id].json())
            case "POST", ["tasks", "groups", group_id, "runs"]:
                self._tell(service.add_runs(service.groups[group_id], body))
            case "GET", ["tasks", "groups", group_id, ("runs" | "events") as what]:
                group, after = service.groups[group_id], int((query.get("last_event_id") or ["0"])[0] or 0)
                if what == "events":
                    pieces = service.events(group, after)
                else:
                    with_input, with_output = (_flag(query, name) for name in ("include_input", "include_output"))
                    pieces = service.listing(group, after, with_input=with_input, with_output=with_output)
                self._streaming = asyncio.ensure_future(self._stream(what, pieces))
            case _:
                self._send(b'{"type":"error","error":{"ref_id":"stub","message":"no such call"}}', b"404 Not Found")

    def _tell(self, body: bytes) -> None:
        self._service.counts["bytes other"] += len(body)
        self._send(body)

    def _send(self, body: bytes, status: bytes = b"200 OK") -> None:
        self._transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)
        )

    async def _stream(self, what: str, pieces: Iterator[bytes]) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for piece in pieces:
            await self._room.wait()
            self._service.counts[f"bytes {what}"] += len(piece)
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(0)
        self._transport.write(b"0\r\n\r\n")


def _content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    return 0 if at < 0 else int(lower[at + 17 :].split(b"\r\n", 1)[0])


def _flag(query: dict[str, list[str]], name: str) -> bool:
    return query.get(name, ["false"])[0].lower() == "true"


async def serve() -> None:
    """Serve on a free loopback port until the process is ended; the address is the first line printed."""
    service = Service()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Exchange(service), "127.0.0.1", 0, backlog=256)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        sys.exit(0)
