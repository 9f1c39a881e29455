"""Keys are new once, whoever gives them together and whatever note they come with."""

import random

import pytest

from enrich.ledger.distinct import Distinct


def key(number: int) -> bytes:
    return number.to_bytes(2)


def test_keys_are_new_once_and_the_first_note_stays() -> None:
    with Distinct() as distinct:
        assert distinct.seen_before({}) == {}
        assert distinct.seen_before({b"a": "first", b"b": ""}) == {}
        assert distinct.seen_before({b"a": "second", b"c": ""}) == {b"a": "first"}
        assert distinct.seen_before({b"a": "third", b"b": "x", b"c": "y"}) == {b"a": "first", b"b": "", b"c": ""}
    with Distinct() as another:
        assert another.seen_before({b"a": ""}) == {}


@pytest.mark.parametrize("seed", range(5))
def test_many_at_once_are_told_apart(seed: int) -> None:
    dice = random.Random(seed)
    known: dict[bytes, str] = {}
    with Distinct() as distinct:
        for turn in range(20):
            given = {
                key(number): f"{turn}" for number in dice.sample(range(5_000), dice.choice((1, 499, 500, 501, 1_700)))
            }
            assert distinct.seen_before(given) == {one: known[one] for one in given if one in known}
            known = {**given, **known}
