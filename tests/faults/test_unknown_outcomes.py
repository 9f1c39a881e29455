"""Answers to a POST that are lost, false, late or in part: what was sent is found again, and paid for once.

`again` is how many POSTs come on top of one a batch.
"""

import json
import time
from functools import partial

import pytest

from enrich import pipeline
from enrich.errors import ExitCode
from enrich.job import Options
from enrich.progress import QuietProgress
from tests.faults.fast_loop import run_fast
from tests.faults.promises import BATCH, KEY, check
from tests.hostile.middleman import Reply, between

FAILURES = (500, 502, 503, 504, 408, 409)


def each_once(name: str, values) -> tuple[str, ...]:
    """The fault with each of these values, one occasion after the other."""
    return tuple(f"{name}={value},1x@{place}" for place, value in enumerate(values, start=1))


CASES = [
    pytest.param(("response-lost=close,2x",), 0, id="case 4: answer lost, connection closed"),
    pytest.param(("response-lost=reset",), 0, id="case 4: answer lost, connection reset, every time"),
    pytest.param(("response-lost=close", "group-lost=2x"), 0, id="case 4: answers lost, of the group too"),
    pytest.param(("response-lost=close", "duplicates", "reordered"), 0, id="case 4: listings double and out of order"),
    pytest.param(("late=50ms",), 0, id="case 6: applied 50 ms later"),
    pytest.param(("late=300ms", "listing-by-change"), 0, id="case 6: applied half a settling time later"),
    pytest.param(("partial=0,1x",), 1, id="case 8: nothing of a batch"),
    pytest.param(("partial=15,1x",), 1, id="case 8: all but one"),
    pytest.param(("truncated-answer",), 0, id="case 9: truncated JSON"),
    pytest.param(("wrong-count",), 0, id="case 9: a run id too few"),
    pytest.param(("shuffled-ids",), 0, id="case 9: run ids in another order"),
    pytest.param(("shuffled-ids", "wrong-count=2x", "reordered"), 0, id="case 9: all of that"),
    pytest.param(each_once("error-after", (500, 502, 503)), 0, id="case 10: 500, 502, 503 after"),
    pytest.param(each_once("error-after", (504, 408, 409)), 0, id="case 10: 504, 408, 409 after"),
    pytest.param(each_once("error-before", FAILURES), 6, id="case 10: each of them before, then again"),
    pytest.param(("error-before=503,3x", "error-after=500,2x@4"), 3, id="case 10: before and after"),
    pytest.param(("error-after=500", "cut-clean=3,9x"), 0, id="case 15: listings cut with a clean end"),
    pytest.param(("error-after=500", "cut-clean=0,3x", "cut-clean=15,6x"), 0, id="case 15: cut before the last run"),
    pytest.param(("error-after=500", "listing-finished-only"), 0, id="case 15: listings without what is under way"),
    pytest.param(("response-lost", "listing-lag=300ms"), 0, id="case 16: the listing lags"),
    pytest.param(("response-lost", "count-lag=300ms"), 0, id="case 16: the count lags"),
    pytest.param(("response-lost", "listing-lag=300ms", "count-lag=100ms"), 0, id="case 16: the listing lags more"),
    pytest.param(("response-lost", "listing-lag=100ms", "count-lag=300ms"), 0, id="case 16: the count lags more"),
    pytest.param(("listing-lag=300ms", "count-lag=300ms"), 0, id="case 16: lags alone"),
]


