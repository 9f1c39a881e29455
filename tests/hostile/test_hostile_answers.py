"""Hostile answers go through the whole road into every output: none is active there, none is lost where types are kept.

Each payload is the value of a field, an element of a list, a member of an object, a reasoning, an address, a title, an
excerpt; most are also a cell of the table, some the name of a column.
"""

import csv
import gzip
import io
import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import enrich
from enrich.errors import ExitCode
from tests.hostile.desk import Desk, serving, write_facts
from tests.hostile.judges import calculates, judged_page, obeyed
from tests.hostile.payloads import PAYLOADS

ROWS = 4
TEXTS = [f"t{n:02}" for n in range(-(-len(PAYLOADS) // ROWS))]
SPARSE = [payload for payload in PAYLOADS if len(payload) < 400 and "\0" not in payload]  # what a CSV holds
NAMES = ["id", *[payload for payload in SPARSE[::4] if payload.strip() and "\ufeff" not in payload]]
MAPPED = NAMES[1:13]
CONFIDENCES = (0.99, 0.95, 0.8, 0.7)  # all different: the report shows one sample of each
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def payload(number: int) -> str:
    return PAYLOADS[number % len(PAYLOADS)]


def yaml_text(text: str) -> str:
    """A text as YAML has it in double quotes, in ASCII."""
    inner = "".join(
        c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08X}" if ord(c) > 255 else f"\\x{ord(c):02x}"
        for c in text
    )
    return f'"{inner}"'


def config() -> str:
    inputs = {f"hint_{n}": name.replace("{", "{{").replace("}", "}}") for n, name in enumerate(MAPPED)}
    lines = ["name: hostile", "inputs:", "  company: id"]
    lines += [f"  {field}: {yaml_text(source)}" for field, source in inputs.items()]
    lines += ["outputs:"]
    lines += [f"  {name}: {{type: string, description: A text.}}" for name in TEXTS]
    lines += [
        "  words: {type: array, items: {type: string}, description: Texts.}",
        "  thing: {type: object, properties: {label: {type: string}, parts: {type: array, items: {type: string}}},"
        " description: A thing.}",
        "processor: lite",
        "confidence: {accept: 0.9, review: 0.6}",
        "basis: [confidence, citations, reasoning]",
    ]
    return "\n".join(lines) + "\n"


def facts(row: int) -> dict[str, Any]:
    """What the service says of one row: another share of the payloads in every place."""

    def said(number: int, value: Any) -> dict[str, Any]:
        citation = {"url": payload(number + 1), "title": payload(number + 2), "excerpts": [payload(number + 3)]}
        more = {"url": "https://example.com/" + payload(number + 4)[:300], "title": None, "excerpts": []}
        basis = {"reasoning": payload(number + 5), "citations": [citation, more]}
        return {"value": value, "confidence": CONFIDENCES[row], **basis}

    share = PAYLOADS[row::ROWS]
    answers = {name: said(row + ROWS * n, payload(row + ROWS * n)) for n, name in enumerate(TEXTS)}
    answers["words"] = said(7 * row, list(share))
    answers["thing"] = said(11 * row, {"label": payload(13 * row), "parts": list(share)})
    return answers


def table() -> list[list[str]]:
    """The cells of the table, its header first."""
    cells = [
        [f"row {row}", *(SPARSE[(row + ROWS * n) % len(SPARSE)] for n in range(len(NAMES) - 1))] for row in range(ROWS)
    ]
    return [NAMES, *cells]


@dataclass
class Done:
    """What a command left, and what the service had said."""

    desk: Desk
    service: str
    report: enrich.Report

    def output(self, name: str, **options: Any) -> Path:
        """The same table in another format: it costs nothing."""
        report = self.desk.run(name, **options)
        assert report.receipt.runs_paid == 0
        return report.output

    def said(self, run_id: str) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.service}/v1/tasks/runs/{run_id}/result", headers={"x-api-key": "x"})
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())["output"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("hostile")
    path = write_facts(folder / "facts.ndjson", {f"row {row}": facts(row) for row in range(ROWS)})
    with serving(facts=path) as url:
        desk = Desk(folder, url)
        header, *rows = table()
        desk.lay(config(), header, rows)
        report = desk.run("first.csv")
        assert report.exit_code is ExitCode.DONE
        assert report.receipt.rows == {"complete": 2, "review": 2}
        yield Done(desk, url, report)


def test_there_are_enough_payloads() -> None:
    assert len(PAYLOADS) >= 150
    assert {payload(row + ROWS * n) for row in range(ROWS) for n in range(len(TEXTS))} == set(PAYLOADS)


def records(text: str, **dialect: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True, **dialect))


