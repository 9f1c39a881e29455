"""Results read many at a time say the same as each read by itself."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.answers.answer import Cells, Choice
from enrich.answers.choosing import as_it_is
from enrich.answers.judging import Reader
from enrich.config import Gate
from enrich.records import Held, RunState
from enrich.spec import Field

FIELDS = (
    Field("word", {"type": "string"}, "word-1", nullable=False),
    Field("year", {"type": ["integer", "null"]}, "year-1", nullable=True),
    Field("tags", {"type": "array", "items": {"type": "string"}}, "tags-1", nullable=False),
)
IDS = frozenset(one.id for one in FIELDS)
USUAL = {"word": "a", "year": 1999, "tags": ["b"]}

_values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
_contents = st.one_of(
    st.just(USUAL),
    st.dictionaries(st.sampled_from(sorted(USUAL)), st.one_of(_values, st.lists(_values, max_size=2))),
    st.just(json.dumps(USUAL)),
    st.text(max_size=5),
    st.none(),
)
_entries = st.fixed_dictionaries(
    {"field": st.sampled_from([*USUAL, "tags.0", "tags.1", "other"])},
    optional={
        "confidence": st.sampled_from(["high", "medium", "low", None, 0.95, 0.1, True, "?"]),
        "reasoning": st.sampled_from(["because", "", None]),
        "citations": st.sampled_from([[], None, [{"url": "https://example.org"}], "x"]),
    },
)
_results = st.one_of(
    st.builds(lambda content, basis: {"content": content, "basis": basis}, _contents, st.lists(_entries, max_size=5)),
    st.just({"content": USUAL, "basis": [{"field": name, "confidence": "high"} for name in USUAL]}),
    st.none(),
)


def run(n: int) -> Held:
    return Held(1, n, 0, RunState.COMPLETED, IDS, "core", f"trun_{n}", 1, 1, n, None)


def raw(output: Any) -> bytes:
    return json.dumps({"run": {"run_id": "trun_1"}, "output": output}).encode()


def reader() -> Reader:
    return Reader(FIELDS, dict.fromkeys((one.name for one in FIELDS), Gate()))


@given(st.lists(_results, max_size=6))
def test_many_results_are_read_as_one_by_one(outputs: list[Any]) -> None:
    raws, runs = list(map(raw, outputs)), list(map(run, range(len(outputs))))

    together = reader().cells(raws, runs)

    answers = [reader().read(one, IDS) for one in raws]
    for field, cells in zip(FIELDS, together, strict=True):
        assert cells == Cells.of(as_it_is(run, answer[field.id]) for run, answer in zip(runs, answers, strict=True))


CELLS = Cells.of(Choice(status) for status in ("failed", "pending", "skipped"))


@pytest.mark.parametrize(
    ("places", "statuses"),
    [([], []), ([2, 0, 0], ["skipped", "failed", "failed"]), ([0, 1, 2], ["failed", "pending", "skipped"])],
)
def test_cells_are_gathered_in_any_order(places: list[int], statuses: list[str]) -> None:
    assert CELLS.gathered(places) == Cells.of(Choice(status) for status in statuses)  # type: ignore[arg-type]


def test_cells_follow_one_another() -> None:
    assert CELLS.extended(CELLS).statuses == ["failed", "pending", "skipped"] * 2
    assert CELLS.values == [None] * 3
    assert CELLS.citations == ["[]"] * 3
