"""A service that refuses, or is not there: nothing was created, so it is sent again soon, or the command stops."""

import threading
import time
from contextlib import ExitStack
from decimal import Decimal

import pytest

from enrich.errors import ExitCode
from enrich.progress import QuietProgress
from enrich.sandbox import Quota
from tests.faults.door import Door
from tests.faults.promises import BATCH, Scene, check, check_cost, read_table, serving
from tests.hostile.middleman import between

GROUP = b"POST /v1/tasks/groups HTTP"


class Told(QuietProgress):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def note(self, text: str) -> None:
        self.words.append(text)


def batches(scene: Scene) -> int:
    """POSTs that a run without faults sends."""
    return -(-scene.rows // BATCH)


def test_a_connection_that_is_refused_is_made_again_soon(tmp_path) -> None:
    """Case 5: the door shuts behind each group that is made, so that no POST of its runs finds anybody."""
    with serving() as service, Door(service.base_url) as door:
        scene = Scene(tmp_path, service, speed=20)
        service.environ["PARALLEL_BASE_URL"] = door.base_url
        door.shut_after(GROUP, times=3, seconds=0.05)
        scene.finish()
        assert door.shut == 3
        assert service.posts() == batches(scene)
        check(scene)


def test_a_service_that_cannot_be_reached_stops_the_command_and_the_next_one_goes_on(tmp_path) -> None:
    with serving() as service, Door(service.base_url) as door:
        scene = Scene(tmp_path, service, speed=200)
        service.environ["PARALLEL_BASE_URL"] = door.base_url
        door.close()
        report = scene.run()
        assert report.exit_code is ExitCode.STOPPED
        assert report.stopped.startswith("the service can't be reached: POST v1/tasks/groups: no connection")
        assert report.receipt.rows == {"pending": scene.rows}
        door.open()
        scene.finish()
        assert service.posts() == batches(scene)
        check(scene)


def test_a_service_that_restarts_midway_is_waited_for(tmp_path) -> None:
    folder = tmp_path / "desk"
    folder.mkdir()
    settings = {"state": tmp_path / "service.ndjson", "latency_s": (0.3, 0.4)}
    with ExitStack() as first, ExitStack() as second:
        service = first.enter_context(serving(**settings))
        scene = Scene(folder, service, speed=20)

        def restart() -> None:
            while service.posts() < 2:
                time.sleep(0.01)
            first.close()
            port = int(service.base_url.rpartition(":")[2])
            second.enter_context(serving(port=port, **settings))

        thread = threading.Thread(target=restart)
        thread.start()
        scene.finish()
        thread.join()
        bill = service.bill()
        assert bill["runs"] == scene.rows
        check(scene)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(("rate-limited=seconds,6x",), id="case 12: Retry-After in seconds"),
        pytest.param(("rate-limited=date,6x",), id="case 12: Retry-After as a date"),
        pytest.param(("rate-limited=absent,6x",), id="case 12: no Retry-After"),
        pytest.param(("rate-limited=absurd,6x",), id="case 12: an absurd Retry-After"),
    ],
)
def test_too_many_requests_are_answered_by_slowing_down(make_scene, faults) -> None:
    scene = make_scene(*faults, speed=20)
    report = scene.finish()
    assert report.exit_code is ExitCode.DONE
    assert scene.service.posts() == batches(scene) + 6
    check(scene)


def test_reads_that_fail_are_read_again(make_scene) -> None:
    faults = tuple(f"read-error={status},2x@{1 + 4 * n}" for n, status in enumerate((500, 502, 503, 504, 408, 429)))
    scene = make_scene(*faults, speed=20)
    assert scene.finish().exit_code is ExitCode.DONE
    assert scene.service.posts() == batches(scene)
    check(scene)


@pytest.mark.nightly
def test_ten_minutes_of_too_many_requests_end_well(make_scene) -> None:
    scene = make_scene("rate-limited=absent,30x", speed=100)
    assert scene.finish().exit_code is ExitCode.DONE
    assert batches(scene) <= scene.service.posts() - 30 <= 12  # it begins again with small ones
    check(scene)


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        pytest.param(("no-credit=0usd,12x@2",), ExitCode.STOPPED, id="case 13: 402 from the second POST on"),
        pytest.param(("unauthorized=6x@10",), ExitCode.REFUSED, id="case 13: 401 midway"),
        pytest.param(("forbidden=2x@2",), ExitCode.REFUSED, id="case 13: 403 midway"),
        pytest.param(("key-echo=401,1x@2",), ExitCode.REFUSED, id="case 28: 401 that repeats the key"),
    ],
)
def test_what_the_service_refuses_to_go_on_with_is_written_and_the_next_command_goes_on(make_scene, faults, code):
    scene = make_scene(*faults, settings={"latency_s": (0.0, 0.02)})
    report = scene.run()
    assert report.exit_code is code
    assert report.stopped
    assert report.receipt.rows["pending"] > 0
    done = [row for row in read_table(scene.output) if row["enrich_run_id"]]
    assert sum(report.receipt.rows.values()) == scene.rows
    assert len(done) == report.receipt.runs_paid
    scene.finish()
    check(scene)


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        pytest.param(("no-credit=0usd,99x@2",), ExitCode.STOPPED, id="case 13: 402"),
        pytest.param(("key-echo=401,99x@2",), ExitCode.REFUSED, id="case 13: 401"),
        pytest.param(("forbidden=99x@2",), ExitCode.REFUSED, id="case 13: 403"),
    ],
)
def test_what_runs_when_the_service_refuses_to_go_on_is_collected_all_the_same(make_scene, faults, code) -> None:
    # Batches of one size: which of them comes first to the service is chance.
    scene = make_scene(*faults, settings={"latency_s": (0.2, 0.4)}, rows=3 * BATCH)
    report = scene.run()
    assert report.exit_code is code
    assert report.receipt.runs_paid == BATCH
    assert report.receipt.rows["pending"] == scene.rows - BATCH
    assert report.receipt.usd_at_stake == 0
    check_cost(report.ledger, scene.service.bill())


