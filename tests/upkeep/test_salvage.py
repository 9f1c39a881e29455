"""People's decisions are saved from a damaged ledger one by one: what can't be read of one costs no other."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from enrich.ledger.salvage import salvaged_decisions
from enrich.ledger.store import Ledger
from enrich.records import Ruled

KEY = b"k" * 16
GOOD = (KEY, "f" * 16, "correct", '"Bern"', "trun_1", "looked it up", 1_800_000_000)


def damaged(path: Path, *decisions: tuple[Any, ...]) -> Path:
    """A ledger with decisions as they may stand in it after damage."""
    Ledger.open(path).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        columns = "input_key, field_id, ruling, value, run_id, note, at"
        database.executemany(
            f"INSERT INTO decision_event (who, origin, {columns}) VALUES ('ann', 'sheet', ?, ?, ?, ?, ?, ?, ?)",
            decisions,
        )
    return path


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param((b"short", "e" * 16, "accept", "1", "trun_2", "", 1), id="key"),
        pytest.param((b"j" * 16, "e" * 16, "maybe", "1", "trun_2", "", 1), id="ruling"),
        pytest.param((b"j" * 16, "e" * 16, "accept", "{bad", "trun_2", "", 1), id="no JSON"),
        pytest.param((b"j" * 16, "e" * 16, "accept", b"1", "trun_2", "", 1), id="bytes"),
        pytest.param((b"j" * 16, "e" * 16, "accept", "1", "trun_2", "", "noon"), id="moment"),
    ],
)
def test_a_damaged_decision_is_left_out_and_the_others_are_saved(tmp_path: Path, odd: tuple[Any, ...]) -> None:
    path = damaged(tmp_path / "ledger.db", odd, GOOD)
    assert [event.ruled for event in salvaged_decisions(path)] == [
        Ruled(KEY, "f" * 16, "correct", b'"Bern"', "trun_1", "looked it up", 1_800_000_000, who="ann")
    ]
