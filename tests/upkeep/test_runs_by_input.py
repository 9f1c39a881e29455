"""Whoever asks for the runs of an input is told of all of them: one that is not found would be paid for again.

The table that finds them is behind until somebody asks. So each test asks in a moment when it is, or breaks it.
"""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from enrich.errors import LedgerError
from enrich.ledger.store import Ledger
from enrich.records import Held, Intent, Outcome, RunState, Stamp

FIELDS = ("f" * 16,)
NOW = Stamp(1_000.0, 1_000.0, "boot")


def key(number: int) -> bytes:
    return number.to_bytes(16)


def intend(ledger: Ledger, *numbers: int, generation: int = 0, fields: Sequence[str] = FIELDS) -> int:
    """Write down a POST about inputs, in the transaction that is open; gives the submission's id."""
    tasks = tuple((key(number), generation) for number in numbers)
    return ledger.record_intent(Intent(1, "tgrp_1", "core", tuple(fields), 25_000, b"", NOW, tasks))


def places(held: Mapping[bytes, Sequence[Held]]) -> dict[int, list[tuple[int, int]]]:
    """Where the runs of each input are, by its number."""
    return {int.from_bytes(one): [(run.submission_id, run.n) for run in runs] for one, runs in held.items()}


def found(ledger: Ledger, *numbers: int) -> dict[int, list[tuple[int, int]]]:
    return places(ledger.held([key(number) for number in numbers]))


def entries(path: Path) -> int:
    """How many runs the table of the ledger's file finds."""
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT count(*) FROM asked").fetchone()[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with closing(Ledger.open(path)) as opened:
        with opened.transaction():
            opened.start_job(name="job", config="", source="", fields={})
        yield opened


# ---------------------------------------------------------------------- one connection


def test_runs_are_found_whatever_was_asked_before(ledger: Ledger) -> None:
    assert found(ledger, 1, 2, 3) == {}
    with ledger.transaction():
        intend(ledger, 1, 2)
    assert found(ledger, 1, 2, 3) == {1: [(1, 0)], 2: [(1, 1)]}
    with ledger.transaction():
        intend(ledger, 3)
        intend(ledger, 2, generation=1)
    assert found(ledger, 1, 2, 3) == {1: [(1, 0)], 2: [(1, 1), (3, 0)], 3: [(2, 0)]}


def test_runs_are_found_in_the_transaction_that_makes_them(ledger: Ledger) -> None:
    with ledger.transaction():
        intend(ledger, 1)
        live = ledger.run_of_task(key(1), FIELDS, "core", 0)
        assert live is not None
        assert (live.submission_id, live.n, live.state) == (1, 0, RunState.SENT)
        intend(ledger, 2)
        assert found(ledger, 1, 2) == {1: [(1, 0)], 2: [(2, 0)]}
    ledger.check_whole()


def test_a_task_that_was_sent_again_is_found_from_its_first_place(ledger: Ledger) -> None:
    with ledger.transaction():
        first = intend(ledger, 7)
        ledger.record_not_created(first, "no credit")
        assert ledger.live_run(first, 0) is None
        second = intend(ledger, 6, 7)
        intend(ledger, 7, fields=("e" * 16,))  # other questions
        intend(ledger, 7, generation=1)
    live = ledger.live_run(first, 0)
    assert live is not None
    assert (live.submission_id, live.n) == (second, 1)


def test_what_was_undone_is_not_found_and_what_takes_its_number_is(ledger: Ledger) -> None:
    with suppress(KeyboardInterrupt), ledger.transaction():
        assert intend(ledger, 1, 2) == 1
        assert found(ledger, 1, 2) == {1: [(1, 0)], 2: [(1, 1)]}
        raise KeyboardInterrupt
    assert found(ledger, 1, 2) == {}

    with ledger.transaction():
        assert intend(ledger, 2, 3, fields=("e" * 16,)) == 1
    assert found(ledger, 1, 2, 3) == {2: [(1, 0)], 3: [(1, 1)]}
    (run,) = ledger.held([key(2)])[key(2)]
    assert run.field_ids == {"e" * 16}
    ledger.check_whole()


def test_a_full_disk_leaves_the_table_behind_and_the_next_one_to_ask_goes_on(ledger: Ledger) -> None:
    with ledger.transaction():
        intend(ledger, *range(2_000))
    (pages,) = ledger.connection.execute("PRAGMA page_count").fetchone()
    ledger.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        found(ledger, 1)

    ledger.connection.execute(f"PRAGMA max_page_count = {pages * 100}")
    assert found(ledger, 1, 1_999) == {1: [(1, 1)], 1_999: [(1, 1_999)]}
    ledger.check_whole()


