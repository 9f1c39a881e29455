"""A group is read when its listing is complete: by the one rule, and by nothing that a single answer says."""

import httpx
import msgspec
import pytest

from enrich.backends.listing import IncompleteListingError, list_whole_group
from enrich.backends.parallel import Client


class Group:
    """A group whose readings are given: (counted before, runs listed, counted after) each."""

    def __init__(self, *readings: tuple[int, int, int]) -> None:
        self._answers = [answer for before, listed, after in readings for answer in (before, range(listed), after)]
        self.asked = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        answer = self._answers[min(self.asked, len(self._answers) - 3 + self.asked % 3)]
        self.asked += 1
        if isinstance(answer, int):
            status = {"num_task_runs": answer, "is_active": False}
            return httpx.Response(200, content=msgspec.json.encode({"taskgroup_id": "g1", "status": status}))
        events = [{"type": "task_run.state", "run": {"run_id": f"r{n}", "status": "completed"}} for n in answer]
        body = b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in events)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)


async def at_once(_: float) -> None:
    pass


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("readings", "runs"),
    [
        pytest.param([(2, 2, 2)], 2, id="complete"),
        pytest.param([(2, 1, 2), (2, 2, 2)], 2, id="cut with a clean end, then complete"),
        pytest.param([(3, 2, 3), (2, 2, 2), (3, 3, 3)], 3, id="an old replica that agrees with itself is not believed"),
        pytest.param([(1, 3, 3), (2, 2, 2), (3, 3, 3)], 3, id="nor one that lists fewer than were listed"),
    ],
)
async def test_a_listing_is_read_again_until_it_is_complete(readings: list[tuple[int, int, int]], runs: int) -> None:
    group = Group(*readings)
    async with Client(
        base_url="https://api.example", api_key=None, transport=httpx.MockTransport(group.answer)
    ) as client:
        listing = await list_whole_group(client, "g1", sleep=at_once)
    assert len(listing.runs) == runs
    assert group.asked == 3 * len(readings)


@pytest.mark.anyio
async def test_a_group_that_once_showed_more_is_not_taken_for_whole() -> None:
    group = Group((3, 2, 3), (2, 2, 2))
    async with Client(
        base_url="https://api.example", api_key=None, transport=httpx.MockTransport(group.answer)
    ) as client:
        with pytest.raises(IncompleteListingError):
            await list_whole_group(client, "g1", sleep=at_once)
