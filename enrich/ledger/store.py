"""The ledger: SQLite tables, the transitions that change them, and the questions asked of them.

A transition is one method, named for what became known, and the only way a row changes; `transaction()` makes
one or several of them durable with one fsync (WAL, synchronous=FULL). Readers may use a connection of their
own at any time. All times are Unix seconds, money is in millionths of a dollar.
"""

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from enrich.errors import LedgerError
from enrich.host.files import Files, real
from enrich.ledger import asked, blocks, schema
from enrich.ledger.groups import add_groups, check_groups, complete_groups, groups_file
from enrich.ledger.lock import InstanceLock
from enrich.ledger.place import check_beside
from enrich.ledger.refusals import damaged, ledger_refusals
from enrich.records import (
    ExtraRun,
    Held,
    Intent,
    LedgerTotals,
    LiveRun,
    OpenSubmission,
    Outcome,
    Ruled,
    RunState,
    ServiceKind,
    Stamp,
)
from enrich.spec.identity import KEY_BYTES, fieldset_key, task_key

_LOOKED: Final = "group "  # before the id of a group that was read and holds nothing of ours
_IN_CHUNK: Final = 500  # bound variables of one SELECT … IN (…)
_CLOCKS_DIFFER_S: Final = 300  # at most, between the service and this machine
_CACHE_KB: Final = 8_000  # more saves nothing: what is written is written in order, what is read is read anywhere
_WAL_PAGES: Final = 8_000  # checkpoint every 32 MB of log: two fsyncs more for thousands of results
_UNTRUSTED: Final = "PRAGMA trusted_schema = OFF"  # functions with effects are not called from within the tables
_STATES: Final = tuple(RunState)  # by their number, from 0 on
_INSERT_RUNS: Final = """
WITH RECURSIVE place (n) AS (SELECT 0 WHERE :tasks > 0 UNION ALL SELECT n + 1 FROM place WHERE n + 1 < :tasks)
INSERT INTO run (submission_id, n, input_key, generation)
SELECT :submission_id, n, substr(:keys, n * :key_bytes + 1, :key_bytes),
       CAST(substr(:generations, n * :digits + 1, :digits) AS INTEGER) FROM place
"""
_FREE: Final = (RunState.RELEASED, RunState.REFUSED, RunState.FAILED)  # no run stands for the task any more


