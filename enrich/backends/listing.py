"""All runs of a group as the service lists them, and whether that is surely all of them. Free of charge."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import anyio

from enrich.api.errors import NotFoundError, StreamBreakError, StreamEndless
from enrich.backends.metadata import task_in_metadata
from enrich.backends.parallel import Client
from enrich.backends.wire import RunEvent, RunRecord
from enrich.errors import EnrichError, ExitCode, UsageError
from enrich.protocol.replies import ListedRun, Listing, Sightings, is_complete

MAX_BYTES: Final = 128 * 1024 * 1024  # of one listing, which is held in memory: a run takes some 300 bytes of it
_WAITS_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # between the readings of a group whose count and list disagree


@dataclass(frozen=True, slots=True)
class GroupListing:
    """What one reading of a group gave, with the group's own count of its runs before and after it."""

    group_id: str
    name: str  # of the job that made the group, where it says so
    before: int
    after: int
    runs: Mapping[str, RunRecord]  # by run id, in the order of the listing

    def listing(self) -> Listing:
        """The same in the protocol's words."""
        runs = (ListedRun(run_id, task_in_metadata(run.metadata)) for run_id, run in self.runs.items())
        return Listing(self.before, self.after, tuple(runs))


class IncompleteListingError(EnrichError):
    """The service's count of a group and its listing do not agree, however often they are read."""

    exit_code = ExitCode.STOPPED

    def __init__(self, listing: GroupListing) -> None:
        super().__init__(
            f"group {listing.group_id}: the service counts {listing.after} runs and lists {len(listing.runs)}; "
            "nothing was changed for this group. Run the same command again in some minutes"
        )


async def list_group(client: Client, group_id: str) -> GroupListing:
    """Count, list to the end, count again. Raises ApiError; StreamEndless for a listing that has no end."""
    group = await client.group(group_id)
    runs: dict[str, RunRecord] = {}
    async with client.open_runs(group_id) as stream:
        async for events in stream:
            for event in events:
                if isinstance(event, RunEvent):
                    runs[event.run.run_id] = event.run
            if stream.bytes_read > MAX_BYTES:
                told = f"the listing has more than {MAX_BYTES >> 20} MB"
                raise StreamEndless(
                    told, last_event_id=stream.last_event_id, events=stream.events, bytes_read=stream.bytes_read
                )
    after = (await client.group(group_id)).status.num_task_runs
    name = (group.metadata or {}).get("enrich_job")
    return GroupListing(group_id, name if isinstance(name, str) else "", group.status.num_task_runs, after, runs)


async def list_whole_group(
    client: Client, group_id: str, *, sleep: Callable[[float], Awaitable[None]] = anyio.sleep
) -> GroupListing:
    """A complete listing, read again until it is. Raises IncompleteListingError, UsageError or ApiError."""
    listing, broken, ever = None, None, Sightings()
    for wait_s in (0.0, *_WAITS_S):
        await sleep(wait_s)
        try:
            listing = await list_group(client, group_id)
        except NotFoundError:
            raise UsageError(
                f"group {group_id}: the service does not know it, or not for this API key; check the id and the key"
            ) from None
        except StreamBreakError as error:
            broken = error
            continue
        shown = listing.listing()
        ever.note(shown)
        if is_complete(shown, ever):
            return listing
    if listing is not None:
        raise IncompleteListingError(listing)
    assert broken is not None
    raise broken
