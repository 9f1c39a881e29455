"""A signal while a large table is being read or written: the command ends soon, and the table is whole or untouched."""

import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.hostile.evil import Evil, evil, lay
from tests.hostile.measuring import HEEDED_S, Running

ROWS = 1_500_000
OLD = "enrich_status,enrich_detail,enrich_run_id,enrich_processor,enrich_at\n"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose rows all ask the same question."""
    path = tmp_path_factory.mktemp("large") / "t.csv"
    path.write_text("company,note\n" + "Acme,some text that goes along\n" * ROWS)
    return path


def start(folder: Path, table: Path, service: Evil, command: str) -> Running:
    argv = lay(folder)
    shutil.copy(table, folder / "t.csv")
    (folder / "out.csv").write_text(OLD)
    argv = ("plan", "c.yaml", "t.csv") if command == "plan" else (*argv, "--replace")
    return Running(folder, *argv, environ=service.environ)


def reads(folder: Path, command: Running) -> bool:
    """Whether the command has the table open."""
    for link in Path(f"/proc/{command.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if link.readlink() == folder / "t.csv":
                return True
    return False


def written(folder: Path) -> int:
    """Bytes of the new table so far."""
    for path in folder.glob(".out.csv.*.enrich-tmp"):
        try:
            return path.stat().st_size
        except FileNotFoundError:
            pass
    return 0


@pytest.mark.slow
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_signal_while_a_large_table_is_read(command: str, large: Path, tmp_path: Path) -> None:
    with evil(lambda service, call: None) as service:
        running = start(tmp_path, large, service, command)
        running.wait_for(lambda: reads(tmp_path, running))
        running.signal(signal.SIGINT)
        ended = running.ended()
        assert service.calls["POST runs"] == 0
    assert (ended.code, "Traceback" in ended.said) == (130, False), ended.said
    assert ended.own_seconds < HEEDED_S
    assert (tmp_path / "out.csv").read_text() == OLD
    assert (tmp_path / "t.csv").read_bytes() == large.read_bytes()


@pytest.mark.slow
def test_a_signal_while_the_output_is_written_lets_it_be_finished(large: Path, tmp_path: Path) -> None:
    with evil(lambda service, call: None) as service:
        running = start(tmp_path, large, service, "run")
        running.wait_for(lambda: written(tmp_path) > 1 << 20)
        running.signal(signal.SIGINT)
        ended = running.ended()
    assert (ended.code, "Traceback" in ended.said) == (130, False), ended.said
    with (tmp_path / "out.csv").open() as file:
        assert sum(1 for _ in file) == ROWS + 1
    assert written(tmp_path) == 0


@pytest.mark.slow
def test_a_second_signal_while_the_output_is_written_ends_at_once(large: Path, tmp_path: Path) -> None:
    with evil(lambda service, call: None) as service:
        running = start(tmp_path, large, service, "run")
        running.wait_for(lambda: written(tmp_path) > 1 << 20)
        running.signal(signal.SIGINT)
        running.wait_for(lambda: "Another signal ends at once" in running.said())
        running.signal(signal.SIGTERM)
        code, seconds = running.left()
        assert (code, seconds < HEEDED_S) == (143, True)
        assert (tmp_path / "out.csv").read_text() == OLD
        assert (tmp_path / "t.csv").read_bytes() == large.read_bytes()
        again = Running(tmp_path, *lay_again(tmp_path), environ=service.environ).ended()
        assert again.code == 0, again.said
        assert service.calls["POST runs"] == 1
    with (tmp_path / "out.csv").open() as file:
        assert sum(1 for _ in file) == ROWS + 1
    assert not list(tmp_path.glob(".*.enrich-tmp"))


def lay_again(folder: Path) -> tuple[str, ...]:
    return ("run", "c.yaml", "t.csv", "--yes", "--settle", "1s", "--output", "out.csv", "--replace")
