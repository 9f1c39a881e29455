"""A planted key is found nowhere: not whole, not in parts, not spelled otherwise, whoever says it."""

import base64
import html
import json
import logging
import os
import re
import sqlite3
import stat
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import polars as pl
import pytest
import typer

import enrich
from enrich.api.errors import ApiError, BaseUrlError
from enrich.backends.opening import check_key
from enrich.cli import main
from enrich.job import Options
from enrich.ledger.store import Ledger
from enrich.preparing import prepare
from tests.hostile.conftest import Ended
from tests.hostile.desk import read_csv, serving, write_facts
from tests.hostile.middleman import Middleman, Reply, between, tampering

KEY = "pk/Zq2+LxVt94=RwKb8Ns31Yd6HcJ0mQ"
PASSWORD = "correct-horse-battery-staple"
PART = 8
CONFIG = """\
name: secrets
inputs: {company: name}
outputs:
  city: {type: string, description: City.}
processor: lite
confidence: {accept: high, missing: review}
"""
Command = Callable[..., Ended]


def spellings(key: str) -> list[bytes]:
    """The key, and what encodings make of it, at any place in what is encoded."""
    as_base64 = [base64.b64encode(b"x" * before + key.encode()).decode()[4:-4] for before in range(3)]
    written = [key, quote(key, safe=""), key.replace("/", "\\/"), json.dumps(key)[1:-1], *as_base64]
    written += [text.replace("+", "-").replace("/", "_") for text in as_base64]
    return [text.encode() for text in written]


PARTS = {spelled[at : at + PART].lower() for spelled in spellings(KEY) for at in range(len(spelled) - PART + 1)}


def leaks(data: bytes) -> list[bytes]:
    """Parts of the key in some bytes."""
    data = data.lower()
    return [part for part in PARTS if part in data]


def test_the_search_finds_what_it_looks_for() -> None:
    for text in (KEY[3:11], quote(KEY, safe=""), base64.b64encode(b"user:" + KEY.encode()).decode(), KEY.upper()):
        assert leaks(b"..." + text.encode() + b"...")
    assert not leaks(b"an ordinary text, " + KEY[:7].encode())


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, and every result that a ledger among them keeps compressed."""
    for path in folder.rglob("*"):
        if path.is_file():
            with suppress(FileNotFoundError):  # a temporary one may be gone by now
                yield str(path), path.read_bytes()
        if path.suffix == ".db":
            yield from ((f"{path}, a result", result) for result in results(path))


def results(path: Path) -> Iterator[bytes]:
    """The results in a ledger, as it has them."""
    ledger = Ledger.reader(path)
    with suppress(sqlite3.OperationalError):
        blocks = [row[0] for row in ledger.connection.execute("SELECT block_id FROM block")]
        for _, block in ledger.results(blocks):
            yield from block
    ledger.close()


def check_folder(folder: Path, *, but_results: bool = False) -> None:
    """No file holds a part of the key; results in the ledger, which is its owner's alone, may stand as they came."""
    found = {name: leaks(data) for name, data in contents(folder) if not (but_results and name.endswith("a result"))}
    assert not {name: parts for name, parts in found.items() if parts}
    for path in folder.rglob("*.db"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "t.csv").write_text("name\nBonn\nRome\n")
    return tmp_path


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def plant(base_url: str, key: str = KEY) -> None:
        monkeypatch.setenv("PARALLEL_API_KEY", key)
        monkeypatch.setenv("PARALLEL_BASE_URL", base_url)

    return plant


# ---------------------------------------------------------------------- the service says it


