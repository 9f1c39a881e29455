"""How much of a table is joined at once: rows in parts whose results memory has room for."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from enrich.answers.join import ReadResult
from enrich.ledger.store import Ledger
from enrich.records import Held, Row
from enrich.text.weight import most_values

JOINED_ROWS: Final = 1024  # held at once with all that was said of them, some 4 KB a row, in three shapes
JOINED_BYTES: Final = 8 << 20  # of results joined at once: in all their shapes they take ten times as much
JOINED_VALUES: Final = 200_000  # in them: each takes up to a thousand bytes


def weights_of(ledger: Ledger, held: Mapping[bytes, Sequence[Held]]) -> dict[int, float]:
    """Bytes of one result in each block, as far as can be told without unpacking it."""
    results = Counter(run.block_id for runs in held.values() for run in runs if run.block_id is not None)
    sizes = ledger.block_sizes(results)
    return {block_id: size / results[block_id] for block_id, size in sizes.items()}


def weight_of(row: Row, held: Mapping[bytes, Sequence[Held]], weights: Mapping[int, float]) -> float:
    """Bytes of the results that a row is joined with."""
    runs = held.get(row.key, ()) if row.key is not None else ()
    return sum(weights.get(run.block_id, 0) for run in runs if run.block_id is not None)


class _Ahead(NamedTuple):
    """A result that was read before it is joined: the last row that is known to want it, and how many values it has."""

    place: int
    raw: bytes
    values: int


class ReadAhead:
    """The results of some rows, each read once where its values are counted before it is joined."""

    def __init__(self, rows: Sequence[Row], held: Mapping[bytes, Sequence[Held]], read: ReadResult) -> None:
        self._rows = rows
        self._held = held
        self._read = read
        self._ahead: dict[tuple[int, int], _Ahead] = {}  # by submission and task

    def __call__(self, run: Held) -> bytes:
        """The result of a completed run."""
        ahead = self._ahead.get((run.submission_id, run.n))
        return self._read(run) if ahead is None else ahead.raw

    def values(self, place: int) -> int:
        """How many values the results of a row have, at most."""
        key = self._rows[place].key
        values = 0
        for run in self._held.get(key, ()) if key is not None else ():
            if run.block_id is not None:
                known = self._ahead.get((run.submission_id, run.n))
                raw = self._read(run) if known is None else known.raw
                number = most_values(raw) if known is None else known.values
                self._ahead[run.submission_id, run.n] = _Ahead(place, raw, number)
                values += number
        return values

    def forget_before(self, place: int) -> None:
        """Let go what only rows before this one want, as far as is known."""
        self._ahead = {run: ahead for run, ahead in self._ahead.items() if ahead.place >= place}


def parts_of(weights: Sequence[float], values: Callable[[int], int]) -> Iterator[range]:
    """Cut rows into ranges of at most JOINED_BYTES and JOINED_VALUES, or of one row; no rows are a part, too.

    `weights` are the bytes of their results, `values` tells how many a row's have, and is asked row by row.
    """
    few = sum(weights) <= JOINED_VALUES  # each has a byte at least
    begin, held, known = 0, 0.0, 0
    for place, weight in enumerate(weights):
        if place > begin and held + weight > JOINED_BYTES:
            yield range(begin, place)
            begin, held, known = place, 0.0, 0
        number = 0 if few else values(place)
        if place > begin and known + number > JOINED_VALUES:
            yield range(begin, place)
            begin, held, known = place, 0.0, 0
        held += weight
        known += number
    yield range(begin, len(weights))