def test_short_credit_is_used_up_in_smaller_steps(make_scene) -> None:
    """Case 13: room for nine runs at a time: batches of sixteen are refused, and smaller ones find room."""
    scene = make_scene("no-credit=9runs", settings={"latency_s": (0.02, 0.05)})
    report = scene.finish()
    assert report.exit_code is ExitCode.DONE
    assert len(scene.reports) == 1
    check(scene)


def test_a_key_that_the_service_repeats_is_found_nowhere(make_scene) -> None:
    """Case 28: an error body with the key in it, of every kind."""
    scene = make_scene("key-echo=500,1x", "key-echo=422,1x@2", "key-echo=401,1x@3", rows=BATCH)
    scene.finish()
    check(scene)


def test_a_budget_is_never_passed_whatever_gets_lost(make_scene) -> None:
    scene = make_scene("response-lost=close", "run-failed=20%", settings={"seed": 3})
    report = scene.run(budget="6")
    assert report.exit_code is ExitCode.STOPPED
    assert Decimal(scene.service.bill()["usd"]) <= 6


def test_a_group_that_cannot_be_made_stops_the_command_and_says_why(make_scene) -> None:
    scene = make_scene("group-lost", rows=BATCH, speed=200)
    report = scene.run()
    assert report.exit_code is ExitCode.STOPPED
    assert report.stopped.startswith("the service can't be reached: POST v1/tasks/groups")
    assert scene.service.posts() == 0


def test_a_service_that_does_not_know_its_groups_stops_the_command_and_the_next_one_goes_on(make_scene) -> None:
    def unknown(path: str) -> str:
        return path.replace("/groups/tgrp_", "/groups/tgrp_0") if "/runs" in path else path

    scene = make_scene(rows=2 * BATCH, speed=200)
    told = Told()
    with between(scene.service.base_url, path_upstream=unknown) as man:
        report = scene.run(progress=told, environ=man.environ())
    assert report.exit_code is ExitCode.STOPPED
    assert "the service takes no runs: POST v1/tasks/groups/tgrp_" in report.stopped
    assert "the service answered 404" in report.stopped
    assert report.receipt.usd_at_stake == 0
    assert any("no runs could be added (POST" in words and words.endswith("; trying again") for words in told.words)
    assert scene.service.bill()["runs"] == 0
    refused = scene.service.posts()
    scene.finish()
    assert scene.service.posts() == refused + batches(scene)
    check(scene)


def test_events_that_are_forbidden_are_polled_for(make_scene) -> None:
    scene = make_scene("events-refused=403")
    assert scene.finish().exit_code is ExitCode.DONE
    assert len(scene.reports) == 1
    check(scene)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("refused-after=429", id="by the quota, taken whole"),
        pytest.param("refused-after=402", id="by the credit, taken whole"),
        pytest.param("refused-partial=5", id="taken in part"),
        pytest.param("refused-late=30ms", id="taken a little later"),
    ],
)
@pytest.mark.parametrize("times", ["1x", *(pytest.param(often, marks=pytest.mark.slow) for often in ("10x", "50%"))])
def test_a_refusal_that_took_effect_is_not_paid_for_again(make_scene, fault, times) -> None:
    """Case 31: no document says that a refused add made nothing, so its group is looked at."""
    scene = make_scene(f"{fault},{times}", rows=3 * BATCH)
    scene.finish()
    check(scene)


@pytest.mark.parametrize("words", [{}, {"partly": True}, {"counts_refused": True}, {"is_silent": True}])
def test_a_quota_is_kept_to_and_nothing_is_paid_for_twice(make_scene, words) -> None:
    """Case 32: it is half of what the command was told."""
    quota = Quota(2 * BATCH, 1.0, **words)
    scene = make_scene(rows=6 * BATCH, settings={"quota": quota}, speed=20)
    scene.finish()
    check(scene)
