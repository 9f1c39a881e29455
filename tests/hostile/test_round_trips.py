"""Any table goes the whole road and comes out with the cells it had, beside answers that nothing good can be said of.

Read by the product as a user's config has it, joined with results from a ledger, written, and read again by Python's
csv module. `ENRICH_HYPOTHESIS_EXAMPLES` sets how many tables are tried; nightly they are 10,000.
"""

import csv
import gzip
import io
import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from enrich.config import check_columns
from enrich.config.loading import parse
from enrich.config.model import Config
from enrich.dataset import Table, open_table
from enrich.host.clock import SYSTEM
from enrich.inputs.rows import Chosen, Rows
from enrich.job import OutputPaths
from enrich.ledger.store import Ledger
from enrich.outputs.writing import write_table
from enrich.records import Intent, Outcome
from tests.hostile.judges import calculates, obeyed
from tests.hostile.payloads import PAYLOADS

EXAMPLES = int(os.environ.get("ENRICH_HYPOTHESIS_EXAMPLES", "500"))
TEXTS = st.text(
    st.one_of(
        st.sampled_from(list("ab0 ,;\t|\"'\r\n=-+@#\ufeffé\u2028\x1b\x1c\x85\x9b\u202e\U0001f600")),
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    ),
    max_size=8,
)
HOSTILE = st.one_of(st.sampled_from([payload for payload in PAYLOADS if len(payload) < 500]), TEXTS)
CODECS = {"utf-8": "utf-8", "utf-8-sig": "utf-8", "utf-16": "utf-16", "windows-1252": "windows-1252"}
ANSWERS = ("answer_text", "answer_list", "answer_thing", "answer_number")


