"""The ledger by itself: what its counts must agree with, what it says is at stake, and what it brings back."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from enrich.errors import LedgerError
from enrich.ledger.store import Ledger
from enrich.planning.results import Results
from enrich.protocol.course import Compare, Due, InTurn, Together, course
from enrich.records import Intent, Outcome, Stamp
from enrich.spec.identity import KEY_BYTES

NOW = Stamp(1_800_000_000, 0, "boot")
USD = 25_000


def key(number: int) -> bytes:
    return number.to_bytes(KEY_BYTES, "big")


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with closing(Ledger.in_memory()) as opened:
        opened.start_job(name="job", config="", source="", fields={})
        yield opened


def send(ledger: Ledger, numbers: Sequence[int], *, processor: str = "core") -> int:
    tasks = tuple((key(number), 0) for number in numbers)
    return ledger.record_intent(Intent(1, "tgrp_1", processor, ("f" * 16,), USD, b"body", NOW, tasks))


def accept(ledger: Ledger, numbers: Sequence[int]) -> int:
    submission_id = send(ledger, numbers)
    ledger.record_accepted(submission_id, [f"trun_{number}" for number in numbers], None)
    return submission_id


def done(n: int, run_id: str = "trun") -> Outcome:
    return Outcome(n, run_id, completed=True, raw=b"{}", at=NOW.wall)


@pytest.mark.parametrize(
    "change",
    ["tasks = tasks + 1", "tasks = tasks - 1", "completed = 0", "completed = 2", "failed = 1"],
)
def test_a_ledger_whose_counts_are_not_those_of_its_runs_is_refused_before_money_is_spent(
    ledger: Ledger, change: str
) -> None:
    ledger.record_outcomes(accept(ledger, [1, 2]), [done(0)])
    ledger.check_whole()
    ledger.connection.execute(f"UPDATE submission SET {change}")
    with pytest.raises(LedgerError, match="do not add up"):
        ledger.check_whole()


def test_a_wrong_entry_of_the_lookup_never_gives_one_input_the_answer_of_another(ledger: Ledger) -> None:
    send(ledger, [1, 2])
    assert {run.n for run in ledger.held([key(1)])[key(1)]} == {0}
    (table,) = ledger.asked_tables()
    ledger.connection.execute(f"UPDATE {table} SET n = n + 2")
    ledger.connection.execute(f"UPDATE {table} SET n = 3 - n")
    assert ledger.held([key(1)]) == {}


def test_what_a_command_waits_for_are_the_runs_that_have_not_ended(ledger: Ledger) -> None:
    ledger.record_outcomes(accept(ledger, [1, 2, 3]), [done(0)])
    due = Due({"core": 5}, "core", ())
    steps = course(ledger, due, render=lambda *_: b"", settle_s=0, ended=lambda: False)
    step = next(steps)
    while not isinstance(step, Together):
        step = steps.send(due)
    assert step.runs == 5 + 2


def test_results_are_read_on_from_where_the_last_ones_ended(ledger: Ledger) -> None:
    submission_id = accept(ledger, [1, 2, 3])
    for n, (cursor, kept) in enumerate([("c1", "c1"), ("c2", "c2"), (None, "c2")]):
        if n < 2:
            ledger.record_outcomes(submission_id, [done(n)], runs_cursor=cursor)
        else:
            ledger.record_outcomes(submission_id, [], runs_cursor=cursor)
        assert ledger.submission(submission_id).runs_cursor == kept


def test_money_is_at_stake_until_it_is_known_that_nothing_was_made(ledger: Ledger) -> None:
    submission_id = send(ledger, [1, 2, 3])
    totals = ledger.totals()
    assert (totals.runs_unresolved, totals.usd_micro_unresolved) == (3, 3 * USD)  # a command that was killed as it sent

    ledger.record_unknown(submission_id, NOW, "no answer")
    totals = ledger.totals()
    assert (totals.runs_unresolved, totals.usd_micro_unresolved) == (3, 3 * USD)

    ledger.record_adopted(submission_id, {1: "trun_1"})
    totals = ledger.totals()
    assert (totals.runs_in_flight, totals.usd_micro_in_flight) == (1, USD)
    assert (totals.runs_unresolved, totals.usd_micro_unresolved) == (2, 2 * USD)

    ledger.record_resolved(submission_id)
    totals = ledger.totals()
    assert (totals.runs_in_flight, totals.usd_micro_in_flight) == (1, USD)
    assert (totals.runs_unresolved, totals.usd_micro_unresolved) == (0, 0)


def test_runs_that_were_accepted_are_at_stake_until_they_end(ledger: Ledger) -> None:
    submission_id = accept(ledger, [1, 2])
    assert (ledger.totals().runs_in_flight, ledger.totals().usd_micro_in_flight) == (2, 2 * USD)
    ledger.record_outcomes(submission_id, [done(0)])
    assert (ledger.totals().runs_in_flight, ledger.totals().usd_micro_in_flight) == (1, USD)


def test_what_a_group_waits_for_is_told_without_its_tasks(ledger: Ledger) -> None:
    submission_id = accept(ledger, [1, 2, 3])
    ledger.record_outcomes(submission_id, [done(0)], runs_cursor="c1")
    whole, (group,) = ledger.submission(submission_id), ledger.open_groups()
    assert (group.left, group.outcomes, group.runs_cursor) == (2, 1, "c1")
    assert group.price_micro == USD
    for name in ("submission_id", "group_id", "state", "watched", "processor", "price_micro", "since", "runs_cursor"):
        assert getattr(group, name) == getattr(whole, name)


@pytest.mark.parametrize("state", ["sending", "unknown", "open"])
def test_a_submission_of_which_something_is_to_be_learnt_is_opened_again(ledger: Ledger, state: str) -> None:
    submission_id = accept(ledger, [1]) if state == "open" else send(ledger, [1])
    if state == "unknown":
        ledger.record_unknown(submission_id, NOW, "no answer")
    assert [(one.submission_id, one.state) for one in ledger.open_groups()] == [(submission_id, state)]


def test_runs_that_were_taken_for_not_made_are_watched_for(ledger: Ledger) -> None:
    submission_id = send(ledger, [1])
    ledger.record_unknown(submission_id, NOW, "no answer")
    ledger.record_resolved(submission_id)
    assert [(one.submission_id, one.watched) for one in ledger.open_groups()] == [(submission_id, True)]
    ledger.end_watch(submission_id)
    assert ledger.open_groups() == []


def test_the_inputs_of_runs_are_those_of_the_runs_that_were_asked_for(ledger: Ledger) -> None:
    ledger.record_outcomes(accept(ledger, [1, 2]), [done(0, "trun_1"), done(1, "trun_2")])
    assert ledger.inputs_of(["trun_2", "trun_9"]) == {"trun_2": key(2)}


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "table.csv").touch()
    with pytest.raises(LedgerError, match=r"the ledger's folder can't be made \(.*\); nothing was sent"):
        Ledger.open(tmp_path / "table.csv" / "ledger.db")
    with pytest.raises(LedgerError, match="can't be made"):
        Ledger.make_folder(tmp_path / "table.csv" / "below" / "ledger.db")


def test_what_is_written_down_survives_a_power_cut(tmp_path: Path) -> None:
    """Each transaction is synced: 2 is FULL."""
    with closing(Ledger.open(tmp_path / "ledger.db")) as ledger:
        assert ledger.connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert ledger.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_double_charges_that_a_killed_command_found_are_reported_by_the_next(ledger: Ledger) -> None:
    submission_id = accept(ledger, [1])
    ledger.record_extra(submission_id, 0, "trun_twice")
    assert ledger.has_unreported_extras()
    second = ledger.start_job(name="job", config="", source="", fields={})
    assert [one.job_id for one in ledger.extra_runs()] == [second]
    ledger.end_job(second, "DONE")
    assert not ledger.has_unreported_extras()
    ledger.start_job(name="job", config="", source="", fields={})
    assert [one.job_id for one in ledger.extra_runs()] == [second]  # told once


def test_a_double_charge_counts_as_spent_by_its_processor(ledger: Ledger) -> None:
    submission_id = accept(ledger, [1])
    ledger.record_outcomes(submission_id, [done(0)])
    ledger.record_extra(submission_id, 0, "trun_twice")
    assert ledger.paid_by_processor() == {"core": USD}
    ledger.record_extra_outcome("trun_twice", completed=True, raw=b"{}")
    assert ledger.paid_by_processor() == {"core": 2 * USD}


def test_a_double_charge_has_its_price_when_it_is_new(ledger: Ledger) -> None:
    submission_id = accept(ledger, [1])
    assert ledger.record_extra(submission_id, 0, "trun_twice") == USD
    assert ledger.record_extra(submission_id, 0, "trun_twice") is None
    assert ledger.record_extra_outcome("trun_twice", completed=False, raw=b"{}") == ("core", USD)


def test_a_command_begins_and_ends_with_a_look_at_runs_that_may_come_late(ledger: Ledger) -> None:
    submission_id = send(ledger, [1])
    ledger.record_unknown(submission_id, NOW, "no answer")
    ledger.record_resolved(submission_id)
    due = Due({}, "core", ())
    steps = course(ledger, due, render=lambda *_: b"", settle_s=1.0, ended=lambda: True)
    first, compare, asking, last = next(steps), steps.send(None), steps.send(due), steps.send(Counter())
    assert (type(compare), type(asking)) == (Compare, Together)
    for step in (first, last):
        assert isinstance(step, InTurn)
        assert len(list(step.scripts)) == 1


def test_memory_does_not_grow_with_the_results_that_are_read(ledger: Ledger) -> None:
    submission_id = accept(ledger, range(40))
    for n in range(40):  # a block each
        ledger.record_outcomes(submission_id, [Outcome(n, f"trun_{n}", completed=True, raw=b'{"id":"trun_%d"}' % n)])
    results = Results(ledger)
    for n in range(40):
        (run,) = ledger.held([key(n)])[key(n)]
        assert results(run) == b'{"id":"trun_%d"}' % n
        assert len(results._blocks) <= 16
