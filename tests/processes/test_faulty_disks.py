"""Cases 18 and 19: a disk that is full, fails or is read-only stops the command before it pays for more.

It ends with 2 and says which file and what to do; outputs are the old ones or whole; the same command goes on later.
"""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest

import enrich
from enrich.errors import OutputError
from tests.faults.promises import Scene, check, fault_free, lasting, read_table, serving
from tests.processes.commands import Command, Commands, Disk
from tests.processes.power import read_calls

LEDGER, OUTPUTS = ".enrich/ledger.db", "table."
OLD = "enrich_status,enrich_detail,enrich_run_id,enrich_processor,enrich_at\ncomplete,,,,\n"  # by an earlier command


def start(commands: Commands, scene: Scene, disk: Disk | None = None, *more: str) -> Command:
    argv = ["run", str(scene.config), str(scene.table), "--settle", "1s", "--quiet", "--yes", *more]
    return commands.start(argv, folder=scene.folder, environ=scene.service.environ, disk=disk)


def is_whole(scene: Scene) -> bool:
    """Whether the output is a whole new one; otherwise it must be the old one, byte for byte."""
    if scene.output.read_text() == OLD:
        return False
    rows = read_table(scene.output)
    assert [lasting(row) for row in rows] == [lasting(row) for row in fault_free(scene.rows)]
    return True


def meet(commands: Commands, folder: Path, disk: Disk) -> tuple[bool, int, bool]:
    """One command on a faulty disk, and one after it; gives whether it struck, the exit code, whether all is new."""
    folder.mkdir()
    disk.log.unlink(missing_ok=True)
    with serving() as service:
        scene = Scene(folder, service)
        scene.output.write_text(OLD)
        command = start(commands, scene, disk)
        status = command.wait()
        struck = any(call.name == "strike" for call in read_calls(disk.log))
        new = is_whole(scene)
        if status:
            said = command.said()
            assert said.startswith("Error: ")
            assert "Traceback" not in said
            assert str(folder) in said  # which file
            assert "the same command" in said or "give an output" in said  # what to do
        last = start(commands, scene)
        assert last.wait() == 0, last.said()
        # What the first command was just sending when it stopped may have come to nothing, and is sent again then:
        # the bill tells if it had come to something.
        check(scene, receipts=False)
    return struck, status, new


