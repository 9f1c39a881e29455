"""A command goes on at the pace of the one before: what that created in the last minute counts, and what it learnt."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from enrich.asking.asking import Terms, pace_of
from enrich.host.clock import SYSTEM
from enrich.ledger.store import Ledger
from enrich.protocol.effects import RecordIntent, RecordNotCreated, RecordUnknown
from enrich.protocol.pace import Grant
from enrich.records import Intent, Learnt, Stamp

pytestmark = pytest.mark.anyio


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open(tmp_path / "ledger.db")) as one:
        yield one


def terms(quota: int) -> Terms:
    return Terms(job_id=1, name="test", budget=None, settle_s=900.0, runs_per_minute=quota)


def send(ledger: Ledger, runs: int, ago_s: float) -> int:
    """What an earlier command sent; gives the submission."""
    now = SYSTEM.stamp()
    stamp = Stamp(now.wall - ago_s, now.mono - ago_s, now.boot)
    tasks = tuple((bytes([n]) * 16, int(ago_s)) for n in range(runs))
    with ledger.transaction():
        job_id = ledger.start_job(name="earlier", config="", source="", fields={"f": ("f", {"type": "string"})})
        intent = Intent(job_id, "tgrp_1", "core", ("f",), 25_000, b"", stamp, tasks)
        return RecordIntent(intent).apply(ledger)


async def test_what_was_created_in_the_last_minute_counts(ledger: Ledger) -> None:
    send(ledger, 30, ago_s=70)
    send(ledger, 20, ago_s=40)
    refused = send(ledger, 40, ago_s=10)
    with ledger.transaction():
        RecordNotCreated(refused, "no").apply(ledger)

    pace = pace_of(ledger, terms(100))

    now = anyio.current_time()
    assert pace.grant(1000, now) == Grant(80)
    pace.unsent(80)
    assert pace.grant(1000, now + 21) == Grant(100)


async def test_what_was_learnt_of_the_quota_is_kept_for_the_next_command(ledger: Ledger) -> None:
    learnt = Learnt(300.0, 20.0, SYSTEM.wall() - 5)
    with ledger.transaction(keeps_answers=True):
        ledger.record_pace(learnt)

    assert ledger.pace() == learnt
    pace = pace_of(ledger, terms(2000))

    assert pace.grant(1000, anyio.current_time()) == Grant(300)
    assert pace.learnt == replace(learnt, at=pytest.approx(anyio.current_time() - 5, abs=1))


async def test_a_ledger_that_has_learnt_nothing_says_so(ledger: Ledger) -> None:
    assert ledger.pace() is None
    assert pace_of(ledger, terms(2000)).learnt is None


async def test_a_refusal_that_is_doubted_is_known_to_be_one_by_the_next_command(ledger: Ledger) -> None:
    submission_id = send(ledger, 3, ago_s=5)
    assert not ledger.submission(submission_id).doubted
    with ledger.transaction():
        RecordUnknown(submission_id, SYSTEM.stamp(), "429", doubted=True).apply(ledger)
        RecordUnknown(submission_id, SYSTEM.stamp(), "the clock was set back").apply(ledger)
    assert ledger.submission(submission_id).doubted
