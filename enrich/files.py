"""Files written whole or not at all.

`NewFile` writes beside its target under a name that starts with a dot and ends in `.enrich-tmp`; `commit`
syncs it, moves it over the target and syncs the folder, so that the old file stands until the new one is
whole. An older target's permissions are kept; a link stays a link, and the file it names is replaced.
What a killed process left behind is removed by the next one that writes the same target: a temporary file
is locked as long as its writer lives.

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
_FLOW_BYTES: Final = 32 << 20
_WHAT_TO_DO: Final = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some of the quota and run the same command again",
    errno.EACCES: "allow writing to the folder, or give another output",
    errno.EPERM: "allow writing to the folder, or give another output",
    errno.EROFS: "give an output on another file system",
}


class Files:
    """The disk."""

    def create(self, path: Path) -> BinaryIO:
        """A new file, open for writing; its permissions are the umask's."""
        return path.open("xb", buffering=1 << 20)

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
        advice = _WHAT_TO_DO.get(error.errno or 0, "look after the disk, then run the same command again")
        reason = error.strerror or str(error)
        message = f"{path}: can't be written: {reason}; what stood there before still stands; {advice}"
        raise OutputError(message) from error


def forget(file: IO[bytes]) -> None:
    """Have the system keep in memory nothing of a file that is on the disk, where it can be told (not on macOS)."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class NewFile:
    """A file on its way to `path`. Write to `file`, then `commit` or `discard`. Raises OutputError."""

    def __init__(self, path: Path, files: Files | None = None) -> None:
        self._path = path
        self._files = files = files or Files()
        self._let_go = 0
        self._target = path.resolve()
        with writing(path):
            if self._target.exists() and not self._target.is_file():
                raise OutputError(f"{path}: can't be written: there is something there that is not a file")
            _remove_leftovers(self._target)
            self.temporary = self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}{_MARK}")
            self.file = files.create(self.temporary)
        try:
            with writing(path):
                with suppress(OSError):  # some file systems have no locks, and then nothing is removed
                    fcntl.flock(self.file, fcntl.LOCK_EX)
                with suppress(FileNotFoundError):
                    os.fchmod(self.file.fileno(), stat.S_IMODE(self._target.stat().st_mode))
        except BaseException:
            self.discard()
            raise

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
        """Put the file, which was synced, in its place."""
        with writing(self._path):
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


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file open for writing that takes the place of `path` when the block ends without an error.

    Raises OutputError for what the disk refuses before and after the block; its own errors pass through.
    """
    new = NewFile(path)
    try:
        yield new.file
        new.sync()
        new.commit()
    except BaseException:
        new.discard()
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Make `content` the whole content of `path`; raises OutputError."""
    with replacing(path) as file, writing(path):
        file.write(content)


def _remove_leftovers(target: Path) -> None:
    for path in target.parent.glob(f".{_escaped(target.name)}.????????{_MARK}"):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
