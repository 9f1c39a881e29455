"""The question before money is spent: asked at a terminal; where nobody can be asked, something must have been said."""

import json
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
from enrich.sandbox import SandboxSettings, running

RUN = ["run", "places.yaml", "places.csv"]
QUESTION = "Spend about $4.80, at most $4.80? [y/N] "


@pytest.fixture
def pricey(folder: Path) -> Path:
    """A config whose two runs cost more than a dollar."""
    (folder / "places.yaml").write_text(CONFIG.replace("core", "ultra8x") + SURE)
    return folder


class Terminal:
    """A terminal at which this process sits: what it shows, and somebody who answers the question."""

    def __init__(self, master: int, answer: str | signal.Signals, question: str) -> None:
        self.shown = ""
        self._question = question
        self._master = master
        self._answer = answer
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        answered = False
        try:
            while data := os.read(self._master, 4096):
                self.shown += data.decode()
                if self._question in self.shown and not answered:
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
def terminal(
    monkeypatch: pytest.MonkeyPatch, answer: str | signal.Signals = "", question: str = QUESTION
) -> Iterator[Terminal]:
    """Sit at a terminal while the block runs; what it showed is complete after it."""
    master, slave = pty.openpty()
    with open(slave, encoding="utf-8", closefd=False) as keys, open(slave, "w", encoding="utf-8") as screen:
        shown = Terminal(master, answer, question)
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
        pytest.param(["--processor", "core"], "", id="less-than-a-dollar"),
        pytest.param([], "budget: 1\n", id="no-more-than-a-dollar-by-the-budget"),
        pytest.param(["--sandbox"], "", id="sandbox"),
    ],
)
def test_a_terminal_is_not_asked_without_need(
    pricey: Path, service: str, monkeypatch: pytest.MonkeyPatch, options: list[str], config: str
) -> None:
    (pricey / "places.yaml").write_text((pricey / "places.yaml").read_text() + config)
    with terminal(monkeypatch) as shown:
        assert main([*RUN, *options]) in (0, 4)
    assert "[y/N]" not in shown.shown
    assert "2 runs due" in shown.shown


@pytest.mark.parametrize(
    ("config", "question"),
    [
        pytest.param("budget: 10\n", "Spend about $4.80, at most $4.80? [y/N] ", id="budget-above-what-is-due"),
        pytest.param("budget: 3\n", "Spend about $3.00, at most $3.00? [y/N] ", id="budget-below-it"),
    ],
)
def test_a_budget_in_the_config_does_not_answer_the_question(
    pricey: Path, service: str, monkeypatch: pytest.MonkeyPatch, config: str, question: str
) -> None:
    (pricey / "places.yaml").write_text((pricey / "places.yaml").read_text() + config)
    with terminal(monkeypatch, "n\n", question) as shown:
        assert main(RUN) == 2
    assert question in shown.shown


def test_what_it_costs_at_most_is_asked_about_not_what_is_expected(
    folder: Path, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "places.yaml").write_text(CONFIG.replace("processor: core", "processor: [core, ultra4x]"))
    question = "Spend about $0.77, at most $2.45? [y/N] "
    with terminal(monkeypatch, "n\n", question) as shown:
        assert main(RUN) == 2
    assert "2 runs due: $0.77 expected, at most $2.45, about " in shown.shown
    assert question in shown.shown


def test_what_was_sent_before_and_may_go_up_is_asked_about(
    folder: Path, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run of the two is in flight: nothing is due for it, and it may cost more."""
    (folder / "places.yaml").write_text(CONFIG.replace("processor: core", "processor: [core, ultra4x]"))
    with running(SandboxSettings(latency_s=(60, 60))) as slow:
        monkeypatch.setenv("PARALLEL_BASE_URL", slow)
        assert main([*RUN, "--yes", "--deadline", "1s"]) == 4
        question = "Spend about $0.72, at most $2.40? [y/N] "
        with terminal(monkeypatch, "n\n", question) as shown:
            assert main(RUN) == 2
    assert "0 runs due: $0.72 expected, at most $2.40, about " in shown.shown
    assert "; 2 runs sent before, $0.05, at no new cost" in shown.shown


NOBODY = (
    "Error: 2 runs due, at most $4.80, and nobody to ask: there is no terminal, no budget and no --yes. Nothing was"
    " sent. Set `budget:` in the config or give --budget USD, which bounds what may be at stake, or give --yes; then"
    " run the same command again\n"
)


def test_where_nobody_can_be_asked_and_nothing_was_said_nothing_is_sent(
    pricey: Path, service: str, enrich: Enrich
) -> None:
    ended = enrich(*RUN, "--quiet")
    assert (ended.code, ended.out, ended.err) == (2, "", NOBODY)
    assert not (pricey / "places.enriched.csv").exists()
    status = enrich("status", "places.yaml", "--json")
    assert json.loads(status.out)["groups"] == 0


@pytest.mark.parametrize(
    ("options", "config"),
    [
        pytest.param(["--yes"], "", id="yes"),
        pytest.param(["--budget", "10"], "", id="budget"),
        pytest.param([], "budget: 10\n", id="budget-in-the-config"),
        pytest.param(["--sandbox"], "", id="sandbox"),
    ],
)
def test_where_nobody_can_be_asked_it_is_enough_to_have_said(
    pricey: Path, service: str, enrich: Enrich, options: list[str], config: str
) -> None:
    (pricey / "places.yaml").write_text((pricey / "places.yaml").read_text() + config)
    ended = enrich(*RUN, *options)
    assert ended.code == 0
    assert "[y/N]" not in ended.err
    assert enrich(*RUN, *options).code == 0  # nothing is due, and there is nothing to ask


def test_a_run_of_which_nothing_is_due_asks_nothing(pricey: Path, service: str, enrich: Enrich) -> None:
    assert enrich(*RUN, "--yes").code == 0
    assert enrich(*RUN).code == 0


def test_what_is_seldom_meant_stands_before_the_question(
    pricey: Path, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (pricey / "places.yaml").read_text().replace("    description: The river on which it lies.\n", "")
    (pricey / "places.yaml").write_text(text + "instructions: Ask ${DESK}.\nbudget: 2\n")
    question = "Spend about $2.00, at most $2.00? [y/N] "
    with terminal(monkeypatch, "n\n", question) as shown:
        assert main(RUN) == 2
    before = shown.shown.partition(question)[0]
    assert "outputs.river: no description" in before
    assert "instructions: ${DESK} is sent unchanged" in before
    assert "budget: 2 US dollars don't pay one run of ultra8x (2.4)" in before


def test_a_budget_of_the_command_line_below_one_run_is_warned_of(pricey: Path, service: str, enrich: Enrich) -> None:
    said = "Warning: --budget: 2 US dollars don't pay one run of ultra8x (2.4); raise the budget\n"
    assert enrich("plan", "places.yaml", "places.csv", "--budget", "2").err == said
    assert enrich(*RUN, "--budget", "2").err.startswith(said)
