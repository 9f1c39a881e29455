"""What is shown while a run goes on, behind one seam: a bar, plain lines, JSON lines, or nothing.

All of it goes to standard error, cleaned of everything that a terminal obeys. Showing is never worth a run:
when the terminal is gone or the pipe is closed, the printers fall silent and the run goes on. Rate and time
left come from the runs that really ended in the last minutes; before the first one ended neither is told.

`update` takes totals so far and may be called as often as one likes, also when nothing has changed: called
once a second it keeps the clock on the bar right. This is the only file that knows `tqdm`.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, NoReturn, Protocol, TextIO

import msgspec

from enrich.text.figures import count_text, span_text, usd_text
from enrich.text.hostile import clean

if TYPE_CHECKING:
    from tqdm.std import tqdm

    from enrich.spec import Json

__all__ = [
    "BarProgress",
    "JsonProgress",
    "PlainProgress",
    "Progress",
    "QuietProgress",
    "Speed",
    "open_progress",
]

Monotonic = Callable[[], float]

LINE_EVERY_S: Final = 30.0
REDRAW_EVERY_S: Final = 0.1
PACE_OVER_S: Final = 300.0
_WIDTH_UNKNOWN: Final = 100
_NOTHING: Final = Decimal(0)


class Progress(Protocol):
    """The seam. Runs are what is counted; `failed` runs are among the `done`."""

    def start(self, total_runs: int, *, done: int = 0) -> None:
        """`total_runs` in all, `done` of them ended before; called again when a next rung adds runs."""

    def update(self, *, done: int, failed: int, usd: Decimal, at_stake: Decimal = _NOTHING) -> None:
        """Totals so far; `usd` is spent, `at_stake` is what was sent, and has no outcome yet."""

    def note(self, text: str) -> None:
        """One line that people should see."""

    def close(self) -> None:
        """Show where it ended. Nothing comes after; a second call does nothing."""


def open_progress(
    stream: TextIO,
    *,
    log_format: Literal["text", "json"] = "text",
    quiet: bool = False,
    notebook: bool = False,
) -> Progress:
    """The printer that fits: nothing, JSON lines, a bar on a terminal or notebook, plain lines elsewhere."""
    if quiet:
        return QuietProgress()
    if log_format == "json":
        return JsonProgress(stream)
    if notebook or stream.isatty():
        return BarProgress(stream, notebook=notebook)
    return PlainProgress(stream)


class Speed:
    """Runs a second over the last minutes, from the moments at which runs ended. Pure but for the clock."""

    def __init__(self, clock: Monotonic, *, over_s: float = PACE_OVER_S) -> None:
        self._clock = clock
        self._over_s = over_s
        self._marks: deque[tuple[float, int]] = deque()

    def start(self, done: int) -> None:
        """Measure from here: what ended before was not waited for."""
        self._marks.clear()
        self._marks.append((self._clock(), done))

    def reached(self, done: int) -> None:
        """`done` runs have ended by now."""
        now = self._clock()
        step_s = self._over_s / 100  # a hundred marks are enough, however often this is called
        if len(self._marks) > 1 and now - self._marks[-2][0] < step_s:
            self._marks[-1] = (now, done)
        else:
            self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[1][0] > self._over_s:
            self._marks.popleft()

    def per_s(self) -> float | None:
        """Runs a second; None until one has ended."""
        if len(self._marks) < 2:
            return None
        (since, before), (_, done) = self._marks[0], self._marks[-1]
        passed_s = self._clock() - since
        return (done - before) / passed_s if done > before and passed_s > 0 else None

    def left_s(self, runs: int) -> float | None:
        """Seconds that `runs` more will take at this pace; None where that can't be told."""
        rate = self.per_s()
        return None if rate is None else runs / rate


@dataclass(slots=True)
class _Counts:
    """Where a run stands."""

    pace: Speed
    total: int = 0
    done: int = 0
    failed: int = 0
    usd: Decimal = _NOTHING
    at_stake: Decimal = _NOTHING

    def start(self, total_runs: int, done: int) -> None:
        self.total, self.done = total_runs, done
        self.pace.start(done)

    def update(self, done: int, failed: int, usd: Decimal, at_stake: Decimal) -> None:
        self.done, self.failed, self.usd, self.at_stake = done, failed, usd, at_stake
        self.pace.reached(done)

    @property
    def left(self) -> int:
        return max(0, self.total - self.done)

    def rest_text(self) -> str:
        """What stands after the numbers of runs: failed, dollars spent and at stake, rate, time left."""
        parts = [f"{count_text(self.failed)} failed"] if self.failed else []
        parts.append(f"{usd_text(self.usd)} spent")
        if self.at_stake:
            parts.append(f"{usd_text(self.at_stake)} at stake")
        rate = self.pace.per_s()
        if rate is not None:
            parts.append(f"{rate:.1f} runs/s" if rate >= 1 else f"{rate * 60:.1f} runs/min")
            if self.left:
                parts.append(f"{span_text(self.left / rate)} left")
        return ", ".join(parts)