@pytest.mark.parametrize(("faults", "again"), CASES)
def test_an_unknown_outcome_is_resolved_before_anything_is_sent_again(make_scene, faults, again) -> None:
    scene = make_scene(*faults, rows=3 * BATCH)  # whichever batch comes first, it is a full one
    report = scene.finish()
    assert report.exit_code is ExitCode.DONE
    assert len(scene.reports) == 1
    assert scene.service.posts() == -(-scene.rows // BATCH) + again
    check(scene)


def test_an_answer_that_never_comes_is_waited_for_a_minute_and_no_longer(make_scene) -> None:
    scene = make_scene("response-lost=silent,1x", speed=40)
    since = time.monotonic()
    scene.finish()
    assert time.monotonic() - since > 60 / scene.speed
    assert scene.service.posts() == 3
    check(scene)


def test_of_every_batch_what_was_applied_is_adopted_and_the_rest_is_sent_once_more(make_scene) -> None:
    """Case 8: 0 to 8 runs of nine batches of eight."""
    scene = make_scene(*each_once("partial", range(9)), rows=72, processor="ultra2x", speed=60)
    scene.finish()
    assert scene.service.posts() == 9 + 5  # what was missing, half of all, travels together again
    check(scene)


def test_a_batch_that_fails_many_times_in_a_row_is_sent_once_at_a_time(make_scene) -> None:
    scene = make_scene("error-before=503,8x", rows=BATCH, settle_s=0.05, speed=100)
    scene.finish()
    assert scene.service.posts() == 9
    check(scene)


def test_a_service_that_takes_nothing_is_given_up_and_tried_again_by_the_next_command(make_scene) -> None:
    scene = make_scene("error-before=503,6x", rows=BATCH, settle_s=0.05, speed=100)
    report = scene.run()
    assert (report.exit_code, scene.service.posts()) == (ExitCode.STOPPED, 6)
    assert report.stopped == "6 requests in a row came to nothing: the service takes no runs"
    scene.finish()
    check(scene)


def test_a_service_that_is_always_late_is_not_paid_again_with_every_pass(make_scene) -> None:
    scene = make_scene("late=2s", rows=BATCH, settle_s=0.5)
    scene.finish()
    assert 1 < scene.service.posts() <= 6
    time.sleep(2.1)  # the last one lands, too
    scene.run()
    reported = {double.task_key for report in scene.reports for double in report.receipt.double_charges}
    assert reported == {double["task"] for double in scene.service.bill()["doubles"]}
    assert len(reported) == BATCH


def test_what_lands_late_while_others_run_is_adopted_and_not_sent_again(make_scene) -> None:
    scene = make_scene("late=800ms,1x", settings={"latency_s": (1.4, 1.5)}, settle_s=0.2)
    assert scene.finish().exit_code is ExitCode.DONE
    assert scene.service.posts() == -(-scene.rows // BATCH)
    check(scene)


@pytest.mark.parametrize(
    ("faults", "again"),
    [
        pytest.param(("no-metadata", "response-lost"), 0, id="all of them"),
        pytest.param(("no-metadata=30%", "error-after=502"), 0, id="some"),
        pytest.param(("no-metadata", "partial=7,1x"), 1, id="of a part"),
    ],
)
def test_runs_whose_metadata_is_lost_are_known_by_what_they_were_asked(make_scene, faults, again) -> None:
    scene = make_scene(*faults)
    assert scene.finish().exit_code is ExitCode.DONE
    assert scene.service.posts() == -(-scene.rows // BATCH) + again
    check(scene)


def test_metadata_that_is_null_wherever_it_is_shown_is_metadata_that_is_lost(make_scene) -> None:
    def forget(method: str, path: str, reply: Reply) -> None:
        if path.endswith("/input"):
            reply.body = json.dumps(json.loads(reply.body) | {"metadata": None}).encode()

    scene = make_scene("no-metadata", "error-after=502,1x", rows=BATCH)
    with between(scene.service.base_url, change=forget) as man:
        report = scene.run(environ=man.environ(KEY))
    assert report.exit_code is ExitCode.DONE
    assert scene.service.posts() == 1
    check(scene)


def test_a_run_that_nothing_ties_to_its_row_is_left_to_the_next_command(make_scene) -> None:
    def disguise(method: str, path: str, reply: Reply) -> None:
        if path.endswith("/input"):
            reply.body = b'{"input": {"company": "Another"}}'

    class Noting(QuietProgress):
        def note(self, text: str) -> None:
            notes.append(text)

    notes: list[str] = []
    scene = make_scene("no-metadata=1x", rows=BATCH, speed=40)
    with between(scene.service.base_url, change=disguise) as man:
        options = Options(environ=man.environ(KEY), settle_s=scene.settle_s)
        command = partial(pipeline.run, scene.config, scene.table, options, progress=Noting())
        scene.reports += [run_fast(command, scene.speed) for _ in range(2)]
    assert [report.exit_code for report in scene.reports] == [ExitCode.STOPPED] * 2
    assert [report.receipt.rows["pending"] for report in scene.reports] == [1, 1]
    assert [report.receipt.runs_paid for report in scene.reports] == [BATCH - 1, 0]
    assert all(note.startswith("of 1 run of group tgrp_") for note in notes)
    assert len(notes) == 2
    assert scene.finish().exit_code is ExitCode.DONE  # it tells, in the end
    assert scene.service.posts() == 1
    check(scene)


@pytest.mark.nightly
def test_a_batch_that_fails_a_hundred_times_in_a_row_is_sent_once_at_a_time(make_scene) -> None:
    scene = make_scene("error-before=500,50x", "error-before=502,50x@51", rows=BATCH, settle_s=0.05, speed=200)
    scene.finish(most=20)
    assert scene.service.posts() == 101
    check(scene)


@pytest.mark.parametrize(
    ("settings", "commands"),
    [
        pytest.param({}, 2, id="case 7: found by a later command"),
        pytest.param({"latency_s": (8.0, 8.0)}, 1, id="case 7: found by the command itself", marks=pytest.mark.slow),
    ],
)
def test_what_takes_effect_after_the_settling_time_is_found_and_reported(make_scene, settings, commands) -> None:
    scene = make_scene("late=6s,1x", settings=settings, settle_s=0.2, rows=BATCH)  # late on a busy machine, too
    scene.finish()
    until = time.monotonic() + 20
    while not scene.service.bill()["doubles"] and time.monotonic() < until:
        time.sleep(0.02)
    if commands == 2:
        assert scene.reports[-1].exit_code is ExitCode.DONE  # nothing is known of it yet
        scene.run()
    report = scene.reports[-1]
    assert report.exit_code is ExitCode.DOUBLE_CHARGE
    doubles = {double["task"]: set(double["run_ids"]) for double in scene.service.bill()["doubles"]}
    assert {double.task_key: set(double.run_ids) for double in report.receipt.double_charges} == doubles
    assert len(doubles) == BATCH  # one batch
    text = report.receipt.to_text(100)
    assert all(run_id in text for ids in doubles.values() for run_id in ids)
    check(scene, doubles=BATCH)
