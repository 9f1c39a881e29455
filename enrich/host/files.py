"""Files written whole or not at all.

`NewFile` writes beside its target under a name that starts with a dot and ends in `.enrich-tmp`; `commit`
syncs it, moves it over the target and syncs the folder, so that the old file stands until the new one is
whole. Nobody but its owner can read it on the way: an older target's permissions, or the user's usual ones, are
given to it last. A link stays a link, and the file it names is replaced, unless it may have been planted.
What a killed process left behind is removed by the next one that writes the same target: a temporary file
is locked as long as its writer lives.

In a folder that others can write, anybody can leave a link, a pipe or a file under a name that we use. `planted_link`
finds the first, `open_regular` opens neither of the first two, and what belongs to another user there sets no rights.

All that touches the disk goes through `Files`, the one place to make a disk fail.
"""

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, Final

from enrich.errors import OutputError

_MARK: Final = ".enrich-tmp"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MOST_LINKS: Final = 40  # as the kernel follows
_FLOW_BYTES: Final = 32 << 20
_WHAT_TO_DO: Final = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some of the quota and run the same command again",
    errno.EACCES: "allow writing to the folder, or give another output",
    errno.EPERM: "allow writing to the folder, or give another output",
    errno.EROFS: "give an output on another file system",
    errno.ENAMETOOLONG: "give the output a shorter name",
}


class Files:
    """The disk."""

    def create(self, path: Path) -> BinaryIO:
        """A new file, open for writing, that only its owner can open."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(path, flags, 0o600), "wb", buffering=1 << 20)

    def usual_mode(self, path: Path) -> int:
        """The permissions that a new file gets where `path` will be: by umask, folder and file system."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o666)
        try:
            return stat.S_IMODE(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)  # who writes the same target at the same time may have swept it away

    def may_write(self, path: Path) -> bool:
        """Whether the permissions of an existing file let it be written."""
        return os.access(path, os.W_OK)

    def sync(self, file: BinaryIO) -> None:
        """Return when all that was written to the file is on the disk."""
        file.flush()
        os.fsync(file.fileno())

    def let_go(self, file: BinaryIO) -> None:
        """Have the system begin to bring to the disk what was written, and keep in memory nothing that is there.

        It waits for nothing: who needs to be sure of the disk calls `sync`.
        """
        file.flush()
        forget(file)

    def replace(self, source: Path, target: Path) -> None:
        """Move `source` over `target` in one step."""
        source.replace(target)

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in the folder are on the disk."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """A regular file, open for reading. Raises OSError, at once for what is a pipe, a socket, a device or a folder.

    Without `follow` a link is none either: for names of ours, which no link has.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    if not stat.S_ISREG((path.stat() if follow else path.lstat()).st_mode):  # to open a device may do something
        raise OSError(errno.EINVAL, "this is no regular file", str(path))
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "this is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def planted_link(path: Path) -> Path | None:
    """The first link on the way to `path` that another user may have put there; None where all can be followed.

    The user's own links can, root's, and those in folders in which only these two can make any.
    """
    way = Path.cwd() / path
    here, parts, links = Path(way.anchor), list(reversed(way.parts[1:])), 0
    while parts and links < _MOST_LINKS:
        part = parts.pop()
        step = here.parent if part == ".." else here / part
        try:
            status = step.lstat()
        except OSError:  # there is nothing to follow
            return None
        if not stat.S_ISLNK(status.st_mode):
            here = step
            continue
        if is_planted(status, here):
            return step
        links += 1
        target = step.readlink()
        here = Path(target.anchor) if target.is_absolute() else here
        parts += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return None


def is_planted(status: os.stat_result, folder: Path) -> bool:
    """Whether what has this status may have been left in the folder by another user, for this one to stumble over.

    A file in a folder where only its owner can write is that owner's affair; a link there leads this user elsewhere.
    """
    trusted = (0, os.geteuid())
    if status.st_uid in trusted:
        return False
    place = folder.stat()
    if place.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    return place.st_uid not in (trusted if stat.S_ISLNK(status.st_mode) else (*trusted, status.st_uid))


def real(path: Path) -> Path:
    """The path with every link followed; links that lead in a circle stay, and whoever opens them is told."""
    return Path(os.path.realpath(path))


def is_special(path: Path) -> bool:
    """Whether a pipe, socket or device stands at the path: to open one may wait for ever, or read without end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False  # whoever opens it says what is wrong
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into OutputError: the path, what happened, what to do."""
    try:
        yield
    except OSError as error:
        advice = _WHAT_TO_DO.get(error.errno or 0, "check the disk, then run the same command again")
        reason = error.strerror or str(error)
        message = f"{path}: can't be written: {reason}; the file that was there is unchanged; {advice}"
        raise OutputError(message) from error


