"""What is shown is true, is cleaned, and never stands in the way of a run."""

import io
import json
import os
import pty
import re
import select
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TextIO

import pytest

from enrich.progress import (
    BarProgress,
    JsonProgress,
    PlainProgress,
    Progress,
    QuietProgress,
    Speed,
    open_progress,
)

HOSTILE = "\x1b[2J\x9b31m\u202eevil\nnew line\x07"
MOMENT = datetime(2026, 3, 1, 22, 4, 5, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def plain(stream: TextIO, clock: Clock) -> Progress:
    return PlainProgress(stream, clock=clock)


def as_json(stream: TextIO, clock: Clock) -> Progress:
    return JsonProgress(stream, clock=clock, now=lambda: MOMENT)


def bar(stream: TextIO, clock: Clock) -> Progress:
    return BarProgress(stream, clock=clock)


Make = Callable[[TextIO, Clock], Progress]


def run_of_200(progress: Progress, clock: Clock) -> None:
    """Ten minutes: 10 runs were there before, 2 end every 6 seconds, each tenth run fails."""
    progress.start(200, done=10)
    for step in range(1, 96):
        clock.now += 6
        done = 10 + 2 * step
        progress.update(
            done=done, failed=done // 10, usd=Decimal("0.025") * done, at_stake=Decimal("0.025") * (200 - done)
        )
    progress.close()


# ---------------------------------------------------------------------- pace


def test_before_a_run_has_ended_there_is_no_pace(clock: Clock) -> None:
    pace = Speed(clock)
    pace.start(500)
    clock.now += 60
    pace.reached(500)
    assert (pace.per_s(), pace.left_s(10)) == (None, None)


def test_what_ended_before_is_not_counted(clock: Clock) -> None:
    pace = Speed(clock)
    pace.start(500)
    clock.now += 10
    pace.reached(505)
    assert (pace.per_s(), pace.left_s(10)) == (0.5, 20)


def test_the_pace_is_that_of_the_last_minutes(clock: Clock) -> None:
    pace = Speed(clock, over_s=100)
    pace.start(0)
    for done in range(1, 101):
        clock.now += 1
        pace.reached(done * 50)
    for done in range(1, 301):
        clock.now += 1
        pace.reached(5000 + done)
    assert pace.per_s() == pytest.approx(1, rel=0.05)


def test_silence_slows_the_pace(clock: Clock) -> None:
    pace = Speed(clock)
    pace.start(0)
    clock.now += 10
    pace.reached(10)
    clock.now += 90
    assert pace.per_s() == pytest.approx(0.1)


def test_memory_does_not_grow_with_the_calls(clock: Clock) -> None:
    pace = Speed(clock)
    pace.start(0)
    for done in range(100_000):
        clock.now += 0.01
        pace.reached(done)
    assert len(pace._marks) < 110
    assert pace.per_s() == pytest.approx(100, rel=0.02)


# ---------------------------------------------------------------------- lines


def test_plain_lines_come_every_30_seconds_and_at_both_ends(clock: Clock) -> None:
    stream = io.StringIO()
    run_of_200(plain(stream, clock), clock)
    lines = stream.getvalue().splitlines()
    assert lines[:3] == [
        "10 of 200 runs, $0.00 spent",
        "20 of 200 runs, 2 failed, $0.50 spent, $4.50 at stake, 20.0 runs/min, 9 min 00 s left",
        "30 of 200 runs, 3 failed, $0.75 spent, $4.25 at stake, 20.0 runs/min, 8 min 30 s left",
    ]
    assert lines[-1] == "200 of 200 runs, 20 failed, $5.00 spent, 20.0 runs/min"
    assert len(lines) == 21


def test_json_lines_are_for_machines(clock: Clock) -> None:
    stream = io.StringIO()
    run_of_200(as_json(stream, clock), clock)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    at = "2026-03-01T22:04:05.000+00:00"
    always = {"at": at, "event": "progress", "total": 200}
    assert events[:2] == [
        {**always, "done": 10, "failed": 0, "usd": 0.0, "usd_at_stake": 0.0, "per_s": None, "left_s": None},
        {**always, "done": 20, "failed": 2, "usd": 0.5, "usd_at_stake": 4.5, "per_s": 0.333, "left_s": 540},
    ]
    assert len(events) == 21


def test_a_json_note_is_an_event(clock: Clock) -> None:
    stream = io.StringIO()
    as_json(stream, clock).note("slowing down")
    assert json.loads(stream.getvalue())["text"] == "slowing down"


def test_a_next_rung_raises_the_total(clock: Clock) -> None:
    stream = io.StringIO()
    progress = plain(stream, clock)
    progress.start(10)
    progress.update(done=10, failed=0, usd=Decimal(1))
    progress.start(14, done=10)
    progress.close()
    assert stream.getvalue().splitlines()[-1] == "10 of 14 runs, $1.00 spent"


@pytest.mark.parametrize("make", [plain, as_json])
def test_after_the_end_nothing_is_shown(clock: Clock, make: Make) -> None:
    stream = io.StringIO()
    progress = make(stream, clock)
    progress.close()
    assert stream.getvalue() == ""
    progress.start(1)
    progress.close()
    shown = stream.getvalue()
    clock.now += 1000
    progress.update(done=1, failed=0, usd=Decimal(0))
    progress.close()
    assert stream.getvalue() == shown


def test_quiet_shows_nothing(capfd: pytest.CaptureFixture[str], clock: Clock) -> None:
    progress = QuietProgress()
    progress.note("x")
    run_of_200(progress, clock)
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------------- every printer


@pytest.mark.parametrize("make", [plain, as_json, bar])
def test_no_note_reaches_a_terminal_as_it_came(clock: Clock, make: Make) -> None:
    stream = io.StringIO()
    progress = make(stream, clock)
    progress.note(HOSTILE)
    progress.start(10)
    progress.note(HOSTILE)
    progress.close()
    shown = stream.getvalue()
    assert shown.count("evil new line") == 2
    assert not {"\x9b", "\u202e", "\x07"} & {*shown}
    assert "\x1b[2J" not in shown


class Gone(io.StringIO):
    """A stream whose other side has left after some writes."""

    def __init__(self, error: Exception, writes: int) -> None:
        super().__init__()
        self.error, self.writes, self.refused = error, writes, 0

    def write(self, text: str) -> int:
        self.writes -= 1
        if self.writes < 0:
            self.refused += 1
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("make", [plain, as_json, bar])
@pytest.mark.parametrize("writes", [0, 1, 5])
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(BrokenPipeError(32, "Broken pipe"), id="closed pipe"),
        pytest.param(OSError(5, "Input/output error"), id="terminal gone"),
        pytest.param(OSError(28, "No space left on device"), id="log disk full"),
        pytest.param(ValueError("I/O operation on closed file"), id="closed file"),
    ],
)
def test_a_stream_that_is_gone_does_not_end_the_run(clock: Clock, make: Make, writes: int, error: Exception) -> None:
    stream = Gone(error, writes)
    progress = make(stream, clock)
    run_of_200(progress, clock)
    progress.note("still here")
    assert stream.refused == 1


