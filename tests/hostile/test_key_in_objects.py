"""No object of ours shows the key: not by its repr, and not as a local variable of a traceback, at whatever depth."""

import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import h11
import pytest
from httpcore._backends.anyio import AnyIOStream

import enrich
from enrich import pipeline
from enrich.api.connection import Connection
from enrich.api.environment import Environment
from enrich.api.errors import ApiError
from enrich.api.secret import Secret
from enrich.backends import streams
from enrich.backends.opening import check_key, check_service
from enrich.backends.parallel import Client
from enrich.cli import entry, main
from enrich.config.loading import load
from enrich.dataset import TableWriter
from enrich.errors import EnrichError
from enrich.job import Options
from enrich.ledger.store import Ledger
from enrich.outputs import writing as outputs
from enrich.preparing import prepare
from enrich.upkeep.recover import RecoverRequest, recover
from enrich.upkeep.verify import VerifyRequest
from tests.hostile.desk import serving
from tests.hostile.test_secrets import CONFIG, KEY, leaks

HERE = Path(__file__).parent


def linked(error: BaseException) -> Iterator[BaseException]:
    """An error with all that it carries, also what it hides from a printed traceback."""
    seen: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        if any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        left += [other for other in (one.__cause__, one.__context__) if other is not None]
        left += getattr(one, "exceptions", ())


def shown(error: BaseException) -> Iterator[str]:
    """What a logger with local variables writes: of each frame of ours and of libraries, the repr of each local."""
    for one in linked(error):
        yield repr(one)
        yield from getattr(one, "__notes__", ())
        for frame, line in traceback.walk_tb(one.__traceback__):
            if HERE in Path(frame.f_code.co_filename).parents:
                continue
            for name, value in frame.f_locals.items():
                try:
                    yield f"{frame.f_code.co_qualname} line {line}, {name}={value!r}"
                except Exception as broken:
                    yield f"{frame.f_code.co_qualname} {name}: no repr, {type(broken).__name__}"


def leaking(error: BaseException) -> list[str]:
    return [text[:200] for text in shown(error) if leaks(text.encode(errors="replace"))]


def depth(error: BaseException) -> int:
    return max(len(list(traceback.walk_tb(one.__traceback__))) for one in linked(error))


def test_the_search_finds_a_key_in_a_local_variable() -> None:
    code = "def fail(environ):\n    raise ValueError(environ)\n"
    place: dict[str, Any] = {}
    exec(compile(code, "elsewhere.py", "exec"), place)
    with pytest.raises(ValueError, match="key") as raised:
        place["fail"]({"key": KEY})
    assert leaking(raised.value)


class Injected(Exception):
    """A bug, wherever it stands."""


def boom(*args: Any, **options: Any) -> Any:
    raise Injected


async def async_boom(*args: Any, **options: Any) -> Any:
    raise Injected


def at_client(method: Callable[..., Any]) -> Callable[..., Any]:
    """The sandbox, which lives in this process too, goes on."""

    def broken(self: h11.Connection, *args: Any) -> Any:
        if self.our_role is h11.CLIENT:
            raise Injected
        return method(self, *args)

    return broken


# The deeper, the nearer to the socket: below it stand the header, and the bytes that are sent.
SEAMS: dict[str, tuple[Any, str, Any]] = {
    "the config": (pipeline, "prepare", boom),
    "the plan": (pipeline, "compare", boom),
    "the intent": (Ledger, "record_intent", boom),
    "the client": (Client, "add_runs", async_boom),
    "a group": (Client, "create_group", async_boom),
    "a connection": (Connection, "post", async_boom),
    "the header": (h11.Connection, "send", at_client(h11.Connection.send)),
    "the header, as bytes": (AnyIOStream, "write", async_boom),
    "the answer": (h11.Connection, "next_event", at_client(h11.Connection.next_event)),
    "an event": (streams, "decode_event", boom),
    "the results": (Ledger, "record_outcomes", boom),
    "the table": (TableWriter, "write", boom),
    "the report": (outputs.ReportCollector, "render", boom),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "t.csv").write_text("name\nBonn\nRome\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as base_url:
        yield base_url


def by_mapping(url: str) -> object:
    return enrich.run("c.yaml", "t.csv", environ={"PARALLEL_API_KEY": KEY, "PARALLEL_BASE_URL": url}, settle_s=0.5)


def by_environment(url: str) -> object:
    return enrich.run("c.yaml", "t.csv", settle_s=0.5)


def by_await(url: str) -> object:
    async def run() -> object:
        return await enrich.run_async("c.yaml", "t.csv", environ={"PARALLEL_API_KEY": KEY, "PARALLEL_BASE_URL": url})

    return anyio.run(run)


def by_frame(url: str) -> object:
    import polars as pl

    environ = {"PARALLEL_API_KEY": KEY, "PARALLEL_BASE_URL": url}
    return enrich.enrich(pl.DataFrame({"name": ["Bonn"]}), "c.yaml", environ=environ, progress=False)


def by_command(url: str) -> object:
    return main(["run", "c.yaml", "t.csv", "--yes"])


CASES = [(road, seam) for road in (by_mapping, by_command) for seam in SEAMS]
CASES += [
    (road, seam)
    for road in (by_environment, by_await, by_frame)
    for seam in ("the config", "the header, as bytes", "the table")
]


@pytest.mark.parametrize(("road", "seam"), CASES)
def test_no_traceback_has_the_key_in_a_local_variable(
    place: Path, monkeypatch: pytest.MonkeyPatch, url: str, road: Callable[[str], object], seam: str
) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", KEY)
    monkeypatch.setenv("PARALLEL_BASE_URL", url)
    explain, told = entry.explain, []
    monkeypatch.setattr(entry, "explain", lambda error, console: told.append(error) or explain(error, console))
    owner, name, broken = SEAMS[seam]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, broken)
        try:
            road(url)
        except BaseException as error:
            told.append(error)
    (error,) = told
    assert any(isinstance(one, Injected) for one in linked(error))
    assert depth(error) > 3
    assert leaking(error) == []