class Ledger:
    """The tables. One connection; not safe for use by two threads at once."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None = None) -> None:
        self.path = path
        self._db = connection
        self._submissions: dict[int, tuple[frozenset[str], str]] = {}
        self._new_groups: list[str] = []
        self._aside: asked.Aside | None = None  # where this connection can't write
        self._lookup_changes = 0
        self._is_sound = True  # where it is not opened from a file

    # ------------------------------------------------------------------ opening

    @classmethod
    def open(cls, path: Path, *, may_lack_groups: bool = False) -> "Ledger":
        """Open the ledger at `path`, made if absent (folder 0700, file 0600), checked if present.

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
        ledger = cls(sqlite3.connect(path, isolation_level=None, check_same_thread=False), path)
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
    def in_memory(cls) -> "Ledger":
        """A ledger that is nowhere: for a plan without one, and for simulations."""
        ledger = cls(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
        schema.create(ledger._db)
        return ledger

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def snapshot(self) -> bytes:
        """The whole database as bytes: what a disk would hold after a sync."""
        return self._db.serialize()

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot: what is found after a power cut."""
        self._db.deserialize(snapshot)
        self._submissions.clear()

    def _prepare(self) -> None:
        db = self._db
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
        self._migrate()
        self._check_description()
        # Results are most of the file, and each block of them says itself whether it is what was written.
        for table in schema.tables():
            if table != "block":
                self._check_pages(f"PRAGMA quick_check('{table}')")

    def _version(self) -> int:
        """The version of the tables. Raises LedgerError for no ledger, and for one newer than this program."""
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
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
        strange = schema.strange_parts(self._db)
        if strange:
            raise LedgerError(
                f"{self.path}: this ledger holds what enrich never puts into one ({', '.join(strange[:3])}), by which"
                " reading or writing it would do something else; nothing was sent, and nothing was changed in it. Take"
                " it out with SQLite's own tools if you know it, or rebuild the ledger from the service's own records"
                " with `enrich recover --replace`, for free"
            )

    def _check_description(self) -> None:
        if schema.description(self._db) != schema.expected_description():
            raise damaged(self.path, "its tables are not those of a ledger")

    def _migrate(self) -> None:
        """Bring the tables up to this program's version, each step and its record in one transaction."""
        for step in range(self._version(), schema.VERSION):
            with self.transaction():
                schema.MIGRATIONS[step - 1](self._db)
                self._db.execute(f"PRAGMA user_version = {step + 1}")

    def _check_pages(self, pragma: str) -> None:
        try:
            with ledger_refusals(self.path or Path(":memory:")):
                problems = [row[0] for row in self._db.execute(pragma)]
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
        wrong = self._db.execute(
            "SELECT submission_id FROM submission JOIN run USING (submission_id) GROUP BY submission_id"
            " HAVING completed <> sum(run.state = ?) OR failed <> sum(run.state = ?) OR tasks <> count(*)",
            (RunState.COMPLETED, RunState.FAILED),
        ).fetchone()
        if wrong is not None:
            raise damaged(self.path, f"submission {wrong[0]} and its runs do not add up")
        with self._lookup_refusals():
            asked.check(self._db)

    def check_results(self) -> None:
        """Raise LedgerError unless every result is as it was written. Reads all of them."""
        for (block_id,) in self._db.execute("SELECT block_id FROM block ORDER BY block_id"):
            self._block(block_id)

    @contextmanager
    def transaction(self, *, keeps_answers: bool = False) -> Iterator[None]:
        """All the transitions made inside become durable together, or none of them.

        They give the ledger a new revision, unless they change nothing that answers are made of (`keeps_answers`).
        """
        self._check_before_writing()
        self._db.execute("BEGIN IMMEDIATE")
        before = self._changes()
        try:
            yield
            if not keeps_answers and self._changes() != before:
                self.renew_revision()
            self._db.execute("COMMIT")
        except BaseException:
            self._new_groups.clear()
            self._submissions.clear()  # the number of one that is undone is that of the next
            if self._db.in_transaction:  # where the disk refuses, SQLite may have ended it by itself
                self._db.execute("ROLLBACK")
            raise
        if self._new_groups and self.path is not None:
            add_groups(groups_file(self.path), self._new_groups)
        self._new_groups.clear()

    def _changes(self) -> int:
        """Rows changed so far, but for those by which runs are found: they follow from others."""
        return self._db.total_changes - self._lookup_changes

    # ------------------------------------------------------------------ transitions

    def renew_revision(self) -> None:
        """What this ledger holds is not what any ledger held before."""
        self._db.execute(schema.NEW_REVISION)

    def start_job(
        self, *, name: str, config: str, source: str, fields: Mapping[str, tuple[str, Mapping[str, Any]]]
    ) -> int:
        """A command begins; `fields` maps field ids to (name, schema). Gives the job's id."""
        self.record_fields(fields)
        cursor = self._db.execute(
            "INSERT INTO job (name, config, source, started_at) VALUES (?, ?, ?, ?)",
            # A file name that isn't UTF-8 holds lone surrogates, which SQLite does not take.
            (name, *(path.encode(errors="replace").decode() for path in (config, source)), int(time.time())),
        )
        job_id = _rowid(cursor)
        # What commands found that did not live to report it, this one reports.
        self._db.execute(
            "UPDATE extra_run SET job_id = ? WHERE job_id IN (SELECT job_id FROM job WHERE ended_at IS NULL)", (job_id,)
        )
        return job_id

    def record_fields(self, fields: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
        """Fields that are asked or decided on: (name, schema) by their id. By the names earlier questions are known."""
        self._db.executemany(
            "INSERT OR IGNORE INTO field (field_id, name, schema) VALUES (?, ?, ?)",
            [(field_id, name, msgspec.json.encode(schema).decode()) for field_id, (name, schema) in fields.items()],
        )

    def end_job(self, job_id: int, ending: str) -> None:
        """A command ends, `ending` says how."""
        self._db.execute("UPDATE job SET ended_at = ?, ending = ? WHERE job_id = ?", (int(time.time()), ending, job_id))

    def record_service(self, kind: ServiceKind) -> None:
        """Results come from this kind of service; a ledger never holds both.

        Raises LedgerError when the ledger holds the other kind.
        """
        self._db.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('service', ?)", (kind,))
        (held,) = self._db.execute("SELECT value FROM meta WHERE key = 'service'").fetchone()
        if held != kind:
            raise LedgerError(
                f"{self.path}: this ledger holds results of the {held}, and the answers would now come from "
                f"the {kind}; they are never mixed. Nothing was sent. Give this run a ledger of its own with "
                "--ledger"
            )

    def record_intent(self, intent: Intent) -> int:
        """A POST is about to be sent. Gives the submission's id."""
        stamp = intent.stamp
        cursor = self._db.execute(
            "INSERT INTO submission (job_id, group_id, state, processor, fieldset_id, usd_micro, tasks,"
            " body_hash, sent_wall, since_wall, since_mono, since_boot)"
            " VALUES (?, ?, 'sending', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                intent.job_id,
                intent.group_id,
                intent.processor,
                self._fieldset_id(intent.field_ids),
                intent.usd_micro,
                len(intent.tasks),
                intent.body_hash,
                stamp.wall,
                stamp.wall,
                stamp.mono,
                stamp.boot,
            ),
        )
        submission_id = _rowid(cursor)
        self._add_runs(submission_id, intent.tasks)
        self._new_groups.append(intent.group_id)
        return submission_id

    def _add_runs(self, submission_id: int, tasks: Sequence[tuple[bytes, int]]) -> None:
        """The runs of a submission, by one statement: a thousand of them cost more than the rows they write."""
        if any(len(key) != KEY_BYTES for key, _ in tasks):  # they are cut by their length
            raise ValueError("an input key is too long, or too short")
        digits = max((len(str(generation)) for _, generation in tasks), default=1)
        self._db.execute(
            _INSERT_RUNS,
            {
                "submission_id": submission_id,
                "tasks": len(tasks),
                "key_bytes": KEY_BYTES,
                "keys": b"".join(key for key, _ in tasks),
                "generations": "".join(f"{generation:0{digits}}" for _, generation in tasks).encode(),
                "digits": digits,
            },
        )

    def record_accepted(self, submission_id: int, run_ids: Sequence[str], runs_cursor: str | None) -> None:
        """The service said that it made these runs; which run is whose is told by their metadata."""
        self._db.execute(
            "UPDATE submission SET state = 'open', accepted = ?, run_ids = ?, runs_cursor = ? WHERE submission_id = ?",
            (len(run_ids), " ".join(run_ids), runs_cursor, submission_id),
        )
        self._db.execute(
            "UPDATE run SET state = ? WHERE submission_id = ? AND state = ?",
            (RunState.ACCEPTED, submission_id, RunState.SENT),
        )

    def record_not_created(self, submission_id: int, detail: str) -> None:
        """The POST was refused, or never left, for a reason that passes: its tasks are free."""
        self._refuse(submission_id, RunState.RELEASED, detail)

    def record_refused(self, submission_id: int, detail: str) -> None:
        """The POST was refused as invalid: its tasks have failed, in the service's words."""
        self._refuse(submission_id, RunState.REFUSED, detail)

    def _refuse(self, submission_id: int, state: RunState, detail: str) -> None:
        self._db.execute(
            "UPDATE submission SET state = 'refused', detail = ? WHERE submission_id = ?",
            (detail, submission_id),
        )
        self._db.execute(
            "UPDATE run SET state = ?, at = ?, error = ? WHERE submission_id = ?",
            (state, int(time.time()), detail, submission_id),
        )

    def record_unknown(self, submission_id: int, stamp: Stamp, detail: str) -> None:
        """Whether the POST took effect is not known; settling is measured from `stamp`."""
        self._db.execute(
            "UPDATE submission SET state = 'unknown', since_wall = ?, since_mono = ?, since_boot = ?,"
            " detail = ? WHERE submission_id = ?",
            (stamp.wall, stamp.mono, stamp.boot, detail, submission_id),
        )

    def record_adopted(self, submission_id: int, runs: Mapping[int, str]) -> int:
        """Runs found in a listing belong to these tasks, n -> run id. Gives how many of them were not known.

        A late run of a task that was released, and not sent again since, or in vain, opens its submission again. It may
        have been taken for a double charge as long as the run that was sent again had not failed.
        """
        self._db.executemany(
            "UPDATE run SET state = ?, run_id = ? WHERE submission_id = ? AND n = ?",
            [(RunState.ACCEPTED, run_id, submission_id, n) for n, run_id in runs.items()],
        )
        extras = [self._end_extra(run_id) for run_id in runs.values()]
        ended = [(state, block_id, slot, run_id) for state, block_id, slot, run_id in filter(None, extras) if block_id]
        self._db.executemany(
            "UPDATE run SET state = ?, block_id = ?, slot = ? WHERE run_id = ? AND submission_id = ?",
            [(*outcome, submission_id) for outcome in ended],
        )
        completed = sum(state == RunState.COMPLETED for state, *_ in ended)
        self._db.execute(
            "UPDATE submission SET accepted = accepted + ?, completed = completed + ?, failed = failed + ?,"
            " state = CASE WHEN state = 'done' AND ? THEN 'open' ELSE state END WHERE submission_id = ?",
            (len(runs), completed, len(ended) - completed, len(runs) > len(ended), submission_id),
        )
        return extras.count(None)

    def record_resolved(self, submission_id: int) -> None:
        """All of an unknown submission is known: what was not adopted is free again, and is watched for."""
        released = self._db.execute(
            "UPDATE run SET state = ?, at = ? WHERE submission_id = ? AND state = ?",
            (RunState.RELEASED, int(time.time()), submission_id, RunState.SENT),
        ).rowcount
        self._db.execute(
            "UPDATE submission SET state = CASE WHEN accepted > completed + failed THEN 'open' ELSE 'done' END,"
            " watched = ? WHERE submission_id = ?",
            (released > 0, submission_id),
        )

    def record_outcomes(
        self, submission_id: int, outcomes: Sequence[Outcome], *, runs_cursor: str | None = None
    ) -> None:
        """Results arrived, with the cursor behind them. Closes the submission when none is left to come."""
        now = int(time.time())
        sent = min(self._sent(submission_id), now)  # no run ends before it was sent, whatever a clock says
        rows: list[tuple[object, ...]] = []
        for part in blocks.in_blocks(len(outcome.raw) for outcome in outcomes):
            block_id = self._add_block([outcomes[i].raw for i in part])
            for slot, i in enumerate(part):
                outcome = outcomes[i]
                state = RunState.COMPLETED if outcome.completed else RunState.FAILED
                at = now if outcome.at is None or outcome.at > now + _CLOCKS_DIFFER_S else max(outcome.at, sent)
                rows.append((state, outcome.run_id, at, block_id, slot, outcome.error, submission_id, outcome.n))
        self._db.executemany(
            "UPDATE run SET state = ?, run_id = ?, at = ?, block_id = ?, slot = ?, error = ?"
            " WHERE submission_id = ? AND n = ?",
            rows,
        )
        completed = sum(outcome.completed for outcome in outcomes)
        self._db.execute(
            "UPDATE submission SET completed = completed + ?, failed = failed + ?,"
            " runs_cursor = coalesce(?, runs_cursor),"
            " state = CASE WHEN state = 'open' AND accepted <= completed + failed + ? THEN 'done' ELSE state END,"
            " run_ids = CASE WHEN accepted <= completed + failed + ? THEN NULL ELSE run_ids END"
            " WHERE submission_id = ?",
            (
                completed,
                len(outcomes) - completed,
                runs_cursor,
                len(outcomes),
                len(outcomes),
                submission_id,
            ),
        )

    def _sent(self, submission_id: int) -> int:
        """When a submission was sent, in Unix seconds; 0 where that is not known, since recovery found its runs."""
        row = self._db.execute(
            "SELECT sent_wall FROM submission WHERE submission_id = ? AND length(body_hash)", (submission_id,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def record_extra(self, submission_id: int, n: int, run_id: str) -> int | None:
        """The service has a second run for a task whose live run is (submission, n): a double charge.

        Gives its price in millionths of a dollar; None when it was known.
        """
        new = self._db.execute(
            "INSERT OR IGNORE INTO extra_run (run_id, submission_id, n, found_at, state, job_id)"
            " VALUES (?, ?, ?, ?, ?, (SELECT max(job_id) FROM job))",
            (run_id, submission_id, n, int(time.time()), RunState.ACCEPTED),
        ).rowcount
        return self._price_of_extra(run_id)[1] if new else None

    def record_extra_outcome(self, run_id: str, *, completed: bool, raw: bytes) -> tuple[str, int]:
        """The result of a second run is kept too. Gives its processor, and its price in millionths of a dollar."""
        self._db.execute(
            "UPDATE extra_run SET state = ?, block_id = ?, slot = 0 WHERE run_id = ?",
            (RunState.COMPLETED if completed else RunState.FAILED, self._add_block([raw]), run_id),
        )
        return self._price_of_extra(run_id)

    def _end_extra(self, run_id: str) -> tuple[int, int | None, int | None, str] | None:
        """A run is no double charge any more. Gives (state, block, slot, id) of it, None where it was none."""
        extra: tuple[int, int | None, int | None, str] | None = self._db.execute(
            "SELECT state, block_id, slot, run_id FROM extra_run WHERE run_id = ?", (run_id,)
        ).fetchone()
        if extra is not None:
            self._db.execute("DELETE FROM extra_run WHERE run_id = ?", (run_id,))
        return extra

    def _price_of_extra(self, run_id: str) -> tuple[str, int]:
        processor, usd_micro = self._db.execute(
            "SELECT processor, usd_micro FROM extra_run JOIN submission USING (submission_id)"
            " WHERE extra_run.run_id = ?",
            (run_id,),
        ).fetchone()
        return processor, usd_micro

    def record_decisions(self, decisions: Sequence[Ruled]) -> None:
        """A person decided on answers; a later decision on the same answer takes the place of an earlier one."""
        self._db.executemany(
            "INSERT OR REPLACE INTO decision (input_key, field_id, ruling, value, run_id, note, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (one.input_key, one.field_id, one.ruling, one.value.decode(), one.run_id, one.note, one.at)
                for one in decisions
            ],
        )

    def end_watch(self, submission_id: int) -> None:
        """Nothing more is expected of a submission that once was unknown."""
        self._db.execute("UPDATE submission SET watched = 0 WHERE submission_id = ?", (submission_id,))

    def _add_block(self, results: list[bytes]) -> int:
        cursor = self._db.execute("INSERT INTO block (size, crc, data) VALUES (?, ?, ?)", blocks.pack(results))
        return _rowid(cursor)

    def _fieldset_id(self, field_ids: Iterable[str]) -> int:
        text = msgspec.json.encode(sorted(field_ids)).decode()
        self._db.execute("INSERT OR IGNORE INTO fieldset (field_ids) VALUES (?)", (text,))
        row = self._db.execute("SELECT fieldset_id FROM fieldset WHERE field_ids = ?", (text,)).fetchone()
        return int(row[0])

    # ------------------------------------------------------------------ questions

    def held(self, input_keys: Sequence[bytes]) -> dict[bytes, list[Held]]:
        """The runs held for each of these inputs, oldest first; inputs with none are absent."""
        found: dict[bytes, list[Held]] = {}
        tables = self._asked()
        for start in range(0, len(input_keys), _IN_CHUNK):
            chunk = input_keys[start : start + _IN_CHUNK]
            for table in tables:
                self._add_held(table, chunk, found)
        for key, several in found.items():
            if len(several) > 1:
                found[key] = _oldest_first(several)
        return found

    def _add_held(self, table: str, input_keys: Sequence[bytes], found: dict[bytes, list[Held]]) -> None:
        """Add the runs of some inputs, as a table of what was asked has them. What a run itself says decides."""
        marks = ",".join("?" * len(input_keys))
        rows = self._db.execute(
            "SELECT run.input_key, submission_id, n, generation, state, run_id, at, block_id, slot, error"  # noqa: S608
            f" FROM {table} AS asked CROSS JOIN run USING (submission_id, n)"
            f" WHERE asked.input_key IN ({marks}) AND run.input_key = asked.input_key",
            input_keys,
        ).fetchall()
        submissions = self._submissions
        for key, submission_id, n, generation, state, run_id, at, block_id, slot, error in rows:
            field_ids, processor = submissions.get(submission_id) or self._submission(submission_id)
            held = Held(
                submission_id,
                n,
                generation,
                _STATES[state],
                field_ids,
                processor,
                run_id,
                at,
                block_id,
                slot,
                error,
            )
            if key in found:
                found[key].append(held)
            else:
                found[key] = [held]

    def _asked(self) -> tuple[str, ...]:
        """The tables that find runs by their inputs, with all the runs there are: nothing else may ask them."""
        with self._lookup_refusals():
            if self._aside is not None:
                return self._aside.tables()
            if asked.gap(self._db):
                self._complete_asked()
            return ("asked",)

    def _complete_asked(self) -> None:
        """In the transaction that is open, or in one of its own; no answer changes by it."""
        if not self._db.in_transaction:
            with self.transaction(keeps_answers=True):
                return self._complete_asked()
        before = self._db.total_changes
        try:
            asked.close_gap(self._db)
        finally:
            self._lookup_changes += self._db.total_changes - before

    @contextmanager
    def _lookup_refusals(self) -> Iterator[None]:
        try:
            yield
        except asked.WrongLookupError as error:
            raise damaged(self.path, str(error)) from None

    def _submission(self, submission_id: int) -> tuple[frozenset[str], str]:
        known = self._submissions.get(submission_id)
        if known is None:
            field_ids, processor = self._db.execute(
                "SELECT field_ids, processor FROM submission JOIN fieldset USING (fieldset_id) WHERE submission_id = ?",
                (submission_id,),
            ).fetchone()
            known = (frozenset(msgspec.json.decode(field_ids)), processor)
            self._submissions[submission_id] = known
        return known

    def results(self, block_ids: Iterable[int]) -> Iterator[tuple[int, list[bytes]]]:
        """The raw results of blocks, block by block, in the order asked for. Raises LedgerError for a damaged one."""
        for block_id in block_ids:
            yield block_id, self._block(block_id)

    def every_result(self) -> Iterator[bytes]:
        """All raw results, in the order in which they came. Raises LedgerError for a damaged block."""
        for (block_id,) in self._db.execute("SELECT block_id FROM block ORDER BY block_id"):
            yield from self._block(block_id)

    def block_sizes(self, block_ids: Iterable[int]) -> dict[int, int]:
        """How many bytes the results of blocks have in memory, by block."""
        sizes: dict[int, int] = {}
        wanted = sorted(set(block_ids))
        for start in range(0, len(wanted), _IN_CHUNK):
            chunk = wanted[start : start + _IN_CHUNK]
            marks = ",".join("?" * len(chunk))
            found = self._db.execute(f"SELECT block_id, size FROM block WHERE block_id IN ({marks})", chunk)  # noqa: S608
            sizes.update(found)
        return sizes

    def _block(self, block_id: int) -> list[bytes]:
        row = self._db.execute("SELECT size, crc, data FROM block WHERE block_id = ?", (block_id,)).fetchone()
        if row is None:
            raise damaged(self.path, f"block {block_id} is missing")
        try:
            return blocks.unpack(*row)
        except blocks.CorruptBlockError as error:
            raise damaged(self.path, f"block {block_id}: {error}") from None

    def group_ids(self) -> list[str]:
        """The groups of all submissions, oldest first."""
        rows = self._db.execute("SELECT group_id FROM submission GROUP BY group_id ORDER BY min(submission_id)")
        return [group_id for (group_id,) in rows]

    def record_looked(self, group_ids: Iterable[str]) -> None:
        """Groups were read to their end, and hold no run of ours: nothing of them is lacking here."""
        self._db.executemany(
            "INSERT OR IGNORE INTO meta (key, value) VALUES (?, 'read')", [(_LOOKED + one,) for one in group_ids]
        )

    def lacking_groups(self, group_ids: Iterable[str]) -> list[str]:
        """Of these groups those of which this ledger knows nothing."""
        looked = self._db.execute("SELECT key FROM meta WHERE substr(key, 1, ?) = ?", (len(_LOOKED), _LOOKED))
        known = {*self.group_ids(), *(key.removeprefix(_LOOKED) for (key,) in looked)}
        return [one for one in dict.fromkeys(group_ids) if one not in known]

    def lacking_runs(self, run_ids: Iterable[str]) -> list[str]:
        """Of these runs those that this ledger lacks. They may be as many as a table has rows."""
        self._db.execute("CREATE TEMP TABLE named (run_id TEXT PRIMARY KEY) WITHOUT ROWID")
        try:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR IGNORE INTO named VALUES (?)", ((one,) for one in run_ids))
            self._db.execute("COMMIT")
            rows = self._db.execute(
                "SELECT run_id FROM named WHERE run_id NOT IN (SELECT run_id FROM run WHERE run_id IS NOT NULL)"
                " AND run_id NOT IN (SELECT run_id FROM extra_run)"
            ).fetchall()
        finally:
            self._db.execute("DROP TABLE named")
        return [run_id for (run_id,) in rows]

    def last_submission(self) -> int:
        """The number of the newest submission, 0 while there is none; those to come have higher ones."""
        row = self._db.execute("SELECT coalesce(max(submission_id), 0) FROM submission").fetchone()
        return int(row[0])

    def submissions_of(self, group_id: str) -> list[OpenSubmission]:
        """All submissions of a group, oldest first."""
        rows = self._db.execute(
            "SELECT submission_id FROM submission WHERE group_id = ? ORDER BY submission_id", (group_id,)
        ).fetchall()
        return [self.submission(row[0]) for row in rows]

    def open_submissions(self) -> list[OpenSubmission]:
        """Submissions with something left to learn: unresolved, with runs under way, or under watch."""
        rows = self._db.execute(
            "SELECT submission_id FROM submission WHERE state IN ('sending', 'unknown', 'open')"
            " UNION SELECT submission_id FROM submission WHERE watched ORDER BY 1"
        ).fetchall()
        return [self.submission(row[0]) for row in rows]

    def submission(self, submission_id: int) -> OpenSubmission:
        """One submission with its tasks, as the ledger has it now."""
        (group_id, state, watched, processor, field_json, usd, wall, mono, boot, cursor, run_ids) = self._db.execute(
            "SELECT group_id, state, watched, processor, field_ids, usd_micro, since_wall, since_mono,"
            " since_boot, runs_cursor, run_ids FROM submission JOIN fieldset USING (fieldset_id)"
            " WHERE submission_id = ?",
            (submission_id,),
        ).fetchone()
        field_ids = tuple(msgspec.json.decode(field_json))
        fieldset = fieldset_key(field_ids)
        found = OpenSubmission(
            submission_id,
            group_id,
            state,
            bool(watched),
            processor,
            field_ids,
            usd,
            Stamp(wall, mono, boot),
            cursor,
            frozenset((run_ids or "").split()),
        )
        for n, key, generation, run_state, run_id in self._db.execute(
            "SELECT n, input_key, generation, state, run_id FROM run WHERE submission_id = ? ORDER BY n",
            (submission_id,),
        ):
            found.tasks[task_key(key, fieldset, processor, generation)] = n
            found.inputs[key] = n
            found.states.append(_STATES[run_state])
            if run_id is not None:
                found.tied[run_id] = n
        return found

    def live_run(self, submission_id: int, n: int) -> LiveRun | None:
        """The run that a task has now; None where the task is free, or its run has failed.

        A task that was released and sent again has it in a later submission.
        """
        input_key, generation = self._db.execute(
            "SELECT input_key, generation FROM run WHERE submission_id = ? AND n = ?", (submission_id, n)
        ).fetchone()
        return self.run_of_task(input_key, *self._submission(submission_id), generation)

    def run_of_task(
        self, input_key: bytes, field_ids: Iterable[str], processor: str, generation: int
    ) -> LiveRun | None:
        """The run that stands for a task, in whichever group; None where there is none, or it failed."""
        task = (frozenset(field_ids), processor, generation)
        for run in self.held([input_key]).get(input_key, ()):
            if (run.field_ids, run.processor, run.generation) == task and run.state not in _FREE:
                return LiveRun(run.submission_id, run.n, run.run_id, run.state)
        return None

    def decisions(self, input_keys: Sequence[bytes]) -> dict[bytes, dict[str, Ruled]]:
        """What people decided on answers of these inputs, by field id."""
        found: dict[bytes, dict[str, Ruled]] = {}
        if self._db.execute("SELECT 1 FROM decision LIMIT 1").fetchone() is None:
            return found
        for start in range(0, len(input_keys), _IN_CHUNK):
            chunk = input_keys[start : start + _IN_CHUNK]
            marks = ",".join("?" * len(chunk))
            for key, field_id, ruling, value, run_id, note, at in self._db.execute(
                "SELECT input_key, field_id, ruling, value, run_id, note, at FROM decision"  # noqa: S608
                f" WHERE input_key IN ({marks})",
                chunk,
            ):
                ruled = Ruled(key, field_id, ruling, value.encode(), run_id, note, at)
                found.setdefault(key, {})[field_id] = ruled
        return found

    def inputs_of(self, run_ids: Collection[str]) -> dict[str, bytes]:
        """Input keys of runs by their ids; absent for runs that the ledger does not hold. Reads all runs."""
        wanted = frozenset(run_ids)
        rows = self._db.execute("SELECT run_id, input_key FROM run WHERE run_id IS NOT NULL")
        return {run_id: key for run_id, key in rows if run_id in wanted}

    def field_names(self) -> dict[str, str]:
        """The name of every field that was ever asked, by its id."""
        return dict(self._db.execute("SELECT field_id, name FROM field"))

    def field_schemas(self) -> dict[str, dict[str, Any]]:
        """The JSON Schema of every field that was ever asked, by its id."""
        rows = self._db.execute("SELECT field_id, schema FROM field")
        return {field_id: msgspec.json.decode(schema) for field_id, schema in rows}

    def sent_at(self) -> dict[int, int]:
        """When each submission with something left to learn was sent, in Unix seconds; absent where not known."""
        rows = self._db.execute(
            "SELECT submission_id, sent_wall FROM submission"
            " WHERE (state IN ('sending', 'unknown', 'open') OR watched) AND length(body_hash)"
        )
        return {submission_id: int(sent) for submission_id, sent in rows}

    def watched(self) -> frozenset[int]:
        """Submissions of which runs may turn up that were taken for not made."""
        rows = self._db.execute("SELECT submission_id FROM submission WHERE watched")
        return frozenset(submission_id for (submission_id,) in rows)

    def service(self) -> ServiceKind | None:
        """Which kind of service the results came from, None while there are none."""
        row = self._db.execute("SELECT value FROM meta WHERE key = 'service'").fetchone()
        return None if row is None else row[0]

    def revision(self) -> str | None:
        """A random number, another one after every change of answers: ledgers that have the same answer the same.

        None for a ledger from before there were revisions.
        """
        row = self._db.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
        return None if row is None else str(row[0])

    def totals(self) -> LedgerTotals:
        """What all submissions of the ledger add up to."""
        row = self._db.execute(
            "SELECT coalesce(sum(completed), 0), coalesce(sum(completed) FILTER (WHERE usd_micro > 0), 0),"
            " coalesce(sum(failed), 0),"
            " coalesce(sum(completed * usd_micro), 0),"
            " coalesce(sum(CASE WHEN state IN ('open', 'unknown') THEN accepted - completed - failed END), 0),"
            " coalesce(sum(CASE WHEN state IN ('open', 'unknown')"
            "   THEN (accepted - completed - failed) * usd_micro END), 0),"
            " coalesce(sum(CASE WHEN state IN ('sending', 'unknown') THEN tasks - accepted END), 0),"
            " coalesce(sum(CASE WHEN state IN ('sending', 'unknown')"
            "   THEN (tasks - accepted) * usd_micro END), 0) FROM submission"
        ).fetchone()
        completed, runs_paid, failed, paid, flying, usd_flying, unresolved, usd_unresolved = row
        for state, usd in self._db.execute(
            "SELECT extra_run.state, usd_micro FROM extra_run JOIN submission USING (submission_id)"
        ):
            completed += state == RunState.COMPLETED
            runs_paid += state == RunState.COMPLETED
            failed += state == RunState.FAILED
            paid += usd if state == RunState.COMPLETED else 0
            flying += state == RunState.ACCEPTED
            usd_flying += usd if state == RunState.ACCEPTED else 0
        return LedgerTotals(completed, runs_paid, failed, paid, flying, usd_flying, unresolved, usd_unresolved)

    def paid_by_processor(self) -> Counter[str]:
        """What completed runs cost, by processor, in millionths of a dollar: each the price at which it was asked."""
        rows = self._db.execute(
            "SELECT processor, sum(usd_micro) FROM ("
            " SELECT processor, completed * usd_micro AS usd_micro FROM submission"
            " UNION ALL SELECT processor, usd_micro FROM extra_run JOIN submission USING (submission_id)"
            " WHERE extra_run.state = ?) GROUP BY processor",
            (RunState.COMPLETED,),
        )
        return Counter(dict(rows))

    def prices(self, submission_ids: Collection[int]) -> dict[int, int]:
        """What a run of each of these submissions was asked at, in millionths of a dollar."""
        rows = self._db.execute("SELECT submission_id, usd_micro FROM submission")
        return {submission_id: usd_micro for submission_id, usd_micro in rows if submission_id in submission_ids}

    def paid_extras(self) -> list[tuple[int, int]]:
        """The places (submission, n) of tasks for which a second run was paid, once for each such run."""
        return self._db.execute(
            "SELECT submission_id, n FROM extra_run WHERE state = ?", (RunState.COMPLETED,)
        ).fetchall()

    def extras_under_way(self) -> list[str]:
        """Ids of double charges whose outcome is not here yet, whichever command found them."""
        rows = self._db.execute("SELECT run_id FROM extra_run WHERE state = ? ORDER BY run_id", (RunState.ACCEPTED,))
        return [run_id for (run_id,) in rows]

    def has_unreported_extras(self) -> bool:
        """Whether a command found double charges and did not live to report them."""
        row = self._db.execute("SELECT 1 FROM extra_run JOIN job USING (job_id) WHERE ended_at IS NULL").fetchone()
        return row is not None

    def extra_runs(self) -> list[ExtraRun]:
        """All second runs ever found, oldest first."""
        rows = self._db.execute(
            "SELECT extra_run.run_id, run.run_id, field_ids, input_key, processor, generation, usd_micro, found_at,"
            " extra_run.state, extra_run.job_id, run.state"
            " FROM extra_run JOIN submission USING (submission_id) JOIN fieldset USING (fieldset_id)"
            " JOIN run USING (submission_id, n) ORDER BY found_at, extra_run.run_id"
        ).fetchall()
        return [
            ExtraRun(
                run_id,
                first,
                task_key(key, fieldset_key(msgspec.json.decode(field_ids)), processor, generation),
                usd,
                at,
                RunState(state),
                job_id,
                RunState(first_state),
            )
            for run_id, first, field_ids, key, processor, generation, usd, at, state, job_id, first_state in rows
        ]


def _log_of(path: Path) -> Path:
    """Where SQLite keeps what is not in the database yet."""
    return path.with_name(path.name + "-wal")


def _oldest_first(runs: Iterable[Held]) -> list[Held]:
    """Each run once, also where two tables told of it."""
    by_place = {(run.submission_id, run.n): run for run in runs}
    return [by_place[place] for place in sorted(by_place)]


def _rowid(cursor: sqlite3.Cursor) -> int:
    rowid = cursor.lastrowid
    assert rowid is not None
    return rowid
