"""A file is whole or it is not there, whatever ends the writing."""

import errno
import os
import resource
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from enrich.errors import OutputError
from enrich.host.files import Files, NewFile, replacing, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_older_file_stands_until_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [KeyError("x"), OSError(5, "elsewhere"), KeyboardInterrupt()])
def test_an_error_leaves_the_older_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"old")

    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)) as raised:
        write_half()
    assert raised.value is error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


@pytest.mark.parametrize("place", ["absent/a.json", "file/a.json", "folder"])
def test_a_place_that_refuses_is_an_output_error_that_names_it(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=f"{place}: can't be written"):
        write_whole(tmp_path / place, b"x")
    assert names(tmp_path) == ["file", "folder"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [1_500, 1_000_000], ids=["when it is synced", "while it is written"])
def test_a_disk_without_room_leaves_the_older_file_and_nothing_else(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"old")
    with (
        pytest.raises(OutputError, match="File too large"),
        files_of_at_most(1_000),
    ):
        write_whole(path, b"x" * size)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(OutputError, match="not a file"):
        write_whole(tmp_path / "link", b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_new_file_has_the_rights_that_the_user_gives_to_new_files(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_whole(tmp_path / "written", b"")
    assert stat.S_IMODE((tmp_path / "written").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


class CountingDisk(Files):
    """Notes how long a file was each time that it was let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def let_go(self, file: BinaryIO) -> None:
        super().let_go(file)
        self.sizes.append(os.fstat(file.fileno()).st_size)


def test_a_large_file_goes_to_the_disk_as_it_grows(tmp_path: Path) -> None:
    disk, piece = CountingDisk(), bytes(1 << 20)
    new = NewFile(tmp_path / "a", disk)
    for _ in range(70):
        new.file.write(piece)
        new.flow()
    new.sync()
    new.commit()
    assert disk.sizes == [32 << 20, 64 << 20]
    assert (tmp_path / "a").read_bytes() == piece * 70


class BusyFolder(Files):
    """Another process writes the same target: it sweeps away what is not locked yet."""

    def __init__(self) -> None:
        self.swept = 2

    def create(self, path: Path) -> BinaryIO:
        file = super().create(path)
        if self.swept:
            self.swept -= 1
            path.unlink()
        return file


def test_a_file_that_another_writer_swept_away_is_made_again(tmp_path: Path) -> None:
    new = NewFile(tmp_path / "a", BusyFolder())
    new.file.write(b"x")
    new.sync()
    new.commit()
    assert (tmp_path / "a").read_bytes() == b"x"
    assert names(tmp_path) == ["a"]


def test_many_writers_of_one_file_do_not_stand_in_each_others_way(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for _ in range(30):
            NewFile(tmp_path / "a").discard()
            write_whole(tmp_path / "a", b"%d" % number * 1000)
            (tmp_path / "a").unlink(missing_ok=True)

    with ThreadPoolExecutor(8) as hands:
        for written in [hands.submit(write, number) for number in range(8)]:
            written.result()
    assert set(names(tmp_path)) <= {"a"}


def test_what_the_disk_refuses_on_the_way_is_an_output_error(tmp_path: Path) -> None:
    class FullDisk(Files):
        def let_go(self, file: BinaryIO) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    new = NewFile(tmp_path / "a", FullDisk())
    new.file.write(bytes(33 << 20))
    with pytest.raises(OutputError, match=r"No space left on device; .* free some space"):
        new.flow()
    new.discard()
    assert names(tmp_path) == []
