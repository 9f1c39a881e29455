"""What the service gave, as plain values: the results of the effects that ask it, in the protocol's words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec


@dataclass(frozen=True, slots=True)
class Added:
    """A readable 2xx answer to AddRuns."""

    run_ids: tuple[str, ...]
    runs_cursor: str | None


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run as a listing shows it; `task` is our task key from its metadata, None where it has none."""

    run_id: str
    task: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a listing of a group gave, with the group's own count of its runs before and after."""

    before: int
    after: int
    runs: tuple[ListedRun, ...]


@dataclass(slots=True)
class Sightings:
    """What a group has ever shown: it never shrinks, so what shows less comes from an old replica, or was cut short."""

    ids: set[str] = field(default_factory=set)  # of runs that were listed, or named in answers
    most: int = 0  # runs that were counted, or listed

    def note(self, listing: Listing) -> None:
        """Remember what a listing shows."""
        self.ids.update(run.run_id for run in listing.runs)
        self.most = max(self.most, listing.before, listing.after, len(self.ids))


def is_complete(listing: Listing, ever: Sightings) -> bool:
    """Whether a listing shows all of a group: as many distinct runs as the group counted before and after it, and no
    fewer than it has `ever` shown.

    A stream that was cut with a clean end looks whole; only the counts tell.
    """
    known = max(ever.most, len(ever.ids))
    return listing.before == listing.after == len({run.run_id for run in listing.runs}) >= known


@dataclass(frozen=True, slots=True)
class Followed:
    """What the events of a group told, or its counts: awaited runs that ended, whether the group is still active (None:
    not said), its count of ended runs (None: not said); and how the stream that told it went."""

    ended: frozenset[str]
    active: bool | None
    count_ended: int | None
    cursor: str | None
    told: bool = True  # anything at all
    failed: bool = False  # it broke off, or told of an error
    timed_out: bool = False  # it was left when its time was over; else it ended by itself, or had told enough


class ReadRun(msgspec.Struct, frozen=True, gc=False):
    """A run with its outcome: `raw` is the whole event as it came."""

    run_id: str
    task: str | None
    status: str
    raw: bytes
    has_output: bool
    error: str | None
    input_key: bytes | None = None  # told by FetchRun where the run carries no metadata of ours
    modified_at: str | None = None  # in the service's words

    @property
    def at(self) -> int | None:
        """When it ended, in Unix seconds, by the service's clock; None where it does not say so."""
        try:
            moment = datetime.fromisoformat(self.modified_at or "")
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class RunsRead:
    """A chunk of a group's runs. `reader` is None when the stream is at its end, whole or broken: either
    way an end proves nothing."""

    runs: Sequence[ReadRun]
    cursor: str | None
    reader: int | None
