"""A command as a process of its own, with the most memory that it ever held.

How soon it heeds a signal is a matter of seconds on a machine with nothing else to do. Where many tests run at once,
each waits for its turn: seconds are divided by the number of threads that want a processor, so that the bound is strict
on a quiet machine and no test fails on a busy one.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST_MB: Final = 500  # what any command may hold, whatever it is given
HEEDED_S: Final = 2.0  # how soon a signal is heeded, whatever is being read or written
TIMEOUT_S: Final = 100
_LOOK_S: Final = 0.05
_RUNNABLE: Final = re.compile(r"^procs_running (\d+)$", re.MULTILINE)

_COMMAND: Final = """
import sys
from enrich.cli import main
try:
    code = main(sys.argv[2:])
finally:
    status = open("/proc/self/status").read()
    open(sys.argv[1], "w").write(status)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """How a command ended: `peak_mb` is the most memory that it held, in 2^20 bytes.

    `seconds` are by the clock, `own_seconds` by its share of the processors; after a signal both count from that on.
    """

    code: int
    said: str
    peak_mb: int
    seconds: float
    own_seconds: float


class Running:
    """A command under way in `folder`."""

    def __init__(self, folder: Path, *argv: str, environ: Mapping[str, str] | None = None) -> None:
        self._status = folder / f"status-of-{len(list(folder.iterdir()))}"
        self._said = folder / f"said-{self._status.name}"
        self._since = time.monotonic()
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, str(self._status), *argv],
                cwd=folder,
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command, and count its seconds from here on."""
        self._process.send_signal(number)
        self._since = time.monotonic()

    def said(self) -> str:
        """What it has said so far."""
        return self._said.read_text(errors="replace")

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_for(self, condition: object, timeout_s: float = 30.0) -> None:
        """Return when `condition()` is true; fail when that takes too long, or the command ended."""
        until = time.monotonic() + timeout_s
        while not condition():  # type: ignore[operator]
            assert self.is_running(), self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        return self._process.pid

    def left(self) -> tuple[int, float]:
        """The code and its own seconds, of one that ends so suddenly that nothing of it is measured."""
        code, seconds, crowd = self._wait()
        return code, seconds / crowd

    def ended(self) -> Measured:
        """Wait for its end; it is killed if that does not come."""
        code, seconds, crowd = self._wait()
        peak_kb = [line.split()[1] for line in self._status.read_text().splitlines() if line.startswith("VmHWM")]
        return Measured(code, self.said(), int(peak_kb[0]) >> 10, seconds, seconds / crowd)

    def _wait(self) -> tuple[int, float, float]:
        """The code, the seconds, and how many threads wanted each processor meanwhile, at least one."""
        wanted = [_wanted()]
        until = time.monotonic() + TIMEOUT_S
        while time.monotonic() < until:
            try:
                code = self._process.wait(_LOOK_S)
            except subprocess.TimeoutExpired:
                wanted.append(_wanted())
            else:
                return code, time.monotonic() - self._since, max(1.0, sum(wanted) / len(wanted))
        self._process.kill()
        self._process.wait()
        raise AssertionError(f"no end after {TIMEOUT_S} s: {self.said()}")


def _wanted() -> float:
    """How many threads of the machine want each of its processors now."""
    found = _RUNNABLE.search(Path("/proc/stat").read_text())
    assert found is not None
    return int(found[1]) / len(os.sched_getaffinity(0))


def measured(folder: Path, *argv: str, environ: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end."""
    return Running(folder, *argv, environ=environ).ended()
