"""A ledger of any released version can be opened, and nothing in it is asked again.

`ledger_version_1.sql` is a ledger as the first released version wrote it. A change of the tables after that comes with
a step in `schema.MIGRATIONS` and a text of its own here; the old ones are never changed.
"""

import csv
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import enrich
from enrich.errors import LedgerError
from enrich.ledger import schema
from enrich.ledger.store import Ledger

CONFIG = """\
name: test
inputs:
  company: name
  website: domain
outputs:
  city: {type: string, description: City of the head office.}
  staff: {type: integer, description: Number of employees.}
processor: lite
"""
TABLE = "name,domain\nAcme,acme.example\nBeta,beta.example\nGamma,gamma.example\n"
ANSWERS = [
    ("Acme", "Invented city 9947", "accepted", "review"),
    ("Beta", "Basel", "human", "accepted"),
    ("Gamma", "Invented city 6166", "accepted", "accepted"),
]
RELEASED = sorted(Path(__file__).parent.glob("ledger_version_*.sql"))


@pytest.fixture
def old(tmp_path: Path) -> Callable[[Path], Path]:
    """Makes a ledger of a text, beside its config and table."""

    def make(text: Path) -> Path:
        path = tmp_path / ".enrich" / "ledger.db"
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as database:
            database.executescript(text.read_text())
        (tmp_path / "test.yaml").write_text(CONFIG)
        (tmp_path / "table.csv").write_text(TABLE)
        return path

    return make


@pytest.mark.parametrize("text", RELEASED, ids=lambda text: text.stem)
def test_a_released_ledger_is_brought_up_to_date(old: Callable[[Path], Path], text: Path) -> None:
    path = old(text)

    with closing(Ledger.open(path)) as ledger:
        ledger.check_whole()
        ledger.check_results()
        totals = ledger.totals()
        assert (totals.runs_completed, totals.usd_micro_paid, len(ledger.extra_runs())) == (3, 15_000, 1)

    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert schema.description(database) == schema.expected_description()


def described(database: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """All that a ledger's tables and indexes are declared to be, however it is spaced."""
    rows = database.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {(kind, name): "".join(sql.split()) for kind, name, sql in rows}


@pytest.mark.parametrize("text", RELEASED, ids=lambda text: text.stem)
def test_a_released_ledger_becomes_what_a_new_one_is(old: Callable[[Path], Path], text: Path, tmp_path: Path) -> None:
    path = old(text)
    Ledger.open(path).close()
    Ledger.open(tmp_path / "new.db").close()

    with closing(sqlite3.connect(path)) as migrated, closing(sqlite3.connect(tmp_path / "new.db")) as new:
        assert described(migrated) == described(new)


@pytest.mark.parametrize("text", RELEASED, ids=lambda text: text.stem)
def test_the_runs_of_a_released_ledger_are_found_by_their_inputs(old: Callable[[Path], Path], text: Path) -> None:
    path = old(text)
    with closing(sqlite3.connect(path)) as database:
        keys = [key for (key,) in database.execute("SELECT input_key FROM run ORDER BY n")]

    with closing(Ledger.reader(path)) as reader, closing(Ledger.open(path)) as ledger:
        for one in (reader, ledger, reader):
            held = one.held(keys)
            assert [(run.submission_id, run.n) for key in keys for run in held[key]] == [(1, 0), (1, 1), (1, 2)]
        ledger.check_whole()


@pytest.mark.parametrize("text", RELEASED, ids=lambda text: text.stem)
def test_nothing_in_a_released_ledger_is_asked_again(old: Callable[[Path], Path], text: Path) -> None:
    """The identities of inputs, fields and tasks are for good: another hash would be another bill."""
    folder = old(text).parent.parent
    report = enrich.run(folder / "test.yaml", folder / "table.csv", environ={})

    assert report.receipt.runs_submitted == 0
    assert answers_in(report.output) == ANSWERS


def answers_in(output: Path) -> list[tuple[str, str, str, str]]:
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["name"], row["city"], row["city_status"], row["staff_status"]) for row in rows]


def test_plan_and_status_read_a_released_ledger_too(old: Callable[[Path], Path]) -> None:
    folder = old(RELEASED[0]).parent.parent

    assert enrich.plan(folder / "test.yaml", folder / "table.csv").runs == {}


# ---------------------------------------------------------------------- the steps themselves


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of the version before the step that a test adds."""
    path = tmp_path / "ledger.db"
    Ledger.open(path).close()
    return path


def add_column(database: sqlite3.Connection) -> None:
    """A step to the next version."""
    database.execute("ALTER TABLE job ADD COLUMN host TEXT")


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def columns(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [row[1] for row in database.execute("PRAGMA table_info(job)")]


def test_a_step_and_its_record_are_made_together(path: Path) -> None:
    with closing(Ledger.open(path)) as ledger:
        ledger.migrate((*schema.MIGRATIONS, add_column))

    assert version(path) == schema.VERSION + 1
    assert columns(path)[-1] == "host"


def test_a_step_that_fails_changes_nothing(path: Path) -> None:
    before = version(path)

    def fail(database: sqlite3.Connection) -> None:
        add_column(database)
        raise KeyboardInterrupt

    with closing(Ledger.open(path)) as ledger, pytest.raises(KeyboardInterrupt):
        ledger.migrate((*schema.MIGRATIONS, fail))

    assert version(path) == before
    assert "host" not in columns(path)
    Ledger.open(path).close()


def test_a_reader_brings_it_up_to_date_first(old: Callable[[Path], Path]) -> None:
    path = old(RELEASED[0])
    assert version(path) < schema.VERSION

    Ledger.reader(path).close()

    assert version(path) == schema.VERSION


def test_a_newer_ledger_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = path.read_bytes()

    for open_ in (Ledger.open, Ledger.reader):
        with pytest.raises(LedgerError, match=r"made by a newer enrich .* update enrich"):
            open_(path)

    assert path.read_bytes() == before
