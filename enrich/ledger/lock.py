"""One instance per ledger: a kernel lock on a file beside it, held for the life of the process.

The kernel drops the lock with the process, however it dies, so there is no stale lock to clean up. The
file's text names the holder for the message of the second instance; the lock, not the text, decides.

A file of that name with any other text is somebody else's (`poetry.lock`), and is left as it is.
"""

import fcntl
import os
import re
import socket
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from enrich.errors import LedgerBusyError, LedgerError
from enrich.host.files import open_regular, real

_LOOKS: Final = 20
_LOOK_S: Final = 0.02
_TEXT: Final = re.compile(rb"pid (\d+) on [^\n]{0,255}")
_BEGUN: Final = re.compile(rb"p(i(d( (\d+( (o(n?)?)?)?)?)?)?)?")  # such a text, half written
_LONGEST: Final = 300  # bytes of such a text


def is_lock(content: bytes) -> bool:
    """Whether a file with this content is a lock of ours, as its last holder left it: named, or cut short."""
    content = content.rstrip(b"\0")
    return not content or any(form.fullmatch(content) is not None for form in (_TEXT, _BEGUN))


def is_in_use(ledger: Path) -> bool:
    """Whether a command holds the ledger's lock at this moment, this one included."""
    path = _lock_file(ledger)
    try:
        with open_regular(path, follow=False) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none, or whoever opens it says what is wrong
        return False
    return False


def _lock_file(ledger: Path) -> Path:
    path = real(ledger)
    return path.with_name(path.name + ".lock")


class InstanceLock:
    """Exclusive hold on a ledger; entering raises LedgerBusyError at once when another process has it."""

    def __init__(self, ledger: Path) -> None:
        # The real path, so that links and relative paths to one ledger meet at one lock.
        self.ledger = real(ledger)
        self.path = _lock_file(ledger)
        self._fd: int | None = None

    def __enter__(self) -> "InstanceLock":
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            fd = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise LedgerError(
                f"{self.path}: the ledger's lock can't be opened ({error.strerror}); nothing was sent, and the same "
                "command goes on when this is mended"
            ) from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise self._foreign(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(fd)  # who may be just about to write its name
            if not (holder or is_lock(os.pread(fd, _LONGEST, 0))):
                raise self._foreign(fd) from None
            holder = holder or "an unknown process"
            os.close(fd)
            raise LedgerBusyError(
                f"{self.ledger}: in use by {holder}; nothing was sent. Wait for it to end, or give this run "
                "a ledger of its own with --ledger"
            ) from None
        except OSError as error:
            os.close(fd)
            raise LedgerError(
                f"{self.path}: this file system has no locks ({error.strerror}); put the ledger on a local "
                "disk with --ledger"
            ) from None
        if not is_lock(os.pread(fd, _LONGEST, 0)):
            raise self._foreign(fd)
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, _name(os.getpid()), 0)
        except OSError as error:
            os.close(fd)
            raise LedgerError(
                f"{self.path}: can't be written ({error.strerror}); nothing was sent, and the same command goes on "
                "when this is mended"
            ) from None
        self._fd = fd
        return self

    def _foreign(self, fd: int) -> LedgerError:
        os.close(fd)
        return LedgerError(
            f"{self.path}: this is not the lock of a ledger, and is left as it is; name another file with --ledger,"
            " or `ledger:` in the config"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _name(pid: int) -> bytes:
    return f"pid {pid} on {socket.gethostname()}".encode()


def _holder(fd: int) -> str:
    """Who holds the lock, by the file's text, empty where that does not tell.

    The text of a process that is gone is soon written over by the new holder.
    """
    for _ in range(_LOOKS):
        text = os.pread(fd, 200, 0)
        found = _TEXT.match(text)
        if found and (text != _name(int(found[1])) or _is_alive(int(found[1]))):
            return text.decode(errors="replace")
        time.sleep(_LOOK_S)
    return ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
