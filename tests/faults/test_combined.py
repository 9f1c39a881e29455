"""Several faults at once, drawn by a seed: whatever comes together, the promises hold."""

import random

import pytest

from tests.faults.promises import check

POSTS = (
    "response-lost=close,{share}%",
    "response-lost=reset,{share}%",
    "error-before=503,{share}%",
    "error-after=500,{share}%",
    "partial=3,{share}%",
    "truncated-answer={share}%",
    "wrong-count={share}%",
    "shuffled-ids={share}%",
    "rate-limited=seconds,{share}%",
    "late=150ms,{share}%",
    "group-lost={share}%",
)
READS = (
    "read-error=503,{share}%",
    "events-refused=503,{share}%",
    "cut-clean=2,{share}%",
    "cut-half=1,{share}%",
    "cut-reset=4,{share}%",
    "cut-close=0,{share}%",
    "duplicates={share}%",
    "reordered={share}%",
    "heartbeats={share}%",
    "line-ends=cr,{share}%",
    "error-events={share}%",
    "unknown-events={share}%",
    "split-data={share}%",
)
LADDER = "[core, ultra2x]\nconfidence: {missing: withhold}"
LISTINGS = ("listing-lag=150ms", "count-lag=200ms", "listing-by-change", "listing-finished-only")


def drawn(seed: int) -> tuple[str, ...]:
    """Some faults of each kind."""
    rng = random.Random(seed)
    struck = [*rng.sample(POSTS, 3), *rng.sample(READS, 4)]
    return (*(text.format(share=rng.randint(15, 60)) for text in struck), *rng.sample(LISTINGS, rng.randint(0, 2)))


def prove(make_scene, seed: int, *, rows: int) -> None:
    faults = drawn(seed)
    processor = LADDER if seed % 2 else "ultra2x"
    scene = make_scene(*faults, settings={"seed": seed}, rows=rows, processor=processor, speed=40)
    scene.finish(most=8)
    check(scene, same_content=False)  # answers depend on the seed


@pytest.mark.parametrize("seed", range(4))
def test_faults_together(make_scene, seed: int) -> None:
    prove(make_scene, seed, rows=32)


@pytest.mark.nightly
@pytest.mark.timeout(300)  # refusals are waited for, also on a busy machine
@pytest.mark.parametrize("seed", range(4, 44))
def test_many_faults_together(make_scene, seed: int) -> None:
    prove(make_scene, seed, rows=64)
