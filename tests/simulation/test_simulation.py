"""The protocol holds in 2,000 stories; without any one of its rules it does not; a story is the same every time."""

import os
import subprocess
import sys

import pytest

from . import __main__, batch
from .mutations import MUTATIONS

SEEDS = range(2000)

# What the stories must have contained, so that nothing is tested by accident only. Some two thirds of what they do.
LEAST = {
    "POSTs": 4500,
    "kills": 1000,
    "power cuts": 300,
    "unknown outcomes": 1700,
    "submissions resolved": 1500,
    "runs adopted": 3000,
    "tasks sent again": 3000,
    "late POSTs": 300,
    "POSTs that land after the settling time": 40,
    "double charges found": 50,
    "listings cut with a clean end": 1200,
    "listings from an old replica": 1800,
    "answers with ids in another order": 120,
    "runs accepted and not shown for long": 30,
    "stops for an hour": 200,
    "runs that end strangely": 200,
    "clock jumps": 150,
    "requests to stop": 150,
    "disk errors": 15,
    "POSTs refused 402": 250,
    "POSTs refused 404": 150,
    "POSTs refused 422": 150,
    "POSTs refused 429": 180,
    "POSTs refused unsent": 150,
    "POSTs refused 401": 1,
    "ended: budget": 60,
    "ended: credit": 70,
    "ended: refused": 90,
    "ended: interrupted": 150,
    "ended: disk error": 15,
}


def test_nothing_is_paid_twice_and_nothing_is_lost_in_a_few_stories() -> None:
    result = batch.run(SEEDS[:400])
    assert result.failed == [], result.to_text("?")


@pytest.mark.slow
def test_nothing_is_paid_twice_and_nothing_is_lost() -> None:
    result = batch.run(SEEDS)
    assert result.failed == [], result.to_text("?")
    assert {name: result.counts[name] for name, least in LEAST.items() if result.counts[name] < least} == {}


@pytest.mark.parametrize("rule", sorted(MUTATIONS))
def test_without_any_one_rule_it_would_be(rule: str) -> None:
    story = batch.first_red(SEEDS, rule)
    assert story is not None
    print(f"{rule}: seed {story.seed}: {story.violation}")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (4, 91))])
def test_a_seed_tells_the_same_story_in_every_process(seed: int) -> None:
    code = f"from {__package__}.story import digest; print(digest({seed}))"
    path = os.pathsep.join(filter(None, sys.path))
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": number, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in ("1", "2")
    }
    assert len(digests) == 1


def test_a_failing_seed_is_shown_and_can_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    story = batch.first_red(SEEDS, "send-again")
    assert story is not None
    again = ["--mutation", "send-again"]
    assert __main__.main(["--start", str(story.seed), "--seeds", "1", *again]) == 1
    assert f"--seed {story.seed} --trace shows: {story.violation}" in capsys.readouterr().out
    assert __main__.main(["--seed", str(story.seed), "--trace", *again]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "AddRuns" in "".join(lines)
    assert lines[-2].endswith(f"VIOLATION {story.violation}")
    assert lines[-1] == f"seed {story.seed}: {story.violation}"
