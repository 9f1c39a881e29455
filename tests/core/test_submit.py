"""When a task whose POST has an unknown outcome is free again: never before it is certain that nothing was made."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from enrich.clock import Stamp
from enrich.effects import ListedRun, ListGroup, Listing, Now, RecordAdopted, RecordResolved, Settled, Sleep
from enrich.ledger import OpenSubmission, RunState
from enrich.submit import is_complete, resolve

SETTLE_S = 900.0


def listing(*run_ids: str, before: int | None = None, after: int | None = None) -> Listing:
    """A listing of a group's runs; its tasks have the names of its runs."""
    counts = (len(run_ids) if count is None else count for count in (before, after))
    return Listing(*counts, tuple(ListedRun(run_id, run_id) for run_id in run_ids))


def unknown(*tasks: str) -> OpenSubmission:
    """A submission whose POST had no answer, at second 0."""
    return OpenSubmission(
        1, "g1", "unknown", False, "core", ("f",), 25_000, Stamp(0, 0, "boot"), None, frozenset(),
        tasks={task: n for n, task in enumerate(tasks)}, states=[RunState.SENT] * len(tasks),
    )  # fmt: skip


def resolve_with(
    submission: OpenSubmission, listed_at: Callable[[float], Listing], answers_after_s: Callable[[float], float]
) -> tuple[float, list[str], int]:
    """(when it was resolved, which runs were adopted, how many tasks are free again)."""
    protocol: Generator[Any, Any, Any] = resolve(submission, settle_s=SETTLE_S)
    now, adopted, freed, resolved_at, result = 0.0, list[str](), 0, 0.0, None
    while True:
        try:
            effect = protocol.send(result)
        except StopIteration:
            return resolved_at, adopted, freed
        result = None
        match effect:
            case Now():
                result = Stamp(now, now, "boot")
            case Sleep(seconds):
                now += seconds
            case ListGroup():
                result = listed_at(now)
                now += answers_after_s(now)
            case RecordAdopted(runs=runs):
                adopted.extend(runs.values())
            case RecordResolved():
                resolved_at = now
            case Settled():
                freed += effect.freed


def soon(_: float) -> float:
    return 0.1


@pytest.mark.parametrize(
    ("shown", "known", "complete"),
    [
        pytest.param(listing(), 0, True, id="an empty group"),
        pytest.param(listing("a", "b"), 0, True, id="as many as were counted"),
        pytest.param(listing("a", before=2, after=2), 0, False, id="cut with a clean end"),
        pytest.param(listing("a", before=0), 0, False, id="landed between the counts"),
        pytest.param(listing("a", after=0), 0, False, id="counted by an old replica"),
        pytest.param(listing("a", "a"), 0, False, id="one run twice is one run"),
        pytest.param(listing("a"), 2, False, id="there were more before: an old replica"),
    ],
)
def test_a_listing_is_complete_only_if_every_count_says_so(shown: Listing, known: int, *, complete: bool) -> None:
    assert is_complete(shown, known) is complete


def test_tasks_are_free_after_two_listings_that_both_come_after_settling() -> None:
    resolved_at, adopted, freed = resolve_with(unknown("a", "b"), lambda now: listing(), soon)
    assert SETTLE_S + 30 <= resolved_at < SETTLE_S + 65
    assert (adopted, freed) == ([], 2)


def test_what_is_listed_is_adopted_at_once() -> None:
    resolved_at, adopted, freed = resolve_with(unknown("a", "b"), lambda now: listing("a", "b"), soon)
    assert resolved_at < 1
    assert (adopted, freed) == (["a", "b"], 0)


@pytest.mark.parametrize("old_at", [900, 930, 960])
def test_one_old_replica_frees_nothing(old_at: int) -> None:
    """It landed at the last moment, and the first listing after settling does not show it."""
    _, adopted, freed = resolve_with(
        unknown("a"), lambda now: listing("a") if now >= 899 and not old_at <= now < old_at + 25 else listing(), soon
    )
    assert (adopted, freed) == (["a"], 0)


def test_a_listing_that_waited_for_a_stopped_process_proves_only_what_was_when_it_was_asked_for() -> None:
    """Asked for before it landed, answered half an hour later, since the process was stopped; then one old replica."""
    stopped = range(840, 899)
    asked: list[float] = []

    def listed_at(now: float) -> Listing:
        asked.append(now)
        old = len(asked) > 1 and int(asked[-2]) in stopped
        return listing("a") if now >= 899 and not old else listing()

    _, adopted, freed = resolve_with(unknown("a"), listed_at, lambda now: 1800.0 if int(now) in stopped else 0.1)
    assert (adopted, freed) == (["a"], 0)
    assert asked[-2] > SETTLE_S


def test_a_group_never_shrinks_so_a_listing_with_less_than_was_counted_is_not_believed() -> None:
    def cut_then_old(now: float) -> Listing:
        if now < 850 or 1000 <= now < 1100:
            return listing()
        return listing(before=1, after=1) if now < 1000 else listing("a")

    _, adopted, freed = resolve_with(unknown("a"), cut_then_old, soon)
    assert (adopted, freed) == (["a"], 0)
