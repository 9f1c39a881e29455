"""What people said of answers is kept as events: the latest holds, and nothing that was said before is lost."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.host.clock import SYSTEM
from enrich.ledger.salvage import salvaged_decisions, set_aside
from enrich.ledger.store import Ledger
from enrich.records import Ruled

KEY, FIELD = b"k" * 16, "f" * 16
LYON = Ruled(KEY, FIELD, "accept", b'"Lyon"', "trun_1", "", 1_800_000_000, who="ann", seen=b'"Lyon"')
PARIS = Ruled(KEY, FIELD, "correct", b'"Paris"', "trun_1", "asked them", 1_800_000_100, who="bob", seen=b'"Lyon"')
NONE = Ruled(KEY, FIELD, "reject", b"null", "trun_1", "", 1_800_000_200, who="ann", seen=b'"Lyon"')


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with closing(Ledger.in_memory()) as opened:
        yield opened


def holds(ledger: Ledger) -> Ruled | None:
    return ledger.decisions([KEY]).get(KEY, {}).get(FIELD)


def undo(ledger: Ledger) -> None:
    """Take back what was said last."""
    last = ledger.last_decision(KEY, FIELD)
    assert last is not None
    ledger.undo_decision(last.event_id, who="eve", at=1_900_000_000, origin="page")


def test_the_latest_holds_and_says_what_it_was_based_on(ledger: Ledger) -> None:
    assert (ledger.record_decisions([LYON]), ledger.record_decisions([PARIS])) == (1, 1)
    assert holds(ledger) == PARIS
    first, second = ledger.decision_events(KEY, FIELD)
    assert (first.ruled, first.based_on, first.who) == (LYON, None, "ann")
    assert (second.ruled, second.based_on, second.who) == (PARIS, first.event_id, "bob")


def test_a_clock_that_is_behind_changes_nothing_of_their_order(ledger: Ledger) -> None:
    ledger.record_decisions([PARIS])
    ledger.record_decisions([replace(LYON, at=PARIS.at - 1000)])
    held = holds(ledger)
    assert held is not None
    assert held.value == LYON.value


def test_what_holds_already_is_not_said_again(ledger: Ledger) -> None:
    ledger.record_decisions([LYON, PARIS])
    again = [replace(PARIS, at=PARIS.at + 5, who="ann"), PARIS]
    assert ledger.record_decisions(again) == 0
    assert holds(ledger) == PARIS
    assert ledger.record_decisions([LYON]) == 1  # which held before, and does not now


def test_a_review_file_that_is_taken_twice_makes_no_other_ledger_of_it(tmp_path: Path) -> None:
    with closing(Ledger.open(tmp_path / "ledger.db")) as ledger:
        with ledger.transaction():
            ledger.record_decisions([LYON])
        revision = ledger.revision()
        with ledger.transaction():
            ledger.record_decisions([LYON])
        assert ledger.revision() == revision


def test_what_is_taken_back_brings_back_what_held_before(ledger: Ledger) -> None:
    ledger.record_decisions([LYON])
    ledger.record_decisions([PARIS])
    undo(ledger)
    assert holds(ledger) == replace(LYON, who="eve", at=1_900_000_000)
    undo(ledger)  # the undoing
    held = holds(ledger)
    assert held is not None
    assert held.said == PARIS.said
    events = ledger.decision_events(KEY, FIELD)
    assert [event.undoes for event in events] == [None, None, events[1].event_id, events[2].event_id]


def test_the_first_decision_taken_back_leaves_none(ledger: Ledger) -> None:
    ledger.record_decisions([LYON])
    undo(ledger)
    assert holds(ledger) is None
    assert ledger.record_decisions([LYON]) == 1
    assert holds(ledger) == LYON


def test_what_is_not_the_latest_can_t_be_taken_back(ledger: Ledger) -> None:
    ledger.record_decisions([LYON, PARIS])
    first, _ = ledger.decision_events(KEY, FIELD)
    with pytest.raises(ValueError, match="not the latest"):
        ledger.undo_decision(first.event_id, who="eve", at=0, origin="page")
    assert holds(ledger) == PARIS


@given(steps=st.lists(st.sampled_from(["lyon", "paris", "none", "undo"]), max_size=12))
def test_undoing_is_going_back_by_one(steps: list[str]) -> None:
    said = {"lyon": LYON, "paris": PARIS, "none": NONE}
    with closing(Ledger.in_memory()) as ledger:
        states: list[Ruled | None] = [None]  # after each event
        for step in steps:
            if step != "undo":
                new = states[-1] is None or states[-1].said != said[step].said
                assert ledger.record_decisions([said[step]]) == new
                states += [said[step]] if new else []
            elif len(states) > 1:
                undo(ledger)
                states.append(states[-2])
        held, expected = holds(ledger), states[-1]
        assert (held and held.said) == (expected and expected.said)
        assert len(ledger.decision_events(KEY, FIELD)) == len(states) - 1


def test_all_that_was_said_is_saved_from_a_ledger_that_is_replaced_twice(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(Ledger.open(path)) as ledger, ledger.transaction():
        ledger.record_decisions([LYON, PARIS])
        undo(ledger)
        expected = ledger.decision_events(KEY, FIELD)
    for _ in range(2):  # the second time, all of it is in two files
        events = salvaged_decisions(path)
        set_aside(path, SYSTEM.moment())
        with closing(Ledger.open(path)) as ledger, ledger.transaction():
            ledger.record_decisions([replace(NONE, input_key=b"other key 16 byt")])  # other numbers than there
            ledger.record_events(events)
            saved = ledger.decision_events(KEY, FIELD)
        assert [event.ruled for event in saved] == [event.ruled for event in expected]
        numbers = [event.event_id for event in saved]
        assert [event.based_on for event in saved] == [None, *numbers[:-1]]
        assert [event.undoes for event in saved] == [None, None, numbers[1]]
