"""What a comparison goes by: the ladder, what a column's answers are refreshed after, prices, and the moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from enrich.config import Refresh
from enrich.records import Held
from enrich.spec import Schema


@dataclass(frozen=True, slots=True)
class Rung:
    """A processor to try, with its price in millionths of a dollar."""

    processor: str
    usd_micro: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan needs to know of a config and of the moment."""

    ladder: tuple[Rung, ...]  # weakest first
    refresh: Mapping[str, Refresh]  # by field id
    price: Callable[[str], int]  # of any processor, in millionths; 0 for one that is not known any more
    names: Mapping[str, str]  # of every field id the ledger has ever asked, to tell changed from missing
    now: int
    last_submission: int  # of the ledger, when this command began: later ones are of this very command
    retry_failed: bool = False
    schemas: Mapping[str, Schema] = field(default_factory=dict)  # of the same field ids, to tell what has changed
    sent: Mapping[int, int] = field(default_factory=dict)  # when what is not settled was sent, by submission
    watched: frozenset[int] = frozenset()  # submissions of which runs may turn up that were taken for not made

    def is_own(self, run: Held) -> bool:
        """Whether this very command asked for a run: then its outcome stands, whatever any clock says of its time."""
        return run.submission_id > self.last_submission
