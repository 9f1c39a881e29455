"""An output is whole, or what stood there before still stands."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pytest
from table_files import write

from enrich.dataset import Files, Table, TableWriter, check_output_path, open_table
from enrich.errors import OutputError
from enrich.spec.columns import AnswerColumn

SUFFIXES = [".csv", ".csv.gz", ".csv.zst", ".tsv", ".ndjson", ".ndjson.zst", ".parquet"]
NEVER = 10**9


class FailingDisk(Files):
    """A disk that does one thing wrong: after `room` bytes, or at a sync, a move or a sync of the folder."""

    def __init__(self, room: int = NEVER, failing: str = "", number: int = errno.EIO) -> None:
        self.room = room
        self.failing = failing
        self.number = number

    def _fail(self, what: str) -> None:
        if what == self.failing:
            raise OSError(self.number, os.strerror(self.number))

    def create(self, path: Path) -> BinaryIO:
        self._fail("create")
        return SmallFile(path, self.room)  # type: ignore[return-value]

    def may_write(self, path: Path) -> bool:
        return self.failing != "may_write"

    def sync(self, file: BinaryIO) -> None:
        super().sync(file)
        self._fail("sync")

    def replace(self, source: Path, target: Path) -> None:
        self._fail("replace")
        super().replace(source, target)

    def sync_folder(self, folder: Path) -> None:
        self._fail("sync_folder")
        super().sync_folder(folder)


class SmallFile:
    """A file on a disk that is full after `room` bytes."""

    def __init__(self, path: Path, room: int) -> None:
        self._file = path.open("xb", buffering=0)
        self._room = room
        self.closed = False

    def write(self, data: bytes) -> int:
        if len(data) > self._room:
            self._file.write(data[: self._room])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._room -= len(data)
        return self._file.write(data)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        return self._file.fileno()

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        self.closed = True


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Three thousand rows."""
    source = tmp_path / "in.csv"
    source.write_text("id,name\n" + "".join(f"{n:05d},Company {n * n}\n" for n in range(3000)))
    return open_table(source)


ANSWERS = {"x": [f"answer {n}" for n in range(3000)]}


def in_folder(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("room", [0, 10, 5000])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, table: Table, suffix: str, room: int) -> None:
    out = tmp_path / f"out{suffix}"
    out.write_bytes(b"old")

    with pytest.raises(OutputError) as caught:
        write(out, table, ANSWERS, files=FailingDisk(room))

    assert str(caught.value) == (
        f"{out}: can't be written: No space left on device; the file that was there is unchanged; "
        "free some space and run the same command again"
    )
    assert out.read_bytes() == b"old"
    assert in_folder(tmp_path) == ["in.csv", out.name]


@pytest.mark.parametrize("failing", ["create", "sync", "replace"])
@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EIO, "Input/output error; the file that was there is unchanged; check the disk, then"),
        (errno.EDQUOT, "Disk quota exceeded; the file that was there is unchanged; free some of the quota and"),
    ],
)
def test_a_disk_that_fails_leaves_the_old_file(
    tmp_path: Path, table: Table, failing: str, number: int, advice: str
) -> None:
    out = tmp_path / "out.csv"
    out.write_bytes(b"old")

    with pytest.raises(OutputError) as caught:
        write(out, table, ANSWERS, files=FailingDisk(failing=failing, number=number))

    assert str(caught.value) == f"{out}: can't be written: {advice} run the same command again"
    assert out.read_bytes() == b"old"
    assert in_folder(tmp_path) == ["in.csv", "out.csv"]


def test_a_folder_that_can_not_be_synced_is_told_apart(tmp_path: Path, table: Table) -> None:
    out = tmp_path / "out.csv"

    with pytest.raises(OutputError) as caught:
        write(out, table, ANSWERS, files=FailingDisk(failing="sync_folder"))

    assert str(caught.value) == f"{out}: is written, but the disk did not confirm it: Input/output error"
    assert open_table(out).height == 3000


class ForgetfulFile(SmallFile):
    """A disk that takes bytes and does not keep all of them."""

    def write(self, data: bytes) -> int:
        self._file.write(data[:-1] if len(data) > 100 else data)
        return len(data)


