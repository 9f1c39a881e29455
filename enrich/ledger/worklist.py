"""The scratch table of one plan: distinct inputs, and which of them are due. On disk, so that memory stays flat.

A private temporary database that SQLite deletes by itself. Nothing in it outlives the command: all of it follows from
the table, the config and the ledger.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import TracebackType
from typing import Final, Self

from enrich.records import Task, Wanted

_MASK_BITS: Final = 50  # fields in one of the two integers of a mask: SQLite's have 63 bits
CHUNK: Final = 2000
_ROWS: Final = 100  # added by one statement
_CACHE_KB: Final = 16_000  # for keys in the order of their hashes
_READING_CACHE_KB: Final = 1_000  # for one pass in the order of the table


class Worklist:
    """Distinct inputs in the order in which the table first has them; a context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        self._db.executescript(
            "CREATE TABLE wanted (seq INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, document BLOB NOT NULL,"
            " low INTEGER NOT NULL, high INTEGER NOT NULL);"
            "CREATE TABLE alias (alias BLOB PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;"
            "CREATE TABLE due (question INTEGER NOT NULL, seq INTEGER NOT NULL, generation INTEGER NOT NULL,"
            " previous TEXT, PRIMARY KEY (question, seq)) WITHOUT ROWID;"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def add(self, rows: Iterable[tuple[bytes, bytes, int]]) -> None:
        """Add (key, document, mask) of rows; an input that is there already wants the fields of both."""
        low = (1 << _MASK_BITS) - 1
        values = [(key, document, mask & low, mask >> _MASK_BITS) for key, document, mask in rows]
        self._db.execute("BEGIN")
        for start in range(0, len(values), _ROWS):
            part = values[start : start + _ROWS]
            self._db.execute(
                f"INSERT INTO wanted (key, document, low, high) VALUES {_marks(4, len(part))}"  # noqa: S608
                " ON CONFLICT (key) DO UPDATE SET low = low | excluded.low, high = high | excluded.high",
                tuple(chain.from_iterable(part)),
            )
        self._db.execute("COMMIT")

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM wanted").fetchone()[0])

    def add_aliases(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Add (other key, key) of inputs that are asked about in an older form."""
        self._db.executemany("INSERT OR IGNORE INTO alias (alias, key) VALUES (?, ?)", pairs)

    def find(self, keys: Iterable[bytes]) -> bytes | None:
        """The first input of the table that one of these keys stands for, by its own name or by its other one."""
        for key in keys:
            row = self._db.execute(
                "SELECT key FROM wanted WHERE key = ? UNION ALL SELECT key FROM alias WHERE alias = ?", (key, key)
            ).fetchone()
            if row is not None:
                return bytes(row[0])
        return None

    def chunks(self) -> Iterator[list[Wanted]]:
        """All inputs, some thousands at a time."""
        last = 0
        while True:
            rows = self._db.execute(
                "SELECT seq, key, document, low, high FROM wanted WHERE seq > ? ORDER BY seq LIMIT ?",
                (last, CHUNK),
            ).fetchall()
            if not rows:
                return
            yield [Wanted(seq, key, document, low | high << _MASK_BITS) for seq, key, document, low, high in rows]
            last = rows[-1][0]

    def clear_due(self) -> None:
        """Forget what is due: a new comparison begins."""
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        self._db.execute("DELETE FROM due")

    def add_due(self, rows: Sequence[tuple[int, int, int, str | None]]) -> None:
        """Add (question, seq, generation, previous interaction) of runs that are due."""
        self._db.execute("BEGIN")
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            self._db.execute(
                f"INSERT INTO due (question, seq, generation, previous) VALUES {_marks(4, len(part))}",  # noqa: S608
                tuple(chain.from_iterable(part)),
            )
        self._db.execute("COMMIT")

    def due_counts(self) -> Mapping[int, int]:
        """Runs that are due, by question."""
        return dict(self._db.execute("SELECT question, count(*) FROM due GROUP BY question"))

    def batches(self, question: int, size: int) -> Iterator[list[Task]]:
        """The runs due for a question, `size` at a time, in the order of the table."""
        self._db.execute(f"PRAGMA cache_size = -{_READING_CACHE_KB}")
        last = 0
        while True:
            rows = self._db.execute(
                "SELECT due.seq, key, document, generation, previous FROM due JOIN wanted USING (seq)"
                " WHERE question = ? AND due.seq > ? ORDER BY due.seq LIMIT ?",
                (question, last, size),
            ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [Task(key, document, generation, previous) for _, key, document, generation, previous in rows]


def _marks(columns: int, rows: int) -> str:
    """The values of an INSERT, to be bound."""
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)
