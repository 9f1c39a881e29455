"""A double charge is reported once: by the command that found it or, if that was killed, by the next one. And what
costs nothing is none: a late run takes the place of one that failed.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from enrich.errors import ExitCode
from enrich.ledger.store import Ledger
from enrich.protocol.effects import ListGroup, Now, Settled
from enrich.protocol.replies import ListedRun, Listing
from enrich.protocol.resolve import watch
from enrich.records import Intent, Outcome, RunState, Stamp
from enrich.spec.identity import fieldset_key, task_key
from tests.faults.promises import BATCH, read_table


@pytest.mark.parametrize(
    ("completed", "codes"),
    [
        pytest.param(True, [ExitCode.DOUBLE_CHARGE, ExitCode.DONE], id="charged"),
        pytest.param(False, [ExitCode.DONE, ExitCode.DONE], id="failed, and so not charged"),
    ],
)
def test_what_a_killed_command_found_is_reported_by_the_next_one(make_scene, completed, codes) -> None:
    scene = make_scene(rows=3)
    scene.finish()
    ledger = Ledger.open(scene.ledger)
    with ledger.transaction():
        ledger.start_job(name="killed", config="", source="", fields={})
        ledger.record_extra(1, 0, "trun_extra")
        ledger.record_extra_outcome("trun_extra", completed=completed, raw=b"{}")
    ledger.close()
    reports = [scene.run(), scene.run()]
    assert [report.exit_code for report in reports] == codes
    assert [len(report.receipt.double_charges) for report in reports] == [int(completed), 0]
    assert scene.service.posts() == 1


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        pytest.param({}, [ExitCode.FAILED_ROWS, ExitCode.DONE], id="seen by a later command"),
        pytest.param({"latency_s": (5.0, 5.0)}, [ExitCode.DONE, ExitCode.DONE], id="seen by the command itself"),
    ],
)
def test_a_late_run_is_the_answer_where_the_one_that_was_sent_again_failed(make_scene, settings, codes) -> None:
    scene = make_scene("late=3s,1x", f"run-failed={BATCH}x", settings=settings, settle_s=0.2, rows=BATCH)
    scene.run()
    until = time.monotonic() + 10
    while scene.service.bill()["runs_charged"] < BATCH and time.monotonic() < until:
        time.sleep(0.02)
    scene.run()
    assert [report.exit_code for report in scene.reports] == codes
    assert [report.receipt.double_charges for report in scene.reports] == [(), ()]
    charged = {run["run_id"] for run in scene.service.runs() if run["status"] == "completed"}
    assert {row["enrich_run_id"] for row in read_table(scene.output)} == charged
    assert scene.service.posts() == 2
    assert sum(report.receipt.usd for report in scene.reports) == Decimal(scene.service.bill()["usd"])


KEY = b"a" * 16
START = Stamp(0, 0, "boot")
TOMORROW = Stamp(90_000, 90_000, "boot")
INTENT = Intent(1, "g1", "core", ("f",), 25_000, b"", START, ((KEY, 0),))


def completed(ledger: Ledger) -> None:
    ledger.record_extra_outcome("late", completed=True, raw=b"{}")


def failed(ledger: Ledger) -> None:
    ledger.record_extra_outcome("late", completed=False, raw=b"{}")


@pytest.mark.parametrize(
    ("seen_before", "then", "state"),
    [
        pytest.param(False, None, RunState.ACCEPTED, id="seen for the first time"),
        pytest.param(True, None, RunState.ACCEPTED, id="seen before, and still under way"),
        pytest.param(True, completed, RunState.COMPLETED, id="completed before the other one failed"),
        pytest.param(True, failed, RunState.FAILED, id="failed as well"),
    ],
)
def test_a_late_run_that_was_seen_while_the_other_was_under_way_stands_once_that_failed(
    ledger_in_memory: Ledger, seen_before: bool, then: Callable[[Ledger], None] | None, state: RunState
) -> None:
    ledger = ledger_in_memory
    with ledger.transaction():
        ledger.start_job(name="t", config="", source="", fields={})
        first = ledger.record_intent(INTENT)
        ledger.record_unknown(first, START, "no answer")
        ledger.record_resolved(first)
        again = ledger.record_intent(replace(INTENT, group_id="g2"))
        ledger.record_accepted(again, ["again"], None)
    at_stake = 0
    if seen_before:
        at_stake += watched(ledger, first)
        assert [extra.is_charge for extra in ledger.extra_runs()] == [True]
    with ledger.transaction():
        if then is not None:
            then(ledger)
        ledger.record_outcomes(again, [Outcome(0, "again", False, b"{}", "failed")])
    assert not any(extra.is_charge for extra in ledger.extra_runs())
    at_stake += watched(ledger, first)
    assert watched(ledger, first) == 0
    assert at_stake == 1
    assert ledger.extra_runs() == []
    held = [(run.run_id, run.state) for run in ledger.held([KEY])[KEY]]
    assert held == [("late", state), ("again", RunState.FAILED)]
    assert ledger.submission(first).state == ("open" if state is RunState.ACCEPTED else "done")
    assert ledger.totals().usd_micro_paid == 25_000 * (state is RunState.COMPLETED)
    ledger.check_whole()


def test_a_late_run_is_watched_for_more_than_a_day_while_the_one_that_was_sent_again_is_under_way(
    ledger_in_memory: Ledger,
) -> None:
    """What was paid for answers: who stopped watching before the other one failed would have paid for nothing."""
    ledger = ledger_in_memory
    with ledger.transaction():
        ledger.start_job(name="t", config="", source="", fields={})
        first = ledger.record_intent(INTENT)
        ledger.record_unknown(first, START, "no answer")
        ledger.record_resolved(first)
        again = ledger.record_intent(replace(INTENT, group_id="g2"))
        ledger.record_accepted(again, ["again"], None)
    watched(ledger, first, at=TOMORROW)
    assert ledger.submission(first).watched
    with ledger.transaction():
        completed(ledger)
        ledger.record_outcomes(again, [Outcome(0, "again", False, b"{}", "failed")])
    watched(ledger, first, at=TOMORROW)
    assert not ledger.submission(first).watched
    assert ledger.extra_runs() == []
    late, _ = ledger.held([KEY])[KEY]
    assert (late.run_id, late.state) == ("late", RunState.COMPLETED)


def watched(ledger: Ledger, submission_id: int, at: Stamp = START) -> int:
    """Look for late runs in a group that lists one; gives for how many nobody had reserved money."""
    task = task_key(KEY, fieldset_key(INTENT.field_ids), INTENT.processor, 0)
    protocol = watch(ledger.submission(submission_id))
    result: Any = None
    found = 0
    while True:
        try:
            effect: Any = protocol.send(result)
        except StopIteration:
            return found
        match effect:
            case Now():
                result = at
            case ListGroup():
                result = Listing(1, 1, (ListedRun("late", task),))
            case Settled():
                found += effect.found
            case _:
                with ledger.transaction():
                    result = effect.apply(ledger)
