"""What a ledger of version 2 did not say, version 3 says of it: where its runs came from, and what was decided."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from enrich.ledger.store import Ledger
from tests.upkeep.test_migrations import RELEASED

OLD = next(text for text in RELEASED if text.stem == "ledger_version_2")
RECOVER, ADOPT = ("recover", "", ""), ("companies", "companies.yaml", "companies.csv")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(OLD.read_text())
    return path


def add(path: Path, number: int, job: tuple[str, str, str], processor: str, usd_micro: int) -> None:
    """A submission as version 2 wrote it whose runs were entered without having been asked: it has no body."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO job VALUES (?, ?, ?, ?, 1, 2, 'done')", (number, *job))
        database.execute(
            "INSERT INTO submission VALUES"
            " (?, ?, ?, 'done', 0, ?, 1, ?, 1, 1, 1, 0, x'', 1, 1, 1, 'b', NULL, NULL, '')",
            (number, number, f"tgrp_{number}", processor, usd_micro),
        )
        key = number.to_bytes(16, "big")
        database.execute("INSERT INTO run VALUES (?, 0, ?, 0, 2, 'trun_x', 5, 1, 0, NULL)", (number, key))


@pytest.mark.parametrize(
    ("job", "processor", "usd_micro", "origin", "price"),
    [
        pytest.param(ADOPT, "lite", 0, "adopted", 0, id="another program paid"),
        pytest.param(RECOVER, "lite", 5_000, "recovered", 5_000, id="found again"),
        pytest.param(RECOVER, "retired", 0, "recovered", None, id="found again, at a price not known any more"),
    ],
)
def test_a_price_of_nothing_says_who_paid_or_that_it_is_not_known(
    path: Path, job: tuple[str, str, str], processor: str, usd_micro: int, origin: str, price: int | None
) -> None:
    with closing(Ledger.open(path)) as ledger:
        before = ledger.totals()
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(OLD.read_text())
    add(path, 7, job, processor, usd_micro)

    with closing(Ledger.open(path)) as ledger:
        told = [(one.origin, one.price_micro) for one in map(ledger.submission, (1, 7))]
        assert told == [("asked", 5_000), (origin, price)]
        totals = ledger.totals()
        assert totals.runs_completed == before.runs_completed + 1
        assert totals.runs_paid == before.runs_paid + (origin == "recovered")
        assert totals.usd_micro_paid == before.usd_micro_paid + usd_micro
        assert totals.runs_unpriced == int(price is None)
        (place,) = ledger.connection.execute("SELECT backend, batch_ref FROM submission WHERE submission_id = 7")
        assert place == ("groups", "tgrp_7")
        assert ledger.group_ids()[-1] == "tgrp_7"


def test_decisions_hold_as_they_did_and_are_the_first_events(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT input_key, field_id, ruling, value, run_id, note, at FROM decision ORDER BY input_key"
        ).fetchall()

    with closing(Ledger.open(path)) as ledger:
        for key, field_id, ruling, value, run_id, note, at in rows:
            ruled = ledger.decisions([key])[key][field_id]
            assert (ruled.ruling, ruled.value.decode(), ruled.run_id, ruled.note) == (ruling, value, run_id, note)
            (event,) = ledger.decision_events(key, field_id)
            assert (event.ruled, event.at, event.who, event.origin) == (ruled, at, "", "sheet")
            assert (event.based_on, event.undoes, ruled.seen) == (None, None, None)
    assert len(rows) == 1


def test_no_outputs_have_to_be_written_again_for_it(path: Path) -> None:
    """No answer changes by it: what stood beside the ledger still stands."""
    with closing(sqlite3.connect(path)) as database:
        (revision,) = database.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
    with closing(Ledger.open(path)) as ledger:
        assert ledger.revision() == revision
