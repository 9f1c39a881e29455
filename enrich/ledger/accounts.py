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
            "SELECT coalesce(sum(completed), 0), coalesce(sum(completed) FILTER (WHERE origin <> 'adopted'), 0),"
            " coalesce(sum(completed) FILTER (WHERE usd_micro IS NULL), 0),"
            " coalesce(sum(failed), 0),"
            " coalesce(sum(completed * usd_micro), 0),"
            " coalesce(sum(CASE WHEN state IN ('open', 'unknown') THEN accepted - completed - failed END), 0),"
            " coalesce(sum(CASE WHEN state IN ('open', 'unknown')"
            "   THEN (accepted - completed - failed) * usd_micro END), 0),"
            " coalesce(sum(CASE WHEN state IN ('sending', 'unknown') THEN tasks - accepted END), 0),"
            " coalesce(sum(CASE WHEN state IN ('sending', 'unknown')"
            "   THEN (tasks - accepted) * usd_micro END), 0) FROM submission"
        ).fetchone()
        completed, runs_paid, unpriced, failed, paid, flying, usd_flying, unresolved, usd_unresolved = row
        for _, asked_at, cost in self._own_prices():
            paid += cost - (asked_at or 0)
            unpriced -= asked_at is None
        for state, usd in self.connection.execute(
            "SELECT extra_run.state, usd_micro FROM extra_run JOIN submission USING (submission_id)"
        ):
            completed += state == RunState.COMPLETED
            runs_paid += state == RunState.COMPLETED
            unpriced += state == RunState.COMPLETED and usd is None
            failed += state == RunState.FAILED
            paid += (usd or 0) if state == RunState.COMPLETED else 0
            flying += state == RunState.ACCEPTED
            usd_flying += (usd or 0) if state == RunState.ACCEPTED else 0
        return LedgerTotals(
            completed, runs_paid, failed, paid, flying, usd_flying, unresolved, usd_unresolved, unpriced
        )

    def _own_prices(self) -> list[tuple[str, int | None, int]]:
        """Processor, price asked at and cost of each completed run that has a price of its own."""
        return self.connection.execute(
            "SELECT processor, submission.usd_micro, run.usd_micro FROM run INDEXED BY run_with_price"
            " JOIN submission USING (submission_id) WHERE run.usd_micro IS NOT NULL AND run.state = ?",
            (RunState.COMPLETED,),
        ).fetchall()

    def paid_by_processor(self) -> Counter[str]:
        """What completed runs cost, by processor, in millionths of a dollar: its own price, or that it was asked at."""
        rows = self.connection.execute(
            "SELECT processor, coalesce(sum(usd_micro), 0) FROM ("
            " SELECT processor, completed * usd_micro AS usd_micro FROM submission"
            " UNION ALL SELECT processor, usd_micro FROM extra_run JOIN submission USING (submission_id)"
            " WHERE extra_run.state = ?) GROUP BY processor",
            (RunState.COMPLETED,),
        )
        paid = Counter(dict(rows))
        for processor, asked_at, cost in self._own_prices():
            paid[processor] += cost - (asked_at or 0)
        return paid

    def prices(self, submission_ids: Collection[int]) -> dict[int, int | None]:
        """What a run of each of these submissions was asked at, in millionths of a dollar; None where not known.

        Those that another program asked, and paid for, are absent.
        """
        rows = self.connection.execute("SELECT submission_id, usd_micro FROM submission WHERE origin <> 'adopted'")
        return {submission_id: usd_micro for submission_id, usd_micro in rows if submission_id in submission_ids}

    def own_prices(self) -> dict[tuple[int, int], int]:
        """What completed runs cost that have a price of their own, by their place (submission, n)."""
        rows = self.connection.execute(
            "SELECT submission_id, n, usd_micro FROM run INDEXED BY run_with_price"
            " WHERE usd_micro IS NOT NULL AND state = ?",
            (RunState.COMPLETED,),
        )
        return {(submission_id, n): usd_micro for submission_id, n, usd_micro in rows}

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
            "SELECT extra_run.run_id, run.run_id, field_ids, input_key, processor, generation,"
            " submission.usd_micro, found_at, extra_run.state, extra_run.job_id, run.state"
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
