"""Who runs beside whom in a step, and when all are held up."""

from collections.abc import Iterator

import pytest

from enrich.protocol.course import InTurn, Roster, Together, is_stalled
from enrich.protocol.effects import Script


def script() -> Script[None]:
    yield from ()


class Asking:
    """What was asked of a command so far."""

    def __init__(self) -> None:
        self.has_ended = False
        self.is_stopping = False
        self.made = 0

    def batches(self, number: int) -> Iterator[Script[None]]:
        for _ in range(number):
            self.made += 1
            yield script()

    def roster(self, step: InTurn | Together, slots: int = 2) -> Roster:
        return Roster(step, slots=slots, ended=lambda: self.has_ended, stopping=lambda: self.is_stopping)


def test_what_is_recovered_starts_at_once_and_batches_as_slots_get_free() -> None:
    asking = Asking()
    recovering = [script() for _ in range(3)]
    roster = asking.roster(Together(recovering, asking.batches(4), 7))
    started = list(roster.starting())
    assert started[:3] == recovering
    assert (len(started), asking.made) == (5, 2)  # none is made before it has a slot: what it sends is in memory
    roster.over(recovering[0])
    assert list(roster.starting()) == []
    roster.over(started[3])
    (third,) = roster.starting()
    assert third not in started
    roster.over(started[4])
    roster.over(third)
    assert [len(list(roster.starting())), len(list(roster.starting()))] == [1, 0]
    assert asking.made == 4


def test_no_batch_starts_when_the_asking_has_ended() -> None:
    asking = Asking()
    roster = asking.roster(Together((), asking.batches(4), 4))
    first, _ = roster.starting()
    asking.has_ended = True
    roster.over(first)
    assert list(roster.starting()) == []


def test_those_in_turn_wait_for_each_other_and_a_request_to_stop_leaves_out_the_rest() -> None:
    asking = Asking()
    asking.has_ended = True  # what is looked for late is looked for all the same
    roster = asking.roster(InTurn(asking.batches(3)))
    (first,) = roster.starting()
    assert list(roster.starting()) == []
    roster.over(first)
    (second,) = roster.starting()
    asking.is_stopping = True
    roster.over(second)
    assert list(roster.starting()) == []


@pytest.mark.parametrize(("held", "running", "stalled"), [(1, 2, False), (2, 2, True), (1, 1, True)])
def test_all_are_stalled_when_nobody_is_left_who_could_settle_anything(held: int, running: int, stalled: bool) -> None:
    assert is_stalled(held, running) is stalled