ECHOES = {  # what an error of the service may repeat
    "whole": KEY,
    "in the middle": f"the key {KEY!r} is unknown",
    "first half": f"no such key: {KEY[:16]}…",
    "last eight": f"no such key: …{KEY[-8:]}",
    "another case": KEY.upper(),
    "URL-encoded": f"GET /?key={quote(KEY, safe='')}",
    "base64": "Basic " + base64.b64encode(f"user:{KEY}".encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(f"k:{KEY}".encode()).decode(),
    "across a control": f"{KEY[:9]}\x1b[31m{KEY[9:]}",
    "across nothing": f"{KEY[:9]}\u200b{KEY[9:]}",
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("status", [401, 422])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_refusal_that_repeats_the_key_does_not_pass_it_on(
    place: Path,
    command: Command,
    keyed: Callable[..., None],
    refusing: Middleman,
    echo: str,
    status: int,
    log_format: str,
) -> None:
    def change(method: str, path: str, reply: Reply) -> None:
        if method == "POST" and "/runs" in path:
            body = {"error": {"message": echo, "ref_id": echo, "detail": {"key": echo, echo: [echo]}}}
            reply.status, reply.body = status, json.dumps(body).encode()
            reply.headers |= {"x-request-key": KEY, "www-authenticate": KEY, "set-cookie": f"key={KEY}"}

    refusing.change = change
    keyed(refusing.base_url)
    ended = command("run", "c.yaml", "t.csv", "--yes", "--log-format", log_format)
    assert ended.code in (3, 5)
    assert not leaks(ended.out + ended.err)
    for argv in (("status", "c.yaml"), ("status", "c.yaml", "--json"), ("plan", "c.yaml", "t.csv", "--show", "1")):
        ended = command(*argv)
        assert not leaks(ended.out + ended.err)
    check_folder(place)


@pytest.fixture(scope="module")
def refusing() -> Iterator[Middleman]:
    with serving() as url, between(url) as man:
        yield man


@pytest.mark.parametrize("fault", ["key-echo=422", "key-echo=401", "key-echo=500,1x"])
def test_the_sandbox_may_echo_it(place: Path, command: Command, keyed: Callable[..., None], fault: str) -> None:
    with serving(fault) as url:
        keyed(url)
        ended = command("run", "c.yaml", "t.csv", "--yes", "--settle", "1s")
        assert ended.code in (0, 3, 5)
        assert not leaks(ended.out + ended.err)
        check_folder(place)


HIDDEN = {  # how an answer may repeat the key: each as its JSON has it
    "whole": KEY,
    "first and last letter escaped": f"\\u{ord(KEY[0]):04x}{KEY[1:-1]}\\u{ord(KEY[-1]):04x}",
    "every letter escaped": "".join(f"\\u{ord(c):04X}" for c in KEY),
    "in a URL": f"https://x.example/?k={quote(KEY, safe='')}",
    "every letter in a URL": "https://x.example/?k=" + "".join(f"%{ord(c):02x}" for c in KEY),
    "in HTML": "".join(f"&#{ord(c)};" for c in KEY),
    "across nothing": f"{KEY[:9]}\u200b{KEY[9:]}",
    "across nothing, escaped": f"{KEY[:9]}\\u200b{KEY[9:]}",
    "full width": "".join(chr(ord(c) + 0xFEE0) for c in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 behind a user": base64.b64encode(b"user:" + KEY.encode()).decode(),
}


def decoded(data: bytes) -> bytes:
    """What a person would make of it."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), data.decode("utf-8", "replace"))
    text = html.unescape(unquote(html.unescape(text)))
    return unicodedata.normalize("NFKC", re.sub("[\u200b-\u200f]", "", text)).encode()


@pytest.mark.parametrize("said", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson"])
def test_answers_that_repeat_the_key_stay_in_the_ledger_and_are_written_out_without_it(
    place: Path, command: Command, keyed: Callable[..., None], suffix: str, said: str
) -> None:
    def answering(result: dict[str, Any]) -> bytes:
        result["run"]["warnings"] = [{"type": "key", "message": "@@"}]
        if result.get("output"):
            result["output"]["content"]["city"] = "@@"
            for entry in result["output"]["basis"]:
                entry |= {"confidence": "high", "reasoning": "as @@ says"}
                entry |= {"citations": [{"url": "@@", "title": "@@", "excerpts": ["@@"]}]}
        return json.dumps(result).replace("@@", said).encode()

    with serving() as url, between(url, change=tampering(url, {"Rome": answering, "Bonn": answering})) as man:
        keyed(man.base_url)
        ended = command("run", "c.yaml", "t.csv", "-o", f"o.{suffix}", "--log-format", "json", "--yes")
        assert ended.code == 0
        assert command("verify", f"o.{suffix}").code == 0
    assert not leaks(ended.out + ended.err)
    check_folder(place, but_results=True)
    for name in (f"o.{suffix}", "o.review.csv", "o.report.html", "o.run.json"):
        assert not leaks(decoded((place / name).read_bytes())), name
    assert sum(said.encode() in result for result in results(place / ".enrich" / "ledger.db")) == 2
    city = pl.read_csv(place / "o.csv")["city"] if suffix == "csv" else None
    assert city is None or all("[redacted]" in one for one in city)


def test_a_run_that_fails_and_repeats_the_key_does_not_pass_it_on(
    place: Path, command: Command, keyed: Callable[..., None]
) -> None:
    def failing(said: dict[str, Any]) -> None:
        said["run"]["error"] = {"message": ECHOES["in the middle"], "ref_id": KEY, "detail": list(ECHOES.values())}
        said["run"]["warnings"] = [{"type": "key", "message": ECHOES["last eight"], "detail": {KEY: ECHOES["base64"]}}]
        said["run"]["status"] = "failed"

    with serving() as url, between(url, change=tampering(url, {"Bonn": failing})) as man:
        keyed(man.base_url)
        ended = command("run", "c.yaml", "t.csv", "--log-format", "json", "--yes")
        assert ended.code == 3
        assert not leaks(ended.out + ended.err)
        check_folder(place)


@pytest.mark.parametrize("id_name", ["run_id", "taskgroup_id"])
def test_ids_that_hold_the_key_are_written_out_without_it(
    place: Path, command: Command, keyed: Callable[..., None], id_name: str
) -> None:
    """A service that puts the key where we must keep what it says, to ask it again."""
    real, fake = ("trun_", f"trun_{KEY}_") if id_name == "run_id" else ("tgrp_", f"tgrp_{KEY}_")

    def change(method: str, path: str, reply: Reply) -> None:
        reply.body = reply.body.replace(f'"{real}'.encode(), f'"{fake}'.encode())

    def path_upstream(path: str) -> str:
        return path.replace(quote(fake, safe=""), real)

    with serving() as url, between(url, change=change, path_upstream=path_upstream) as man:
        keyed(man.base_url)
        ended = command("run", "c.yaml", "t.csv", "--settle", "1s", "--yes")
        assert ended.code == 0
        assert not leaks(ended.out + ended.err)
        for name in ("t.enriched.csv", "t.review.csv", "t.report.html", "t.run.json"):
            assert not leaks((place / name).read_bytes()), name
        statuses = {row["enrich_status"] for row in read_csv(place / "t.enriched.csv")}
        assert statuses <= {"complete", "withheld", "review"}
        ended = command("status", "c.yaml", "--json")
        assert not leaks(ended.out + ended.err)


WORDS = ("any", "key", "high", "run", "status", "null", "1", "output", "k", "Germany", "content", "test-key-of-mine")


@pytest.mark.parametrize("key", WORDS)
def test_a_key_that_is_a_word_changes_no_answer(
    place: Path, command: Command, keyed: Callable[..., None], key: str
) -> None:
    facts = {
        name: {"city": {"value": f"{name}, Germany", "confidence": "high", "reasoning": "The key run status: null, 1."}}
        for name in ("Bonn", "Rome")
    }
    write_facts(place / "f.ndjson", facts)
    with serving(facts=place / "f.ndjson") as url:
        keyed(url, key)
        assert command("run", "c.yaml", "t.csv", "--yes").code == 0
    rows = read_csv(place / "t.enriched.csv")
    assert [(row["city"], row["city_reasoning"], row["city_status"]) for row in rows] == [
        (f"{name}, Germany", "The key run status: null, 1.", "accepted") for name in ("Bonn", "Rome")
    ]
    assert not any(b"[redacted]" in data for _, data in contents(place))


def test_streams_and_listings_that_repeat_the_key_do_not_pass_it_on(
    place: Path, command: Command, keyed: Callable[..., None]
) -> None:
    def change(method: str, path: str, reply: Reply) -> None:
        if reply.headers.get("content-type", "").startswith("text/event-stream"):
            error = json.dumps({"type": "error", "error": {"message": KEY, "ref_id": KEY}})
            unknown = json.dumps({"type": "echo", "key": KEY})
            reply.body = f": {KEY}\n\ndata: {error}\n\ndata: {unknown}\n\n".encode() + reply.body
        elif method == "GET" and "/groups/" in path:
            body = json.loads(reply.body)
            body["status"]["status_message"] = KEY
            reply.body = json.dumps(body).encode()

    with serving() as url, between(url, change=change) as man:
        keyed(man.base_url)
        ended = command("run", "c.yaml", "t.csv", "--yes")
        assert ended.code == 0
        assert not leaks(ended.out + ended.err)
        check_folder(place)


# ---------------------------------------------------------------------- we could say it


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_does_not_show_the_key(
    place: Path, keyed: Callable[..., None], capfdbinary: pytest.CaptureFixture[bytes], log_format: str
) -> None:
    keyed("http://127.0.0.1:9")

    def broken(context: typer.Context) -> None:
        context.obj.log_format = log_format
        key = check_key(os.environ)
        raise RuntimeError(f"{key}: {key.reveal()!r}")

    assert main(["run"], [("run", broken), ("plan", broken)]) == 1
    out, err = capfdbinary.readouterr()
    assert b"RuntimeError" in err
    assert not leaks(out + err)
    check_folder(place)


def test_errors_and_objects_of_the_library_do_not_show_the_key(place: Path, keyed: Callable[..., None]) -> None:
    keyed("http://127.0.0.1:9")  # where nobody listens
    options = Options(settle_s=0.0)
    told = [repr(options), str(options), repr(prepare(place / "c.yaml", place / "t.csv", options))]
    with serving("unauthorized") as url:
        keyed(url)
        report = enrich.run(place / "c.yaml", place / "t.csv")
        told += [repr(report), report.receipt.to_text(80), report.stopped]
    with pytest.raises(BaseUrlError) as raised:
        enrich.run(place / "c.yaml", place / "t.csv", environ={**os.environ, "PARALLEL_BASE_URL": "ftp://x"})
    told += [repr(raised.value), *traceback.format_exception(raised.value)]
    assert not leaks("\n".join(told).encode())


def test_debug_logs_of_all_libraries_do_not_show_the_key(
    place: Path, keyed: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving("run-failed=1x") as url:
        keyed(url)
        enrich.run(place / "c.yaml", place / "t.csv")
    assert "httpcore" in {record.name.partition(".")[0] for record in caplog.records}
    assert not leaks(caplog.text.encode())


# ---------------------------------------------------------------------- the user says it in a wrong place


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{PASSWORD}@api.example.com",
        f"https://{PASSWORD}@api.example.com",
        f"https://user:{PASSWORD}@api.example.com:99999",
        f"http://user:{PASSWORD}@127.0.0.1:1",
        f"https:user:{PASSWORD}@api.example.com",
        f"user:{PASSWORD}@api.example.com",
        f"https://api.example.com/@{PASSWORD}",
        f"https://api.example.com/?key={PASSWORD}",
        f"https://api.example.com/#{PASSWORD}",
        f"ftp://api.example.com/?key={PASSWORD}",
        f"http://10.0.0.1/?key={PASSWORD}",
        f"https://[{PASSWORD}",
        f" https://user:{PASSWORD}@\tapi.example.com ",
    ],
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_password_in_the_address_is_refused_and_not_shown(
    place: Path, command: Command, keyed: Callable[..., None], url: str, log_format: str
) -> None:
    keyed(url)
    ended = command("run", "c.yaml", "t.csv", "--yes", "--log-format", log_format)
    assert ended.code == 2
    assert b"PARALLEL_BASE_URL" in ended.err
    assert PASSWORD.encode() not in ended.out + ended.err
    assert not any(PASSWORD.encode() in data for _, data in contents(place))


@pytest.mark.parametrize("key", [f"{KEY} {KEY}", f"{KEY}\nx: y", f"schlüssel-{KEY}", f"{KEY}\x1b[31m", f"\udcff{KEY}"])
def test_what_cannot_be_a_key_is_not_shown(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch, keyed: Callable[..., None], key: str
) -> None:
    keyed("https://api.example.com", key)
    ended = command("run", "c.yaml", "t.csv", "--yes")
    assert ended.code == 2
    assert not leaks(ended.out + ended.err)
    check_folder(place)


CONFIGS = {
    "as a key of its own": CONFIG + f"api_key: {KEY}\n",
    "as a header": CONFIG + f'x-api-key: "{KEY}"\n',
    "as an unknown key": CONFIG + f"{KEY}: 1\n",
    "as a budget": CONFIG + f"budget: {KEY}\n",
    "as a processor": CONFIG.replace("lite", KEY),
    "as a name": CONFIG.replace("secrets", KEY),
    "as a column": CONFIG.replace("{company: name}", f"{{company: '{KEY}'}}"),
    "as a field": CONFIG.replace("  city:", f"  '{KEY}':"),
    "as an alias": CONFIG + f"budget: *{KEY}\n",
    "as a tag": CONFIG + f"budget: !{KEY} 1\n",
    "in an open quote": CONFIG + f"budget: '{KEY}\n",
    "as a file of schemas": CONFIG.replace("outputs:\n  city: {type: string, description: City.}", f"outputs: '{KEY}'"),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_key_in_the_config_is_refused_and_not_shown(
    place: Path, command: Command, keyed: Callable[..., None], config: str, log_format: str
) -> None:
    keyed("http://127.0.0.1:9")
    (place / "c.yaml").write_text(config)
    ended = command("run", "c.yaml", "t.csv", "--yes", "--log-format", log_format)
    assert ended.code == 2
    assert not leaks(ended.out + ended.err)
    for argv in (("check", "c.yaml", "t.csv"), ("plan", "c.yaml", "t.csv", "--json"), ("status", "c.yaml")):
        ended = command(*argv)
        assert ended.code == 2
        assert not leaks(ended.out + ended.err)


@pytest.mark.parametrize("argv", [("run", KEY, "t.csv"), ("run", "c.yaml", "t.csv", KEY), (KEY,), ("run", f"--{KEY}")])
def test_a_key_on_the_command_line_is_not_shown(
    place: Path, command: Command, keyed: Callable[..., None], argv: tuple[str, ...]
) -> None:
    keyed("http://127.0.0.1:9")
    ended = command(*argv)
    assert ended.code == 2
    assert not leaks(ended.out + ended.err)


# ---------------------------------------------------------------------- who may read what is kept


@contextmanager
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Permissions of a folder and of all in it, and of the database files that this process has open without a name."""
    found = {}
    for path in (folder, *folder.rglob("*")) if folder.exists() else ():
        with suppress(FileNotFoundError):
            found[path.name] = oct(stat.S_IMODE(path.stat().st_mode))
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = os.readlink(link)
            if "etilqs" in target:
                found[Path(target).name] = oct(stat.S_IMODE(link.stat().st_mode))
    return found


def test_the_ledger_is_for_its_owner_alone_also_while_it_is_written(place: Path, keyed: Callable[..., None]) -> None:
    seen: dict[str, str] = {}
    folder = place / ".enrich"
    with ExitStack() as stack:
        url = stack.enter_context(serving(latency_s=(0.0, 0.05)))
        man = stack.enter_context(between(url, on_request=lambda: seen.update(modes(folder))))
        stack.enter_context(open_umask())
        keyed(man.base_url)
        enrich.run(place / "c.yaml", place / "t.csv")
        seen.update(modes(folder))
        enrich.run(place / "c.yaml", place / "t.csv", sandbox=True)
        seen.update(modes(folder))
    names = {"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock", "ledger.db.groups"}
    assert names | {"sandbox.db", "sandbox.db.lock", "sandbox.db.groups", "sandbox-service.ndjson"} <= seen.keys()
    assert seen.pop(".enrich") == "0o700"
    assert {name: mode for name, mode in seen.items() if mode != "0o600"} == {}


def test_a_list_of_groups_that_is_mended_stays_its_owners(place: Path, keyed: Callable[..., None]) -> None:
    groups = place / ".enrich" / "ledger.db.groups"
    with serving() as url, open_umask():
        keyed(url)
        enrich.run(place / "c.yaml", place / "t.csv")
        with groups.open("a") as file:
            file.write("cut short")
        enrich.run(place / "c.yaml", place / "t.csv")
    assert "cut short" not in groups.read_text()
    assert modes(groups.parent)[groups.name] == "0o600"


def test_outputs_that_were_private_stay_private(place: Path, keyed: Callable[..., None]) -> None:
    with serving() as url, open_umask():
        keyed(url)
        report = enrich.run(place / "c.yaml", place / "t.csv")
        files = (report.output, report.review, report.report, report.manifest)
        for path in files:
            path.chmod(0o600)
        enrich.run(place / "c.yaml", place / "t.csv")
        assert {path.name: modes(place)[path.name] for path in files} == {path.name: "0o600" for path in files}


def test_the_key_is_sent_in_its_header_and_nowhere_else(place: Path, keyed: Callable[..., None]) -> None:
    with serving() as url, between(url) as man:
        keyed(man.base_url)
        enrich.run(place / "c.yaml", place / "t.csv")
    assert len(man.requests) >= 4
    for request in man.requests:
        head, _, rest = request.partition(b"x-api-key: " + KEY.encode() + b"\n")
        assert rest
        assert not leaks(head + rest)


def test_another_service_never_gets_the_key(place: Path, keyed: Callable[..., None]) -> None:
    with serving() as elsewhere, between(elsewhere) as trap, serving() as url:

        def change(method: str, path: str, reply: Reply) -> None:
            reply.status, reply.headers, reply.body = 307, {"location": trap.base_url + path}, b""

        with between(url, change=change) as man, suppress(ApiError):
            keyed(man.base_url)
            enrich.run(place / "c.yaml", place / "t.csv")
    assert man.requests
    assert not trap.requests
