"""Tables that attack their reader: they come out as they were, or are refused with the line before anything is sent."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import enrich
from enrich.errors import TableError
from tests.hostile.desk import Desk, read_csv, serving
from tests.hostile.judges import calculates, judged_page, obeyed
from tests.hostile.middleman import Middleman, between
from tests.hostile.payloads import PAYLOADS

CONFIG = """\
name: tables
inputs: {company: name}
outputs:
  city: {type: string, description: City.}
processor: lite
"""
KEYS = [payload for payload in PAYLOADS if payload.strip() and "\0" not in payload]
OUTPUTS = ("o.ndjson", "o.csv", "o.parquet")


@pytest.fixture(scope="module")
def man() -> Iterator[Middleman]:
    with serving() as url, between(url) as man:
        yield man


@pytest.fixture
def desk(tmp_path: Path, man: Middleman) -> Desk:
    desk = Desk(tmp_path, man.base_url)
    desk.config.write_text(CONFIG)
    man.requests.clear()
    return desk


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(f'{{"name": "x", "more": {deep(99)}}}', id="99 levels"),
        pytest.param(f'{{"name": {deep(99)}}}', id="99 levels of what is asked"),
        pytest.param('{"name": "x", "more": [' + "[]," * 999 + "[]]}", id="many brackets side by side"),
        pytest.param('{"name": "x", "more": "' + "[" * 999 + '"}', id="brackets in a string"),
        pytest.param('{"name": "a\\u0000b", "more": "\\u001b[31m\\u202e"}', id="control characters"),
        pytest.param(f'{{"name": {10**400}}}', id="a number of 400 digits"),
        pytest.param(f'{{"name": "x", "more": {10**30}}}', id="an integer beyond 64 bits"),
        pytest.param('{"name": "x", "more": 0.1000000000000000055}', id="a number with more digits than a double"),
        pytest.param('{"name": "x", "name": "y"}', id="a key twice"),
        pytest.param('{"name": "x", "__proto__": {"a": 1}, "constructor": 1}', id="names that scripts know"),
        pytest.param(json.dumps({"name": "x", "k" * 100_000: 1}), id="a key of 100,000 characters"),
        pytest.param(json.dumps({"name": "x", **dict.fromkeys(KEYS, 1)}), id="payloads for keys"),
        pytest.param('{"name": "a\u2028b\u2029c\x85d\x1c"}'.replace("\x1c", ""), id="line breaks that are none"),
    ],
)
def test_a_line_of_json_comes_out_as_it_was(desk: Desk, line: str) -> None:
    table = desk.folder / "t.ndjson"
    table.write_text(line + "\n")
    for output in OUTPUTS:
        assert desk.run(output, table=table).receipt.rows_in == 1
    written = (desk.folder / "o.ndjson").read_text()
    assert written.startswith(line[:-1])


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        pytest.param(f'{{"name": 1}}\n{{"name": {deep(100)}}}\n', 2, "nested more than 100 levels deep", id="deep"),
        pytest.param(f'{{"name": 1, "more": {deep(900)}}}\n', 1, "nested more than 100 levels deep", id="900 levels"),
        pytest.param(f'{{"name": 1, "more": {deep(9_000)}}}\n', 1, "nested more than 100 levels", id="9,000 levels"),
        pytest.param('{"name": "\\ud800"}\n', 1, "not a JSON object", id="a lone surrogate"),
        pytest.param('{"name": 1}\n\n{"\\udfff": 1}\n', 3, "not a JSON object", id="a lone surrogate in a key"),
        pytest.param('{"name": "\x01"}\n', 1, "not a JSON object", id="a control character as it is"),
        pytest.param('{"name": NaN}\n', 1, "not a JSON object", id="NaN"),
        pytest.param('{"name": 1e999}\n', 1, "not a JSON object", id="a number beyond a double"),
        pytest.param(f'{{"name": {"1" * 5_000}}}\n', 1, "not a JSON object", id="a number of 5,000 digits"),
        pytest.param('[{"name": 1}]\n', 1, "not a JSON object", id="a list"),
        pytest.param('{"name": 1, "a\\u0000b": 1}\n', 1, "has a NUL character", id="NUL in a key"),
        pytest.param('{"name": 1, " ": 1}\n', 1, "a key has no name", id="a key without a name"),
    ],
)
def test_json_that_cannot_be_kept_is_refused_with_its_line(
    desk: Desk, man: Middleman, text: str, line: int, message: str
) -> None:
    table = desk.folder / "t.ndjson"
    table.write_text(text)
    with pytest.raises(TableError, match=message) as raised:
        desk.run("o.csv", table=table)
    assert [fault.line for fault in raised.value.faults] == [line]
    assert not man.requests
    assert not (desk.folder / "o.csv").exists()


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory, man: Middleman) -> tuple[Desk, pl.DataFrame, enrich.Report]:
    """A Parquet file that has every payload as text, in a list, in a struct, and for names of columns."""
    desk = Desk(tmp_path_factory.mktemp("typed"), man.base_url)
    desk.config.write_text(CONFIG.replace("{company: name}", "{company: name, hint: payload}"))
    texts = [payload for payload in PAYLOADS if len(payload) < 20_000]
    named = {name: list(range(len(texts))) for name in texts if name.strip() and "\0" not in name}
    frame = pl.DataFrame(
        {
            "name": [f"row {n}" for n in range(len(texts))],
            "payload": texts,
            "list": [[text, None] for text in texts],
            "struct": [{"a": text} for text in texts],
            **named,
        }
    )
    frame.write_parquet(desk.table.with_suffix(".parquet"))
    return desk, frame, desk.run("o.parquet", table=desk.table.with_suffix(".parquet"))


def test_typed_cells_and_names_come_out_as_they_were(typed: tuple[Desk, pl.DataFrame, enrich.Report]) -> None:
    desk, frame, report = typed
    written = pl.read_parquet(report.output)
    assert written.columns[: frame.width] == frame.columns
    assert written.select(frame.columns).equals(frame)
    again = desk.run("o.ndjson", table=desk.table.with_suffix(".parquet"))
    lines = [json.loads(line) for line in again.output.read_bytes().splitlines()]
    assert [{name: line[name] for name in frame.columns} for line in lines] == frame.to_dicts()


def test_typed_cells_are_text_wherever_people_see_them(typed: tuple[Desk, pl.DataFrame, enrich.Report]) -> None:
    _, frame, report = typed
    review = read_csv(report.review)
    assert review
    assert not [cell for row in review for cell in row.values() if calculates(cell) or obeyed(cell)]
    assert {row["input_hint"] for row in review}
    assert judged_page(report.report.read_text()) == []
    assert not obeyed(report.receipt.to_text(80))
    assert report.receipt.rows_in == frame.height
