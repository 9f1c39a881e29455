"""Only what is mapped leaves the machine: every byte that any command sends is looked at."""

import csv
import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.hostile.conftest import Ended
from tests.hostile.desk import KEY, read_csv, serving
from tests.hostile.middleman import between

CANARY = "canary-{}-7f3a9c"
CONFIG = """\
# canary-comment-7f3a9c
name: name-that-is-sent
inputs:
  company: canary-column-of-company-7f3a9c
  about: "literal-that-is-sent: {canary-column-of-template-7f3a9c}"
require: [company]
outputs:
  city: {type: string, description: description-that-is-sent, accept: low}
  year: {type: [integer, "null"], description: Year., refresh: 1d}
processor: [lite, core]
confidence: {accept: high, review: medium}
budget: 17.25
ledger: canary-ledger-7f3a9c/canary-file-7f3a9c.db
csv: {formulas: keep}
"""
HEADER = [
    "canary-id-7f3a9c",
    "canary-column-of-company-7f3a9c",
    "canary-column-of-template-7f3a9c",
    "salary (canary-unmapped-7f3a9c)",
    "=canary-formula-7f3a9c",
]
SENT = (
    "name-that-is-sent",
    "literal-that-is-sent",
    "description-that-is-sent",
    "cell-that-is-sent",
    "text-that-is-sent",
)
Command = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, a config and a table whose names, and all that is not mapped in them, are canaries."""
    folder = tmp_path / "canary-folder-7f3a9c"
    folder.mkdir()
    (folder / "canary-config-7f3a9c.yaml").write_text(CONFIG)
    cells = ("text-that-is-sent", "canary-cell-7f3a9c", "=canary-7f3a9c")
    rows = [[f"canary-{n}-7f3a9c", f"cell-that-is-sent {n}", *cells] for n in range(30)]
    with (folder / "canary-table-7f3a9c.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows, ["canary-31-7f3a9c", "", "", "canary-cell-7f3a9c", ""]])
    pl.DataFrame(rows, HEADER, orient="row").write_parquet(folder / "canary-table-7f3a9c.parquet")
    monkeypatch.setenv("CANARY", "canary-environment-7f3a9c")
    monkeypatch.setenv("USER", "canary-user-7f3a9c")
    monkeypatch.setenv("PARALLEL_API_KEY", KEY)
    return folder


def test_every_command_sends_mapped_cells_and_the_question_alone(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    config, table = "canary-config-7f3a9c.yaml", "canary-table-7f3a9c.csv"
    output = "canary-output-7f3a9c.csv"
    with serving("run-failed=2x", "error-after=1x") as url, between(url) as man:
        monkeypatch.setenv("PARALLEL_BASE_URL", man.base_url)
        where = "\"canary-id-7f3a9c\" <> 'canary-1-7f3a9c'"
        assert command("plan", config, table, "--where", where).code == 0
        assert command("check", config, table).code == 0
        assert not man.requests
        assert command("run", config, table, "--yes", "-o", output, "--where", where, "--settle", "1s").code in (0, 3)
        _decide(folder / "canary-output-7f3a9c.review.csv")
        assert command("review", config, "canary-output-7f3a9c.review.csv").code == 0
        assert command("run", config, "canary-table-7f3a9c.parquet", "--yes", "--retry-failed").code in (0, 3)
        assert command("verify", output).code in (0, 3)
        groups = json.loads((folder / "canary-output-7f3a9c.run.json").read_text())["groups"]
        shutil.move("canary-ledger-7f3a9c", "canary-moved-7f3a9c")
        found = [part for group in groups for part in ("--group", group)]
        assert command("recover", config, *found).code == 0
        shutil.move("canary-ledger-7f3a9c", "canary-again-7f3a9c")
        assert command("adopt", groups[0], config, table, "-o", "canary-adopted-7f3a9c.csv").code == 2  # our own
        assert command("status", config).code == 0
    sent = b"\n".join(man.requests).decode()
    for word in SENT:
        assert word in sent
    assert not re.findall(r".{20}7f3a9c.{0,20}", sent)
    for private in (str(folder.parent), socket.gethostname(), "17.25", "formulas"):
        assert private not in sent
    agents = set(re.findall(r"(?i)user-agent: ([^\r\n]*)", sent))
    assert agents
    assert not any(str(os.getpid()) in agent for agent in agents)  # anywhere else its few digits may stand by chance
    kinds = {request.split(b" ", 2)[0] for request in man.requests}
    assert kinds == {b"GET", b"POST"}


def _decide(path: Path) -> None:
    """Decide every doubtful answer, with canaries for words."""
    rows = read_csv(path)
    assert rows
    for row in rows:
        fits = row["field"] == "city"
        row |= {"decision": "correct" if fits else "reject", "note": "canary-note-7f3a9c"}
        row["correction"] = "canary-correction-7f3a9c" if fits else ""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_what_a_request_consists_of(folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, so that what is added some day is added knowingly."""
    monkeypatch.chdir(folder)
    with serving() as url, between(url) as man:
        monkeypatch.setenv("PARALLEL_BASE_URL", man.base_url)
        argv = ("run", "canary-config-7f3a9c.yaml", "canary-table-7f3a9c.csv", "--limit", "1", "--processor", "lite")
        assert command(*argv, "--yes").code == 0
    posts = {request.split()[1].decode(): request for request in man.requests if request.startswith(b"POST")}
    group, runs = (json.loads(request[request.index(b"{") :]) for request in posts.values())
    assert group == {"metadata": {"enrich_job": "name-that-is-sent"}}
    assert runs.keys() == {"default_task_spec", "inputs"}
    (asked,) = runs["inputs"]
    assert asked.keys() == {"processor", "input", "metadata"}
    assert asked["input"] == {
        "company": "cell-that-is-sent 0",
        "about": "literal-that-is-sent: text-that-is-sent",
    }
    assert asked["metadata"].keys() == {"enrich_task", "enrich_input", "enrich_fields", "enrich_gen"}
    assert all(re.fullmatch(r"[0-9a-f ]+", value) for value in asked["metadata"].values())
    headers = {line.partition(b":")[0].lower() for request in man.requests for line in request.splitlines()[1:] if line}
    assert {name.decode() for name in headers if not name.startswith(b"{")} == {
        *("host", "accept", "accept-encoding", "connection", "user-agent", "content-length", "content-type"),
        "x-api-key",
    }
