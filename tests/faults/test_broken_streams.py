"""Streams that are cut, torn, doubled, silent or slow: the results are the same, and nothing is sent again."""

import time

import pytest

from enrich.errors import ExitCode
from tests.faults.promises import check

CUTS = ("cut-clean", "cut-half", "cut-close", "cut-reset")


def cut_everywhere(*names: str, events: int = 12) -> tuple[str, ...]:
    """Each stream is cut one event later than the one before, by each of these faults in turn."""
    return tuple(f"{names[at % len(names)]}={at // len(names)},1x@{at + 1}" for at in range(events * len(names)))


CASES = [
    *(pytest.param(cut_everywhere(name, events=18), id=f"case 14: {name} at each event") for name in CUTS),
    pytest.param(cut_everywhere(*CUTS), id="case 14: all cuts in turn"),
    pytest.param(("cut-half=3", "tiny-chunks=7", "line-separators"), id="case 14: half an event, split UTF-8"),
    pytest.param(("line-ends=crlf", "heartbeats"), id="case 14: CRLF"),
    pytest.param(("line-ends=cr", "heartbeats", "split-data"), id="case 14: CR"),
    pytest.param(("line-ends=mixed", "byte-order-mark", "tiny-chunks=3"), id="case 14: mixed line ends"),
    pytest.param(("duplicates",), id="case 14: duplicates"),
    pytest.param(("reordered",), id="case 14: reordered"),
    pytest.param(("duplicates", "reordered", "listing-by-change"), id="case 14: duplicates, reordered, by last change"),
    pytest.param(("events-refused=503",), id="events refused"),
    pytest.param(("events-refused=404", "listing-finished-only"), id="events unknown, listings of what has ended"),
    pytest.param(("error-events", "unknown-events"), id="case 29: error events, unknown kinds"),
    pytest.param(("huge-value=1x",), id="case 29: a value of 1 MB"),
]


@pytest.mark.parametrize("faults", CASES)
def test_results_are_the_same_whatever_the_streams_do(make_scene, faults) -> None:
    scene = make_scene(*faults, speed=30)
    report = scene.finish()
    assert report.exit_code is ExitCode.DONE
    assert len(scene.reports) == 1
    assert scene.service.posts() == 3
    check(scene, same_content=not {"line-separators", "huge-value=1x"}.intersection(faults))


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(("silence=10m,3x",), id="case 17: silent for ten minutes"),
        pytest.param(("silence=10m",), id="case 17: silent for ten minutes, every time"),
        pytest.param(("slow-bytes=20ms,3x",), id="case 17: a byte a second"),
        pytest.param(("slow-bytes=20ms",), id="case 17: a byte a second, every time"),
        pytest.param(("response-lost=close", "silence=10m,2x@2"), id="case 17: silence while resolving"),
    ],
)
def test_a_stream_that_says_nothing_is_noticed_within_two_minutes(make_scene, faults) -> None:
    scene = make_scene(*faults, speed=50)
    since = time.monotonic()
    assert scene.finish().exit_code is ExitCode.DONE
    assert (time.monotonic() - since) * scene.speed < 3 * 120  # a few streams, one after the other
    assert scene.service.posts() == 3
    check(scene)


def test_outputs_are_read_about_once(make_scene) -> None:
    scene = make_scene(rows=64, settings={"latency_s": (0.0, 0.3)})
    report = scene.finish()
    assert report.outcome.bytes_read <= 1.5 * report.outcome.result_bytes
