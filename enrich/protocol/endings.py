"""How things ended at the service: a run, and a stream of events."""

from typing import Final

from enrich.protocol.replies import Followed

ENDED: Final = frozenset({"completed", "failed", "cancelled", "action_required"})  # statuses of a run
_KNOWN: Final = ENDED | {"queued", "running", "cancelling"}


def is_strange(status: str, *, active: bool | None) -> bool:
    """Whether a run has ended in a way that is not known here: it may have been paid for, and brought something."""
    return active is False and status not in _KNOWN


def settled_status(status: str, *, active: bool | None, has_output: bool, fetched: bool) -> str:
    """The status of a run as the protocol knows it.

    Of a strange end, what it brought tells whether it was paid for: an output means that it completed, none that it
    failed. That there is none shows only when it was `fetched`, for a listing may lack it.
    """
    if is_strange(status, active=active) and (fetched or has_output):
        return "completed" if has_output else "failed"
    return status


def is_broken(news: Followed) -> bool:
    """Whether a stream of events is to count as broken: it failed; it was refused, silent or too slow all the time; or
    it ended by itself and told nothing new, in a group that may be active.
    """
    if news.failed or not news.told:
        return True
    return not news.timed_out and not news.ended and news.active is not False
