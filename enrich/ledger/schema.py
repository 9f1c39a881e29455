"""Tables of the ledger, their version, and the steps from one version to the next.

docs/ledger.md describes the tables for readers with other tools.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache
from typing import Final

APPLICATION_ID: Final = 0x656E7269  # "enri": tells `file` and us that a database is a ledger

_TABLES: Final = """
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE field (
    field_id TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    schema   TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE fieldset (
    fieldset_id INTEGER PRIMARY KEY,
    field_ids   TEXT NOT NULL UNIQUE
);

CREATE TABLE job (
    job_id     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    config     TEXT NOT NULL,
    source     TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    ending     TEXT,
    manifest   TEXT
);

CREATE TABLE submission (
    submission_id INTEGER PRIMARY KEY,
    job_id        INTEGER NOT NULL REFERENCES job,
    backend       TEXT NOT NULL DEFAULT 'groups',
    batch_ref     TEXT,
    origin        TEXT NOT NULL DEFAULT 'asked' CHECK (origin IN ('asked', 'adopted', 'recovered')),
    state         TEXT NOT NULL CHECK (state IN ('sending', 'unknown', 'open', 'done', 'refused')),
    watched       INTEGER NOT NULL DEFAULT 0,
    processor     TEXT NOT NULL,
    fieldset_id   INTEGER NOT NULL REFERENCES fieldset,
    usd_micro     INTEGER,
    tasks         INTEGER NOT NULL,
    accepted      INTEGER NOT NULL DEFAULT 0,
    completed     INTEGER NOT NULL DEFAULT 0,
    failed        INTEGER NOT NULL DEFAULT 0,
    body_hash     BLOB NOT NULL,
    sent_wall     REAL NOT NULL,
    since_wall    REAL NOT NULL,
    since_mono    REAL NOT NULL,
    since_boot    TEXT NOT NULL,
    run_ids       TEXT,
    runs_cursor   TEXT,
    detail        TEXT,
    doubted       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX submission_by_state ON submission (state) WHERE state IN ('sending', 'unknown', 'open');
CREATE INDEX submission_watched ON submission (watched) WHERE watched;

CREATE TABLE run (
    submission_id INTEGER NOT NULL REFERENCES submission,
    n             INTEGER NOT NULL,
    input_key     BLOB NOT NULL CHECK (length(input_key) = 16),
    generation    INTEGER NOT NULL CHECK (generation >= 0),
    state         INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 5),
    run_id        TEXT,
    at            INTEGER,
    block_id      INTEGER,
    slot          INTEGER,
    error         TEXT,
    usd_micro     INTEGER,
    PRIMARY KEY (submission_id, n)
) WITHOUT ROWID;
CREATE INDEX run_with_price ON run (submission_id, n) WHERE usd_micro IS NOT NULL;

CREATE TABLE asked (
    input_key     BLOB NOT NULL,
    submission_id INTEGER NOT NULL,
    n             INTEGER NOT NULL,
    PRIMARY KEY (input_key, submission_id, n)
) WITHOUT ROWID;

CREATE TABLE extra_run (
    run_id        TEXT PRIMARY KEY,
    submission_id INTEGER NOT NULL,
    n             INTEGER NOT NULL,
    found_at      INTEGER NOT NULL,
    state         INTEGER NOT NULL,
    job_id        INTEGER NOT NULL,
    block_id      INTEGER,
    slot          INTEGER
) WITHOUT ROWID;

CREATE TABLE decision_event (
    event_id  INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    who       TEXT NOT NULL,
    origin    TEXT NOT NULL,
    input_key BLOB NOT NULL CHECK (length(input_key) = 16),
    field_id  TEXT NOT NULL,
    ruling    TEXT NOT NULL CHECK (ruling IN ('accept', 'correct', 'reject', 'none')),
    value     TEXT NOT NULL,
    run_id    TEXT NOT NULL,
    note      TEXT NOT NULL,
    seen      TEXT,
    based_on  INTEGER REFERENCES decision_event,
    undoes    INTEGER REFERENCES decision_event
);
CREATE UNIQUE INDEX decision_by_answer ON decision_event (input_key, field_id, event_id);

CREATE VIEW decision AS
SELECT input_key, field_id, ruling, value, run_id, note, at, who, origin, seen, event_id FROM decision_event AS said
WHERE ruling <> 'none' AND event_id = (
    SELECT max(event_id) FROM decision_event AS other
    WHERE other.input_key = said.input_key AND other.field_id = said.field_id
);

CREATE TABLE tombstone (
    mark BLOB PRIMARY KEY CHECK (length(mark) = 32),
    at   INTEGER NOT NULL,
    who  TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE block (
    block_id INTEGER PRIMARY KEY,
    size     INTEGER NOT NULL,
    crc      INTEGER NOT NULL,
    data     BLOB NOT NULL
);
"""

_NONE_ASKED: Final = "INSERT INTO meta (key, value) VALUES ('asked', '0')"
NEW_REVISION: Final = "INSERT OR REPLACE INTO meta (key, value) VALUES ('revision', lower(hex(randomblob(16))))"


def _ask_by_table(connection: sqlite3.Connection) -> None:
    """From version 1: an index that each run was written to, at a place of its own, gives way to a table."""
    connection.execute("DROP INDEX run_by_input")
    connection.execute(
        "CREATE TABLE asked (input_key BLOB NOT NULL, submission_id INTEGER NOT NULL, n INTEGER NOT NULL,"
        " PRIMARY KEY (input_key, submission_id, n)) WITHOUT ROWID"
    )
    connection.execute("INSERT INTO meta (key, value) VALUES ('asked', '0')")


_TO_3: Final = """
ALTER TABLE job ADD COLUMN manifest TEXT;

CREATE TEMP TABLE submission_2 AS SELECT * FROM main.submission;
DROP TABLE main.submission;
CREATE TABLE submission (
    submission_id INTEGER PRIMARY KEY,
    job_id        INTEGER NOT NULL REFERENCES job,
    backend       TEXT NOT NULL DEFAULT 'groups',
    batch_ref     TEXT,
    origin        TEXT NOT NULL DEFAULT 'asked' CHECK (origin IN ('asked', 'adopted', 'recovered')),
    state         TEXT NOT NULL CHECK (state IN ('sending', 'unknown', 'open', 'done', 'refused')),
    watched       INTEGER NOT NULL DEFAULT 0,
    processor     TEXT NOT NULL,
    fieldset_id   INTEGER NOT NULL REFERENCES fieldset,
    usd_micro     INTEGER,
    tasks         INTEGER NOT NULL,
    accepted      INTEGER NOT NULL DEFAULT 0,
    completed     INTEGER NOT NULL DEFAULT 0,
    failed        INTEGER NOT NULL DEFAULT 0,
    body_hash     BLOB NOT NULL,
    sent_wall     REAL NOT NULL,
    since_wall    REAL NOT NULL,
    since_mono    REAL NOT NULL,
    since_boot    TEXT NOT NULL,
    run_ids       TEXT,
    runs_cursor   TEXT,
    detail        TEXT,
    doubted       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX submission_by_state ON submission (state) WHERE state IN ('sending', 'unknown', 'open');
CREATE INDEX submission_watched ON submission (watched) WHERE watched;
INSERT INTO submission
SELECT submission_id, job_id, 'groups', group_id,
       CASE WHEN length(body_hash) THEN 'asked' WHEN rebuilt OR usd_micro THEN 'recovered' ELSE 'adopted' END,
       state, watched, processor, fieldset_id,
       CASE WHEN length(body_hash) OR usd_micro OR NOT rebuilt THEN usd_micro END,
       tasks, accepted, completed, failed, body_hash, sent_wall, since_wall, since_mono, since_boot,
       run_ids, runs_cursor, detail, 0
FROM (
    SELECT submission_2.*, name = 'recover' AND config = '' AND source = '' AS rebuilt
    FROM temp.submission_2 JOIN job USING (job_id)
);
DROP TABLE temp.submission_2;

ALTER TABLE run ADD COLUMN usd_micro INTEGER;
CREATE INDEX run_with_price ON run (submission_id, n) WHERE usd_micro IS NOT NULL;

CREATE TABLE decision_event (
    event_id  INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    who       TEXT NOT NULL,
    origin    TEXT NOT NULL,
    input_key BLOB NOT NULL CHECK (length(input_key) = 16),
    field_id  TEXT NOT NULL,
    ruling    TEXT NOT NULL CHECK (ruling IN ('accept', 'correct', 'reject', 'none')),
    value     TEXT NOT NULL,
    run_id    TEXT NOT NULL,
    note      TEXT NOT NULL,
    seen      TEXT,
    based_on  INTEGER REFERENCES decision_event,
    undoes    INTEGER REFERENCES decision_event
);
CREATE UNIQUE INDEX decision_by_answer ON decision_event (input_key, field_id, event_id);
INSERT INTO decision_event (at, who, origin, input_key, field_id, ruling, value, run_id, note)
SELECT at, '', 'sheet', input_key, field_id, ruling, value, run_id, note FROM decision ORDER BY at, input_key, field_id;
DROP TABLE decision;
CREATE VIEW decision AS
SELECT input_key, field_id, ruling, value, run_id, note, at, who, origin, seen, event_id FROM decision_event AS said
WHERE ruling <> 'none' AND event_id = (
    SELECT max(event_id) FROM decision_event AS other
    WHERE other.input_key = said.input_key AND other.field_id = said.field_id
);

CREATE TABLE tombstone (
    mark BLOB PRIMARY KEY CHECK (length(mark) = 32),
    at   INTEGER NOT NULL,
    who  TEXT NOT NULL
) WITHOUT ROWID;
"""


def _say_where_runs_come_from(connection: sqlite3.Connection) -> None:
    """From version 2: backends, origins and prices of runs, manifests of jobs, decisions as events, tombstones.

    Until then a price of 0 was said of what another program had paid for, and of a recovered run of a processor whose
    price was not known any more; who recovered is told by the job, which had neither config nor table.
    """
    for statement in _TO_3.split(";\n"):
        connection.execute(statement)


Migration = Callable[[sqlite3.Connection], None]

# MIGRATIONS[n - 1] takes a ledger of version n to n + 1; the last version is the length of the list + 1.
MIGRATIONS: Final[tuple[Migration, ...]] = (_ask_by_table, _say_where_runs_come_from)
VERSION: Final = len(MIGRATIONS) + 1


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of the newest version in an empty database, in one transaction."""
    connection.executescript(
        f"BEGIN IMMEDIATE; {_TABLES} {_NONE_ASKED}; {NEW_REVISION}; PRAGMA application_id = {APPLICATION_ID}; "
        f"PRAGMA user_version = {VERSION}; COMMIT;"
    )


def is_blank(connection: sqlite3.Connection) -> bool:
    """Whether a database has no table yet: nothing was ever kept in it."""
    (parts,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return bool(parts == 0)


def strange_parts(connection: sqlite3.Connection) -> list[str]:
    """What a database has and no ledger ever had: it acts by itself, or stands for something else, when it is used."""
    rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY name").fetchall()
    return [f"{kind} {name}" for kind, name, sql in rows if not _is_ours(kind, name, sql)]


def _is_ours(kind: str, name: str, sql: str) -> bool:
    """Whether a part may be one of a ledger: a view only if it is the very view that ledgers have."""
    if kind == "table":
        return is_plain_table(sql)
    return kind == "index" or expected_description().get((kind, name)) == _bare(sql)


def is_plain_table(sql: str) -> bool:
    """Whether a table holds what was written to it, and nothing that is computed when it is read."""
    text = _bare(sql).upper()
    return text.startswith("CREATETABLE") and "AS(" not in text


def description(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Every table, index and view as SQL, without the blanks, in which versions differ."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    return {(kind, name): _bare(sql) for kind, name, sql in rows}


def expected_description() -> Mapping[tuple[str, str], str]:
    """The tables, indexes and views of the newest version."""
    return _described(_TABLES)


@cache
def _described(tables: str) -> Mapping[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(tables)
        return description(connection)


def tables() -> list[str]:
    """The names of the tables of the newest version."""
    return sorted(name for kind, name in expected_description() if kind == "table")


def _bare(sql: str) -> str:
    return "".join(sql.split())
