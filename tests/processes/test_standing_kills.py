"""A command that dies between two of its outputs leaves none that stand: the next one writes all of them anew."""

import json
from pathlib import Path

import pytest

from tests.faults.promises import Scene, read_table, serving
from tests.processes.commands import Commands, Disk

OUTPUTS = ("table.enriched.csv", "table.review.csv", "table.report.html", "table.run.json")


@pytest.mark.parametrize("number", range(1, len(OUTPUTS) + 1), ids=lambda number: f"before {OUTPUTS[number - 1]}")
def test_a_kill_between_two_outputs_leaves_nothing_that_stands(disks: Commands, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "desk"
    folder.mkdir()
    with serving() as service:
        scene = Scene(folder, service)

        def run(*more: str, disk: Disk | None = None) -> int:
            argv = ["run", str(scene.config), str(scene.table), "--settle", "1s", "--quiet", "--yes", *more]
            return disks.start(argv, folder=folder, environ=service.environ, disk=disk).wait()

        def is_written() -> bool:
            return bool(json.loads((folder / OUTPUTS[-1]).read_text())["outputs"]["written"])

        def states() -> list[tuple[int, int]]:
            return [(status.st_ino, status.st_ctime_ns) for name in OUTPUTS if (status := (folder / name).stat())]

        assert (run(), is_written()) == (0, True)
        assert (run(), is_written()) == (0, False)
        rows, before = read_table(scene.output), states()
        kill = Disk("kill", tmp_path / "disk.log", calls="rename", path="table.", at=number)
        assert run("--rewrite", disk=kill) == -9
        assert [old == new for old, new in zip(before, states(), strict=True)] == [False] * (number - 1) + [True] * (
            len(OUTPUTS) - number + 1
        )
        assert (run(), is_written()) == (0, number > 1)  # before the first was replaced, the old ones stand
        assert read_table(scene.output) == rows
        assert (run(), is_written()) == (0, False)