def _is_no_file(path: Path) -> bool:
    """Whether something else than a file stands at the path: in one look, since it may go away between two."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def forget(file: IO[bytes]) -> None:
    """Have the system keep in memory nothing of a file that is on the disk, where it can be told (not on macOS)."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class NewFile:
    """A file on its way to `path`. Write to `file`, then `commit` or `discard`. Raises OutputError.

    `like` is a file of which it holds a part: where it is new, the group and others get no more than they have there.
    `mode` is for what nobody else is meant to read, whatever stood there.
    """

    def __init__(
        self, path: Path, files: Files | None = None, *, like: Path | None = None, mode: int | None = None
    ) -> None:
        self._path = path
        self._files = files = files or Files()
        self._let_go = 0
        with writing(path):
            refuse_planted(path)
            self._target = real(path)
            if _is_no_file(self._target):
                raise OutputError(f"{path}: can't be written: there is something there that is not a file")
            _remove_leftovers(self._target)
            old = self._mode_of_old() if mode is None else mode
            self._mode = self._mode_of_new(like) if old is None else old
            self._create()
            while not self.temporary.exists():  # swept away by another writer before it was locked
                self.file.close()
                self._create()

    def _create(self) -> None:
        self.temporary = self._temporary_name()
        self.file = self._files.create(self.temporary)
        with suppress(OSError):  # some file systems have no locks, and then nothing is removed
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def flow(self) -> None:
        """Call this now and then while much is written: a large file goes to the disk as it grows.

        Else its gigabytes take the memory that holds everybody's files, and all come to the disk at the end, at once.
        """
        written = self.file.tell()
        if written - self._let_go >= _FLOW_BYTES:
            with writing(self._path):
                self._files.let_go(self.file)
            self._let_go = written

    def sync(self) -> None:
        """Bring all that was written to the disk."""
        with writing(self._path):
            self._files.sync(self.file)

    def commit(self) -> None:
        """Put the file, which was synced, in its place; only now others may read it."""
        with writing(self._path):
            if stat.S_IMODE(os.fstat(self.file.fileno()).st_mode) != self._mode:
                os.fchmod(self.file.fileno(), self._mode)
            self._files.replace(self.temporary, self._target)
            self.file.close()
        try:
            self._files.sync_folder(self._target.parent)
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"{self._path}: is written, but the disk did not confirm it: {reason}") from error

    def discard(self) -> None:
        """Remove the file; what stood at `path` still stands."""
        with suppress(OSError):  # closing writes what is buffered, which the disk may refuse
            self.file.close()
        with suppress(OSError):
            self.temporary.unlink()

    def _temporary_name(self) -> Path:
        return self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}{_MARK}")

    def _mode_of_old(self) -> int | None:
        """The permissions of what is replaced; None where there is nothing, or what another user left there."""
        try:
            status = self._target.stat()
        except FileNotFoundError:
            return None
        return None if is_planted(status, self._target.parent) else stat.S_IMODE(status.st_mode)

    def _mode_of_new(self, like: Path | None) -> int:
        usual = self._files.usual_mode(self._temporary_name())
        return usual if like is None else usual & (~_OTHERS | like.stat().st_mode)


def refuse_planted(path: Path) -> None:
    """Raise OutputError where another user's link would choose which file is written."""
    link = planted_link(path)
    if link is not None:
        raise OutputError(
            f"{path}: {link} is a link that another user put into a folder in which others can write, and is not"
            " followed; remove it, or give another output"
        )


@contextmanager
def replacing(path: Path, *, like: Path | None = None, mode: int | None = None) -> Iterator[BinaryIO]:
    """A file open for writing that takes the place of `path` when the block ends without an error.

    Raises OutputError for what the disk refuses before and after the block; its own errors pass through. `like` and
    `mode` are as in NewFile.
    """
    new = NewFile(path, like=like, mode=mode)
    try:
        yield new.file
        new.sync()
        new.commit()
    except BaseException:
        new.discard()
        raise


def write_whole(path: Path, content: bytes, *, like: Path | None = None, mode: int | None = None) -> None:
    """Make `content` the whole content of `path`; raises OutputError. `like` and `mode` are as in NewFile."""
    with replacing(path, like=like, mode=mode) as file, writing(path):
        file.write(content)


def _remove_leftovers(target: Path) -> None:
    for path in target.parent.glob(f".{_escaped(target.name)}.????????{_MARK}"):
        with suppress(OSError), open_regular(path, follow=False) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
