"""The question before more than a dollar is spent: asked at a terminal, and nowhere else."""

import os
import pty
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import CONFIG, SURE, Enrich

from enrich.cli import main

RUN = ["run", "places.yaml", "places.csv"]
QUESTION = "Spend about $4.80, at most $4.80? [y/N] "


@pytest.fixture
def pricey(folder: Path) -> Path:
    """A config whose two runs cost more than a dollar."""
    (folder / "places.yaml").write_text(CONFIG.replace("core", "ultra8x") + SURE)
    return folder


class Terminal:
    """A terminal at which this process sits: what it shows, and somebody who answers the question."""

    def __init__(self, master: int, answer: str | signal.Signals) -> None:
        self.shown = ""
        self._master = master
        self._answer = answer
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        answered = False
        try:
            while data := os.read(self._master, 4096):
                self.shown += data.decode()
                if QUESTION in self.shown and not answered:
                    answered = True
                    if isinstance(self._answer, str):
                        os.write(self._master, self._answer.encode())
                    else:
                        os.kill(os.getpid(), self._answer)
        except OSError:  # Linux says EIO when the other end is closed
            pass

    def wait(self) -> None:
        self._thread.join(timeout=20)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, answer: str | signal.Signals = "") -> Iterator[Terminal]:
    """Sit at a terminal while the block runs; what it showed is complete after it."""
    master, slave = pty.openpty()
    with open(slave, encoding="utf-8", closefd=False) as keys, open(slave, "w", encoding="utf-8") as screen:
        shown = Terminal(master, answer)
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdin", keys)
            patched.setattr(sys, "stderr", screen)
            yield shown
    shown.wait()
    os.close(master)


@pytest.mark.parametrize(
    ("typed", "code", "message"),
    [
        pytest.param("y\n", 0, "100%", id="yes"),
        pytest.param("n\n", 2, "Error: not agreed to: nothing was sent, and nothing was written", id="no"),
        pytest.param("\n", 2, "Error: not agreed to: nothing was sent, and nothing was written", id="nothing"),
        pytest.param("\x04", 2, "Error: not agreed to: nothing was sent, and nothing was written", id="end-of-input"),
        pytest.param(signal.SIGINT, 130, "Error: interrupted; nothing was sent, and nothing was written", id="SIGINT"),
    ],
)
def test_a_person_at_a_terminal_is_asked(
    pricey: Path,
    service: str,
    monkeypatch: pytest.MonkeyPatch,
    typed: str | signal.Signals,
    code: int,
    message: str,
) -> None:
    with terminal(monkeypatch, typed) as shown:
        assert main(RUN) == code
    assert "2 runs due: $4.80, about " in shown.shown.partition(QUESTION)[0]
    assert message in shown.shown.partition(QUESTION)[2]
    assert "will be written" not in shown.shown  # nothing is, unless the answer is yes
    assert (pricey / "places.enriched.csv").exists() == (code == 0)


@pytest.mark.parametrize(
    ("options", "config"),
    [
        pytest.param(["--yes"], "", id="yes"),
        pytest.param(["--budget", "10"], "", id="budget"),
        pytest.param([], "budget: 10\n", id="budget-in-the-config"),
        pytest.param(["--processor", "core"], "", id="less-than-a-dollar"),
    ],
)
def test_a_terminal_is_not_asked_without_need(
    pricey: Path, service: str, monkeypatch: pytest.MonkeyPatch, options: list[str], config: str
) -> None:
    (pricey / "places.yaml").write_text((pricey / "places.yaml").read_text() + config)
    with terminal(monkeypatch) as shown:
        assert main([*RUN, *options]) == 0
    assert "[y/N]" not in shown.shown
    assert "100%" in shown.shown


def test_without_a_terminal_nobody_is_asked(pricey: Path, service: str, enrich: Enrich) -> None:
    ended = enrich(*RUN)
    assert ended.code == 0
    assert "[y/N]" not in ended.err
