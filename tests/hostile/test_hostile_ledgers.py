"""A ledger file that somebody else made: what acts by itself in it is found before anything is read from it."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import enrich
from enrich.cli import main
from enrich.errors import LedgerError
from enrich.ledger.salvage import known_groups, salvaged_decisions
from enrich.ledger.schema import is_plain_table
from enrich.ledger.store import Ledger
from tests.hostile.desk import Desk, serving

CONFIG = """\
name: hostile
inputs: {company: name}
outputs:
  city: {type: string, description: City of the head office.}
processor: lite
confidence: {missing: withhold}
"""
ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
TRIGGER = "CREATE TRIGGER quiet AFTER INSERT ON submission BEGIN DELETE FROM run; END"
STRANGE = {
    "a trigger": (TRIGGER, "trigger quiet"),
    "a trigger that never ends": (
        f"CREATE TRIGGER slow BEFORE INSERT ON meta WHEN (SELECT max(i) FROM ({ENDLESS} SELECT i FROM n)) BEGIN"
        " SELECT 1; END",
        "trigger slow",
    ),
    "a view beside the tables": ("CREATE VIEW all_runs AS SELECT * FROM run", "view all_runs"),
    "a view in a table's place": (
        f"DROP VIEW decision; ALTER TABLE decision_event RENAME TO mine; CREATE VIEW decision_event AS {ENDLESS}"
        " SELECT i AS event_id, 1 AS at, '' AS who, 'sheet' AS origin, zeroblob(16) AS input_key, 'f' AS field_id,"
        " 'accept' AS ruling, '1' AS value, 'r' AS run_id, '' AS note, NULL AS seen, NULL AS based_on, NULL AS undoes"
        " FROM n",
        "view decision_event",
    ),
    "a view in the place of ours": (
        f"DROP VIEW decision; CREATE VIEW decision AS {ENDLESS} SELECT zeroblob(16) AS input_key, 'f' AS field_id,"
        " 'accept' AS ruling, '1' AS value, 'r' AS run_id, '' AS note, i AS at, '' AS who, NULL AS seen FROM n",
        "view decision",
    ),
    "a virtual table": ("CREATE VIRTUAL TABLE words USING fts5 (word)", "table words"),
    "a column that is computed": ("ALTER TABLE run ADD COLUMN twice AS (n * 2)", "table run"),
}
OTHERWISE = {
    "a column": "ALTER TABLE meta ADD COLUMN more TEXT",
    "a default": "DROP TABLE tombstone; CREATE TABLE tombstone (mark BLOB DEFAULT (randomblob(1000000000)))",
    "an index on an expression": "CREATE INDEX slow ON run (length(input_key) * n)",
    "a table": "CREATE TABLE beside (x)",
    "no index": "DROP INDEX submission_by_state",
    "no view": "DROP VIEW decision",
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serving() as base_url:
        desk = Desk(tmp_path, base_url)
        desk.lay(CONFIG, ["name"], [["Acme"], ["Beta"], ["Gamma"]])
        yield desk


def change(ledger: Path, script: str) -> None:
    with closing(sqlite3.connect(ledger)) as database:
        database.executescript(script)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def ledger_of(report: enrich.Report) -> Path:
    return report.output.parent / ".enrich" / "ledger.db"


def commands(desk: Desk, ledger: Path) -> list[Callable[[], object]]:
    environ = {"PARALLEL_BASE_URL": desk.base_url, "PARALLEL_API_KEY": desk.key}
    return [
        desk.run,
        lambda: enrich.plan(desk.config, desk.table, environ=environ),
        lambda: Ledger.reader(ledger).close(),
        lambda: Ledger.open(ledger).close(),
    ]


@pytest.mark.parametrize("kind", STRANGE)
def test_what_acts_by_itself_is_refused_and_named(desk: Desk, kind: str) -> None:
    script, name = STRANGE[kind]
    ledger = ledger_of(desk.run())
    change(ledger, script)
    before = ledger.read_bytes()
    for command in commands(desk, ledger):
        with pytest.raises(LedgerError, match=rf"never puts into one \({name}.*enrich recover --replace"):
            command()
    assert ledger.read_bytes() == before


@pytest.mark.parametrize("kind", OTHERWISE)
def test_tables_that_are_declared_otherwise_are_refused(desk: Desk, kind: str) -> None:
    ledger = ledger_of(desk.run())
    change(ledger, OTHERWISE[kind])
    for command in commands(desk, ledger):
        with pytest.raises(LedgerError, match="its tables are not those of a ledger"):
            command()


@pytest.mark.parametrize("kind", STRANGE)
def test_it_is_rebuilt_for_free_without_a_look_at_what_is_strange(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = desk.run()
    ledger = ledger_of(first)
    change(ledger, STRANGE[kind][0])
    assert set(first.outcome.groups) <= set(known_groups(ledger))
    assert salvaged_decisions(ledger) == []
    monkeypatch.setenv("PARALLEL_BASE_URL", desk.base_url)
    monkeypatch.setenv("PARALLEL_API_KEY", desk.key)
    assert main(["recover", str(desk.config), "--replace"]) == 0
    assert desk.run().receipt.runs_paid == 0


def test_functions_with_effects_are_not_called_from_within_the_tables(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "x.db")
    reader = Ledger.reader(tmp_path / "x.db")
    for one in (ledger, reader):
        assert one.connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
        one.close()


def test_a_pipe_named_like_a_ledger_set_aside_is_not_opened(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "x.db").close()
    os.mkfifo(tmp_path / "x.db.damaged-20260101T000000.000000Z")
    assert salvaged_decisions(tmp_path / "x.db") == []


@pytest.mark.parametrize(
    ("sql", "is_plain"),
    [
        pytest.param("CREATE TABLE a (b TEXT)", True, id="a table"),
        pytest.param("create table a (b TEXT) WITHOUT ROWID", True, id="in small letters"),
        pytest.param("CREATE VIRTUAL TABLE a USING fts5 (b)", False, id="virtual"),
        pytest.param("CREATE TABLE a (b, c AS (b + 1))", False, id="computed"),
        pytest.param("CREATE TABLE a (b, c INT GENERATED ALWAYS\nAS\t(b + 1) STORED)", False, id="computed and stored"),
        pytest.param("CREATE VIEW a AS SELECT 1", False, id="a view"),
        pytest.param("None", False, id="nothing"),
    ],
)
def test_what_is_a_plain_table(sql: str, is_plain: bool) -> None:
    assert is_plain_table(sql) is is_plain
