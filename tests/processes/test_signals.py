"""Case 22, and 21 as far as a test can wait: signals end the command in good order within ten seconds."""

import random
import signal
import time

import pytest

from tests.faults.promises import BATCH, Scene, check, read_table, serving
from tests.processes.commands import Command, Commands

ENDS_WITHIN_S = 10.0


def start(commands: Commands, scene: Scene) -> Command:
    argv = ["run", str(scene.config), str(scene.table), "--settle", "1s", "--quiet", "--yes"]
    return commands.start(argv, folder=scene.folder, environ=scene.service.environ)


def wait_for_posts(scene: Scene) -> None:
    until = time.monotonic() + 30
    while scene.service.posts() < -(-scene.rows // BATCH):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="SIGINT"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
        pytest.param(signal.SIGHUP, 143, id="SIGHUP"),
    ],
)
def test_a_signal_ends_the_command_in_good_order_and_the_next_one_goes_on(commands, tmp_path, number, code) -> None:
    with serving(latency_s=(0.1, 4.0)) as service:
        scene = Scene(tmp_path, service)
        first = start(commands, scene)
        wait_for_posts(scene)
        since = time.monotonic()
        first.kill(number)
        assert first.wait() == code
        assert time.monotonic() - since < ENDS_WITHIN_S
        statuses = {row["enrich_status"] for row in read_table(scene.output)}
        assert "pending" in statuses
        assert start(commands, scene).wait() == 0
        check(scene, receipts=False)


def test_a_second_signal_ends_at_once_and_the_next_command_goes_on(commands, tmp_path) -> None:
    # An answer that does not come is what the good order of the first signal still waits for.
    with serving("response-lost=silent,1x", latency_s=(0.5, 1.0)) as service:
        scene = Scene(tmp_path, service)
        old = "enrich_status,enrich_detail,enrich_run_id,enrich_processor,enrich_at\n"
        scene.output.write_text(old)
        first = start(commands, scene)
        wait_for_posts(scene)
        first.kill(signal.SIGINT)
        time.sleep(0.5)
        assert first.is_running
        first.kill(signal.SIGTERM)
        assert first.wait() == 143
        assert scene.output.read_text() == old
        assert start(commands, scene).wait() == 0
        check(scene, receipts=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        pytest.param([signal.SIGHUP], id="from the shell too"),
        pytest.param([signal.SIGHUP, signal.SIGHUP, signal.SIGTERM], id="and the end of the session"),
    ],
)
def test_a_lost_terminal_writes_the_table_however_often_it_is_told(commands, tmp_path, more) -> None:
    # An answer that does not come is what the good order of the first signal still waits for.
    with serving("response-lost=silent,1x", latency_s=(0.5, 1.0)) as service:
        scene = Scene(tmp_path, service)
        first = start(commands, scene)
        wait_for_posts(scene)
        for number in (signal.SIGHUP, *more):
            first.kill(number)
            time.sleep(0.1)  # so that each is a signal of its own
        assert first.wait() == 143
        assert "pending" in {row["enrich_status"] for row in read_table(scene.output)}
        assert start(commands, scene).wait() == 0
        check(scene, receipts=False)


@pytest.mark.nightly
def test_a_signal_while_an_answer_is_awaited_leaves_nothing_unknown_for_long(commands, tmp_path) -> None:
    with serving("response-lost=silent,1x") as service:
        scene = Scene(tmp_path, service, rows=BATCH)
        first = start(commands, scene)
        wait_for_posts(scene)
        since = time.monotonic()
        first.kill(signal.SIGTERM)
        assert first.wait() == 143
        assert time.monotonic() - since < ENDS_WITHIN_S
        assert start(commands, scene).wait() == 0
        assert service.posts() == 1
        check(scene, receipts=False)


def test_a_command_that_was_suspended_for_longer_than_the_settling_time_goes_on(commands, tmp_path) -> None:
    with serving("response-lost=close,1x", "listing-lag=300ms", latency_s=(0.1, 0.5)) as service:
        scene = Scene(tmp_path, service)
        first = start(commands, scene)
        wait_for_posts(scene)
        first.kill(signal.SIGSTOP)
        time.sleep(1.5)
        first.kill(signal.SIGCONT)
        assert first.wait() == 0, first.said()
        assert service.posts() == -(-scene.rows // BATCH)
        check(scene, receipts=False)


# by itself, or as asked; by the signal itself where it came before the command listened for it, or after
ENDINGS = (0, 4, 130, 143, -signal.SIGTERM, -signal.SIGINT)


def test_signals_at_random_moments_pay_nothing_twice_and_lose_nothing(commands, tmp_path) -> None:
    rng = random.Random(5)
    with serving(latency_s=(0.0, 0.5)) as service:
        scene = Scene(tmp_path, service, rows=100)
        for _ in range(8):
            command = start(commands, scene)
            time.sleep(rng.uniform(0.05, 0.5))
            command.kill(rng.choice([signal.SIGTERM, signal.SIGINT]))
            status = command.wait()
            assert status in ENDINGS, command.said()
            if status == 0:
                break
        assert start(commands, scene).wait() == 0
        check(scene, receipts=False)
