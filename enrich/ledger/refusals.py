"""What the disk or another program does to the ledger, in words: SQLite's errors as a LedgerError."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from enrich.errors import LedgerError
from enrich.ledger.place import check_place

_REASONS: Final = {
    "SQLITE_FULL": "the disk is full (the ledger's, or that of temporary files, for which TMPDIR names a folder)",
    "SQLITE_IOERR": "the disk reports an error",
    "SQLITE_READONLY": "it can't be written",
    "SQLITE_CANTOPEN": "it can't be opened, or its folder can't be written",
    "SQLITE_BUSY": "another program keeps it locked",
    "SQLITE_LOCKED": "another program keeps it locked",
    "SQLITE_PERM": "permission denied",
}
_DAMAGE: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


@contextmanager
def ledger_refusals(path: Path) -> Iterator[None]:
    """Raise LedgerError for what SQLite raises in the block. Misuse of it, which is a fault of ours, passes."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(_DAMAGE):
            check_place(path, alone=True)
            raise damaged(path, str(error)) from None
        if not name and isinstance(error, sqlite3.OperationalError):  # of its own, the module raises it for this alone
            check_place(path, alone=True)
            raise damaged(path, "text in it is not UTF-8") from None
        reason = next((words for code, words in _REASONS.items() if name.startswith(code)), None)
        if reason is None:
            raise
        raise LedgerError(
            f"{path}: the ledger can't be used: {reason} ({error}). Nothing more was sent; what was paid for is in the "
            "ledger or at the service, and the same command goes on when this is mended"
        ) from None


def damaged(path: Path | None, what: str) -> LedgerError:
    """The error for a ledger that can't be trusted."""
    return LedgerError(
        f"{path}: the ledger is damaged ({what}); nothing more was sent. Rebuild it from the service's own records"
        " with `enrich recover --replace`, for free, or restore it from a copy"
    )
