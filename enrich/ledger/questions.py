"""The questions asked of the ledger: what it holds, as the nouns of `enrich.records`. Reads only."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from enrich.ledger import asked, blocks
from enrich.ledger.accounts import Accounts
from enrich.ledger.refusals import damaged
from enrich.records import (
    DecisionEvent,
    Held,
    Learnt,
    LiveRun,
    OpenGroup,
    OpenSubmission,
    Ruled,
    Ruling,
    RunState,
    ServiceKind,
    Stamp,
)
from enrich.spec.identity import fieldset_key, task_key

LOOKED: Final = "group "  # before the id of a group that was read and holds nothing of ours
_IN_CHUNK: Final = 500  # bound variables of one SELECT … IN (…)
_STATES: Final = tuple(RunState)  # by their number, from 0 on
_FREE: Final = (RunState.RELEASED, RunState.REFUSED, RunState.FAILED)  # no run stands for the task any more


class Questions(Accounts):
    """What the ledger holds: fields, submissions, runs and their results, decisions."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None = None) -> None:
        super().__init__(connection, path)
        self._submissions: dict[int, tuple[frozenset[str], str]] = {}
        self._aside: asked.Aside | None = None  # where this connection can't write

    def held(self, input_keys: Sequence[bytes]) -> dict[bytes, list[Held]]:
        """The runs held for each of these inputs, oldest first; inputs with none are absent."""
        found: dict[bytes, list[Held]] = {}
        tables = self.asked_tables()
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
        rows = self.connection.execute(
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

    def asked_tables(self) -> tuple[str, ...]:
        """The tables that find runs by their inputs, with all the runs there are: nothing else may ask them."""
        with self._lookup_refusals():
            return ("asked",) if self._aside is None else self._aside.tables()

    @contextmanager
    def _lookup_refusals(self) -> Iterator[None]:
        try:
            yield
        except asked.WrongLookupError as error:
            raise damaged(self.path, str(error)) from None

    def _submission(self, submission_id: int) -> tuple[frozenset[str], str]:
        known = self._submissions.get(submission_id)
        if known is None:
            field_ids, processor = self.connection.execute(
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
        for (block_id,) in self.connection.execute("SELECT block_id FROM block ORDER BY block_id"):
            yield from self._block(block_id)

    def block_sizes(self, block_ids: Iterable[int]) -> dict[int, int]:
        """How many bytes the results of blocks have in memory, by block."""
        sizes: dict[int, int] = {}
        wanted = sorted(set(block_ids))
        for start in range(0, len(wanted), _IN_CHUNK):
            chunk = wanted[start : start + _IN_CHUNK]
            marks = ",".join("?" * len(chunk))
            found = self.connection.execute(f"SELECT block_id, size FROM block WHERE block_id IN ({marks})", chunk)  # noqa: S608
            sizes.update(found)
        return sizes

    def _block(self, block_id: int) -> list[bytes]:
        row = self.connection.execute("SELECT size, crc, data FROM block WHERE block_id = ?", (block_id,)).fetchone()
        if row is None:
            raise damaged(self.path, f"block {block_id} is missing")
        try:
            return blocks.unpack(*row)
        except blocks.CorruptBlockError as error:
            raise damaged(self.path, f"block {block_id}: {error}") from None

    def group_ids(self) -> list[str]:
        """The groups of all submissions, oldest first."""
        rows = self.connection.execute(
            "SELECT batch_ref FROM submission WHERE backend = 'groups' GROUP BY batch_ref ORDER BY min(submission_id)"
        )
        return [group_id for (group_id,) in rows]

    def lacking_groups(self, group_ids: Iterable[str]) -> list[str]:
        """Of these groups those of which this ledger knows nothing."""
        looked = self.connection.execute("SELECT key FROM meta WHERE substr(key, 1, ?) = ?", (len(LOOKED), LOOKED))
        known = {*self.group_ids(), *(key.removeprefix(LOOKED) for (key,) in looked)}
        return [one for one in dict.fromkeys(group_ids) if one not in known]

    def lacking_runs(self, run_ids: Iterable[str]) -> list[str]:
        """Of these runs those that this ledger lacks. They may be as many as a table has rows."""
        self.connection.execute("CREATE TEMP TABLE named (run_id TEXT PRIMARY KEY) WITHOUT ROWID")
        try:
            self.connection.execute("BEGIN")
            self.connection.executemany("INSERT OR IGNORE INTO temp.named VALUES (?)", ((one,) for one in run_ids))
            self.connection.execute("COMMIT")
            rows = self.connection.execute(
                "SELECT run_id FROM named WHERE run_id NOT IN (SELECT run_id FROM run WHERE run_id IS NOT NULL)"
                " AND run_id NOT IN (SELECT run_id FROM extra_run)"
            ).fetchall()
        finally:
            self.connection.execute("DROP TABLE temp.named")
        return [run_id for (run_id,) in rows]

    def last_submission(self) -> int:
        """The number of the newest submission, 0 while there is none; those to come have higher ones."""
        row = self.connection.execute("SELECT coalesce(max(submission_id), 0) FROM submission").fetchone()
        return int(row[0])

    def submissions_of(self, group_id: str) -> list[OpenSubmission]:
        """All submissions of a group, oldest first."""
        rows = self.connection.execute(
            "SELECT submission_id FROM submission WHERE backend = 'groups' AND batch_ref = ? ORDER BY submission_id",
            (group_id,),
        ).fetchall()
        return [self.submission(row[0]) for row in rows]

    def open_groups(self) -> list[OpenGroup]:
        """Submissions with something left to learn: unresolved, with runs under way, or under watch.

        Without their tasks, so they are small, however many runs are under way.
        """
        rows = self.connection.execute(
            "SELECT submission_id, coalesce(batch_ref, ''), state, watched, processor, usd_micro, since_wall,"
            " since_mono, since_boot, runs_cursor, CASE WHEN state IN ('sending', 'unknown') THEN tasks"
            " ELSE max(accepted - completed - failed, 0) END, completed + failed FROM submission"
            " WHERE state IN ('sending', 'unknown', 'open') OR watched ORDER BY submission_id"
        )
        return [
            OpenGroup(number, group_id, state, bool(watched), name, usd, Stamp(wall, mono, boot), *counted)
            for number, group_id, state, watched, name, usd, wall, mono, boot, *counted in rows
        ]

    def submission(self, submission_id: int) -> OpenSubmission:
        """One submission with its tasks, as the ledger has it now."""
        (group_id, state, watched, processor, field_json, usd, wall, mono, boot, cursor, run_ids, origin, doubted) = (
            self.connection.execute(
                "SELECT coalesce(batch_ref, ''), state, watched, processor, field_ids, usd_micro, since_wall,"
                " since_mono, since_boot, runs_cursor, run_ids, origin, doubted FROM submission"
                " JOIN fieldset USING (fieldset_id) WHERE submission_id = ?",
                (submission_id,),
            ).fetchone()
        )
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
            origin=origin,
            doubted=bool(doubted),
        )
        for n, key, generation, run_state, run_id in self.connection.execute(
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
        input_key, generation = self.connection.execute(
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
        """What people decided on answers of these inputs, by field id: the latest of each."""
        found: dict[bytes, dict[str, Ruled]] = {}
        if self.connection.execute("SELECT 1 FROM decision_event LIMIT 1").fetchone() is None:
            return found
        for start in range(0, len(input_keys), _IN_CHUNK):
            chunk = input_keys[start : start + _IN_CHUNK]
            marks = ",".join("?" * len(chunk))
            for row in self.connection.execute(
                "SELECT input_key, field_id, ruling, value, run_id, note, at, who, seen FROM decision"  # noqa: S608
                f" WHERE input_key IN ({marks})",
                chunk,
            ):
                ruled = _ruled(row)
                found.setdefault(ruled.input_key, {})[ruled.field_id] = ruled
        return found

    def decision_event(self, event_id: int) -> DecisionEvent:
        """One thing that was said of an answer. Raises KeyError where there is no such event."""
        found = self._events("event_id = ?", event_id)
        if not found:
            raise KeyError(event_id)
        return found[0]

    def last_decision(self, input_key: bytes, field_id: str) -> DecisionEvent | None:
        """What was said last of an answer; None where nothing ever was."""
        found = self._events("input_key = ? AND field_id = ? ORDER BY event_id DESC LIMIT 1", input_key, field_id)
        return found[0] if found else None

    def decision_events(self, input_key: bytes, field_id: str) -> list[DecisionEvent]:
        """All that was ever said of an answer, oldest first."""
        return self._events("input_key = ? AND field_id = ? ORDER BY event_id", input_key, field_id)

    def _events(self, which: str, *values: bytes | str | int) -> list[DecisionEvent]:
        rows = self.connection.execute(
            "SELECT event_id, at, who, origin, input_key, field_id, ruling, value, run_id, note, seen, based_on, undoes"  # noqa: S608
            f" FROM decision_event WHERE {which}",
            values,
        )
        return [decision_event(row) for row in rows]

    def inputs_of(self, run_ids: Collection[str]) -> dict[str, bytes]:
        """Input keys of runs by their ids; absent for runs that the ledger does not hold. Reads all runs."""
        wanted = frozenset(run_ids)
        rows = self.connection.execute("SELECT run_id, input_key FROM run WHERE run_id IS NOT NULL")
        return {run_id: key for run_id, key in rows if run_id in wanted}

    def field_names(self) -> dict[str, str]:
        """The name of every field that was ever asked, by its id."""
        return dict(self.connection.execute("SELECT field_id, name FROM field"))

    def field_schemas(self) -> dict[str, dict[str, Any]]:
        """The JSON Schema of every field that was ever asked, by its id."""
        rows = self.connection.execute("SELECT field_id, schema FROM field")
        return {field_id: msgspec.json.decode(schema) for field_id, schema in rows}

    def sent_at(self) -> dict[int, int]:
        """When each submission with something left to learn was sent, in Unix seconds; absent where not known."""
        rows = self.connection.execute(
            "SELECT submission_id, sent_wall FROM submission"
            " WHERE (state IN ('sending', 'unknown', 'open') OR watched) AND origin = 'asked'"
        )
        return {submission_id: int(sent) for submission_id, sent in rows}

    def created_since(self, wall: float) -> list[tuple[float, int]]:
        """What was sent after a moment and may have been created: when (Unix seconds), how many runs; oldest first."""
        return self.connection.execute(
            "SELECT sent_wall, tasks FROM submission WHERE sent_wall > ? AND state != 'refused' AND origin = 'asked'"
            " ORDER BY sent_wall",
            (wall,),
        ).fetchall()

    def pace(self) -> Learnt | None:
        """What earlier commands have learnt of the account's quota, `at` in Unix seconds."""
        row = self.connection.execute("SELECT value FROM meta WHERE key = 'pace'").fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Learnt)

    def watched(self) -> frozenset[int]:
        """Submissions of which runs may turn up that were taken for not made."""
        rows = self.connection.execute("SELECT submission_id FROM submission WHERE watched")
        return frozenset(submission_id for (submission_id,) in rows)

    def service(self) -> ServiceKind | None:
        """Which kind of service the results came from, None while there are none."""
        row = self.connection.execute("SELECT value FROM meta WHERE key = 'service'").fetchone()
        return None if row is None else row[0]

    def revision(self) -> str | None:
        """A random number, another one after every change of answers: ledgers that have the same answer the same.

        None for a ledger from before there were revisions.
        """
        row = self.connection.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
        return None if row is None else str(row[0])


def decision_event(row: tuple[Any, ...]) -> DecisionEvent:
    """A row of the table `decision_event`, with its columns in their order there."""
    event_id, at, who, origin, key, field_id, ruling, value, run_id, note, seen, based_on, undoes = row
    ruled = None if ruling == "none" else _ruled((key, field_id, ruling, value, run_id, note, at, who, seen))
    return DecisionEvent(event_id, at, who, origin, key, field_id, ruled, based_on, undoes)


def _ruled(row: tuple[bytes, str, Ruling, str, str, str, int, str, str | None]) -> Ruled:
    key, field_id, ruling, value, run_id, note, at, who, seen = row
    answer = None if seen is None else seen.encode()
    return Ruled(key, field_id, ruling, value.encode(), run_id, note, at, who, answer)


def _oldest_first(runs: Iterable[Held]) -> list[Held]:
    """Each run once, also where two tables told of it."""
    by_place = {(run.submission_id, run.n): run for run in runs}
    return [by_place[place] for place in sorted(by_place)]
