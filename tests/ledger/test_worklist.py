"""The scratch table of a plan: each input once, in the order of the table, wanting all that any of its rows wants."""

import pytest

from enrich.ledger.worklist import Worklist
from enrich.records import Task

MANY = 1_234  # more than one statement takes, and not a multiple of it


def key(number: int) -> bytes:
    return (number * 7_919 % 100_003).to_bytes(16)


def row(number: int, mask: int = 1) -> tuple[bytes, bytes, int]:
    return key(number), b'{"n":%d}' % number, mask


def masks(worklist: Worklist) -> dict[bytes, int]:
    return {wanted.key: wanted.mask for chunk in worklist.chunks() for wanted in chunk}


def test_inputs_stand_in_the_order_in_which_they_come_first() -> None:
    with Worklist() as worklist:
        worklist.add([row(number) for number in (5, 3, 5, 9, 3, 1)])
        worklist.add(iter([row(9), row(2), row(5)]))

        (chunk,) = worklist.chunks()
        assert [wanted.document for wanted in chunk] == [row(number)[1] for number in (5, 3, 9, 1, 2)]
        assert [wanted.seq for wanted in chunk] == sorted(wanted.seq for wanted in chunk)
        assert len(worklist) == 5


def test_many_are_kept_whole() -> None:
    with Worklist() as worklist:
        worklist.add(row(number, number % 5 + 1) for number in range(MANY))
        worklist.add([])

        assert masks(worklist) == {key(number): number % 5 + 1 for number in range(MANY)}
        assert [worklist.find([one]) for one in (key(0), key(MANY - 1), key(MANY))] == [key(0), key(MANY - 1), None]
        worklist.add_aliases([(key(MANY), key(0))])
        assert worklist.find([key(MANY + 1), key(MANY)]) == key(0)
        assert worklist.find([key(MANY + 1)]) is None


@pytest.mark.parametrize("bits", [(0, 1), (49, 50), (0, 99), (50, 51, 98)])
def test_an_input_wants_the_fields_of_all_its_rows(bits: tuple[int, ...]) -> None:
    with Worklist() as worklist:
        worklist.add([row(number, 1 << bit) for bit in bits[:-1] for number in range(MANY)])
        worklist.add([row(number, 1 << bits[-1]) for number in range(MANY)])

        assert set(masks(worklist).values()) == {sum(1 << bit for bit in bits)}


def test_what_is_due_comes_in_batches_in_the_order_of_the_table() -> None:
    with Worklist() as worklist:
        worklist.add([row(number) for number in range(MANY)])
        worklist.add_due([(number % 2, number + 1, number, f"i{number}") for number in reversed(range(MANY))])
        worklist.add_due([])

        assert worklist.due_counts() == {0: MANY // 2, 1: MANY // 2}
        batches = list(worklist.batches(1, 500))
        assert [len(batch) for batch in batches] == [500, 117]
        assert [task for batch in batches for task in batch] == [
            Task(key(number), row(number)[1], number, f"i{number}") for number in range(1, MANY, 2)
        ]
        worklist.clear_due()
        assert worklist.due_counts() == {}