def test_a_process_that_dies_while_it_brings_the_table_up_to_date_loses_nothing(ledger: Ledger, path: Path) -> None:
    with ledger.transaction():
        intend(ledger, 1, 2)
    copy = path.with_name("copy.db")
    with ledger.transaction():
        assert found(ledger, 1) == {1: [(1, 0)]}
        for suffix in ("", "-wal"):  # what a kill at this moment leaves
            shutil.copy(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))

    with closing(Ledger.open(copy)) as opened:
        opened.check_whole()
        assert entries(copy) == 0
        assert found(opened, 1, 2) == {1: [(1, 0)], 2: [(1, 1)]}
        opened.check_whole()


def test_a_snapshot_brings_its_own_table(ledger: Ledger) -> None:
    with closing(Ledger.in_memory()) as memory:
        before = memory.snapshot()
        with memory.transaction():
            memory.start_job(name="job", config="", source="", fields={})
            intend(memory, 1)
        behind = memory.snapshot()
        assert found(memory, 1) == {1: [(1, 0)]}
        memory.restore(behind)
        assert found(memory, 1) == {1: [(1, 0)]}
        memory.restore(before)
        assert found(memory, 1) == {}


def test_to_find_runs_changes_no_answer(ledger: Ledger) -> None:
    """Else a question would have the outputs written anew."""
    with ledger.transaction():
        intend(ledger, 1)
    before = ledger.revision()
    found(ledger, 1)
    assert ledger.revision() == before

    with ledger.transaction(keeps_answers=True):
        intend(ledger, 2)
    with ledger.transaction():
        found(ledger, 2)
    assert ledger.revision() == before
    with ledger.transaction():
        found(ledger, 2)
        ledger.renew_revision()
    assert ledger.revision() != before


def test_generations_of_any_length_are_kept(ledger: Ledger) -> None:
    tasks = tuple((key(number), generation) for number, generation in enumerate((0, 12, 3, 100_000)))
    with ledger.transaction():
        ledger.record_intent(Intent(1, "tgrp_1", "core", FIELDS, 25_000, b"", NOW, tasks))

    held = ledger.held([one for one, _ in tasks])
    assert [held[one][0].generation for one, _ in tasks] == [0, 12, 3, 100_000]


def test_keys_that_are_none_are_not_taken_for_others(ledger: Ledger) -> None:
    tasks = ((b"k" * 15, 0), (b"k" * 17, 0))
    with pytest.raises(ValueError, match="too long, or too short"), ledger.transaction():
        ledger.record_intent(Intent(1, "tgrp_1", "core", FIELDS, 25_000, b"", NOW, tasks))
    assert ledger.group_ids() == []


# ---------------------------------------------------------------------- two connections


def test_a_reader_sees_what_a_writer_has_not_brought_up_to_date(ledger: Ledger, path: Path) -> None:
    with ledger.transaction():
        intend(ledger, 1, 2)
    with closing(Ledger.reader(path)) as reader:
        assert found(reader, 1, 2, 3) == {1: [(1, 0)], 2: [(1, 1)]}
        assert entries(path) == 0

        with ledger.transaction():
            intend(ledger, 3)
            assert found(reader, 3) == {}  # not before it is on disk
        assert found(reader, 1, 2, 3) == {1: [(1, 0)], 2: [(1, 1)], 3: [(2, 0)]}

        with ledger.transaction():
            intend(ledger, 1, generation=1)
        found(ledger, 1)  # from here on the table has what the reader has, too
        assert entries(path) == 4
        assert found(reader, 1, 2, 3) == {1: [(1, 0), (3, 0)], 2: [(1, 1)], 3: [(2, 0)]}

        with ledger.transaction():
            intend(ledger, 2, generation=1)
        assert found(reader, 2) == {2: [(1, 1), (4, 0)]}
        reader.check_whole()


def test_a_reader_of_a_table_that_is_up_to_date_keeps_none_of_its_own(ledger: Ledger, path: Path) -> None:
    with ledger.transaction():
        intend(ledger, 1)
    found(ledger, 1)
    with closing(Ledger.reader(path)) as reader:
        assert found(reader, 1) == {1: [(1, 0)]}
        assert reader.connection.execute("SELECT count(*) FROM sqlite_temp_schema").fetchone() == (0,)


