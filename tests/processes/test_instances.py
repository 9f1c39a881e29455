"""Of several commands on one ledger, whatever they call it, one runs; the others leave, having sent nothing."""

import signal
import socket
import time
from pathlib import Path

import pytest

from tests.faults.promises import BATCH, Scene, check, serving
from tests.processes.commands import Command, Commands

LEAVES_WITHIN_S = 2.0


def other_names(scene: Scene, tmp_path: Path) -> list[tuple[Path, list[str]]]:
    """Folders to start in, and ways from there to the same config, table and ledger."""
    by_link = tmp_path / "by-link"
    by_link.symlink_to(scene.folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "ledger").symlink_to(scene.ledger)
    return [
        (scene.folder, [scene.config.name, scene.table.name]),
        (elsewhere, [f"../{scene.folder.name}/{scene.config.name}", f"../{scene.folder.name}/{scene.table.name}"]),
        (tmp_path, [str(by_link / scene.config.name), str(by_link / scene.table.name)]),
        (elsewhere, [str(scene.config), str(scene.table), "--ledger", "ledger"]),
        (scene.folder, [str(scene.config), str(scene.table), "--ledger", ".enrich/../.enrich/ledger.db"]),
    ]


def start(commands: Commands, scene: Scene, folder: Path, arguments: list[str]) -> Command:
    argv = ["run", *arguments, "--settle", "1s", "--quiet", "--yes"]
    return commands.start(argv, folder=folder, environ=scene.service.environ)


def test_a_second_instance_leaves_at_once_whatever_it_calls_the_ledger(commands, tmp_path) -> None:
    folder = tmp_path / "desk"
    folder.mkdir()
    with serving() as service, serving() as never_asked:
        scene = Scene(folder, service)
        first = start(commands, scene, folder, [scene.config.name, scene.table.name])
        while not scene.ledger.exists():
            time.sleep(0.01)
        first.kill(signal.SIGSTOP)  # it holds on for as long as the others try
        scene.service = never_asked
        for where, arguments in other_names(scene, tmp_path):
            since = time.monotonic()
            second = start(commands, scene, where, arguments)
            assert second.wait() == 75, second.said()
            assert time.monotonic() - since < LEAVES_WITHIN_S
            assert f"in use by pid {first.pid} on {socket.gethostname()}; nothing was sent" in second.said()
        assert never_asked.requests() == 0
        scene.service = service
        first.kill(signal.SIGCONT)
        assert first.wait() == 0
        check(scene, receipts=False)


@pytest.mark.parametrize("instances", [pytest.param(2, marks=pytest.mark.nightly), 10])
def test_of_many_that_start_at_once_one_runs(commands, tmp_path, instances) -> None:
    folder = tmp_path / "desk"
    folder.mkdir()
    with serving(latency_s=(1.5, 2.0)) as service:
        scene = Scene(folder, service)
        names = other_names(scene, tmp_path)
        started = [start(commands, scene, *names[number % len(names)]) for number in range(instances)]
        codes = [command.wait() for command in started]
        said = {command.said() for command, code in zip(started, codes, strict=True) if code not in (0, 75)}
        assert (sorted(codes), said) == ([0, *[75] * (instances - 1)], set())
        runs = started[codes.index(0)]
        for command in started:
            assert command is runs or f"in use by pid {runs.pid} on" in command.said()
        assert service.posts() == -(-scene.rows // BATCH)
        check(scene, receipts=False)
