"""What can still be read of a ledger that can't be trusted, and the way to set it aside."""

import glob
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from enrich.host.files import real, writing
from enrich.ledger import schema
from enrich.ledger.groups import groups_file, is_group_id, read_groups
from enrich.records import Ruled
from enrich.spec.identity import KEY_BYTES

_ASIDE: Final = ".damaged-"
_Key = Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
_Decision = tuple[_Key, str, Literal["accept", "correct", "reject"], str, str, str, int]


def known_groups(ledger: Path) -> tuple[str, ...]:
    """Every group that what is left of a ledger still names: its list, and itself as far as it reads."""
    groups = list(read_groups(groups_file(ledger)))
    groups += [text for (text,) in _rows(ledger, "DISTINCT group_id", "submission") if is_group_id(str(text))]
    return tuple(dict.fromkeys(groups))


def salvaged_decisions(ledger: Path) -> list[Ruled]:
    """People's decisions that a ledger still holds, and those set aside before it: they are nowhere else but in review
    files, and a command that was killed may have set them aside without taking them over.
    """
    ledger = real(ledger)
    newest: dict[tuple[bytes, str], Ruled] = {}
    for one in (*sorted(ledger.parent.glob(glob.escape(ledger.name) + _ASIDE + "*Z")), ledger):
        rows = _rows(one, "input_key, field_id, ruling, value, run_id, note, at", "decision")
        for ruled in filter(None, map(_ruled, rows)):
            other = newest.setdefault((ruled.input_key, ruled.field_id), ruled)
            if ruled.at >= other.at:
                newest[ruled.input_key, ruled.field_id] = ruled
    return list(newest.values())


def set_aside(ledger: Path, at: datetime) -> Path | None:
    """Rename a ledger, with the files that SQLite keeps beside it, so that a new one can be made in its place.

    Gives its new name, which says the moment (in UTC); None where there was nothing. Nothing is ever deleted.
    """
    ledger = real(ledger)
    aside = ledger.with_name(f"{ledger.name}{_ASIDE}{at:%Y%m%dT%H%M%S.%fZ}")
    moved = False
    with writing(ledger):
        for suffix in ("-wal", "-shm", ""):
            old = ledger.with_name(ledger.name + suffix)
            if old.exists():
                old.rename(aside.with_name(aside.name + suffix))
                moved = True
    return aside if moved else None


def _rows(ledger: Path, columns: str, table: str) -> Iterator[tuple[Any, ...]]:
    """The rows that can be read; none of those behind the first that can't."""
    if not ledger.is_file():
        return
    with (
        suppress(sqlite3.Error, UnicodeDecodeError),
        closing(sqlite3.connect(real(ledger).as_uri() + "?mode=ro", uri=True)) as database,
    ):
        database.execute("PRAGMA trusted_schema = OFF")
        found = database.execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,)).fetchone()
        if found is not None and schema.is_plain_table(str(found[0])):  # a view of that name could compute without end
            yield from database.execute(f"SELECT {columns} FROM {table}")  # noqa: S608


def _ruled(row: tuple[Any, ...]) -> Ruled | None:
    try:
        key, field_id, ruling, value, run_id, note, at = msgspec.convert(row, _Decision)
        msgspec.json.decode(value)
    except msgspec.MsgspecError:
        return None
    return Ruled(key, field_id, ruling, value.encode(), run_id, note, at)