WRONG: dict[str, Callable[[], object]] = {
    "no key": lambda: check_key({"OTHER": KEY}),
    "two words": lambda: check_key({"PARALLEL_API_KEY": f"{KEY} {KEY}"}),
    "not ASCII": lambda: check_key({"PARALLEL_API_KEY": f"ü{KEY}"}),
    "as a secret": lambda: Secret(f"{KEY} {KEY}"),
    "a wrong address": lambda: check_service({"PARALLEL_API_KEY": KEY, "PARALLEL_BASE_URL": "ftp://x"}),
    "a wrong rate": lambda: check_service({"PARALLEL_API_KEY": KEY, "ENRICH_RUNS_PER_MINUTE": "x"}),
    "a wrong config": lambda: load(Path("absent.yaml"), {"PARALLEL_API_KEY": KEY}),
    "a wrong option": lambda: enrich.run("c.yaml", "t.csv", environ={"PARALLEL_API_KEY": KEY}, limit="x"),
    "a wrong name": lambda: enrich.run("c.yaml", "t.csv", environ={"PARALLEL_API_KEY": KEY}, limits=3),
    "a wrong path": lambda: enrich.run(3, "t.csv", environ={"PARALLEL_API_KEY": KEY}),  # type: ignore[arg-type]
    "a wrong plan": lambda: enrich.plan("c.yaml", "absent.csv", environ={"PARALLEL_API_KEY": KEY}),
    "no mapping": lambda: enrich.run("c.yaml", "t.csv", environ=[("PARALLEL_API_KEY", KEY)]),
    "a wrong frame": lambda: enrich.enrich(KEY[:3], "c.yaml", environ={"PARALLEL_API_KEY": KEY}),  # type: ignore[type-var]
}


@pytest.mark.parametrize("wrong", WRONG)
def test_no_error_for_people_has_it_either(place: Path, wrong: str) -> None:
    with pytest.raises((EnrichError, ApiError, ValueError)) as raised:
        WRONG[wrong]()
    assert leaking(raised.value) == []


def test_no_object_shows_it(place: Path, url: str) -> None:
    environ = {"PARALLEL_API_KEY": KEY, "PARALLEL_BASE_URL": url}
    options = Options(environ=environ)
    objects = [
        options,
        options.environ,
        dict(options.environ),
        [*options.environ.items()],
        options.key,
        Environment(environ),
        prepare(Path("c.yaml"), Path("t.csv"), options),
        RecoverRequest(ledger=Path("l.db"), environ=environ),
        VerifyRequest(ledger=Path("l.db"), environ=environ),
        Client(base_url=url, api_key=options.key),
    ]
    client = objects[-1]
    objects += [vars(client), vars(vars(client)["_connection"]), recover]
    assert not leaks("\n".join(map(repr, objects)).encode())
    with pytest.raises(KeyError):
        options.environ["PARALLEL_API_KEY"]


def test_no_log_record_carries_it(place: Path, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Handlers that send records elsewhere get their arguments, not only their text."""
    caplog.set_level(logging.DEBUG)
    by_mapping(url)
    told = [repr(vars(record)) for record in caplog.records]
    assert told
    assert not leaks("\n".join(told).encode())
