"""A ledger of an earlier version is brought up to date, all or nothing, by a command that is killed at any moment."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from enrich.ledger import schema
from enrich.ledger.store import Ledger
from tests.processes.commands import Commands, Disk
from tests.upkeep.test_migrations import ANSWERS, CONFIG, RELEASED, TABLE, answers_in

MOST_CALLS = 200  # on the ledger; a command that asks nothing makes fewer


@pytest.mark.parametrize(
    "every",
    [
        pytest.param(7, id="some"),
        pytest.param(1, id="all", marks=[pytest.mark.nightly, pytest.mark.timeout(900)]),
    ],
)
@pytest.mark.parametrize("text", RELEASED, ids=lambda text: text.stem)
def test_killed_at_a_write_it_is_the_old_one_or_the_new_one(
    disks: Commands, tmp_path: Path, text: Path, every: int
) -> None:
    argv = ["run", "test.yaml", "table.csv", "--quiet", "--yes"]
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(text.read_text())
        old = database.execute("PRAGMA user_version").fetchone()[0]
    found = []
    for at in range(1, MOST_CALLS, every):
        folder = tmp_path / str(at)
        path = folder / ".enrich" / "ledger.db"
        path.parent.mkdir(parents=True)
        with closing(sqlite3.connect(path)) as database:
            database.executescript(text.read_text())
        (folder / "test.yaml").write_text(CONFIG)
        (folder / "table.csv").write_text(TABLE)
        disk = Disk("kill", tmp_path / f"{at}.log", calls="write,sync,rename", path=".enrich/ledger.db", at=at)
        status = disks.start(argv, folder=folder, environ={}, disk=disk).wait()
        with closing(sqlite3.connect(path)) as database:
            found.append(database.execute("PRAGMA user_version").fetchone()[0])
            assert found[-1] == old or schema.description(database) == schema.expected_description()
        if status != -9:
            break
        again = disks.start(argv, folder=folder, environ={})
        assert again.wait() == 0, again.said()
        assert answers_in(folder / "table.enriched.csv") == ANSWERS
        with closing(Ledger.open(path)) as ledger:
            ledger.check_whole()
            assert (ledger.totals().runs_completed, len(ledger.extra_runs())) == (3, 1)
    assert status == 0
    assert (found[0], found[-1]) == (old, schema.VERSION)
    assert found == sorted(found)