@pytest.mark.parametrize("seed", range(12))
def test_no_order_of_questions_changes_and_kills_hides_a_run(path: Path, seed: int) -> None:
    dice = random.Random(seed)
    known: dict[int, list[tuple[int, int]]] = {}
    writer, reader = Ledger.open(path), Ledger.reader(path)
    with writer.transaction():
        writer.start_job(name="job", config="", source="", fields={})

    def add() -> dict[int, list[tuple[int, int]]]:
        numbers = dice.sample(range(40), dice.randrange(1, 9))
        submission_id = intend(writer, *numbers)
        new = {number: [*known.get(number, []), (submission_id, n)] for n, number in enumerate(numbers)}
        return {**known, **new}

    for _ in range(120):
        match dice.randrange(6):
            case 0 | 1:
                with writer.transaction():
                    known = add()
                    if dice.random() < 0.3:
                        assert found(writer, *range(40)) == known
            case 2:
                with suppress(KeyboardInterrupt), writer.transaction():
                    both = add()
                    assert dice.random() < 0.5 or found(writer, *range(40)) == both
                    raise KeyboardInterrupt
            case 3:
                assert found(writer, *range(40)) == known
            case 4:
                assert found(reader, *range(40)) == known
            case 5:
                (writer if dice.random() < 0.5 else reader).check_whole()
                writer.close()
                reader.close()
                writer, reader = Ledger.open(path), Ledger.reader(path)
    assert found(writer, *range(40)) == found(reader, *range(40)) == known
    writer.check_whole()
    writer.close()
    reader.close()


# ---------------------------------------------------------------------- a table that is wrong


DAMAGE = [
    pytest.param("DELETE FROM asked WHERE n = 1", id="a run that is not found"),
    pytest.param("UPDATE asked SET input_key = zeroblob(16) WHERE n = 1", id="a run of another input"),
    pytest.param("UPDATE asked SET n = 9 WHERE n = 1", id="a run that there is none of"),
    pytest.param("INSERT INTO asked VALUES (zeroblob(16), 1, 1)", id="a run found twice"),
    pytest.param("DELETE FROM run WHERE n = 1", id="a run lost"),
    pytest.param("UPDATE run SET input_key = zeroblob(16) WHERE n = 1", id="an input lost"),
    pytest.param("UPDATE meta SET value = '3' WHERE key = 'asked'", id="a number too high"),
    pytest.param("UPDATE meta SET value = '-1' WHERE key = 'asked'", id="a number below all"),
    pytest.param("UPDATE meta SET value = '1' WHERE key = 'asked'", id="a number too low"),
    pytest.param("UPDATE meta SET value = 'x' WHERE key = 'asked'", id="no number"),
    pytest.param("DELETE FROM meta WHERE key = 'asked'", id="nothing"),
]


@pytest.fixture
def broken(ledger: Ledger, path: Path) -> Callable[[str], None]:
    """Breaks a ledger of two submissions, of which the table has both."""
    with ledger.transaction():
        intend(ledger, 1, 2, 3)
        intend(ledger, 4)
    found(ledger, 1)

    def change(statement: str) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute(statement)
            # What else is held against the runs is no matter here.
            database.execute(
                "UPDATE submission SET tasks = (SELECT count(*) FROM run WHERE run.submission_id = 1)"
                " WHERE submission_id = 1"
            )

    return change


@pytest.mark.parametrize("statement", DAMAGE)
def test_a_table_that_is_wrong_is_noticed_before_money_is_spent(
    broken: Callable[[str], None], ledger: Ledger, path: Path, statement: str
) -> None:
    broken(statement)

    with pytest.raises(LedgerError, match=r"the ledger is damaged .*found by their inputs.*enrich recover"):
        ledger.check_whole()
    with (
        closing(Ledger.reader(path)) as reader,
        pytest.raises(LedgerError, match=r"the ledger is damaged .*found by their inputs.*enrich recover"),
    ):
        reader.check_whole()


@pytest.mark.parametrize("statement", DAMAGE)
def test_a_table_that_is_wrong_never_gives_the_run_of_another_input(
    broken: Callable[[str], None], ledger: Ledger, path: Path, statement: str
) -> None:
    broken(statement)
    with closing(Ledger.reader(path)) as reader:
        for one in (ledger, reader):
            with suppress(LedgerError):
                for number, runs in found(one, 0, 1, 2, 3, 4).items():
                    assert runs == {0: [(1, 1)], 1: [(1, 0)], 2: [(1, 1)], 3: [(1, 2)], 4: [(2, 0)]}[number]


@pytest.mark.parametrize("value", ["0", "1"])
def test_runs_are_never_added_twice(broken: Callable[[str], None], ledger: Ledger, value: str) -> None:
    broken(f"UPDATE meta SET value = '{value}' WHERE key = 'asked'")
    with pytest.raises(LedgerError, match="found by their inputs already are to be added"):
        found(ledger, 1)


def test_results_are_found_after_all_that(ledger: Ledger, path: Path) -> None:
    with ledger.transaction():
        submission_id = intend(ledger, 1)
        ledger.record_accepted(submission_id, ["trun_1"], None)
        ledger.record_outcomes(submission_id, [Outcome(0, "trun_1", completed=True, raw=b"{}")])
    with closing(Ledger.reader(path)) as reader:
        for one in (reader, ledger, reader):
            (run,) = one.held([key(1)])[key(1)]
            assert run.block_id is not None
            assert list(one.results([run.block_id])) == [(1, [b"{}"])]