# ---------------------------------------------------------------------- the bar


class Terminal:
    """A real terminal: a stream to write to, and what it was sent."""

    def __init__(self, ours: int, stream: TextIO) -> None:
        self.ours, self.stream = ours, stream

    def shows(self, pattern: str) -> bool:
        """Whether the terminal is sent something like this, within seconds: it passes on in its own time."""
        sent = b""
        while select.select([self.ours], [], [], 5)[0]:
            sent += os.read(self.ours, 100_000)
            if re.search(pattern, sent.decode(errors="replace")):
                return True
        return False


@contextmanager
def terminal(columns: int) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with os.fdopen(ours, "rb"), os.fdopen(theirs, "w") as stream:
        yield Terminal(ours, stream)


@pytest.mark.parametrize("columns", [pytest.param(120, id="wide"), pytest.param(0, id="says no width")])
def test_a_terminal_gets_a_bar_with_runs_dollars_rate_and_time_left(clock: Clock, columns: int) -> None:
    with terminal(columns) as shown:
        assert isinstance(open_progress(shown.stream), BarProgress)
        progress = BarProgress(shown.stream, clock=clock)
        progress.start(200, done=10)
        clock.now += 60
        progress.update(done=30, failed=1, usd=Decimal("0.75"), at_stake=Decimal("4.25"))
        money = r"\$0\.75 spent, \$4\.25 at stake"
        assert shown.shows(rf"15% .*30/200 runs .*1 failed, {money}, 20\.0 runs/min, 8 min 30 s left")
        progress.note("slowing down")
        assert shown.shows("slowing down")
        clock.now += 60
        progress.update(done=200, failed=1, usd=Decimal(5))
        progress.close()
        assert shown.shows(r"100% .*200/200 runs .*1 failed, \$5\.00 spent")


def test_a_bar_is_drawn_ten_times_a_second_at_most(clock: Clock) -> None:
    stream = io.StringIO()
    progress = bar(stream, clock)
    progress.start(10_000)
    for done in range(10_000):
        clock.now += 0.001
        progress.update(done=done, failed=0, usd=Decimal(0))
    progress.close()
    assert stream.getvalue().count("\r") < 110


def test_a_bar_starts_no_thread_and_nothing_to_do_is_no_error(clock: Clock) -> None:
    import threading

    stream = io.StringIO()
    before = threading.active_count()
    progress = bar(stream, clock)
    progress.start(0)
    assert threading.active_count() == before
    progress.close()
    assert "0/0 runs" in stream.getvalue()


# ---------------------------------------------------------------------- which one


def test_the_printer_that_fits() -> None:
    stream = io.StringIO()
    assert isinstance(open_progress(stream, quiet=True, log_format="json"), QuietProgress)
    assert isinstance(open_progress(stream, log_format="json"), JsonProgress)
    assert isinstance(open_progress(stream), PlainProgress)
    assert isinstance(open_progress(stream, notebook=True), BarProgress)


def test_a_notebook_gets_the_bar_of_tqdm_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    import tqdm.auto
    from tqdm.std import tqdm as notebook_like

    monkeypatch.setattr(tqdm.auto, "tqdm", notebook_like)
    monkeypatch.setattr(notebook_like, "monitor_interval", 0)
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    progress = open_progress(shown, notebook=True)
    progress.start(3)
    progress.update(done=3, failed=0, usd=Decimal(0))
    progress.close()
    assert "3/3 runs" in shown.getvalue()
