"""A set of keys on disk, for as long as a block lasts: it may be too large for memory."""

import sqlite3
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

_CACHE_KB: Final = 8_000
_IN_CHUNK: Final = 500  # bound variables of one SELECT … IN (…)


class Distinct:
    """Keys seen so far, each with a note of the one who gave it first; a context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        self._db.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, note TEXT, time INTEGER) WITHOUT ROWID")
        self._time = 0  # how often keys were given

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._db.close()

    def seen_before(self, notes: Mapping[bytes, str]) -> dict[bytes, str]:
        """The first notes of those of these keys that were given before; the other keys are new, and are kept."""
        self._time += 1
        self._db.execute("BEGIN")
        new = self._db.executemany(
            "INSERT OR IGNORE INTO seen (key, note, time) VALUES (?, ?, ?)",
            [(key, note, self._time) for key, note in notes.items()],
        ).rowcount
        self._db.execute("COMMIT")
        return {} if new == len(notes) else self._given_earlier(list(notes))

    def _given_earlier(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        seen: dict[bytes, str] = {}
        for start in range(0, len(keys), _IN_CHUNK):
            chunk = keys[start : start + _IN_CHUNK]
            marks = ",".join("?" * len(chunk))
            seen.update(
                self._db.execute(
                    f"SELECT key, note FROM seen WHERE key IN ({marks}) AND time < ?",  # noqa: S608
                    (*chunk, self._time),
                )
            )
        return seen