@dataclass(frozen=True)
class Case:
    """A table as a file has it, what is answered about its rows, and the format of what comes out."""

    cells: list[list[str]]
    delimiter: str
    quote: str
    newline: str
    quote_all: bool
    encoding: str
    source: str
    target: str
    answers: list[dict[str, Any]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    encoding = draw(st.sampled_from(list(CODECS)))
    cell = TEXTS
    if encoding == "windows-1252":
        cell = st.text(st.characters(codec="cp1252", exclude_characters="\0"), max_size=8)
    width = draw(st.integers(1, 4))
    header = draw(st.lists(cell.filter(str.strip), min_size=width, max_size=width, unique=True))
    rows = draw(st.lists(st.lists(cell, min_size=width, max_size=width), max_size=5))
    kind = draw(st.sampled_from(["csv", "tsv"]))
    packed = st.sampled_from(["", ".gz", ".zst"])
    answer = st.fixed_dictionaries(
        {
            "answer_text": HOSTILE,
            "answer_list": st.lists(HOSTILE, max_size=3),
            "answer_thing": st.fixed_dictionaries({"label": HOSTILE, "size": st.integers(-(2**63), 2**63 - 1)}),
            "answer_number": st.one_of(st.integers(-99, 99), st.floats(allow_nan=False, allow_infinity=False)),
        }
    )
    return Case(
        cells=[header, *rows],
        delimiter=draw(st.sampled_from(",;\t|")),
        quote=draw(st.sampled_from("\"'")),
        newline=draw(st.sampled_from(["\n", "\r\n", "\r"])),
        quote_all=draw(st.booleans()),
        encoding=encoding,
        source=f"{kind}{draw(packed)}",
        target=draw(st.one_of(packed.map(lambda end: kind + end), st.sampled_from(["parquet", "ndjson", "ndjson.gz"]))),
        answers=draw(st.lists(answer, min_size=len(rows), max_size=len(rows))),
    )


def text_of(case: Case) -> str:
    """The table's text as RFC 4180 has it."""

    def written(cell: str, alone: bool) -> str:
        special = (
            case.quote_all or (alone and not cell) or not {case.delimiter, case.quote, "\r", "\n"}.isdisjoint(cell)
        )
        return case.quote + cell.replace(case.quote, 2 * case.quote) + case.quote if special else cell

    lines = (case.delimiter.join(written(cell, len(row) == 1) for cell in row) for row in case.cells)
    return "".join(line + case.newline for line in lines)


def packed(data: bytes, path: Path) -> bytes:
    if path.suffix == ".gz":
        return gzip.compress(data)
    return bytes(pa.compress(data, codec="zstd", asbytes=True)) if path.suffix == ".zst" else data


def unpacked(path: Path) -> bytes:
    if path.suffix == ".zst":
        with pa.input_stream(path, compression="zstd") as stream:
            return stream.read()
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def config_of(case: Case) -> Config:
    column = case.cells[0][0].replace("{", "{{").replace("}", "}}")
    text = {"type": "string", "description": "A text."}
    thing = {"label": {"type": "string"}, "size": {"type": "integer"}}
    return parse(
        {
            "name": "round-trip",
            "inputs": {"company": column},
            "outputs": {
                "answer_text": text,
                "answer_list": {"type": "array", "items": {"type": "string"}, "description": "Texts."},
                "answer_thing": {"type": "object", "properties": thing, "description": "A thing."},
                "answer_number": {"type": "number", "description": "A number."},
            },
            "processor": "lite",
            "csv": {"delimiter": case.delimiter, "quote": case.quote}
            | ({"encoding": "windows-1252"} if case.encoding == "windows-1252" else {}),
        }
    )


def answered(config: Config, rows: Rows, case: Case) -> tuple[Ledger, dict[int, dict[str, Any]]]:
    """A ledger that has an answer for every row that asks something, and those answers by row."""
    ledger = Ledger.in_memory()
    field_ids = tuple(one.id for one in config.fields)
    keys: dict[bytes, int] = {}
    said: dict[int, dict[str, Any]] = {}
    for batch, questions in rows.batches():
        for n, row in enumerate(questions, batch.start):
            if row.key is not None:
                said[n] = case.answers[keys.setdefault(row.key, n)]
    if keys:
        with ledger.transaction():
            job_id = ledger.start_job(name="r", config="c", source="s", fields={})
            tasks = tuple((key, 0) for key in keys)
            intent = Intent(job_id, "g", "lite", field_ids, 5_000, b"h" * 16, SYSTEM.stamp(), tasks)
            submission = ledger.record_intent(intent)
            runs = [(f"trun_{n}", _result(f"trun_{n}", case.answers[n])) for n in keys.values()]
            ledger.record_accepted(submission, [run_id for run_id, _ in runs], None)
            outcomes = [Outcome(at, run_id, True, raw) for at, (run_id, raw) in enumerate(runs)]
            ledger.record_outcomes(submission, outcomes)
    return ledger, said


def _result(run_id: str, answer: dict[str, Any]) -> bytes:
    words = answer["answer_text"]
    citations = [{"url": words, "title": words, "excerpts": [words]}]
    levels = zip(ANSWERS, ("high", "medium", "low", "high"), strict=True)
    basis = [{"field": f, "reasoning": words, "citations": citations, "confidence": c} for f, c in levels]
    return json.dumps({"run": {"run_id": run_id}, "output": {"content": answer, "basis": basis}}).encode()


@pytest.fixture
def _trusted_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No waiting for a disk that nobody unplugs."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=cases())
@pytest.mark.usefixtures("_trusted_disk")
@pytest.mark.timeout(max(300, EXAMPLES))
def test_a_table_keeps_its_cells_whatever_is_joined_to_it(tmp_path: Path, case: Case) -> None:
    text = text_of(case)
    assume(not text.startswith("\ufeff"))  # nobody can tell it from a byte order mark
    source = tmp_path / f"t.{case.source}"
    source.write_bytes(packed(text.encode(case.encoding), source))
    config = config_of(case)
    csv_options = config.csv
    table = open_table(source, encoding=csv_options.encoding, delimiter=csv_options.delimiter, quote=csv_options.quote)
    assume(not check_columns(config, table.columns))
    rows = Rows(config, table, Chosen())
    ledger, said = answered(config, rows, case)

    files = OutputPaths.beside(tmp_path / f"out.{case.target}")
    with closing(ledger):
        tally, _, doubtful = write_table(config, table, rows, ledger, files)

    assert table.height == sum(tally.rows.values()) == len(case.answers)
    if case.target.startswith(("csv", "tsv")):
        check_delimited(case, files.table, said)
    else:
        check_typed(case, table, files.table, said)
    review = list(csv.reader(io.StringIO(files.review.read_bytes().decode("utf-8-sig"), newline=""), strict=True))
    assert len(review) == doubtful + 1
    assert not [cell for line in review for cell in line if calculates(cell) or obeyed(cell)]


def check_delimited(case: Case, path: Path, said: dict[int, dict[str, Any]]) -> None:
    raw = unpacked(path)
    delimiter = "\t" if case.target.startswith("tsv") and case.source.startswith("csv") else case.delimiter
    lines = io.StringIO(raw.decode(case.encoding), newline="")
    header, *found = csv.reader(lines, delimiter=delimiter, quotechar=case.quote, strict=True)
    width = len(case.cells[0])
    assert [header[:width], *(row[:width] for row in found)] == case.cells
    for n, row in enumerate(found):
        cells = dict(zip(header[width:], row[width:], strict=True))
        assert not [cell for cell in cells.values() if calculates(cell)]
        if n in said and case.encoding != "windows-1252" and (number := cells["answer_number"]):
            assert float(number) == said[n]["answer_number"]


def check_typed(case: Case, table: Table, path: Path, said: dict[int, dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        found = pl.read_parquet(path).to_dicts()
    else:
        found = [json.loads(line) for line in unpacked(path).splitlines()]
    header, *cells = case.cells
    assert [[row[name] for name in header] for row in found] == [[cell or None for cell in row] for row in cells]
    for n, row in enumerate(found):
        if n in said:
            answer = said[n]
            assert row["answer_number"] == answer["answer_number"]
            assert row["answer_text"] == (answer["answer_text"] if answer["answer_text"].strip() else None)
            assert row["answer_list"] == answer["answer_list"]
            assert row["answer_text_citations"][0]["excerpts"] == [answer["answer_text"]]
