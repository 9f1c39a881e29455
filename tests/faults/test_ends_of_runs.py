"""Runs that end badly or answer strangely: the row says why, and the others go on."""

import time
from contextlib import closing
from decimal import Decimal

import pytest

from enrich.errors import ExitCode
from enrich.ledger.store import Ledger
from tests.faults.promises import check, fault_free, lasting, read_table


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        pytest.param("run-failed=30%", "failed", id="case 29: failed"),
        pytest.param("run-cancelled=30%", "cancelled", id="case 29: cancelled"),
        pytest.param("run-action-required=30%", "action", id="case 29: action_required"),
    ],
)
def test_a_run_that_failed_is_not_charged_and_its_row_says_why(make_scene, fault, word) -> None:
    scene = make_scene(fault)
    report = scene.finish()
    assert report.exit_code is ExitCode.FAILED_ROWS
    rows = check(scene, same_content=False)
    struck = {run["input"]["company"] for run in scene.service.runs() if run["status"] != "completed"}
    assert 4 < len(struck) < 25
    for row, expected in zip(rows, fault_free(scene.rows), strict=True):
        if row["name"] in struck:
            assert row["enrich_status"] == "failed"
            assert word in row["enrich_detail"]
            assert (row["city"], row["city_status"]) == ("", "failed")
        else:
            assert lasting(row) == lasting(expected)


def test_what_failed_is_asked_again_when_it_is_wanted_and_charged_once(make_scene) -> None:
    scene = make_scene("run-failed=8x")
    scene.finish()
    failed_by = int(time.time())
    while int(time.time()) == failed_by:  # what failed in this very second would count as this command's
        time.sleep(0.01)
    assert scene.run(retry_failed=True).receipt.runs_paid == 8
    bill = scene.service.bill()
    assert bill["doubles"] == []
    assert bill["runs_charged"] == scene.rows
    assert scene.run(retry_failed=True).receipt.runs_submitted == 0


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        pytest.param("null-fields=1x", {"city": "not_found", "year": "not_found"}, id="case 29: null fields"),
        pytest.param("invalid-values=1x", {"city": "invalid", "year": "invalid"}, id="case 29: values of wrong types"),
        pytest.param("no-basis=empty,1x", {"city": "review", "year": "review"}, id="case 29: basis empty"),
        pytest.param("no-basis=absent,1x", {"city": "review", "year": "review"}, id="case 29: basis absent"),
        pytest.param("no-basis=null,1x", {"city": "review", "year": "review"}, id="case 29: basis null"),
        pytest.param("no-confidence=1x", {"city": "review", "year": "review"}, id="case 29: no confidence"),
        pytest.param("string-content=1x", None, id="case 29: JSON as text"),
        pytest.param("numeric-confidence=fields,1x", None, id="case 29: numeric confidence by field"),
        pytest.param("numeric-confidence=list,1x", None, id="case 29: numeric confidence in a list"),
        pytest.param("missing-basis=1x", None, id="case 29: basis of one field missing"),
        pytest.param("huge-value=1x", None, id="case 29: 1 MB"),
        pytest.param("hostile-values=1x", None, id="cases 25-27: hostile"),
    ],
)
def test_a_strange_answer_is_judged_alone(make_scene, fault, statuses) -> None:
    scene = make_scene(fault, rows=8)
    report = scene.finish()
    assert report.exit_code is ExitCode.DONE
    rows = check(scene, same_content=False)
    first = scene.service.runs()[0]["input"]["company"]
    for row, expected in zip(rows, fault_free(scene.rows), strict=True):
        if row["name"] != first:
            assert lasting(row) == lasting(expected)
        elif statuses is not None:
            assert {name: row[f"{name}_status"] for name in statuses} == statuses
        else:
            assert row["enrich_status"] in ("complete", "review", "withheld")
            assert row["enrich_run_id"]


def test_a_run_that_never_ends_leaves_its_row_pending_and_is_not_sent_again(make_scene) -> None:
    scene = make_scene("run-stuck=1x", rows=8, speed=50)
    reports = [scene.run(deadline_s=120) for _ in range(2)]
    assert [report.exit_code for report in reports] == [ExitCode.STOPPED] * 2
    assert {report.stopped for report in reports} == {"the deadline is reached"}
    assert [report.receipt.rows["pending"] for report in reports] == [1, 1]
    assert scene.service.posts() == 1
    stuck = next(run for run in scene.service.runs() if run["status"] != "completed")
    rows = {row["name"]: row["enrich_status"] for row in read_table(scene.output)}
    assert [name for name, status in rows.items() if status == "pending"] == [stuck["input"]["company"]]


def test_runs_that_were_asked_at_another_price_are_in_the_receipt_at_that_price(make_scene) -> None:
    """The price list may change between sending and collecting: by a new version of the program."""
    scene = make_scene(rows=8, speed=50, settings={"latency_s": (6.0, 6.0)})
    assert scene.run(deadline_s=100).receipt.rows["pending"] == 8
    with closing(Ledger.open(scene.ledger)) as ledger, ledger.transaction():
        ledger.connection.execute("UPDATE submission SET usd_micro = 70000")
    report = scene.finish()
    assert report.exit_code is ExitCode.DONE
    assert report.receipt.runs_by_processor == {"ultra": 8}
    assert report.receipt.usd_by_processor == {"ultra": Decimal("0.56")}
    assert report.receipt.usd == report.receipt.ledger_usd == Decimal("0.56")
