"""A launcher of commands for all tests of the folder."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.commands import Commands, launching


@pytest.fixture(scope="session")
def faulty_disk(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The library that makes a disk fail, None where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    library = tmp_path_factory.mktemp("disk") / "faulty_disk.so"
    source = Path(__file__).with_name("faulty_disk.c")
    subprocess.run(
        [
            compiler,
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-o",
            library,
            source,
            "-ldl",
            "-lpthread",
        ],
        check=True,
    )
    return library


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory, faulty_disk: Path | None) -> Iterator[Commands]:
    """Starts commands as processes of their own."""
    with launching(tmp_path_factory.mktemp("commands"), preload=faulty_disk) as started:
        yield started


@pytest.fixture
def disks(commands: Commands, faulty_disk: Path | None) -> Commands:
    """Starts commands whose disk can fail."""
    if faulty_disk is None:
        pytest.skip("no C compiler: NOTHING is proved here about disks that fail and power cuts")
    return commands
