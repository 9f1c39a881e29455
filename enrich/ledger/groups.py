"""The groups a ledger has paid through, one id a line, in a file beside it: what is left when the ledger is lost.

Every ledger that is opened is held against the file. An empty ledger beside a list of groups is one that was deleted,
a ledger that lacks some of them is an old copy: to ask again what they hold would be to pay for it again. The file is
a second memory and never the first: the ledger's own transaction is what makes a POST known.

A file of that name that somebody else made is neither read nor written: its first line tells.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from enrich.errors import LedgerError, OutputError
from enrich.host.files import open_regular, real, write_whole

_LINE: Final = re.compile(rb"^([\x21-\x7e]{1,200})\n", re.MULTILINE)  # a line cut short is none
_HEADER: Final = b"# The groups that the ledger beside this file has paid through; kept by enrich\n"
_FIRST_ID: Final = b"tgrp_"  # how lists without a header begin: those of version 0.2.0
MAX_BYTES: Final = 64 << 20  # of a list; that of a million groups has 40 MB
_BLANK: Final = b"\0 \t\r\n"  # zeros are what a power cut leaves


def groups_file(ledger: Path) -> Path:
    """Where the groups of a ledger are listed: `ledger.db` has `ledger.db.groups`."""
    path = real(ledger)
    return path.with_name(path.name + ".groups")


def read_groups(path: Path) -> tuple[str, ...]:
    """The ids in a list of groups, oldest first; none where there is no list."""
    return tuple(dict.fromkeys(line.decode() for line in _LINE.findall(_content(path))))


def is_group_id(text: str) -> bool:
    """Whether a text can be a line of a list of groups."""
    return _LINE.fullmatch(f"{text}\n".encode("utf-8", "replace")) is not None


def check_groups(ledger: Path, held: Callable[[], Iterable[str]]) -> None:
    """Raise LedgerError where the list beside a ledger has groups that are not among those it holds.

    A run that goes on adds to the ledger first, so its list is read before the ledger is asked.
    """
    listed = groups_file(ledger)
    ids = read_groups(listed)
    known = frozenset(held())
    lacking = [group_id for group_id in ids if group_id not in known]
    if lacking:
        raise LedgerError(
            f"{ledger}: the ledger was deleted, or is an old copy: {listed.name} beside it lists {len(lacking)} more of"
            f" the groups it paid through, such as {lacking[0]}. Nothing was sent. Rebuild what is lost from the"
            " service's own records with `enrich recover`, and groups of which it can't tell the questions with"
            f" `enrich adopt`, both for free; or delete {listed.name}, and pay for those answers again"
        )


def is_group_list(start: bytes) -> bool:
    """Whether a file that starts with these bytes is such a list, whole or cut short, or holds nothing yet."""
    start = start.lstrip(_BLANK)
    mine = (_HEADER, _FIRST_ID)
    return any(start.startswith(one) or one.startswith(start) for one in mine)


def complete_groups(ledger: Path, held: Iterable[str]) -> None:
    """Add to the list beside a ledger what it lacks of the groups that the ledger holds."""
    path = groups_file(ledger)
    listed = read_groups(path)
    content = _content(path)
    if content and not content.endswith(b"\n"):  # a line was cut short: what comes next would be added to it
        with suppress(OutputError):
            replace_groups(path, listed)
    known = frozenset(listed)
    new = [group_id for group_id in held if group_id not in known]
    if new:
        add_groups(path, new)


def add_groups(path: Path, group_ids: Iterable[str]) -> None:
    """Add ids at the end. What can't be written now is added when the ledger is opened the next time."""
    text = _lines(group_ids)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with suppress(OSError):
        file = os.open(path, flags, 0o600)
        try:
            status = os.fstat(file)
            size = status.st_size
            if not stat.S_ISREG(status.st_mode) or not is_group_list(os.pread(file, len(_HEADER), 0)):
                return
            text = text if size else _HEADER + text
            if os.write(file, text) < len(text):  # what a disk does that has become full: half an id is none
                os.ftruncate(file, size)
        finally:
            os.close(file)


def replace_groups(path: Path, group_ids: Iterable[str]) -> None:
    """Write the list anew, whole or not at all. Raises OutputError."""
    write_whole(path, _HEADER + _lines(group_ids), mode=0o600)


def _lines(group_ids: Iterable[str]) -> bytes:
    return "".join(f"{group_id}\n" for group_id in group_ids).encode("ascii", "replace")


def _content(path: Path) -> bytes:
    """The list as it stands, empty where there is none of ours."""
    try:
        with open_regular(path, follow=False) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError:
        return b""
    if len(content) > MAX_BYTES and is_group_list(content[: len(_HEADER)]):
        raise LedgerError(
            f"{path}: larger than {MAX_BYTES >> 20} MB, which no list of groups is. Nothing was sent. Put a copy in its"
            " place, or delete it, and pay again for what only it names"
        )
    return content if is_group_list(content[: len(_HEADER)]) else b""
