"""The accounts of the ledger: what its runs add up to, at which price, and what was charged twice. Reads only."""

import sqlite3
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import msgspec

from enrich.records import ExtraRun, LedgerTotals, RunState
from enrich.spec.identity import fieldset_key, task_key


class Accounts:
    """Sums of runs and dollars. Money is in millionths of a dollar."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None = None) -> None:
        self.path = path
        self.connection = connection  # for questions that stand elsewhere; what is written goes through a transition

    def totals(self) -> LedgerTotals:
        """What all submissions of the ledger add up to."""
        row = self.connection.execute(
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
        for state, usd in self.connection.execute(
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
        rows = self.connection.execute(
            "SELECT processor, sum(usd_micro) FROM ("
            " SELECT processor, completed * usd_micro AS usd_micro FROM submission"
            " UNION ALL SELECT processor, usd_micro FROM extra_run JOIN submission USING (submission_id)"
            " WHERE extra_run.state = ?) GROUP BY processor",
            (RunState.COMPLETED,),
        )
        return Counter(dict(rows))

    def prices(self, submission_ids: Collection[int]) -> dict[int, int]:
        """What a run of each of these submissions was asked at, in millionths of a dollar."""
        rows = self.connection.execute("SELECT submission_id, usd_micro FROM submission")
        return {submission_id: usd_micro for submission_id, usd_micro in rows if submission_id in submission_ids}

    def paid_extras(self) -> list[tuple[int, int]]:
        """The places (submission, n) of tasks for which a second run was paid, once for each such run."""
        return self.connection.execute(
            "SELECT submission_id, n FROM extra_run WHERE state = ?", (RunState.COMPLETED,)
        ).fetchall()

    def extras_under_way(self) -> list[str]:
        """Ids of double charges whose outcome is not here yet, whichever command found them."""
        rows = self.connection.execute(
            "SELECT run_id FROM extra_run WHERE state = ? ORDER BY run_id", (RunState.ACCEPTED,)
        )
        return [run_id for (run_id,) in rows]

    def has_unreported_extras(self) -> bool:
        """Whether a command found double charges and did not live to report them."""
        row = self.connection.execute(
            "SELECT 1 FROM extra_run JOIN job USING (job_id) WHERE ended_at IS NULL"
        ).fetchone()
        return row is not None

    def extra_runs(self) -> list[ExtraRun]:
        """All second runs ever found, oldest first."""
        rows = self.connection.execute(
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
