"""What stands where a ledger should be: one, what is left of one, or somebody else's file, which is never touched."""

import stat
from pathlib import Path
from typing import Final

from enrich.errors import LedgerError
from enrich.ledger import schema
from enrich.ledger.groups import groups_file, read_groups

_MAGIC: Final = b"SQLite format 3\0"
_APPLICATION_ID: Final = slice(68, 72)  # of the header of an SQLite database
_PAGE_BYTES: Final = 4096
_CHUNK_BYTES: Final = 1 << 20


def check_place(ledger: Path) -> None:
    """Raise LedgerError where something stands that is no ledger, and never was one."""
    if problem := place_problem(ledger):
        raise LedgerError(
            f"{ledger}: {problem}, and is left as it is; name another file with --ledger, or `ledger:` in the config"
        )


def place_problem(ledger: Path) -> str:
    """What else stands there, in words; empty where a ledger is, was, or may be made."""
    ledger = ledger.resolve()
    try:
        status = ledger.stat()
        if stat.S_ISDIR(status.st_mode):
            return "this is a folder"
        if not stat.S_ISREG(status.st_mode):
            return "this is no regular file"
        may_be_ledger = bool(read_groups(groups_file(ledger))) or _may_be_ledger(ledger, status.st_size)
    except OSError:  # nothing is there, or whoever opens it says what is wrong
        return ""
    return "" if may_be_ledger else "this file is no ledger"


def _may_be_ledger(path: Path, size: int) -> bool:
    """Whether it is a database of ours, as far as its header tells, or is empty, or was overwritten with zeros."""
    with path.open("rb") as file:
        start = file.read(100)
        if not start.startswith(_MAGIC):
            return not any(start) and all(not any(chunk) for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""))
    number = int.from_bytes(start[_APPLICATION_ID])
    if number == 0:  # what was made of it last may still be in its log
        log = path.with_name(path.name + "-wal")
        return size <= _PAGE_BYTES or (log.exists() and log.stat().st_size > 0)
    return number == schema.APPLICATION_ID
