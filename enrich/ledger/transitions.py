"""The transitions of the ledger: the only place that writes its tables.

A transition is one method, named for what became known, and the only way a row changes. `store.Ledger.transaction`
makes one or several of them durable. All times are Unix seconds, money is in millionths of a dollar.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from enrich.errors import LedgerError
from enrich.ledger import asked, blocks, schema
from enrich.ledger.questions import LOOKED, Questions
from enrich.records import DecisionEvent, Intent, Learnt, Outcome, Ruled, RunState, ServiceKind, Stamp
from enrich.spec.identity import KEY_BYTES

_CLOCKS_DIFFER_S: Final = 300  # at most, between the service and this machine
_INSERT_RUNS: Final = """
WITH RECURSIVE place (n) AS (SELECT 0 WHERE :tasks > 0 UNION ALL SELECT n + 1 FROM place WHERE n + 1 < :tasks)
INSERT INTO run (submission_id, n, input_key, generation)
SELECT :submission_id, n, substr(:keys, n * :key_bytes + 1, :key_bytes),
       CAST(substr(:generations, n * :digits + 1, :digits) AS INTEGER) FROM place
"""


class Transitions(Questions):
    """What may become known of jobs, submissions, runs and answers. `now` gives Unix seconds."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None, now: Callable[[], float]) -> None:
        super().__init__(connection, path)
        self._now = now
        self._new_groups: list[str] = []
        self._lookup_changes = 0

    def renew_revision(self) -> None:
        """What this ledger holds is not what any ledger held before."""
        self.connection.execute(schema.NEW_REVISION)

    def start_job(
        self, *, name: str, config: str, source: str, fields: Mapping[str, tuple[str, Mapping[str, Any]]]
    ) -> int:
        """A command begins; `fields` maps field ids to (name, schema). Gives the job's id."""
        self.record_fields(fields)
        cursor = self.connection.execute(
            "INSERT INTO job (name, config, source, started_at) VALUES (?, ?, ?, ?)",
            # A file name that isn't UTF-8 holds lone surrogates, which SQLite does not take.
            (name, *(path.encode(errors="replace").decode() for path in (config, source)), int(self._now())),
        )
        job_id = _rowid(cursor)
        # What commands found that did not live to report it, this one reports.
        self.connection.execute(
            "UPDATE extra_run SET job_id = ? WHERE job_id IN (SELECT job_id FROM job WHERE ended_at IS NULL)", (job_id,)
        )
        return job_id

    def record_fields(self, fields: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
        """Fields that are asked or decided on: (name, schema) by their id. By the names earlier questions are known."""
        self.connection.executemany(
            "INSERT OR IGNORE INTO field (field_id, name, schema) VALUES (?, ?, ?)",
            [(field_id, name, msgspec.json.encode(schema).decode()) for field_id, (name, schema) in fields.items()],
        )

    def end_job(self, job_id: int, ending: str, manifest: bytes | None = None) -> None:
        """A command ends, `ending` says how; its manifest, as JSON, is kept where it wrote one."""
        self.connection.execute(
            "UPDATE job SET ended_at = ?, ending = ?, manifest = ? WHERE job_id = ?",
            (int(self._now()), ending, None if manifest is None else manifest.decode(), job_id),
        )

    def record_service(self, kind: ServiceKind) -> None:
        """Results come from this kind of service; a ledger never holds both.

        Raises LedgerError when the ledger holds the other kind.
        """
        self.connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('service', ?)", (kind,))
        (held,) = self.connection.execute("SELECT value FROM meta WHERE key = 'service'").fetchone()
        if held != kind:
            raise LedgerError(
                f"{self.path}: this ledger holds results of the {held}, and the answers would now come from "
                f"the {kind}; they are never mixed. Nothing was sent. Give this run a ledger of its own with "
                "--ledger"
            )

    def record_intent(self, intent: Intent) -> int:
        """A POST is about to be sent. Gives the submission's id."""
        stamp = intent.stamp
        cursor = self.connection.execute(
            "INSERT INTO submission (job_id, batch_ref, origin, state, processor, fieldset_id, usd_micro, tasks,"
            " body_hash, sent_wall, since_wall, since_mono, since_boot)"
            " VALUES (?, ?, ?, 'sending', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                intent.job_id,
                intent.group_id,
                intent.origin,
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
        self.connection.execute(
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
        self.connection.execute(
            "UPDATE submission SET state = 'open', accepted = ?, run_ids = ?, runs_cursor = ? WHERE submission_id = ?",
            (len(run_ids), " ".join(run_ids), runs_cursor, submission_id),
        )
        self.connection.execute(
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
        self.connection.execute(
            "UPDATE submission SET state = 'refused', detail = ? WHERE submission_id = ?",
            (detail, submission_id),
        )
        self.connection.execute(
            "UPDATE run SET state = ?, at = ?, error = ? WHERE submission_id = ?",
            (state, int(self._now()), detail, submission_id),
        )

    def record_unknown(self, submission_id: int, stamp: Stamp, detail: str, *, doubted: bool = False) -> None:
        """Whether the POST took effect is not known; settling is measured from `stamp`.

        `doubted`: it was refused by quota or credit, which is believed only after a look.
        """
        self.connection.execute(
            "UPDATE submission SET state = 'unknown', since_wall = ?, since_mono = ?, since_boot = ?,"
            " detail = ?, doubted = doubted OR ? WHERE submission_id = ?",
            (stamp.wall, stamp.mono, stamp.boot, detail, doubted, submission_id),
        )

    def record_pace(self, learnt: Learnt) -> None:
        """What refusals have taught of the account's quota, for the next command; `learnt.at` in Unix seconds."""
        self.connection.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES ('pace', ?)", (msgspec.json.encode(learnt).decode(),)
        )

    def record_adopted(self, submission_id: int, runs: Mapping[int, str]) -> int:
        """Runs found in a listing belong to these tasks, n -> run id. Gives how many of them were not known.

        A late run of a task that was released, and not sent again since, or in vain, opens its submission again. It may
        have been taken for a double charge as long as the run that was sent again had not failed.
        """
        self.connection.executemany(
            "UPDATE run SET state = ?, run_id = ? WHERE submission_id = ? AND n = ?",
            [(RunState.ACCEPTED, run_id, submission_id, n) for n, run_id in runs.items()],
        )
        extras = [self._end_extra(run_id) for run_id in runs.values()]
        ended = [(state, block_id, slot, run_id) for state, block_id, slot, run_id in filter(None, extras) if block_id]
        self.connection.executemany(
            "UPDATE run SET state = ?, block_id = ?, slot = ? WHERE run_id = ? AND submission_id = ?",
            [(*outcome, submission_id) for outcome in ended],
        )
        completed = sum(state == RunState.COMPLETED for state, *_ in ended)
        self.connection.execute(
            "UPDATE submission SET accepted = accepted + ?, completed = completed + ?, failed = failed + ?,"
            " state = CASE WHEN state = 'done' AND ? THEN 'open' ELSE state END WHERE submission_id = ?",
            (len(runs), completed, len(ended) - completed, len(runs) > len(ended), submission_id),
        )
        return extras.count(None)

    def record_resolved(self, submission_id: int) -> None:
        """All of an unknown submission is known: what was not adopted is free again, and is watched for."""
        released = self.connection.execute(
            "UPDATE run SET state = ?, at = ? WHERE submission_id = ? AND state = ?",
            (RunState.RELEASED, int(self._now()), submission_id, RunState.SENT),
        ).rowcount
        self.connection.execute(
            "UPDATE submission SET state = CASE WHEN accepted > completed + failed THEN 'open' ELSE 'done' END,"
            " watched = ? WHERE submission_id = ?",
            (released > 0, submission_id),
        )

    def record_outcomes(
        self, submission_id: int, outcomes: Sequence[Outcome], *, runs_cursor: str | None = None
    ) -> None:
        """Results arrived, with the cursor behind them. Closes the submission when none is left to come."""
        now = int(self._now())
        sent = min(self._sent(submission_id), now)  # no run ends before it was sent, whatever a clock says
        rows: list[tuple[object, ...]] = []
        for part in blocks.in_blocks(len(outcome.raw) for outcome in outcomes):
            block_id = self._add_block([outcomes[i].raw for i in part])
            for slot, i in enumerate(part):
                outcome = outcomes[i]
                state = RunState.COMPLETED if outcome.completed else RunState.FAILED
                at = now if outcome.at is None or outcome.at > now + _CLOCKS_DIFFER_S else max(outcome.at, sent)
                rows.append((state, outcome.run_id, at, block_id, slot, outcome.error, submission_id, outcome.n))
        self.connection.executemany(
            "UPDATE run SET state = ?, run_id = ?, at = ?, block_id = ?, slot = ?, error = ?"
            " WHERE submission_id = ? AND n = ?",
            rows,
        )
        self.connection.executemany(
            "UPDATE run SET usd_micro = ? WHERE submission_id = ? AND n = ?",
            [(outcome.usd_micro, submission_id, outcome.n) for outcome in outcomes if outcome.usd_micro is not None],
        )
        completed = sum(outcome.completed for outcome in outcomes)
        self.connection.execute(
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
        row = self.connection.execute(
            "SELECT sent_wall FROM submission WHERE submission_id = ? AND origin = 'asked'", (submission_id,)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def record_extra(self, submission_id: int, n: int, run_id: str) -> int | None:
        """The service has a second run for a task whose live run is (submission, n): a double charge.

        Gives its price in millionths of a dollar (0 where that is not known); None when the run was known.
        """
        new = self.connection.execute(
            "INSERT OR IGNORE INTO extra_run (run_id, submission_id, n, found_at, state, job_id)"
            " VALUES (?, ?, ?, ?, ?, (SELECT max(job_id) FROM job))",
            (run_id, submission_id, n, int(self._now()), RunState.ACCEPTED),
        ).rowcount
        return self._price_of_extra(run_id)[1] if new else None

    def record_extra_outcome(self, run_id: str, *, completed: bool, raw: bytes) -> tuple[str, int]:
        """The result of a second run is kept too. Gives its processor, and its price in millionths of a dollar.

        A price that is not known is 0.
        """
        self.connection.execute(
            "UPDATE extra_run SET state = ?, block_id = ?, slot = 0 WHERE run_id = ?",
            (RunState.COMPLETED if completed else RunState.FAILED, self._add_block([raw]), run_id),
        )
        return self._price_of_extra(run_id)

    def _end_extra(self, run_id: str) -> tuple[int, int | None, int | None, str] | None:
        """A run is no double charge any more. Gives (state, block, slot, id) of it, None where it was none."""
        extra: tuple[int, int | None, int | None, str] | None = self.connection.execute(
            "SELECT state, block_id, slot, run_id FROM extra_run WHERE run_id = ?", (run_id,)
        ).fetchone()
        if extra is not None:
            self.connection.execute("DELETE FROM extra_run WHERE run_id = ?", (run_id,))
        return extra

    def _price_of_extra(self, run_id: str) -> tuple[str, int]:
        processor, usd_micro = self.connection.execute(
            "SELECT processor, coalesce(usd_micro, 0) FROM extra_run JOIN submission USING (submission_id)"
            " WHERE extra_run.run_id = ?",
            (run_id,),
        ).fetchone()
        return processor, usd_micro

    def record_decisions(self, decisions: Sequence[Ruled], *, origin: str = "sheet") -> int:
        """A person decided on answers; the latest decision on an answer holds. Gives how many are new.

        What holds already is not written down again. `origin` is the way by which they came.
        """
        new = 0
        for one in decisions:
            last = self.last_decision(one.input_key, one.field_id)
            if last is None or last.ruled is None or last.ruled.said != one.said:
                self._add_decision(one, origin, based_on=None if last is None else last.event_id)
                new += 1
        return new

    def record_events(self, events: Iterable[DecisionEvent]) -> None:
        """All that was said of answers, from another ledger, in its order; the numbers are new ones here."""
        numbers: dict[int | None, int | None] = {None: None}
        for one in events:
            based_on, undoes = numbers.get(one.based_on), numbers.get(one.undoes)
            numbers[one.event_id] = self._add_event(one, based_on=based_on, undoes=undoes)

    def undo_decision(self, event_id: int, *, who: str, at: int, origin: str) -> None:
        """What was said last of an answer is taken back: what held before holds again.

        Taking back what took something back brings that back. Raises ValueError where something else was said since.
        """
        taken = self.decision_event(event_id)
        last = self.last_decision(taken.input_key, taken.field_id)
        if last is None or last.event_id != event_id:
            raise ValueError(f"decision {event_id} is not the latest on its answer")
        before = None if taken.based_on is None else self.decision_event(taken.based_on)
        event = DecisionEvent(
            0,
            at,
            who,
            origin,
            taken.input_key,
            taken.field_id,
            None if before is None else before.ruled,
            event_id,
            event_id,
        )
        self._add_event(event, based_on=event_id, undoes=event_id)

    def _add_decision(self, ruled: Ruled, origin: str, *, based_on: int | None) -> None:
        event = DecisionEvent(0, ruled.at, ruled.who, origin, ruled.input_key, ruled.field_id, ruled, based_on, None)
        self._add_event(event, based_on=based_on, undoes=None)

    def _add_event(self, event: DecisionEvent, *, based_on: int | None, undoes: int | None) -> int:
        """Add an event with these numbers of others; gives its own."""
        ruled = event.ruled
        said = ("none", b"null", "", "", None) if ruled is None else (*ruled.said, ruled.seen)
        ruling, value, run_id, note, seen = said
        cursor = self.connection.execute(
            "INSERT INTO decision_event (at, who, origin, input_key, field_id, ruling, value, run_id, note, seen,"
            " based_on, undoes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(event.at, event.who, event.origin, event.input_key, event.field_id),
                *(ruling, value.decode(), run_id, note, None if seen is None else seen.decode(), based_on, undoes),
            ),
        )
        return _rowid(cursor)

    def end_watch(self, submission_id: int) -> None:
        """Nothing more is expected of a submission that once was unknown."""
        self.connection.execute("UPDATE submission SET watched = 0 WHERE submission_id = ?", (submission_id,))

    def close_lookup_gap(self) -> None:
        """Runs that can't be found by their inputs yet, can be now. Raises asked.WrongLookupError."""
        before = self.connection.total_changes
        missing = asked.gap(self.connection)
        try:
            self.connection.execute(
                f"INSERT INTO asked (input_key, submission_id, n) {asked.RUNS}", (missing.after, missing.up_to)
            )
            self.connection.execute("UPDATE meta SET value = ? WHERE key = 'asked'", (str(missing.up_to),))
        except sqlite3.IntegrityError:
            raise asked.WrongLookupError("runs that can be found by their inputs already are to be added") from None
        finally:
            self._lookup_changes += self.connection.total_changes - before

    def _add_block(self, results: list[bytes]) -> int:
        cursor = self.connection.execute("INSERT INTO block (size, crc, data) VALUES (?, ?, ?)", blocks.pack(results))
        return _rowid(cursor)

    def _fieldset_id(self, field_ids: Iterable[str]) -> int:
        text = msgspec.json.encode(sorted(field_ids)).decode()
        self.connection.execute("INSERT OR IGNORE INTO fieldset (field_ids) VALUES (?)", (text,))
        row = self.connection.execute("SELECT fieldset_id FROM fieldset WHERE field_ids = ?", (text,)).fetchone()
        return int(row[0])

    def record_looked(self, group_ids: Iterable[str]) -> None:
        """Groups were read to their end, and hold no run of ours: nothing of them is lacking here."""
        self.connection.executemany(
            "INSERT OR IGNORE INTO meta (key, value) VALUES (?, 'read')", [(LOOKED + one,) for one in group_ids]
        )


def _rowid(cursor: sqlite3.Cursor) -> int:
    rowid = cursor.lastrowid
    assert rowid is not None
    return rowid
