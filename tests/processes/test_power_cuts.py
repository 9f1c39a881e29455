"""Case 3: the power goes at a sync; what was not synced is gone, whole or in part, and the same command goes on.

The cut falls in the place of a sync, which is the worst moment: all that waited for it is at stake. What a disk keeps
of it is worked out by `tests.processes.power`, which promises less than file systems do. Not covered: a disk that
says it has synced and has not.
"""

import random
from pathlib import Path

import pytest

from tests.faults.promises import Scene, check, serving
from tests.processes.commands import Commands, Disk
from tests.processes.power import Folder, read_calls


def cut_at_syncs(
    commands: Commands, folder: Path, log: Path, syncs: list[int], *, seed: int | None, disk_syncs: bool = True
) -> int:
    """Cut the power at the n-th sync of one command after the other, then let it end; gives the number of cuts."""
    rng = None if seed is None else random.Random(seed)
    cuts = 0
    with serving(latency_s=(0.0, 0.1)) as service:
        scene = Scene(folder, service)
        argv = ["run", str(scene.config), str(scene.table), "--settle", "1s", "--quiet", "--yes"]
        for number in syncs:
            disk = Folder(folder)
            log.unlink(missing_ok=True)
            faulty = Disk("kill", log, calls="sync", path=str(folder), at=number)
            status = commands.start(argv, folder=folder, environ=service.environ, disk=faulty).wait()
            if status != -9:
                assert status == 0
                break
            cuts += 1
            disk.play(call for call in read_calls(log) if disk_syncs or call.name != "sync")
            disk.cut(rng)
        last = commands.start(argv, folder=folder, environ=service.environ)
        assert last.wait() == 0, last.said()
        check(scene, receipts=False)
    return cuts


@pytest.mark.parametrize(
    ("syncs", "seed"),
    [
        pytest.param([1, 2, 3, 4, 5, 6], None, id="the ledger's birth, nothing else kept"),
        pytest.param([1, 3, 5, 7, 9], 1, id="the ledger's birth, the rest by chance"),
        pytest.param([8, 9, 10, 9, 8], None, id="midway, nothing else kept"),
        pytest.param([8, 10, 12, 7, 6], 2, id="midway, the rest by chance"),
        pytest.param([11, 12, 14], 3, id="late, the rest by chance"),
    ],
)
def test_after_power_cuts_the_same_command_goes_on(disks, tmp_path, syncs, seed) -> None:
    folder = tmp_path / "desk"
    folder.mkdir()
    assert cut_at_syncs(disks, folder, tmp_path / "disk.log", syncs, seed=seed) >= 2


def test_a_disk_that_never_syncs_pays_twice_so_the_cuts_are_real(disks, tmp_path) -> None:
    with pytest.raises(AssertionError, match="I1: paid twice"):
        cut_at_syncs(disks, tmp_path, tmp_path.with_suffix(".log"), [15], seed=None, disk_syncs=False)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [pytest.param(None, id="nothing else kept"), *range(3)])
def test_a_power_cut_at_every_sync(disks, tmp_path, seed) -> None:
    for number in range(1, 60):
        folder = tmp_path / str(number)
        folder.mkdir()
        if cut_at_syncs(disks, folder, tmp_path / "disk.log", [number, 4], seed=seed) == 0:
            assert number > 15
            return
    raise AssertionError("a command has more syncs than were thought of")
