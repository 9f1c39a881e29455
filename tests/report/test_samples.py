"""The answers that the report shows: with what they were asked of."""

import tracemalloc

import pytest

from enrich.answers.answer import Cells
from enrich.outputs.listeners import sample_of
from enrich.records import Held, Row, RunState
from enrich.report import ReportCollector, Sample

RUN = Held(1, 0, 0, RunState.COMPLETED, frozenset({"f"}), "core", "trun_1", 1, 1, 0, None)


@pytest.mark.parametrize(
    ("document", "inputs"),
    [
        pytest.param(b'{"company":"Acme","size":5}', {"company": "Acme", "size": 5}, id="inputs"),
        pytest.param(None, {}, id="none"),
    ],
)
def test_a_sample_of_the_report_shows_the_inputs_of_its_row(document: bytes | None, inputs: dict[str, object]) -> None:
    cells = Cells(["accepted"], [""], ["Bern"], ["high"], ["It says so."], ["[]"], [RUN])
    shown = sample_of(7, Row(b"k" * 16, document, 1), cells, 0)
    assert (shown.row, shown.inputs, shown.value, shown.processor) == (7, inputs, "Bern", "core")


def test_of_a_long_answer_no_more_is_held_than_is_shown() -> None:
    report = ReportCollector(["city"])

    def long() -> Sample:
        text = "x" * 5_000_000
        cited = {"url": text, "title": text, "excerpts": [text]}
        return Sample(row=1, inputs={"company": text}, value=text, reasoning=text, citations=[cited])

    tracemalloc.start()
    try:
        for status in ("accepted", "accepted", "review", "review"):
            report.add("city", status, "high", "why", sample=long)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