class _Line:
    """A text stream that can be gone: what it refuses is dropped, and nothing is tried again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def line(self, text: str) -> None:
        self.write(text + "\n")
        self.flush()

    def isatty(self) -> bool:
        return not self._gone and self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def columns(self) -> int:
        """The width of the terminal; 0 where that can't be told."""
        try:
            return os.get_terminal_size(self.fileno()).columns
        except (OSError, ValueError):
            return 0

    def _try(self, action: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            action()
        except (OSError, ValueError):  # a closed pipe, a terminal that hung up, a closed file
            self._gone = True


class QuietProgress:
    """Shows nothing."""

    def start(self, total_runs: int, *, done: int = 0) -> None:
        pass

    def update(self, *, done: int, failed: int, usd: Decimal, at_stake: Decimal = _NOTHING) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class _LineProgress:
    """Lines at the start, at the end, and in between no more often than `every_s`."""

    def __init__(self, stream: TextIO, *, clock: Monotonic, every_s: float) -> None:
        self._line = _Line(stream)
        self._clock = clock
        self._every_s = every_s
        self._counts = _Counts(Speed(clock))
        self._shown_s: float | None = None  # None: not started, or closed

    def start(self, total_runs: int, *, done: int = 0) -> None:
        self._counts.start(total_runs, done)
        self._show()

    def update(self, *, done: int, failed: int, usd: Decimal, at_stake: Decimal = _NOTHING) -> None:
        self._counts.update(done, failed, usd, at_stake)
        if self._shown_s is not None and self._clock() - self._shown_s >= self._every_s:
            self._show()

    def note(self, text: str) -> None:
        self._line.line(self._note_line(clean(text)))

    def close(self) -> None:
        if self._shown_s is not None:
            self._show()
            self._shown_s = None

    def _show(self) -> None:
        self._line.line(self._progress_line(self._counts))
        self._shown_s = self._clock()

    def _progress_line(self, counts: _Counts) -> str:
        raise NotImplementedError

    def _note_line(self, text: str) -> str:
        raise NotImplementedError


class PlainProgress(_LineProgress):
    """One line every 30 seconds, for logs and pipes."""

    def __init__(self, stream: TextIO, *, clock: Monotonic = time.monotonic, every_s: float = LINE_EVERY_S) -> None:
        super().__init__(stream, clock=clock, every_s=every_s)

    def _progress_line(self, counts: _Counts) -> str:
        return f"{count_text(counts.done)} of {count_text(counts.total)} runs, {counts.rest_text()}"

    def _note_line(self, text: str) -> str:
        return text


class JsonProgress(_LineProgress):
    """JSON lines: `{"at", "event": "progress", "done", "total", "failed", "usd", "usd_at_stake", "per_s",
    "left_s"}` every 30 seconds, and `{"at", "event": "note", "text"}`."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Monotonic = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        every_s: float = LINE_EVERY_S,
    ) -> None:
        super().__init__(stream, clock=clock, every_s=every_s)
        self._now = now

    def _progress_line(self, counts: _Counts) -> str:
        rate, left_s = counts.pace.per_s(), counts.pace.left_s(counts.left)
        return self._event(
            "progress",
            {
                "done": counts.done,
                "total": counts.total,
                "failed": counts.failed,
                "usd": float(counts.usd),
                "usd_at_stake": float(counts.at_stake),
                "per_s": None if rate is None else round(rate, 3),
                "left_s": None if left_s is None else round(left_s),
            },
        )

    def _note_line(self, text: str) -> str:
        return self._event("note", {"text": text})

    def _event(self, event: str, fields: dict[str, Json]) -> str:
        moment = self._now().isoformat(timespec="milliseconds")
        return msgspec.json.encode({"at": moment, "event": event, **fields}).decode()


class BarProgress:
    """A bar at the foot of the terminal, or in a notebook; notes scroll above it."""

    def __init__(self, stream: TextIO, *, notebook: bool = False, clock: Monotonic = time.monotonic) -> None:
        self._line = _Line(stream)
        self._notebook = notebook
        self._clock = clock
        self._counts = _Counts(Speed(clock))
        self._bar: tqdm[NoReturn] | None = None
        self._shown_s = 0.0

    def start(self, total_runs: int, *, done: int = 0) -> None:
        self._counts.start(total_runs, done)
        if self._bar is None:
            self._bar = _bar(self._line, total_runs, notebook=self._notebook)
        self._show()

    def update(self, *, done: int, failed: int, usd: Decimal, at_stake: Decimal = _NOTHING) -> None:
        self._counts.update(done, failed, usd, at_stake)
        if self._clock() - self._shown_s >= REDRAW_EVERY_S:
            self._show()

    def note(self, text: str) -> None:
        if self._bar is None:
            self._line.line(clean(text))
        else:
            self._bar.write(clean(text), file=self._line)

    def close(self) -> None:
        if self._bar is not None:
            self._show()
            self._bar.close()
            self._bar = None

    def _show(self) -> None:
        if self._bar is None:
            return
        self._bar.total = self._counts.total
        self._bar.n = self._counts.done
        self._bar.set_postfix_str(self._counts.rest_text(), refresh=False)
        self._bar.refresh()
        self._shown_s = self._clock()


def _bar(line: _Line, total: int, *, notebook: bool) -> tqdm[NoReturn]:
    layout = "{percentage:3.0f}% {bar} {n_fmt}/{total_fmt} runs [{elapsed}]{postfix}"
    if notebook:
        from tqdm.auto import tqdm as notebook_bar

        return notebook_bar(total=total, bar_format=layout)
    from tqdm.std import tqdm as terminal_bar

    class Bar(terminal_bar):  # type: ignore[type-arg]  # generic in the stubs only
        monitor_interval = 0  # no thread of its own: `update` comes often enough

    # A terminal of a container may say that it has no columns; tqdm would then draw nothing.
    width = None if line.columns() else _WIDTH_UNKNOWN
    return Bar(total=total, file=line, bar_format=layout, ncols=width, dynamic_ncols=width is None)
