"""How a run ended, and whether a stream of events is to count as broken."""

import pytest

from enrich.protocol.endings import is_broken, is_strange, settled_status
from enrich.protocol.replies import Followed


@pytest.mark.parametrize(
    ("status", "active", "strange"),
    [
        pytest.param("completed", False, False, id="completed"),
        pytest.param("running", False, False, id="running, and not active"),
        pytest.param("cancelling", False, False, id="cancelling"),
        pytest.param("archived", False, True, id="an end that is not known"),
        pytest.param("paused", True, False, id="a state that is not known"),
        pytest.param("archived", None, False, id="not said whether it is active"),
    ],
)
def test_an_end_that_is_not_known_is_strange(status: str, active: bool | None, *, strange: bool) -> None:
    assert is_strange(status, active=active) is strange


@pytest.mark.parametrize(
    ("status", "has_output", "fetched", "settled"),
    [
        pytest.param("archived", True, True, "completed", id="it brought something"),
        pytest.param("archived", True, False, "completed", id="it brought something in a listing"),
        pytest.param("archived", False, True, "failed", id="it brought nothing"),
        pytest.param("archived", False, False, "archived", id="a listing may lack it"),
        pytest.param("failed", True, True, "failed", id="an end that is known"),
        pytest.param("completed", False, True, "completed", id="completed without an output"),
    ],
)
def test_what_a_strange_end_brought_tells_whether_it_was_paid_for(
    status: str, settled: str, *, has_output: bool, fetched: bool
) -> None:
    assert settled_status(status, active=False, has_output=has_output, fetched=fetched) == settled


NEWS = frozenset({"a"})
NONE: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("news", "broken"),
    [
        pytest.param(Followed(NEWS, True, 1, "e1"), False, id="news"),
        pytest.param(Followed(NEWS, True, 1, "e1", failed=True), True, id="news, then it broke off"),
        pytest.param(Followed(NONE, True, 0, "e1"), True, id="it ended by itself without news"),
        pytest.param(Followed(NONE, None, None, "e1"), True, id="it ended by itself and said nothing of the group"),
        pytest.param(Followed(NONE, False, 3, "e1"), False, id="nothing is active any more"),
        pytest.param(Followed(NONE, True, 0, "e1", timed_out=True), False, id="left when its time was over"),
        pytest.param(Followed(NONE, None, None, None, told=False, timed_out=True), True, id="silent all the time"),
        pytest.param(Followed(NONE, True, 0, "e1", failed=True, timed_out=True), True, id="told of an error"),
    ],
)
def test_a_stream_that_tells_nothing_new_is_broken(news: Followed, *, broken: bool) -> None:
    assert is_broken(news) is broken
