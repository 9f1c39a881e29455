"""What stands where a ledger should be: one, what is left of one, or somebody else's file, which is never touched.

So with the files beside it, by which SQLite and `enrich` keep it: a lock, a log or a list of that name may be another
program's. What another command of ours is just writing may be caught half written, and is no stranger for it: while a
ledger is in use, only what can't depend on the moment is held against it. Who opens the ledger looks again, alone.
"""

import errno
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from enrich.errors import LedgerError
from enrich.host.files import is_planted, open_regular, planted_link, real
from enrich.ledger import schema
from enrich.ledger.groups import groups_file, is_group_list, read_groups
from enrich.ledger.lock import is_in_use, is_lock

_MAGIC: Final = b"SQLite format 3\0"
_APPLICATION_ID: Final = slice(68, 72)  # of the header of an SQLite database
_PAGE_BYTES: Final = 4096
_CHUNK_BYTES: Final = 1 << 20
_START_BYTES: Final = 1000  # of a file beside it, which tell whose it is
# What each file beside a ledger begins with. SQLite's: https://www.sqlite.org/fileformat2.html, walformat.html
_LOG: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_INDEX: Final = tuple((3_007_000).to_bytes(4, order) for order in ("little", "big"))
_JOURNAL: Final = (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7",)


def check_place(ledger: Path, *, alone: bool = False) -> None:
    """Raise LedgerError where something stands that is no ledger, and never was one.

    `alone` is for who finds that SQLite can't read what stands there: it is not in the making then.
    """
    problem = place_problem(ledger)
    if problem and not alone and is_in_use(ledger):
        problem = place_problem(ledger, in_use=True)
    _refuse(ledger, problem)


def check_beside(ledger: Path) -> None:
    """Raise LedgerError where a file beside a ledger is another program's. For who holds its lock."""
    _refuse(ledger, _problem_of_companions(real(ledger), in_use=False))


def _refuse(ledger: Path, problem: str) -> None:
    if problem:
        raise LedgerError(
            f"{ledger}: {problem}, and is left as it is; name another file with --ledger, or `ledger:` in the config"
        )


def place_problem(ledger: Path, *, in_use: bool = False) -> str:
    """What else stands there or beside it, in words; empty where a ledger is, was, or may be made.

    What is in the files is not looked at while the ledger is `in_use`.
    """
    link = planted_link(ledger)
    if link is not None:
        return f"{link} is a link that another user put into a folder in which others can write"
    ledger = real(ledger)
    return _file_problem(ledger, in_use=in_use) or _problem_of_companions(ledger, in_use=in_use)


def _file_problem(ledger: Path, *, in_use: bool) -> str:
    try:
        status = ledger.stat()
        if is_planted(status, ledger.parent):
            return "this file was put there by another user, in a folder in which others can write"
        if stat.S_ISDIR(status.st_mode):
            return "this is a folder"
        if not stat.S_ISREG(status.st_mode):
            return "this is no regular file"
        may_be_ledger = in_use or bool(read_groups(groups_file(ledger))) or _may_be_ledger(ledger, status.st_size)
    except OSError:  # nothing is there, or whoever opens it says what is wrong
        return ""
    return "" if may_be_ledger else "this file is no ledger"


def _starts(*marks: bytes) -> Callable[[bytes], bool]:
    """What begins with one of these, or with zeros in place of all or some of it: SQLite writes it last."""

    def begins(start: bytes) -> bool:
        return any(all(byte in (0, own) for byte, own in zip(start, mark, strict=False)) for mark in marks)

    return begins


_BESIDE: Final[Mapping[str, tuple[str, Callable[[bytes], bool]]]] = {
    ".lock": ("the lock of a ledger", is_lock),
    ".groups": ("a list of a ledger's groups", is_group_list),
    "-wal": ("SQLite's log of a ledger", _starts(*_LOG)),
    "-shm": ("SQLite's index of a log", _starts(*_INDEX)),
    "-journal": ("SQLite's journal of a ledger", _starts(*_JOURNAL)),
}


def _problem_of_companions(ledger: Path, *, in_use: bool) -> str:
    return next(filter(None, (_problem_beside(ledger, end, in_use=in_use) for end in _BESIDE)), "")


def _problem_beside(ledger: Path, end: str, *, in_use: bool) -> str:
    """What is wrong with one of the files beside a ledger, in words; empty where it is ours or not there."""
    path = ledger.with_name(ledger.name + end)
    what, is_ours = _BESIDE[end]
    try:
        if path.is_symlink():
            return f"{path.name} beside it is a link, and nothing is written through one"
        with open_regular(path, follow=False) as file:
            start = file.read(_START_BYTES)
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno == errno.EINVAL:
            return f"{path.name} beside it is no regular file"
        return ""  # whoever opens it says what is wrong
    # A ledger that is there vouches for what SQLite keeps beside it; what is damaged of it SQLite finds.
    if in_use or is_ours(start) or (end.startswith("-") and _size(ledger) > 0):
        return ""
    return f"{path.name} beside it is not {what}"


def _size(path: Path) -> int:
    """In bytes; 0 also where nothing is, or is any more."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _may_be_ledger(path: Path, size: int) -> bool:
    """Whether it is a database of ours, as far as its header tells, or is empty, or was overwritten with zeros."""
    with path.open("rb") as file:
        start = file.read(100)
        if not start.startswith(_MAGIC):
            return not any(start) and all(not any(chunk) for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""))
    number = int.from_bytes(start[_APPLICATION_ID])
    if number == 0:  # what was made of it last may still be in its log
        log = path.with_name(path.name + "-wal")
        return size <= _PAGE_BYTES or _size(log) > 0
    return number == schema.APPLICATION_ID
