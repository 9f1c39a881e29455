"""One instance per ledger: a kernel lock on a file beside it, held for the life of the process.

The kernel drops the lock with the process, however it dies, so there is no stale lock to clean up. The
file's text names the holder for the message of the second instance; the lock, not the text, decides.
"""

import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType

from enrich.errors import LedgerBusyError, LedgerError


class InstanceLock:
    """Exclusive hold on a ledger; entering raises LedgerBusyError at once when another process has it."""

    def __init__(self, ledger: Path) -> None:
        # The real path, so that links and relative paths to one ledger meet at one lock.
        self.ledger = ledger.resolve()
        self.path = self.ledger.with_name(self.ledger.name + ".lock")
        self._fd: int | None = None

    def __enter__(self) -> "InstanceLock":
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerError(f"{self.path}: the ledger's lock can't be opened ({error.strerror})") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "an unknown process"
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
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
        self._fd = fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
