"""Cases 1 and 2: the command is killed at each commit and at random moments, again and again, until it is done.

After each story all invariants are held (see `tests.faults.promises.check`). `python -m tests.processes --kills 3000`
does the same for as long as one likes.
"""

import time
from itertools import product

import pytest

from tests.faults.promises import Scene, check, serving
from tests.processes.commands import Commands, Kill
from tests.processes.kills import SETTLE, Tally, drawn_stories, enumerated_stories, story

TRANSITIONS = (
    "create",
    "start_job",
    "record_service",
    "record_intent",
    "record_accepted",
    "record_unknown",
    "record_adopted",
    "record_resolved",
    "record_outcomes",
    "end_job",
)


@pytest.mark.slow
def test_forty_kills_pay_nothing_twice_and_lose_nothing(commands: Commands) -> None:
    tally = Tally()
    for one in drawn_stories(commands, 40, seed=7, rows=64):
        tally += one
    assert tally.kills >= 40
    assert (tally.paid_twice, tally.lost) == (0, 0)


@pytest.mark.parametrize("late", [pytest.param("100ms", id="soon"), pytest.param("700ms", id="just within it")])
def test_what_takes_effect_within_the_settling_time_after_a_kill_is_adopted(commands, tmp_path, late) -> None:
    """Case 6: the client dies with its POSTs on the way, and they take effect when it is gone."""
    taken = tmp_path / "service.ndjson"
    with serving(f"late={late}", state=taken) as service:
        scene = Scene(tmp_path, service)
        argv = ["run", str(scene.config), str(scene.table), "--settle", SETTLE, "--quiet", "--yes"]
        first = commands.start(argv, folder=tmp_path, environ=service.environ)
        while taken.read_bytes().count(b'"body"') < 3:  # requests that came whole, and will take effect
            time.sleep(0.005)
        first.kill()
        first.wait()
        assert commands.start(argv, folder=tmp_path, environ=service.environ).wait() == 0
        assert service.posts() == 3
        check(scene, receipts=False)


def is_met(tally: Tally, when: str, name: str) -> bool:
    """Whether a command was killed before or after a commit that held this transition."""
    return any(point.startswith(when) and name in point.split() for point in tally.points)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_kill_before_and_after_every_commit_pays_nothing_twice_and_loses_nothing(commands: Commands) -> None:
    tally = Tally()
    for one in enumerated_stories(commands):
        tally += one
    for name, when in product(TRANSITIONS, ("before", "after")):
        if not is_met(tally, when, name):
            # The first dies with its request accepted and not noted, which the second finds out, and dies of.
            tally += story(commands, [Kill(1, "before", "record_accepted"), Kill(1, when, name)])
            assert is_met(tally, when, name), (when, name)
    assert (tally.paid_twice, tally.lost) == (0, 0)
