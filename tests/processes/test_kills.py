"""Cases 1 and 2: the command is killed at each commit and at random moments, again and again, until it is done.

After each story all invariants are held (see `tests.faults.promises.check`). `python -m tests.processes --kills 3000`
does the same for as long as one likes.
"""

import random
import time
from itertools import islice

import pytest

from tests.faults.promises import Scene, check, serving
from tests.processes.commands import Commands
from tests.processes.kills import SETTLE, Tally, drawn, drawn_stories, enumerated_stories, story

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
        argv = ["run", str(scene.config), str(scene.table), "--settle", SETTLE, "--quiet"]
        first = commands.start(argv, folder=tmp_path, environ=service.environ)
        while taken.read_bytes().count(b'"body"') < 3:  # requests that came whole, and will take effect
            time.sleep(0.005)
        first.kill()
        first.wait()
        assert commands.start(argv, folder=tmp_path, environ=service.environ).wait() == 0
        assert service.posts() == 3
        check(scene, receipts=False)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_kill_before_and_after_every_commit_pays_nothing_twice_and_loses_nothing(commands: Commands) -> None:
    tally = Tally()
    for one in enumerated_stories(commands):
        tally += one
    rng = random.Random(3)
    while missing := [
        f"{when} {name}"
        for when in ("before", "after")
        for name in TRANSITIONS
        if not any(point.startswith(when) and name in point.split() for point in tally.points)
    ]:
        assert tally.stories < 100, f"never met: {missing}"
        tally += story(commands, islice(drawn(rng, longest_s=0.6), 24))
    assert (tally.paid_twice, tally.lost) == (0, 0)
