"""How long what was answered, or failed, stands before it is asked again. Times are Unix seconds."""

from datetime import timedelta

from enrich.answers.answer import Answer
from enrich.config import Refresh


def is_stale(answer: Answer, at: int, refresh: Refresh, now: int) -> bool:
    """Whether an answer got at `at` is due again by its field's refresh."""
    limit = refresh.not_found if answer.verdict == "not_found" else refresh.answers
    return _older(at, limit, now)


def may_be_stale(at: int, refresh: Refresh, now: int) -> bool:
    """Whether an answer got at `at` could be stale, whatever it says."""
    return _older(at, refresh.answers, now) or _older(at, refresh.not_found, now)


def failure_stands(at: int, refresh: Refresh, now: int) -> bool:
    """Whether a run that failed at `at` is too recent to be asked again."""
    return not _older(at, refresh.failed, now)


def _older(at: int, limit: timedelta | None, now: int) -> bool:
    return limit is not None and now - at >= limit.total_seconds()
