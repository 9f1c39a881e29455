"""Commands as processes of their own: started, waited for, killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kill:
    """SIGKILL before or after the n-th commit of the ledger, counted from 1 in each command.

    Where a transition is named, such as `record_intent`, only commits that hold one count.
    """

    commit: int
    when: Literal["before", "after"]
    holding: str = ""


@dataclass(frozen=True)
class Disk:
    """What goes wrong with the disk from the `at`-th call on, `times` times (0: for ever after).

    `what`: "fail" (with `errno`), "kill" (SIGKILL instead of the call) or "record" (nothing goes wrong). `calls` names
    calls of the C library, `path` is a part of the paths that matter. Every call is written into the log.
    """

    what: Literal["fail", "kill", "record"]
    log: Path
    calls: str = "write,sync,rename"
    path: str = ""
    at: int = 1
    times: int = 1
    errno: int = 0


@dataclass
class Command:
    """One command that runs, or ran."""

    pid: int
    stdout: Path
    stderr: Path
    _ended: threading.Event = field(default_factory=threading.Event)
    _status: int | None = None

    def wait(self, timeout_s: float = 60.0) -> int:
        """The exit code, negative for the signal that killed it."""
        if not self._ended.wait(timeout_s):
            self.kill(signal.SIGABRT)
            raise TimeoutError(f"the command did not end in {timeout_s} s; it said: {self.said()[-2000:]}")
        assert self._status is not None
        return self._status

    @property
    def is_running(self) -> bool:
        return not self._ended.is_set()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def said(self) -> str:
        """What it wrote to standard error."""
        return self.stderr.read_text(errors="replace")


class Commands:
    """Starts commands from one launcher. Use `launching`."""

    def __init__(self, launcher: "subprocess.Popen[bytes]", folder: Path) -> None:
        self._launcher = launcher
        self._folder = folder
        self._numbers = count()
        self._started: dict[int, Command] = {}
        self._pids: dict[int, int] = {}
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def start(
        self,
        argv: list[str],
        *,
        folder: Path,
        environ: Mapping[str, str],
        kill: Kill | None = None,
        kills: Path | None = None,
        disk: Disk | None = None,
    ) -> Command:
        """Start `enrich ARGV` in a folder; `kills` is the log of what a kill met."""
        number = next(self._numbers)
        order: dict[str, Any] = {
            "id": number,
            "argv": argv,
            "folder": str(folder),
            "environ": dict(environ),
            "stdout": str(self._folder / f"{number}.out"),
            "stderr": str(self._folder / f"{number}.err"),
        }
        if kill is not None:
            log = kills or self._folder / "kills.log"
            order["kill"] = {**vars(kill), "log": str(log)}
        if disk is not None:
            order["disk"] = {**vars(disk), "log": str(disk.log)}
        assert self._launcher.stdin is not None
        with self._news:
            self._started[number] = command = Command(0, Path(order["stdout"]), Path(order["stderr"]))
            self._launcher.stdin.write(json.dumps(order).encode() + b"\n")
            self._launcher.stdin.flush()
            if not self._news.wait_for(lambda: command.pid, timeout=30):  # signals to process 0 would be for all of us
                raise RuntimeError(f"the launcher started nothing; it ended with {self._launcher.poll()}")
        return command

    def _listen(self) -> None:
        assert self._launcher.stdout is not None
        for line in self._launcher.stdout:
            news = json.loads(line)
            if "ready" in news:
                continue
            with self._news:
                command = self._started[news["id"]]
                command.pid = news.get("pid", command.pid)
                if "status" in news:
                    command._status = news["status"]
                    command._ended.set()
                self._news.notify_all()


@contextmanager
def launching(folder: Path, *, preload: Path | None = None) -> Iterator[Commands]:
    """A launcher for the length of a block; `folder` takes what the commands say. What still runs then is killed."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **({"LD_PRELOAD": str(preload)} if preload else {})}
    launcher = subprocess.Popen(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("launcher.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ,
    )
    commands = Commands(launcher, folder)
    try:
        yield commands
    finally:
        for command in commands._started.values():
            if command.pid and command.is_running:
                command.kill()
        assert launcher.stdin is not None
        launcher.stdin.close()
        launcher.wait(timeout=30)
        commands._thread.join(timeout=30)
        assert launcher.stdout is not None
        launcher.stdout.close()