@pytest.mark.parametrize(
    ("suffix", "delimiter", "encoding"),
    [
        pytest.param("csv", ",", "utf-8", id="CSV"),
        pytest.param("csv", ";", "utf-8-sig", id="CSV with semicolons"),
        pytest.param("csv", "|", "utf-16", id="CSV with bars, in UTF-16"),
        pytest.param("tsv", "\t", "utf-8", id="TSV"),
        pytest.param("csv.gz", ",", "utf-8", id="CSV, compressed"),
    ],
)
def test_no_added_cell_of_delimited_text_is_active_and_no_original_one_is_changed(
    done: Done, suffix: str, delimiter: str, encoding: str
) -> None:
    source = done.desk.folder / f"table-{ord(delimiter)}.{suffix.removesuffix('.gz')}"
    with source.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table())
    raw = done.output(f"out-{ord(delimiter)}.{suffix}", table=source).read_bytes()
    text = (gzip.decompress(raw) if suffix.endswith(".gz") else raw).decode(encoding)

    header, *rows = records(text, delimiter=delimiter)

    width = len(NAMES)
    assert [header[:width], *(row[:width] for row in rows)] == table()
    for row in rows:
        cells = dict(zip(header[width:], row[width:], strict=True))
        active = {name: found for name, cell in cells.items() if (found := calculates(cell))}
        assert not active
        assert not CONTROLS.search("".join(cells.values()))


def test_csv_cells_keep_all_that_is_text(done: Done) -> None:
    header, *rows = records(done.report.output.read_bytes().decode())
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        said = done.said(cells["enrich_run_id"])["content"]
        for name in TEXTS:
            assert without_marks(cells[name]) == without_marks(CONTROLS.sub("", said[name]))
        for name in ("words", "thing"):
            assert json.loads(cells[name]) == json.loads(CONTROLS.sub("", json.dumps(said[name], ensure_ascii=False)))


def without_marks(text: str) -> str:
    """A text without what neutralising adds, and without the escapes that it spells signs with in JSON."""
    return text.replace("'", "").replace("\\u003d", "=").replace("\\u002b", "+").replace("\\u0040", "@")


@pytest.mark.parametrize("suffix", ["parquet", "ndjson", "ndjson.zst"])
def test_typed_formats_hold_exactly_what_the_service_said(done: Done, suffix: str) -> None:
    path = done.output(f"out.{suffix}")
    frame = pl.read_parquet(path) if suffix == "parquet" else pl.read_ndjson(path, infer_schema_length=None)
    rows = list(frame.iter_rows(named=True))
    if suffix == "ndjson":
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [[row[name] for name in NAMES] for row in rows] == table()[1:]
    for row in rows:
        output = done.said(row["enrich_run_id"])
        basis = {entry["field"]: entry for entry in output["basis"]}
        for name, value in output["content"].items():
            assert row[name] == value
            assert row[f"{name}_reasoning"] == basis[name]["reasoning"]
            assert row[f"{name}_citations"] == basis[name]["citations"]


def test_every_payload_is_somewhere_in_the_parquet(done: Done) -> None:
    frame = pl.read_parquet(done.output("all.parquet"))
    assert {value for name in TEXTS for value in frame[name]} == set(PAYLOADS)
    assert {word for words in frame["words"] for word in words} == set(PAYLOADS)


def test_the_report_is_a_page_of_known_elements_and_nothing_else(done: Done) -> None:
    page = done.report.report.read_text()
    assert judged_page(page) == []
    assert page.count('class="card"') >= len(PAYLOADS)  # each field has four samples: all the payloads are shown
    assert 'href="https://example.com/' in page


def test_the_review_file_is_text_in_every_cell(done: Done) -> None:
    header, *rows = records(done.report.review.read_bytes().decode("utf-8-sig"))
    assert len(rows) == 2 * (len(TEXTS) + 2)
    for cell in (cell for row in (header, *rows) for cell in row):
        assert not calculates(cell)
        assert not obeyed(cell)
        assert len(cell) <= 32_767
    assert {row[header.index("input_company")] for row in rows} == {"row 2", "row 3"}


def test_the_manifest_and_the_receipt_are_plain(done: Done) -> None:
    manifest = done.report.manifest.read_text()
    assert not obeyed(manifest)
    assert json.loads(manifest)["name"] == "hostile"
    assert not obeyed(done.report.receipt.to_text(80))


def test_keeping_formulas_is_a_choice_and_drops_no_sign(done: Done) -> None:
    done.desk.config.write_text(config() + "csv: {formulas: keep}\n")
    header, *rows = records(done.output("kept.csv").read_bytes().decode())
    done.desk.config.write_text(config())
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        said = done.said(cells["enrich_run_id"])["content"]
        assert {name: cells[name] for name in TEXTS} == {name: CONTROLS.sub("", said[name]) for name in TEXTS}
