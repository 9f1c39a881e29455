"""Finding runs by their input: the table `asked`, which is brought up to date when a question comes.

An index on the inputs of runs would be written to at a place of its own for each run: a page for a row, to the log and
to the file. This table gets the runs of all submissions since the last question at once, in the order of its keys.
That can't miss one: a submission's runs are written with it, none is added later, and none ever changes its input. So a
number in `meta` says up to which submission the table goes, and changes in one transaction with it.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

RUNS: Final = (
    "SELECT input_key, submission_id, n FROM run WHERE submission_id > ? AND submission_id <= ? ORDER BY 1, 2, 3"
)


class WrongLookupError(ValueError):
    """The table, its number and the runs do not belong together."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The submissions whose runs can't be found by their input: those after one, up to another."""

    after: int
    up_to: int

    def __bool__(self) -> bool:
        return self.after < self.up_to


def gap(db: sqlite3.Connection) -> Gap:
    """What the table lacks. Raises WrongLookupError where its number can't be right."""
    row = db.execute(
        "SELECT CAST(value AS INTEGER), (SELECT coalesce(max(submission_id), 0) FROM submission)"
        " FROM meta WHERE key = 'asked'"
    ).fetchone()
    if row is None or not 0 <= row[0] <= row[1]:
        raise WrongLookupError("it does not say up to where runs can be found by their inputs")
    return Gap(*row)


class Aside:
    """What the table lacks, for a connection that can't write: in a table of its own, beside a process that may write.

    What that process adds to the table in the meantime is in both.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._up_to = 0

    def tables(self) -> tuple[str, ...]:
        """The tables that have, together, all runs that there were when this was asked. Raises WrongLookupError."""
        missing = gap(self._db)
        missing = Gap(max(missing.after, self._up_to), missing.up_to)
        if missing:
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS temp.asked_since (input_key BLOB, submission_id INTEGER, n INTEGER,"
                " PRIMARY KEY (input_key, submission_id, n)) WITHOUT ROWID"
            )
            self._db.execute(f"INSERT OR IGNORE INTO temp.asked_since {RUNS}", (missing.after, missing.up_to))
            self._up_to = missing.up_to
        return ("asked", "temp.asked_since") if self._up_to else ("asked",)


def check(db: sqlite3.Connection) -> None:
    """Raise WrongLookupError unless the table has each run up to its number, and nothing else."""
    up_to = gap(db).after
    runs, held = db.execute(
        "SELECT (SELECT count(*) FROM run WHERE submission_id <= ?), (SELECT count(*) FROM asked)", (up_to,)
    ).fetchone()
    lacking = db.execute(
        "SELECT submission_id FROM run LEFT JOIN asked USING (input_key, submission_id, n)"
        " WHERE submission_id <= ? AND asked.n IS NULL",
        (up_to,),
    ).fetchone()
    if runs != held or lacking is not None:
        raise WrongLookupError("its runs are not those that can be found by their inputs")
