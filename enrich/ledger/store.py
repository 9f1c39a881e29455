"""The ledger: a file of SQLite tables, opened, checked, and written in transactions.

`transaction()` makes one or several transitions durable with one fsync (WAL, synchronous=FULL). Readers may use a
connection of their own at any time. All times are Unix seconds, money is in millionths of a dollar.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from enrich.errors import LedgerError
from enrich.host.clock import SYSTEM
from enrich.host.files import Files, real
from enrich.ledger import asked, schema
from enrich.ledger.groups import add_groups, check_groups, complete_groups, groups_file
from enrich.ledger.lock import InstanceLock
from enrich.ledger.place import check_beside
from enrich.ledger.refusals import damaged, ledger_refusals
from enrich.ledger.transitions import Transitions
from enrich.records import RunState

_CACHE_KB: Final = 8_000  # more saves nothing: what is written is written in order, what is read is read anywhere
_WAL_PAGES: Final = 8_000  # checkpoint every 32 MB of log: two fsyncs more for thousands of results
_UNTRUSTED: Final = "PRAGMA trusted_schema = OFF"  # functions with effects are not called from within the tables


class Ledger(Transitions):
    """The tables. One connection; not safe for use by two threads at once."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path | None = None, now: Callable[[], float] = SYSTEM.wall
    ) -> None:
        super().__init__(connection, path, now)
        self._is_sound = True  # where it is not opened from a file

    # ------------------------------------------------------------------ opening

    @classmethod
    def open(cls, path: Path, *, may_lack_groups: bool = False, now: Callable[[], float] = SYSTEM.wall) -> "Ledger":
        """Open the ledger at `path`, made if absent (folder 0700, file 0600), checked if present.

        `now` gives the time, in Unix seconds, at which something becomes known.

        Raises LedgerError when it is damaged, not a ledger, of a newer version, or lacks groups that it paid through:
        a deleted ledger or an old copy, which only recovery may open.
        """
        path = real(path)
        cls.make_folder(path)
        check_beside(path)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600))
        except OSError as error:
            raise LedgerError(
                f"{path}: the ledger can't be opened ({error.strerror}); nothing was sent. Make the folder "
                "writable, or move the ledger with --ledger or `ledger:` in the config; then run the same command again"
            ) from None
        ledger = cls(sqlite3.connect(path, isolation_level=None, check_same_thread=False), path, now)
        try:
            with ledger_refusals(path):
                ledger._prepare()
                held = ledger.group_ids()
                complete_groups(path, held)
                if not may_lack_groups:
                    check_groups(path, lambda: held)
        except UnicodeDecodeError as error:  # SQLite's complaint quotes what it can't read
            ledger.close()
            raise damaged(path, str(error)) from None
        except BaseException:
            ledger.close()
            raise
        return ledger

    @staticmethod
    def make_folder(path: Path) -> None:
        """Make the ledger's folder, for its owner only. Raises LedgerError."""
        folder = real(path).parent
        made = [one for one in (folder, *folder.parents) if not one.exists()]
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for one in made:  # a power cut must not take the folder with all that was synced in it
                Files().sync_folder(one.parent)
        except OSError as error:
            raise LedgerError(
                f"{folder}: the ledger's folder can't be made ({error.strerror}); nothing was sent. "
                "Move the ledger with --ledger or `ledger:` in the config, and run the same command again"
            ) from None

    @classmethod
    def reader(cls, path: Path) -> "Ledger":
        """A read-only view of the ledger at `path`, beside the one that writes.

        One of an older version is brought up to date first, one without any table holds nothing. Raises LedgerError
        where there is none, or it can't be read.
        """
        path = real(path)
        if not path.exists():
            raise LedgerError(f"{path}: there is no ledger here yet; `enrich run` makes one")
        ledger = cls._read_only(path)
        if ledger._version() < schema.VERSION:
            ledger.close()
            with InstanceLock(path):
                cls.open(path, may_lack_groups=True).close()
            ledger = cls._read_only(path)
        return ledger

    @classmethod
    def _read_only(cls, path: Path) -> "Ledger":
        uri = path.as_uri() + "?mode=ro"
        if not (Files().may_write(path.parent) or _log_of(path).exists()):
            uri += "&immutable=1"  # else SQLite makes its log, also to read; there is none, so nobody is writing
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        ledger = cls(connection, path)
        try:
            with ledger_refusals(path):
                connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
                connection.execute(_UNTRUSTED)
                if schema.is_blank(connection):  # a command was killed while it made it: the next one makes its tables
                    connection.close()
                    check_groups(path, tuple)
                    return cls.in_memory()
                version = ledger._version()
                ledger._refuse_strange()
                if version == schema.VERSION:
                    ledger._check_description()
                ledger._aside = asked.Aside(connection)
        except BaseException:
            ledger.close()
            raise
        return ledger

    @classmethod
    def in_memory(cls, now: Callable[[], float] = SYSTEM.wall) -> "Ledger":
        """A ledger that is nowhere: for a plan without one, and for simulations."""
        ledger = cls(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False), None, now)
        schema.create(ledger.connection)
        return ledger

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def snapshot(self) -> bytes:
        """The whole database as bytes: what a disk would hold after a sync."""
        return self.connection.serialize()

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot: what is found after a power cut."""
        self.connection.deserialize(snapshot)
        self._submissions.clear()

    def _prepare(self) -> None:
        db = self.connection
        db.execute("PRAGMA busy_timeout = 5000")
        db.execute(_UNTRUSTED)
        new = schema.is_blank(db)
        if not new:
            self._version()  # before anything is changed in what may be no ledger
            self._refuse_strange()
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        if new:
            schema.create(db)
        self._is_sound = new
        self.migrate()
        self._check_description()
        # Results are most of the file, and each block of them says itself whether it is what was written.
        for table in schema.tables():
            if table != "block":
                self._check_pages(f"PRAGMA quick_check('{table}')")

    def _version(self) -> int:
        """The version of the tables. Raises LedgerError for no ledger, and for one newer than this program."""
        (application,) = self.connection.execute("PRAGMA application_id").fetchone()
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if application != schema.APPLICATION_ID:
            raise LedgerError(f"{self.path}: this database is not a ledger; nothing was changed in it")
        if version > schema.VERSION:
            raise LedgerError(
                f"{self.path}: made by a newer enrich (ledger version {version}, this one knows up to "
                f"{schema.VERSION}); update enrich. Nothing was sent"
            )
        return int(version)

    def _refuse_strange(self) -> None:
        """Raise LedgerError for triggers, views and the like: the file may be another user's, or a download."""
        strange = schema.strange_parts(self.connection)
        if strange:
            raise LedgerError(
                f"{self.path}: this ledger holds what enrich never puts into one ({', '.join(strange[:3])}), by which"
                " reading or writing it would do something else; nothing was sent, and nothing was changed in it. Take"
                " it out with SQLite's own tools if you know it, or rebuild the ledger from the service's own records"
                " with `enrich recover --replace`, for free"
            )

    def _check_description(self) -> None:
        if schema.description(self.connection) != schema.expected_description():
            raise damaged(self.path, "its tables are not those of a ledger")

    def migrate(self, steps: Sequence[schema.Migration] = schema.MIGRATIONS) -> None:
        """Bring the tables up to the version after the last of these steps: all of them and the record in one
        transaction. No answer changes by it.
        """
        left = steps[self._version() - 1 :]
        if left:
            with self.transaction(keeps_answers=True):
                for step in left:
                    step(self.connection)
                self.connection.execute(f"PRAGMA user_version = {len(steps) + 1}")

    def _check_pages(self, pragma: str) -> None:
        try:
            with ledger_refusals(self.path or Path(":memory:")):
                problems = [row[0] for row in self.connection.execute(pragma)]
        except UnicodeDecodeError as error:  # SQLite's complaint quotes what it can't read
            problems = [str(error)]
        if problems != ["ok"]:
            raise damaged(self.path, "; ".join(problems[:3]))

    def _check_before_writing(self) -> None:
        """Raise LedgerError unless all pages are where they belong: what is written goes where they say."""
        if not self._is_sound:
            self._check_pages("PRAGMA quick_check(3)")
            self._is_sound = True

    def check_whole(self) -> None:
        """Raise LedgerError unless tables, indexes and counts agree: to be sure of before money is spent.

        Takes some 4 s for a million runs; opening checks only what a reader would stumble over without noticing.
        """
        self._check_pages("PRAGMA integrity_check(3)")
        self._is_sound = True
        wrong = self.connection.execute(
            "SELECT submission_id FROM submission JOIN run USING (submission_id) GROUP BY submission_id"
            " HAVING completed <> sum(run.state = ?) OR failed <> sum(run.state = ?) OR tasks <> count(*)",
            (RunState.COMPLETED, RunState.FAILED),
        ).fetchone()
        if wrong is not None:
            raise damaged(self.path, f"submission {wrong[0]} and its runs do not add up")
        with self._lookup_refusals():
            asked.check(self.connection)

    def check_results(self) -> None:
        """Raise LedgerError unless every result is as it was written. Reads all of them."""
        for (block_id,) in self.connection.execute("SELECT block_id FROM block ORDER BY block_id"):
            self._block(block_id)

    @contextmanager
    def transaction(self, *, keeps_answers: bool = False) -> Iterator[None]:
        """All the transitions made inside become durable together, or none of them.

        They give the ledger a new revision, unless they change nothing that answers are made of (`keeps_answers`).
        """
        self._check_before_writing()
        self.connection.execute("BEGIN IMMEDIATE")
        before = self._changes()
        try:
            yield
            if not keeps_answers and self._changes() != before:
                self.renew_revision()
            self.connection.execute("COMMIT")
        except BaseException:
            self._new_groups.clear()
            self._submissions.clear()  # the number of one that is undone is that of the next
            if self.connection.in_transaction:  # where the disk refuses, SQLite may have ended it by itself
                self.connection.execute("ROLLBACK")
            raise
        if self._new_groups and self.path is not None:
            add_groups(groups_file(self.path), self._new_groups)
        self._new_groups.clear()

    def _changes(self) -> int:
        """Rows changed so far, but for those by which runs are found: they follow from others."""
        return self.connection.total_changes - self._lookup_changes

    def asked_tables(self) -> tuple[str, ...]:
        """As a question; where this connection may write, what the table lacks is added to it first."""
        if self._aside is None:
            with self._lookup_refusals():
                if asked.gap(self.connection):
                    self._complete_lookup()
        return super().asked_tables()

    def _complete_lookup(self) -> None:
        """In the transaction that is open, or in one of its own; no answer changes by it."""
        if self.connection.in_transaction:
            return self.close_lookup_gap()
        with self.transaction(keeps_answers=True):
            return self.close_lookup_gap()


def _log_of(path: Path) -> Path:
    """Where SQLite keeps what is not in the database yet."""
    return path.with_name(path.name + "-wal")
