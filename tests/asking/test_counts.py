"""What progress and receipt are told of a command's work."""

from collections import Counter

from enrich.asking.counts import Counts
from enrich.protocol.effects import RecordAccepted, RecordAdopted, RecordOutcomes
from enrich.records import Outcome


def test_runs_are_counted_when_the_service_takes_them_and_when_their_outcome_is_written() -> None:
    counts = Counts()
    counts.note(RecordAccepted(1, ("a", "b", "c"), None))
    counts.note(RecordAdopted(2, {"d": 0}))
    assert counts == Counts(submitted=4)
    outcomes = [Outcome(0, "a", completed=True, raw=b"{}"), Outcome(1, "b", completed=False, raw=b"", error="no")]
    counts.note(RecordOutcomes(1, "core", outcomes, None))
    assert counts == Counts(submitted=4, done=2, failed=1, completed=Counter(core=1), result_bytes=2)


def test_a_run_whose_end_was_told_is_counted_once() -> None:
    counts = Counts()
    counts.tell({"a", "b"})
    assert (counts.ended, counts.done) == (2, 0)
    counts.note(RecordOutcomes(1, "core", [Outcome(0, "a", completed=True, raw=b"{}")], None))
    assert (counts.ended, counts.done, counts.told) == (2, 1, {"b"})


def test_a_double_charge_counts_as_a_run_of_its_processor_if_it_completed() -> None:
    counts = Counts()
    counts.note_extra("core", completed=False)
    assert (counts.extras_completed, counts.completed["core"]) == (0, 0)
    counts.note_extra("core", completed=True)
    assert (counts.extras_completed, counts.completed["core"]) == (1, 1)