class ForgetfulDisk(Files):
    def create(self, path: Path) -> BinaryIO:
        return ForgetfulFile(path, NEVER)  # type: ignore[return-value]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_can_not_be_read_back_does_not_take_the_place(tmp_path: Path, table: Table, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    out.write_bytes(b"old")

    with pytest.raises(OutputError, match="could not be read back"):
        write(out, table, ANSWERS, rows=1000, files=ForgetfulDisk())

    assert out.read_bytes() == b"old"
    assert in_folder(tmp_path) == ["in.csv", out.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path, table: Table, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    out.write_bytes(b"old")

    with pytest.raises(KeyboardInterrupt):
        write_rows(out, table, (0, 1000), KeyboardInterrupt)

    assert out.read_bytes() == b"old"
    assert in_folder(tmp_path) == ["in.csv", out.name]


def write_rows(path: Path, table: Table, *steps: tuple[int, int] | type[BaseException]) -> None:
    """Write batches of 1,000 rows by (number of the batch, rows of answers), or raise."""
    batches = list(table.batches(1000))
    with TableWriter(path, table, [AnswerColumn("x", pl.String())]) as writer:
        for step in steps:
            if not isinstance(step, tuple):
                raise step
            writer.write(batches[step[0]], pl.DataFrame(ANSWERS).head(step[1]))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(0, 1000), (0, 1000)], "row 1000 with 1000 rows of answers comes next; got row 0 with 1000"),
        ([(0, 999)], "row 0 with 1000 rows of answers comes next; got row 0 with 999"),
        ([(0, 1000), (1, 1000)], "2000 rows were written of 3000"),
    ],
)
def test_rows_that_are_missing_or_doubled_are_refused(
    tmp_path: Path, table: Table, steps: list[tuple[int, int]], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        write_rows(tmp_path / "out.csv", table, *steps)

    assert in_folder(tmp_path) == ["in.csv"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_table_is_the_same_bytes(tmp_path: Path, table: Table, suffix: str) -> None:
    once = write(tmp_path / f"a{suffix}", table, ANSWERS).read_bytes()
    again = write(tmp_path / f"b{suffix}", table, ANSWERS).read_bytes()

    assert once == again


def test_permissions_of_an_older_file_are_kept_and_links_followed(tmp_path: Path, table: Table) -> None:
    real = tmp_path / "elsewhere" / "real.csv"
    real.parent.mkdir()
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "out.csv"
    link.symlink_to(real)

    write(link, table, ANSWERS)

    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert in_folder(real.parent) == ["real.csv"]
    assert open_table(real).columns == ("id", "name", "x")


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path, table: Table) -> None:
    before = os.umask(0o027)
    try:
        out = write(tmp_path / "out.csv", table, ANSWERS)
    finally:
        os.umask(before)

    assert out.stat().st_mode & 0o777 == 0o640


def test_what_a_killed_writer_left_is_removed_and_a_living_one_left_alone(tmp_path: Path, table: Table) -> None:
    (tmp_path / ".out.csv.01234567.enrich-tmp").write_text("half")
    (tmp_path / ".out.csv.notes").write_text("of somebody else")
    living = TableWriter(tmp_path / "out.csv", table, [])

    write(tmp_path / "out.csv", table, ANSWERS)

    left = in_folder(tmp_path)
    living.abort()
    assert len(left) == 4
    assert in_folder(tmp_path) == [".out.csv.notes", "in.csv", "out.csv"]


# --- where the output may go


def message(path: Path, table: Table, **options: Any) -> str:
    with pytest.raises(OutputError) as caught:
        check_output_path(path, table, **options)
    return str(caught.value).removeprefix(f"{path}: ")


def folder(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to("nowhere.csv")


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(folder, "is a folder; give the name of a file", id="folder"),
        pytest.param(dangling, "is a link to nowhere.csv, which does not exist; fix it or remove it", id="dangling"),
        pytest.param(pipe, "is no regular file, so a table can't replace it; name a file", id="pipe"),
    ],
)
def test_a_target_that_can_not_be_replaced_is_refused(
    tmp_path: Path, table: Table, make: Callable[[Path], None], expected: str
) -> None:
    make(tmp_path / "out.csv")

    assert message(tmp_path / "out.csv", table) == expected


def test_the_input_is_never_the_output(tmp_path: Path, table: Table) -> None:
    (tmp_path / "hard.csv").hardlink_to(table.path)
    (tmp_path / "soft.csv").symlink_to(table.path)
    expected = "is the input itself, which is never overwritten; give another output"

    assert message(table.path, table) == expected
    assert message(tmp_path / "hard.csv", table) == expected
    assert message(tmp_path / "soft.csv", table) == expected
    assert message(tmp_path / "x" / ".." / "in.csv", table) == expected


def test_a_place_that_can_not_be_written_is_refused(tmp_path: Path, table: Table) -> None:
    suffixes = ".csv, .tsv, .ndjson, .jsonl (each also with .gz or .zst) or .parquet"

    assert message(tmp_path / "out.xlsx", table) == f"unknown kind of table; give an output named {suffixes}"
    assert message(tmp_path / "no" / "out.csv", table) == (
        f"there is no folder {tmp_path / 'no'}; make it, or give another output"
    )
    refused = FailingDisk(failing="create", number=errno.EROFS)
    assert message(tmp_path / "out.csv", table, files=refused) == (
        "can't be written: Read-only file system; the file that was there is unchanged; "
        "give an output on another file system"
    )


def test_a_file_that_is_read_only_is_refused(tmp_path: Path, table: Table) -> None:
    (tmp_path / "out.csv").touch()
    expected = "is read-only; allow writing to it, or give another output"

    assert message(tmp_path / "out.csv", table, files=FailingDisk(failing="may_write")) == expected


def test_a_disk_without_room_is_refused(tmp_path: Path, table: Table) -> None:
    huge = tmp_path / "huge.csv"
    huge.write_text("a\n")
    opened = open_table(huge)
    with huge.open("r+b") as file:
        file.truncate(1 << 42)

    expected = "MB are free in .*, and the output may need 8388609 MB; free some space, or give another output"
    with pytest.raises(OutputError, match=expected):
        check_output_path(tmp_path / "out.csv", opened)


def test_a_sound_place_is_left_as_it_was(tmp_path: Path, table: Table) -> None:
    (tmp_path / "old.csv").write_text("old")

    check_output_path(tmp_path / "old.csv", table)
    check_output_path(tmp_path / "new.parquet", table)

    assert in_folder(tmp_path) == ["in.csv", "old.csv"]
    assert (tmp_path / "old.csv").read_text() == "old"
