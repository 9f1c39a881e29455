"""What can still be read of a ledger that can't be trusted, and the way to set it aside."""

import glob
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from enrich.host.files import real, writing
from enrich.ledger import schema
from enrich.ledger.groups import groups_file, is_group_id, read_groups
from enrich.ledger.questions import decision_event
from enrich.records import DecisionEvent
from enrich.spec.identity import KEY_BYTES

_ASIDE: Final = ".damaged-"
_Key = Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
_What = Literal["accept", "correct", "reject", "none"]
_Event = tuple[int, int, str, str, _Key, str, _What, str, str, str, str | None, int | None, int | None]


def known_groups(ledger: Path) -> tuple[str, ...]:
    """Every group that what is left of a ledger still names: its list, and itself as far as it reads."""
    groups = list(read_groups(groups_file(ledger)))
    for column in ("batch_ref", "group_id"):  # until version 2 it had the other name
        groups += [text for (text,) in _rows(ledger, f"DISTINCT {column}", "submission") if is_group_id(str(text))]
    return tuple(dict.fromkeys(groups))


def salvaged_decisions(ledger: Path) -> list[DecisionEvent]:
    """What people said of answers that a ledger still holds, and those set aside before it, in the order of time.

    It is nowhere else but in review files, and a command that was killed may have set it aside without taking it over.
    The numbers are those of no ledger: each event has one of its own here.
    """
    ledger = real(ledger)
    known: dict[tuple[object, ...], int] = {}
    found: list[tuple[int, DecisionEvent]] = []
    for one in (*sorted(ledger.parent.glob(glob.escape(ledger.name) + _ASIDE + "*Z")), ledger):
        numbers: dict[int | None, int | None] = {None: None}
        time = 0  # of the file: in its own order, whatever a clock said
        for event in _events(one):
            based_on, undoes = numbers.get(event.based_on), numbers.get(event.undoes)
            content = (
                event.at,
                event.who,
                event.origin,
                event.input_key,
                event.field_id,
                event.ruled,
                based_on,
                undoes,
            )
            number = known.get(content)
            time = max(time, event.at)
            if number is None:
                number = known[content] = len(known) + 1
                found.append((time, replace(event, event_id=number, based_on=based_on, undoes=undoes)))
            numbers[event.event_id] = number
    found.sort(key=itemgetter(0))
    return [event for _, event in found]


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


def _events(ledger: Path) -> Iterator[DecisionEvent]:
    """What was said of answers, as far as it can be read, in its order; of version 1 and 2, what was said last."""
    old = "0, at, '', 'sheet', input_key, field_id, ruling, value, run_id, note, NULL, NULL, NULL"
    new = "event_id, at, who, origin, input_key, field_id, ruling, value, run_id, note, seen, based_on, undoes"
    yield from sorted(filter(None, map(_event, _rows(ledger, old, "decision"))), key=attrgetter("at"))
    yield from filter(None, map(_event, _rows(ledger, new, "decision_event")))


def _event(row: tuple[Any, ...]) -> DecisionEvent | None:
    try:
        event = decision_event(msgspec.convert(row, _Event))
        for value in (event.ruled.value, event.ruled.seen) if event.ruled is not None else ():
            if value is not None:
                msgspec.json.decode(value)
    except msgspec.MsgspecError:
        return None
    return event
