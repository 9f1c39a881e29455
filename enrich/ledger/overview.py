"""What a ledger holds, for people and scripts: jobs, groups, runs by state, dollars. Reads only."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from enrich.ledger.store import Ledger
from enrich.records import ExtraRun, LedgerTotals, RunState, ServiceKind

LAST_JOBS: Final = 10


@dataclass(frozen=True, slots=True)
class JobLine:
    """One command that asked something. Times are Unix seconds, money is in millionths of a dollar."""

    job_id: int
    name: str
    config: str
    source: str
    started_at: int
    ended_at: int | None  # None: it runs now, or was killed
    ending: str | None
    groups: int
    runs: int
    completed: int
    usd_micro: int
    unpriced: int  # completed runs whose price was not known when they were recovered


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A submission of which is not known whether the service took it."""

    group_id: str
    runs: int
    usd_micro: int
    since: int
    detail: str


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it. `jobs` are the newest, newest first."""

    service: ServiceKind | None
    jobs_in_all: int
    jobs: tuple[JobLine, ...]
    groups: int
    runs: Mapping[str, int]  # by state
    totals: LedgerTotals
    unresolved: tuple[Unresolved, ...]
    double_charges: tuple[ExtraRun, ...]


def read_overview(ledger: Ledger, *, last_jobs: int = LAST_JOBS) -> Overview:
    """What the ledger holds now, in one consistent view, also while a run goes on."""
    db = ledger.connection
    db.execute("BEGIN")
    try:
        return Overview(
            service=ledger.service(),
            jobs_in_all=db.execute("SELECT count(*) FROM job").fetchone()[0],
            jobs=tuple(_jobs(db, last_jobs)),
            groups=db.execute("SELECT count(DISTINCT batch_ref) FROM submission").fetchone()[0],
            runs=_runs(db),
            totals=ledger.totals(),
            unresolved=tuple(_unresolved(db)),
            double_charges=tuple(extra for extra in ledger.extra_runs() if extra.is_charge),
        )
    finally:
        db.execute("ROLLBACK")


def _jobs(db: sqlite3.Connection, number: int) -> list[JobLine]:
    rows = db.execute(
        "SELECT job_id, name, config, source, started_at, ended_at, ending, count(DISTINCT batch_ref),"
        " coalesce(sum(CASE WHEN state != 'refused' THEN tasks END), 0), coalesce(sum(completed), 0),"
        " coalesce(sum(completed * usd_micro), 0) + coalesce((SELECT sum(run.usd_micro - coalesce(asked.usd_micro, 0))"
        "   FROM run INDEXED BY run_with_price JOIN submission AS asked USING (submission_id)"
        "   WHERE asked.job_id = job.job_id AND run.usd_micro IS NOT NULL AND run.state = 2), 0),"
        " coalesce(sum(completed) FILTER (WHERE usd_micro IS NULL), 0)"
        " FROM job LEFT JOIN submission USING (job_id) GROUP BY job_id ORDER BY job_id DESC LIMIT ?",
        (number,),
    )
    return [JobLine(*row) for row in rows]


def _runs(db: sqlite3.Connection) -> dict[str, int]:
    counts = dict(db.execute("SELECT state, count(*) FROM run GROUP BY state"))
    return {state.name.lower(): counts[state] for state in RunState if state in counts}


def _unresolved(db: sqlite3.Connection) -> list[Unresolved]:
    rows = db.execute(
        "SELECT coalesce(batch_ref, ''), tasks - accepted, (tasks - accepted) * coalesce(usd_micro, 0), sent_wall,"
        " coalesce(detail, '')"
        " FROM submission WHERE state IN ('sending', 'unknown') ORDER BY submission_id"
    )
    return [Unresolved(group, runs, usd, int(sent), detail) for group, runs, usd, sent, detail in rows]