@pytest.mark.parametrize(
    ("what", "calls", "path", "at", "error", "new"),
    [
        pytest.param("fail", "write", LEDGER, 1, errno.ENOSPC, False, id="full: the lock"),
        pytest.param("fail", "write", LEDGER, 20, errno.ENOSPC, False, id="full: the ledger's tables"),
        pytest.param("fail", "write", LEDGER, 60, errno.ENOSPC, False, id="full: the ledger midway"),
        pytest.param("fail", "write", LEDGER, 60, errno.EDQUOT, False, id="quota: the ledger midway"),
        pytest.param("fail", "sync", LEDGER, 7, errno.EIO, False, id="I/O error: a commit before any POST"),
        pytest.param("fail", "sync", LEDGER, 10, errno.EIO, False, id="I/O error: a commit midway"),
        pytest.param("fail", "write", OUTPUTS, 1, errno.ENOSPC, False, id="full: the table"),
        pytest.param("fail", "sync", OUTPUTS, 1, errno.EIO, False, id="I/O error: the sync of the table"),
        pytest.param("fail", "rename", OUTPUTS, 1, errno.EIO, False, id="I/O error: the table's move into its place"),
        pytest.param("fail", "rename", OUTPUTS, 2, errno.EIO, True, id="I/O error: the review file's move"),
        pytest.param("fail", "create", OUTPUTS, 1, errno.EROFS, False, id="no new file in the output's folder"),
    ],
)
def test_a_disk_that_fails_stops_the_command_and_the_next_one_goes_on(
    disks, tmp_path, what, calls, path, at, error, new
) -> None:
    disk = Disk(what, tmp_path / "disk.log", calls=calls, path=path, at=at, times=0, errno=error)
    assert meet(disks, tmp_path / "desk", disk) == (True, 2, new)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("what", "calls", "path", "step", "error", "times"),
    [
        pytest.param("fail", "sync", LEDGER, 1, errno.EIO, 1, id="I/O error at each sync of the ledger"),
        pytest.param("fail", "write", LEDGER, 3, errno.EIO, 1, id="I/O error at writes of the ledger"),
        pytest.param("fail", "write", LEDGER, 5, errno.ENOSPC, 0, id="full from a write of the ledger on"),
        pytest.param("short", "write", LEDGER, 7, errno.ENOSPC, 1, id="half of a write of the ledger"),
        pytest.param("fail", "truncate,unlink,create", LEDGER, 1, errno.EIO, 1, id="other calls on the ledger"),
        pytest.param("fail", "write,sync,rename,create", OUTPUTS, 1, errno.EIO, 1, id="each call on the outputs"),
    ],
)
def test_an_error_at_each_call_is_survived(disks, tmp_path, what, calls, path, step, error, times) -> None:
    at, struck = 1, True
    while struck:
        disk = Disk(what, tmp_path / "disk.log", calls=calls, path=path, at=at, times=times, errno=error)
        struck, status, new = meet(disks, tmp_path / str(at), disk)
        assert status in (0, 2)
        assert status or new
        at += step
    assert at > 3


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A file system of a size of its own; called again with its name, it gets another size or is made read-only."""
    with ExitStack() as stack:

        def made(name: str, options: str) -> Path:
            folder = tmp_path / name
            again = folder.exists()
            folder.mkdir(exist_ok=True)
            options = f"remount,{options}" if again else options
            ended = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True, check=False
            )
            if ended.returncode:
                pytest.skip(f"no leave to mount ({ended.stderr.strip()}): NOTHING is proved here about a full disk")
            if not again:
                stack.callback(subprocess.run, ["umount", "--lazy", folder], check=True)
            return folder

        yield made


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Scene]:
    folder = tmp_path / "desk"
    folder.mkdir()
    with serving() as service:
        yield Scene(folder, service)


def test_a_ledger_on_a_disk_that_fills_up_stops_the_command(commands, desk, mount) -> None:
    small = mount("small", "size=160k")
    ledger = str(small / "ledger.db")
    desk.output.write_text(OLD)
    full = start(commands, desk, None, "--ledger", ledger)
    assert full.wait() == 2
    assert "the disk is full" in full.said()
    assert desk.output.read_text() == OLD
    posts = desk.service.posts()
    assert start(commands, desk, None, "--ledger", ledger).wait() == 2
    assert desk.service.posts() == posts
    mount("small", "size=16m")
    last = start(commands, desk, None, "--ledger", ledger)
    assert last.wait() == 0, last.said()
    # What was being sent when the command stopped may have come to nothing, so a POST more is no run more.
    bill = desk.service.bill()
    assert bill["doubles"] == []
    assert bill["runs"] == bill["tasks"] == desk.rows
    assert is_whole(desk)


@pytest.mark.parametrize(
    ("option", "file"),
    [
        pytest.param("--output", "out.csv", id="output"),
        pytest.param("--ledger", "ledger.db", id="ledger"),
    ],
)
def test_a_file_system_that_is_read_only_is_found_before_anything_is_sent(commands, desk, mount, option, file) -> None:
    mount("sealed", "size=1m")
    sealed = mount("sealed", "ro,size=1m")
    command = start(commands, desk, None, option, str(sealed / file))
    assert command.wait() == 2
    assert str(sealed) in command.said()
    assert desk.service.requests() == 0


def test_a_ledger_that_has_become_read_only_is_found_before_anything_is_sent(commands, desk, mount) -> None:
    folder = mount("sealed", "size=16m")
    ledger = str(folder / "ledger.db")
    assert start(commands, desk, None, "--ledger", ledger, "--limit", "1").wait() == 0
    requests = desk.service.requests()
    mount("sealed", "ro,size=16m")
    command = start(commands, desk, None, "--ledger", ledger)
    assert command.wait() == 2
    assert str(folder) in command.said()
    assert desk.service.requests() == requests


def test_a_plan_in_a_folder_that_is_read_only(commands, desk, mount) -> None:
    folder = mount("sealed", "size=16m")
    for file in (desk.config, desk.table):
        (folder / file.name).write_bytes(file.read_bytes())
    names = [str(folder / file.name) for file in (desk.config, desk.table)]
    first = commands.start(["run", *names, "--limit", "1", "--yes"], folder=folder, environ=desk.service.environ)
    assert first.wait() == 0, first.said()
    mount("sealed", "ro,size=16m")
    plan = commands.start(["plan", *names, "--json"], folder=folder, environ=desk.service.environ)
    assert plan.wait() == 0, plan.said()


@pytest.mark.parametrize("what", ["link", "other file system", "folder", "dangling link"])
def test_a_target_that_is_no_plain_file(commands, desk, tmp_path, mount, what) -> None:
    """Case 19: a link stays one and its file is replaced; what can't be replaced is found before anything is sent."""
    target = desk.folder / "out.csv"
    real = tmp_path / "real.csv"
    match what:
        case "link":
            real.write_text(OLD)
            target.symlink_to(real)
        case "other file system":
            real = mount("other", "size=16m") / "real.csv"
            real.write_text(OLD)
            target.symlink_to(real)
        case "folder":
            target.mkdir()
        case "dangling link":
            target.symlink_to(real)
    status = start(commands, desk, None, "--output", str(target)).wait()
    if what in ("link", "other file system"):
        assert status == 0
        assert target.is_symlink()
        assert Path(os.readlink(target)) == real
        assert len(read_table(real)) == desk.rows
    else:
        assert status == 2
        assert desk.service.requests() == 0


@pytest.mark.parametrize(
    "kind", [pl.DataFrame.lazy, pl.DataFrame.to_arrow, pl.DataFrame.clone], ids=lambda kind: kind.__name__
)
@pytest.mark.parametrize("ask", [enrich.enrich, enrich.plan], ids=["enrich", "plan"])
def test_a_table_in_memory_that_temporary_files_have_no_room_for(desk, tmp_path, mount, monkeypatch, kind, ask) -> None:
    folder = mount("temporary", "size=256k")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    table = kind(pl.DataFrame({"name": [f"Company {i * 7919}" for i in range(200_000)]}))
    with pytest.raises(OutputError, match=r"temporary: the disk of temporary files is full.*TMPDIR"):
        ask(table, desk.config, environ=desk.service.environ)
    assert list(folder.iterdir()) == []
    assert desk.service.requests() == 0


def test_scratch_tables_that_temporary_files_have_no_room_for(desk, mount) -> None:
    folder = mount("temporary", "size=256k")
    header = desk.table.read_text().splitlines()[0]
    rows = (",".join([f"Company {i:0100}"] * (header.count(",") + 1)) for i in range(100_000))
    desk.table.write_text("\n".join([header, *rows]) + "\n")
    environ = {**os.environ, **desk.service.environ, "TMPDIR": str(folder), "SQLITE_TMPDIR": str(folder)}
    argv = [sys.executable, "-m", "enrich", "plan", str(desk.config), str(desk.table)]
    ended = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "TMPDIR names a folder" in ended.stderr
    assert desk.service.requests() == 0
    assert not desk.output.exists()
