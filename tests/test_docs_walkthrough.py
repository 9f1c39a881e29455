"""docs/walkthrough.md, literally: its commands run one after the other, and print what stands below them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "walkthrough.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```(?:\n\n<!-- output -->\n```text\n(.*?)```)?", TEXT, flags=re.DOTALL)
REAL = "…\n"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each block of commands writes to standard output, all in one shell in a copy of the samples."""
    folder = tmp_path_factory.mktemp("walk")
    (folder / "bin").mkdir()
    (folder / "bin" / "enrich").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m enrich "$@"\n')
    (folder / "bin" / "enrich").chmod(0o755)
    shutil.copytree(
        ROOT / "sample_data", folder / "sample_data", ignore=shutil.ignore_patterns("*.enriched.*", "*.sandbox.*")
    )
    mark = "=== the next block ==="
    script = "set -e\n" + "".join(f"{commands}echo '{mark}'\n" for commands, _ in BLOCKS)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PARALLEL_", "ENRICH_"))}
    environ |= {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split(f"{mark}\n")[: len(BLOCKS)]


@pytest.mark.parametrize("number", [n for n, (_, shown) in enumerate(BLOCKS) if shown])
def test_a_command_prints_what_stands_below_it(number: int, printed: list[str]) -> None:
    parts = [re.escape(part) for part in BLOCKS[number][1].split(REAL)]
    assert re.search("(?:.*\n)*".join(parts), printed[number]), printed[number]


def test_every_step_is_there() -> None:
    commands = " ".join(commands for commands, _ in BLOCKS)
    order = [commands.index(f"enrich {name}") for name in ("init", "check", "plan", "run", "review", "status")]
    assert order == sorted(order)
    assert len(re.findall(r"<!-- output -->", TEXT)) == sum(bool(shown) for _, shown in BLOCKS) >= 8


def test_nothing_in_it_costs_money() -> None:
    for commands, _ in BLOCKS:
        for line in commands.splitlines():
            if re.match(r"enrich (plan|run|review|status)", line):
                assert "--sandbox" in line
