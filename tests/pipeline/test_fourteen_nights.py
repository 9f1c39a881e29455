"""A job that runs every night for two weeks, in seconds: the time is the clock's that it is given."""

import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import msgspec
import pytest

import enrich
from enrich import pipeline
from enrich.errors import ExitCode
from enrich.host.clock import Clock
from enrich.job import Options
from enrich.ledger.store import Ledger
from tests.pipeline.desk import CONFIG, Desk

DAY_S = 24 * 3600
LATER_S = 600  # each night begins a little later than the one before, so that a week is over after seven
SPEED = 60.0  # a second here is a minute there
FIRST = datetime(2030, 1, 1, 2, 0, tzinfo=UTC).timestamp()  # at two in the morning
REFRESHED = CONFIG + "refresh: {answers: 7d, not_found: 7d, failed: 12h}\n"


def begin(night: int) -> float:
    """When the command of a night begins, in Unix seconds."""
    return FIRST + night * (DAY_S + LATER_S)


@dataclass
class Nights:
    """The same command, night after night, on a table that grows by a row a night."""

    desk: Desk

    def run(self, night: int, **options: float) -> enrich.Report:
        """The command of one night, the first being number 0."""
        self.desk.rows(10 + night)
        begun = time.monotonic()
        clock = Clock(
            wall=lambda: begin(night) + SPEED * (time.monotonic() - begun),
            mono=lambda: begin(night) - FIRST + SPEED * (time.monotonic() - begun),
        )
        given = Options(environ=self.desk.service.environ, settle_s=3600.0, **options)
        return anyio.run(partial(pipeline.run, self.desk.config, self.desk.table, given, clock=clock))


@pytest.fixture
def nights(make_service, tmp_path: Path) -> Nights:
    faults = ("run-failed=1x", "error-after=502,1x@4", "error-before=502,1x@11")
    desk = Desk(tmp_path, make_service(faults=faults))
    desk.config.write_text(REFRESHED)
    return Nights(desk)


def test_fourteen_nights(nights: Nights) -> None:
    """What is asked each night is what is new, what failed the night before, and what was answered a week ago.

    The answer to the POST of the fourth night is lost: the command finds its runs at once. That of the eleventh night
    does not arrive: nobody waits an hour to be sure of it, and a night later that time is long over.
    """
    reports = [nights.run(night, **({"deadline_s": 1.0} if night == 10 else {})) for night in range(14)]
    asked = [
        *(10, 1 + 1, 1, 1, 1, 1, 1),
        *(1 + 9, 1 + 2, 1 + 1, 0, 2 + 1 + 1, 1 + 1, 1 + 1),
    ]
    assert [report.receipt.runs_submitted for report in reports] == asked
    done = ExitCode.DONE
    assert [report.exit_code for report in reports] == [
        *(ExitCode.FAILED_ROWS, done, done, done, done, done, done),
        *(done, done, done, ExitCode.STOPPED, done, done, done),
    ]
    assert [report.receipt.rows.get("pending", 0) for report in reports] == [*[0] * 10, 1, *[0] * 3]
    bill = nights.desk.service.bill()
    assert (bill["runs"], bill["runs_charged"], bill["doubles"]) == (sum(asked), sum(asked) - 1, [])
    assert reports[-1].ledger.usd_micro_paid == (sum(asked) - 1) * 5_000
    said = Counter(row["enrich_at"][:10] for row in nights.desk.result(reports[-1]))
    assert said == {f"2030-01-{night + 1:02}": asked[night] for night in (7, 8, 9, 11, 12, 13)}  # none is a week old


def test_each_job_is_kept_with_its_time_and_its_manifest(nights: Nights) -> None:
    for night in range(2):
        report = nights.run(night)
    with closing(Ledger.reader(nights.desk.folder / ".enrich" / "ledger.db")) as ledger:
        jobs = ledger.connection.execute("SELECT started_at, ended_at, manifest FROM job ORDER BY job_id").fetchall()
    for night, (started_at, ended_at, manifest) in enumerate(jobs):
        assert begin(night) <= started_at <= ended_at < begin(night) + LATER_S
        kept = msgspec.json.decode(manifest)
        assert kept["started_at"].startswith(f"2030-01-{night + 1:02}T02:")
    assert len(jobs) == 2
    written = msgspec.json.decode(report.manifest.read_bytes())
    assert kept | {"ledger": written["ledger"]} == written
    assert kept["ledger"] == {"path": written["ledger"]["path"], "groups": []}
    assert {row["enrich_at"][:10] for row in nights.desk.result(report)} == {"2030-01-01", "2030-01-02"}
