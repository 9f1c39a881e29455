"""Nothing that a terminal obeys comes out of a command, wherever the words come from: files, cells, the service."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enrich.text.hostile import plain_json
from tests.hostile.conftest import Ended
from tests.hostile.desk import KEY, read_csv, serving
from tests.hostile.judges import calculates, judged_page, obeyed
from tests.hostile.middleman import Middleman, Reply, between, tampering
from tests.hostile.payloads import PAYLOADS, TERMINAL, UNSEEN

EVIL = "=x\x1b[31m<b>\u202e\x9b2J\u2028"
NO_UTF8 = os.fsdecode(b"t\xff\xfe\x1b[31m")
ALL = "".join((*TERMINAL, *UNSEEN, "\ud800"))
CONFIG = """\
name: words
inputs: {company: name}
outputs:
  city: {type: string, description: City.}
processor: lite
"""
FORMATS = (pytest.param("text", id="text"), pytest.param("json", id="JSON"))
Command = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config, tables with hostile names of files and columns, and configs that are wrong in hostile words."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    for name in (EVIL, NO_UTF8):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["name", "a" + EVIL], [EVIL, EVIL]])
    (tmp_path / "column.yaml").write_text(CONFIG.replace("{company: name}", '{company: "a\\e[31m\\u202e"}'))
    (tmp_path / "key.yaml").write_text(CONFIG + '"k\\e[31m\\u202e": "\\e[31m\\x9b"\nbudget: "\\e[31m\\u202e"\n')
    (tmp_path / "syntax.yaml").write_text(CONFIG + "budget: [\u202e\n")
    (tmp_path / "twice.csv").write_text(f"name,a{EVIL[:6]},a{EVIL[:6]}\nx,y,z\n")
    (tmp_path / "ragged.csv").write_text(f"name,b\nx,y,{EVIL[:6]}\n")
    (tmp_path / "bad.ndjson").write_text(f'{{"name": "x"}}\n{{"{EVIL}": \n')
    return tmp_path


def check(ended: Ended) -> None:
    assert not obeyed(ended.said)
    assert "Traceback" not in ended.said


@pytest.mark.parametrize("table", [EVIL + ".csv", NO_UTF8 + ".csv"], ids=["evil", "no UTF-8"])
@pytest.mark.parametrize("log_format", FORMATS)
def test_names_of_files_and_columns_are_only_shown(folder: Path, command: Command, table: str, log_format: str) -> None:
    ended = command("run", "c.yaml", table, "--sandbox", "--log-format", log_format)
    assert ended.code == 0
    check(ended)
    stem = table.removesuffix(".csv")
    assert judged_page((folder / f"{stem}.sandbox.report.html").read_text()) == []
    manifest = (folder / f"{stem}.sandbox.run.json").read_text()
    assert not obeyed(manifest)
    assert json.loads(manifest)["table"]["path"] == table.encode(errors="replace").decode()
    rows = read_csv(folder / f"{stem}.sandbox.csv")
    assert rows[0]["name"] == rows[0]["a" + EVIL] == EVIL


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        pytest.param(("run", "c.yaml", "{table}", "--sandbox", "--json"), 0, id="run --json"),
        pytest.param(("run", "c.yaml", "{table}", "--sandbox", "--quiet"), 0, id="run --quiet"),
        pytest.param(("plan", "c.yaml", "{table}", "--show", "1"), 0, id="plan --show"),
        pytest.param(("plan", "c.yaml", "{table}", "--show", "1", "--json"), 0, id="plan --json"),
        pytest.param(("check", "c.yaml", "{table}"), 0, id="check"),
        pytest.param(("init", "{table}"), 0, id="init"),
        pytest.param(("run", "c.yaml", "{table}.none", "--sandbox"), 2, id="no such table"),
        pytest.param(("run", "c.yaml", "{table}", "--sandbox", "-o", "{table}.none"), 2, id="no such format"),
        pytest.param(("run", "c.yaml", "{table}", "--sandbox", "-o", "{table}/x.csv"), 2, id="no such folder"),
        pytest.param(("run", "{table}", "{table}", "--sandbox"), 2, id="a config that is none"),
        pytest.param(("run", "column.yaml", "{table}", "--sandbox"), 2, id="no such column"),
        pytest.param(("run", "key.yaml", "{table}", "--sandbox"), 2, id="no such key"),
        pytest.param(("check", "syntax.yaml", "{table}"), 2, id="no YAML"),
        pytest.param(("run", "c.yaml", "twice.csv", "--sandbox", "-o", "x.parquet"), 2, id="a column twice"),
        pytest.param(("run", "c.yaml", "ragged.csv", "--sandbox"), 2, id="a ragged row"),
        pytest.param(("run", "c.yaml", "bad.ndjson", "--sandbox"), 2, id="no JSON"),
        pytest.param(("run", "c.yaml", "{table}", "--sandbox", "--where", "nope{evil}"), 2, id="--where"),
        pytest.param(("run", "c.yaml", "{table}", "--sandbox", "--facts", "{table}"), 2, id="facts that are none"),
        pytest.param(("run", "c.yaml", "{table}", "--processor", "{evil}"), 2, id="no such processor"),
        pytest.param(("run", "c.yaml", "{table}", "--{evil}"), 2, id="no such option"),
        pytest.param(("run", "c.yaml", "{table}", "{evil}"), 2, id="an argument too many"),
        pytest.param(("{evil}",), 2, id="no such command"),
        pytest.param(("run", "c.yaml", "{table}", "--budget", "{evil}"), 2, id="no budget"),
        pytest.param(("run", "c.yaml", "{table}", "--settle", "{evil}"), 2, id="no duration"),
        pytest.param(("run", "c.yaml", "{table}", "--limit", "{evil}"), 2, id="no number"),
        pytest.param(("status", "{evil}"), 2, id="status of no config"),
        pytest.param(("adopt", "{evil}", "c.yaml", "{table}", "--sandbox"), 2, id="adopt no group"),
        pytest.param(("adopt", "..", "c.yaml", "{table}", "--sandbox"), 2, id="adopt dots"),
        pytest.param(("recover", "c.yaml", "--group", "{evil}", "--sandbox"), 2, id="recover no group"),
        pytest.param(("recover", "c.yaml", "--group", ".", "--sandbox"), 2, id="recover a dot"),
        pytest.param(("recover", "--manifest", "{table}", "--sandbox"), 2, id="recover from no manifest"),
        pytest.param(("verify", "{table}", "--sandbox"), 2, id="verify what we did not write"),
        pytest.param(("review", "c.yaml", "{table}", "--sandbox"), 2, id="review what is no review file"),
        pytest.param(("status", "--ledger", "{table}"), 2, id="status of no ledger"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", [EVIL, NO_UTF8], ids=["evil", "no UTF-8"])
@pytest.mark.parametrize("log_format", FORMATS)
def test_no_message_has_anything_active(
    folder: Path, command: Command, argv: tuple[str, ...], code: int, name: str, log_format: str
) -> None:
    given = [part.replace("{table}", name + ".csv").replace("{evil}", name) for part in argv]
    if given[0] == "run" and log_format == "json":
        given += ["--log-format", "json"]
    ended = command(*given)
    assert ended.code == code, ended.said
    check(ended)


# ---------------------------------------------------------------------- words of the service


@pytest.fixture(scope="module")
def failing() -> Iterator[Middleman]:
    """A service whose runs fail, each with another payload for a reason."""
    with serving("run-failed") as url:
        tampers = {f"c{n}": _failing_with(payload) for n, payload in enumerate((*PAYLOADS, ALL))}
        with between(url, change=tampering(url, tampers)) as man:
            yield man


def _failing_with(payload: str) -> Callable[[dict[str, Any]], None]:
    def tamper(said: dict[str, Any]) -> None:
        if said["run"]["status"] == "failed":
            said["run"]["error"] = {"message": payload, "ref_id": payload, "detail": {payload: payload}}
            said["run"]["warnings"] = [{"type": payload, "message": payload}]

    return tamper


@pytest.mark.parametrize("log_format", FORMATS)
def test_reasons_of_failed_runs_are_text_everywhere(
    tmp_path: Path, command: Command, failing: Middleman, monkeypatch: pytest.MonkeyPatch, log_format: str
) -> None:
    for name, value in failing.environ(KEY).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "t.csv").write_text("name\n" + "".join(f"c{n}\n" for n in range(len(PAYLOADS) + 1)))
    ended = command("run", "c.yaml", "t.csv", "--yes", "--yes", "--log-format", log_format)
    assert ended.code == 3
    check(ended)
    rows = read_csv(tmp_path / "t.enriched.csv")
    assert {row["enrich_status"] for row in rows} == {"failed"}
    for row in rows:
        assert row["enrich_detail"]
        assert len(row["enrich_detail"].replace("'", "")) <= 500
        assert not calculates(row["enrich_detail"])
        assert not obeyed(row["enrich_detail"])
    assert judged_page((tmp_path / "t.report.html").read_text()) == []
    assert not obeyed((tmp_path / "t.review.csv").read_text("utf-8-sig"))
    for argv in (("status", "c.yaml"), ("status", "c.yaml", "--json"), ("run", "c.yaml", "t.csv", "--quiet")):
        check(command(*argv))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])  # the others are asked again for as long as it takes
@pytest.mark.parametrize("shape", ["error", "detail", "text", "title", "reason"])
@pytest.mark.parametrize("log_format", FORMATS)
def test_refusals_of_the_service_are_text(
    tmp_path: Path,
    command: Command,
    refusing: Middleman,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    shape: str,
    log_format: str,
) -> None:
    bodies = {
        "error": json.dumps({"error": {"message": ALL, "ref_id": ALL, "detail": {ALL: ALL}}}),
        "detail": json.dumps({"detail": [{"loc": ["body", ALL], "msg": ALL, "type": ALL}]}),
        "text": ALL.encode(errors="replace").decode(),
        "title": f"<html><title>{ALL.encode(errors='replace').decode()}</title></html>",
        "reason": "",
    }

    def change(method: str, path: str, reply: Reply) -> None:
        if method == "POST" and path.endswith("/groups"):
            reply.status, reply.body = status, bodies[shape].encode()
            reply.headers = {"content-type": "text/html\x9b31m", "retry-after": "0\x9b31m"}

    refusing.change = change
    for name, value in refusing.environ(KEY).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "t.csv").write_text("name\nBonn\n")
    ended = command("run", "c.yaml", "t.csv", "--yes", "--yes", "--log-format", log_format)
    assert ended.code in (4, 5)
    check(ended)


@pytest.fixture(scope="module")
def refusing() -> Iterator[Middleman]:
    with serving() as url, between(url) as man:
        yield man


def test_json_for_terminals_is_the_same_json() -> None:
    for payload in (*PAYLOADS, ALL):
        text = json.dumps({payload: [payload]}, ensure_ascii=False, indent=1)
        shown = plain_json(text)
        assert not obeyed(shown)
        assert json.loads(shown) == json.loads(text)
