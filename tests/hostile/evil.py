"""A service that speaks the API as far as a test lets it, and then does what it likes with the connection."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

KEY = "a-key-for-a-test"


class Call:
    """One request. `name` is `POST groups`, `POST runs`, `GET group`, `GET runs`, `GET events`, `GET run`, `GET result`
    or `GET input`; an attack sends an answer of its own, and what it does not answer is answered as it should be.
    """

    def __init__(self, handler: BaseHTTPRequestHandler, name: str, body: Any) -> None:
        self._handler = handler
        self.name = name
        self.body = body
        self.path = handler.path
        self.answered = False

    def answer(self, body: bytes, *, status: int = 200, **headers: str) -> None:
        """A whole answer."""
        self.begin(status=status, content_length=str(len(body)), **headers)
        self.send(body)

    def begin(self, *, status: int = 200, content_type: str = "application/json", **headers: str) -> None:
        """The head of an answer."""
        self.answered = True
        self._handler.send_response(status)
        self._handler.send_header("content-type", content_type)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.send_header("connection", "close")
        self._handler.end_headers()
        self._handler.close_connection = True

    def stream(self, pieces: Iterator[bytes], **headers: str) -> None:
        """An event stream, as long as somebody reads it."""
        self.begin(content_type="text/event-stream", **headers)
        for piece in pieces:
            self.send(piece)

    def send(self, piece: bytes) -> None:
        self._handler.wfile.write(piece)
        self._handler.wfile.flush()


Attack = Callable[["Evil", Call], None]


@dataclass
class Evil:
    """The service's state: inputs by run id. `output` gives what a run answers, as JSON."""

    attack: Attack
    output: Callable[[str], bytes]
    base_url: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)  # by run id, with its group
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def environ(self) -> Mapping[str, str]:
        return {"PARALLEL_BASE_URL": self.base_url, "PARALLEL_API_KEY": KEY}

    def state(self, run_id: str) -> dict[str, Any]:
        """A run as the service shows it: all of them are over."""
        metadata = self.runs[run_id]["metadata"]
        return {"run_id": run_id, "status": "completed", "is_active": False, "processor": "core", "metadata": metadata}

    def event(self, run_id: str, *, output: bool = True) -> bytes:
        """The event of a listing."""
        run = json.dumps(self.state(run_id)).encode()
        given = self.output(run_id) if output else b"null"
        head = b'data: {"type":"task_run.state","event_id":"%b","run":%b,' % (run_id.encode(), run)
        return head + b'"output":%b}\n\n' % given

    def of_group(self, group: str) -> list[str]:
        return [run_id for run_id, run in self.runs.items() if run["group"] == group]

    def respond(self, call: Call) -> None:
        """The right answer."""
        parts = urlsplit(call.path).path.split("/")
        match call.name:
            case "POST groups":
                call.answer(json.dumps({"taskgroup_id": f"tgrp_{self.calls['POST groups']}"}).encode())
            case "POST runs":
                ids = []
                for given in call.body["inputs"]:
                    run_id = f"trun_{len(self.runs)}"
                    self.runs[run_id] = {**given, "group": parts[4]}
                    ids.append(run_id)
                call.answer(json.dumps({"run_ids": ids, "run_cursor": None, "status": self.counts(parts[4])}).encode())
            case "GET group":
                call.answer(json.dumps({"taskgroup_id": parts[4], "status": self.counts(parts[4])}).encode())
            case "GET runs":
                with_output = "include_output=true" in call.path
                call.stream(self.event(run_id, output=with_output) for run_id in self.of_group(parts[4]))
            case "GET events":
                call.answer(b"{}", status=404)
            case "GET run":
                call.answer(json.dumps(self.state(parts[4])).encode())
            case "GET result":
                run = json.dumps(self.state(parts[4])).encode()
                call.answer(b'{"run":%b,"output":%b}' % (run, self.output(parts[4])))
            case "GET input":
                call.answer(json.dumps(self.runs[parts[4]]).encode())

    def counts(self, group: str) -> dict[str, Any]:
        number = len(self.of_group(group))
        return {"num_task_runs": number, "task_run_status_counts": {"completed": number}, "is_active": False}


def usual_output(run_id: str) -> bytes:
    """What a run answers if nothing else is asked for."""
    return output_of("Bonn")


def output_of(value: str) -> bytes:
    """An output whose one answer is this text."""
    basis = [{"field": "city", "reasoning": "r", "citations": [], "confidence": "high"}]
    return json.dumps({"type": "json", "content": {"city": value}, "basis": basis}).encode()


@contextmanager
def evil(attack: Attack, *, output: Callable[[str], bytes] = usual_output) -> Iterator[Evil]:
    """The service while the block runs; `attack` sees every call first."""
    service = Evil(attack, output)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            call = Call(self, _name(self.command, urlsplit(self.path).path), body)
            service.calls[call.name] += 1
            try:
                service.attack(service, call)
                if not call.answered:
                    service.respond(call)
            except OSError:  # nobody is there any more
                self.close_connection = True

        do_GET = do_POST = _handle

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        service.base_url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            service.closing.set()
            server.shutdown()
            thread.join()


def _name(method: str, path: str) -> str:
    """`/v1/tasks/groups/…` or `/v1/tasks/runs/…` in a word."""
    parts = path.strip("/").split("/")[2:]
    match parts:
        case ["groups"]:
            noun = "groups"
        case ["groups", _]:
            noun = "group"
        case ["groups", _, last]:
            noun = last
        case ["runs", _]:
            noun = "run"
        case _:
            noun = parts[-1]
    return f"{method} {noun}"


CONFIG = """\
name: cities
inputs: {company: company}
outputs:
  city: {type: string, description: The city.}
processor: core
"""


def lay(folder: Any, rows: int = 1) -> tuple[str, ...]:
    """Config and table in a folder; gives the arguments of a run over them."""
    (folder / "c.yaml").write_text(CONFIG)
    (folder / "t.csv").write_text("company\n" + "".join(f"Company {n}\n" for n in range(rows)))
    return ("run", "c.yaml", "t.csv", "--yes", "--settle", "1s", "--output", "out.csv")
