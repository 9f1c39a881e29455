"""How much of a table is joined at once: rows in parts whose results memory has room for."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from enrich.ledger.store import Ledger
from enrich.records import Held, Row

JOINED_ROWS: Final = 1024  # held at once with all that was said of them, some 4 KB a row, in three shapes
JOINED_BYTES: Final = 16 << 20  # of results held at once: in all their shapes they take ten times as much


def weights_of(ledger: Ledger, held: Mapping[bytes, Sequence[Held]]) -> dict[int, float]:
    """Bytes of one result in each block, as far as can be told without unpacking it."""
    results = Counter(run.block_id for runs in held.values() for run in runs if run.block_id is not None)
    sizes = ledger.block_sizes(results)
    return {block_id: size / results[block_id] for block_id, size in sizes.items()}


def weight_of(row: Row, held: Mapping[bytes, Sequence[Held]], weights: Mapping[int, float]) -> float:
    """Bytes of the results that a row is joined with."""
    runs = held.get(row.key, ()) if row.key is not None else ()
    return sum(weights.get(run.block_id, 0) for run in runs if run.block_id is not None)


def parts_of(weights: Sequence[float]) -> Iterator[range]:
    """Cut rows into ranges of at most JOINED_BYTES, or of one row; no rows are a part, too."""
    begin, held = 0, 0.0
    for place, weight in enumerate(weights):
        if place > begin and held + weight > JOINED_BYTES:
            yield range(begin, place)
            begin, held = place, 0.0
        held += weight
    yield range(begin, len(weights))
