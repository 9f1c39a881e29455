"""`enrich` as a process: signals, streams that are closed or gone, faults of ours."""

import fcntl
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from command_line import SURE, child_environment

from enrich.cli import main
from enrich.sandbox import SandboxSettings, running

ENRICH = [sys.executable, "-m", "enrich"]
RUN = [*ENRICH, "run", "places.yaml", "places.csv", "--yes"]


@pytest.fixture(scope="session")
def slow_service() -> Iterator[str]:
    """The address of a sandbox whose runs end after a minute."""
    with running(SandboxSettings(latency_s=(60, 60))) as base_url:
        yield base_url


def environment(base_url: str) -> dict[str, str]:
    return child_environment(PARALLEL_BASE_URL=base_url, PARALLEL_API_KEY="any-word-will-do", TERM="dumb")


def wait_for(happened: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def hear_interrupts() -> None:
    """What a shell starts in the background ignores SIGINT, and hands that on: these tests may be run so."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(base_url: str, *, argv: list[str] | None = None) -> subprocess.Popen[str]:
    """`enrich run` with its runs under way."""
    process = subprocess.Popen(
        argv or RUN,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(base_url),
        preexec_fn=hear_interrupts,  # noqa: PLW1509 (no threads that matter here)
    )
    wait_for(lambda: submitted(Path()))
    return process


def submitted(folder: Path) -> bool:
    """Whether the service has accepted runs, by the ledger."""
    path = folder / ".enrich" / "ledger.db"
    if not path.exists():
        return False
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        try:
            return bool(ledger.execute("SELECT count(*) FROM submission WHERE state = 'open'").fetchone()[0])
        except sqlite3.OperationalError:  # it is being made this moment
            return False


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="SIGINT"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM"),
    ],
)
def test_a_signal_ends_in_good_order(folder: Path, slow_service: str, number: int, code: int) -> None:
    process = start(slow_service)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "ending: no more is sent, and the same command goes on later" in err
    goes_on = "`enrich run places.yaml places.csv` goes on with 3 pending rows; nothing is paid for twice"
    assert f"stopped: interrupted\n  {goes_on}\n" in out
    assert "$0.05 at stake" in out
    assert len((folder / "places.enriched.csv").read_text().splitlines()) == 5


def test_a_second_signal_ends_at_once_and_the_same_command_goes_on(
    folder: Path, slow_service: str, quick_service: str
) -> None:
    process = start(slow_service)
    os.kill(process.pid, signal.SIGSTOP)  # both arrive before it can do anything about the first
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGCONT)
    _, err = process.communicate(timeout=20)
    assert process.returncode in (130, 143)
    assert "ended at once; nothing is lost, and the same command goes on" in err
    assert not (folder / "places.enriched.csv").exists()
    status = subprocess.run(
        [*ENRICH, "status", "places.yaml"], capture_output=True, text=True, env=environment(slow_service), check=True
    )
    assert "in flight   $0.05, 2 runs" in status.stdout


def test_a_suspended_run_goes_on_and_an_ignored_hangup_stays_ignored(folder: Path, quick_service: str) -> None:
    process = subprocess.Popen(
        ["nohup", *RUN],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(quick_service),
    )
    wait_for((folder / ".enrich").exists)
    for number in (signal.SIGSTOP, signal.SIGHUP, signal.SIGCONT):
        process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_lost_terminal_ends_in_good_order(folder: Path, slow_service: str) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        RUN,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(slow_service),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (no threads that matter here)
    )
    os.close(slave)
    wait_for(lambda: submitted(folder))
    os.close(master)
    assert process.wait(timeout=20) == 143
    assert len((folder / "places.enriched.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    "redirection",
    [
        pytest.param("| true", id="stdout-closed-early"),
        pytest.param(">&- 2>&- <&-", id="no-streams"),
        pytest.param("2> /dev/full", id="disk-of-stderr-full"),
    ],
)
def test_streams_that_are_gone_change_neither_files_nor_exit_code(
    folder: Path, quick_service: str, redirection: str
) -> None:
    sure = (folder / "places.yaml").read_text() + SURE
    (folder / "places.yaml").write_text(sure)
    command = " ".join(f"'{part}'" for part in RUN)
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {redirection}"],
        capture_output=True,
        text=True,
        env=environment(quick_service),
        check=False,
    )
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    lines = (folder / "places.enriched.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["name", "Basel", "Cologne", "Basel", ""]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("option", ["--json", "--rewrite"])  # the manifest, and the receipt
def test_a_result_that_cannot_be_written_ends_with_2(
    folder: Path, quick_service: str, option: str, unbuffered: str
) -> None:
    (folder / "places.yaml").write_text((folder / "places.yaml").read_text() + SURE)
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*RUN, option],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(quick_service), "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert ended.returncode == 2
    message = "Error: standard output: can't be written: No space left on device; the command's files"
    assert f"{message} are unaffected\n" in ended.stderr
    assert (folder / "places.enriched.csv").exists()


def test_a_fault_of_ours_shows_a_traceback_without_the_key_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "hush-0123456789-hush"

    def broken() -> None:
        raise RuntimeError(f"met {key} on the way")

    monkeypatch.setenv("PARALLEL_API_KEY", key)
    assert main(["run"], [("run", broken), ("plan", broken)]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("Error: Traceback (most recent call last):\n")
    assert "RuntimeError: met [redacted] on the way\n" in err
    assert err.endswith("and the same command goes on\n")
    assert key not in err


def test_a_command_of_its_own_process_leaves_no_core_dump() -> None:
    program = (
        "import resource as r; hard = r.getrlimit(r.RLIMIT_CORE)[1]; r.setrlimit(r.RLIMIT_CORE, (hard, hard));"
        "from enrich.cli.entry import set_up_process; set_up_process(); print(r.getrlimit(r.RLIMIT_CORE) == (0, hard))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=child_environment(), check=True
    )
    assert ended.stdout == "True\n"


def test_the_sandbox_prints_its_address_and_serves_until_it_is_told_to_end(folder: Path) -> None:
    process = subprocess.Popen(
        [*ENRICH, "sandbox", "--port", "0", "--latency", "0:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(),
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    ended = subprocess.run(RUN, capture_output=True, text=True, env=environment(address), check=False)
    assert ended.returncode == 0
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert err == (
        f"To use it: export PARALLEL_BASE_URL={address} PARALLEL_API_KEY=any-word\n"
        f"Its bill: curl -H x-api-key:any-word {address}/sandbox/bill    Ctrl-C ends it\n"
    )
