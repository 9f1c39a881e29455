"""The groups a ledger has paid through, one id a line, in a file beside it: what is left when the ledger is lost.

Every ledger that is opened is held against the file. An empty ledger beside a list of groups is one that was deleted,
a ledger that lacks some of them is an old copy: to ask again what they hold would be to pay for it again. The file is
a second memory and never the first: the ledger's own transaction is what makes a POST known.
"""

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from enrich.errors import LedgerError, OutputError
from enrich.files import write_whole

_LINE: Final = re.compile(rb"^([\x21-\x7e]{1,200})\n", re.MULTILINE)  # a line cut short is none


def groups_file(ledger: Path) -> Path:
    """Where the groups of a ledger are listed: `ledger.db` has `ledger.db.groups`."""
    path = ledger.resolve()
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
    text = "".join(f"{group_id}\n" for group_id in group_ids).encode("ascii", "replace")
    with suppress(OSError):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(file).st_size
            if os.write(file, text) < len(text):  # what a disk does that has become full: half an id is none
                os.ftruncate(file, size)
        finally:
            os.close(file)


def replace_groups(path: Path, group_ids: Iterable[str]) -> None:
    """Write the list anew, whole or not at all. Raises OutputError."""
    write_whole(path, "".join(f"{group_id}\n" for group_id in group_ids).encode("ascii", "replace"))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
