"""Large results: of them a few megabytes are held at once, where they are fetched and where they are joined.

What would take too much memory to be read is kept as it came, and its row says so.
"""

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from enrich.dataset import open_table
from enrich.ledger.store import Ledger
from enrich.outputs.parts import JOINED_BYTES, JOINED_VALUES, ReadAhead, parts_of
from enrich.planning.results import Results
from enrich.records import Held, Row, RunState
from tests.hostile.evil import CONFIG, evil, lay, output_of
from tests.hostile.measuring import MOST_MB, measured

MB = 1 << 20
MANY = JOINED_VALUES // 2 + 1
READ_MB = 7.9  # the largest result that is read has 8
KEPT_MB = 60  # the largest that is fetched has 64


@pytest.mark.parametrize(
    ("weights", "values", "parts"),
    [
        pytest.param([], [], [range(0)], id="nothing"),
        pytest.param([0.0] * 5, [MANY] * 5, [range(5)], id="light"),  # so many values have more bytes
        pytest.param([3.0 * MB] * 5, [9] * 5, [range(2), range(2, 4), range(4, 5)], id="large"),
        pytest.param([99.0 * MB, 1, 99 * MB], [9] * 3, [range(1), range(1, 2), range(2, 3)], id="larger-than-a-part"),
        pytest.param([1.0, 99 * MB, 1, 1], [9] * 4, [range(1), range(1, 2), range(2, 4)], id="one-among-light-ones"),
        pytest.param([MB] * 4, [MANY] * 4, [range(n, n + 1) for n in range(4)], id="many-values"),
        pytest.param([MB] * 4, [1, MANY, 1, MANY], [range(3), range(3, 4)], id="some-of-many-values"),
        pytest.param([MB] * 3, [9 * MANY, 1, 1], [range(1), range(1, 3)], id="more-values-than-a-part"),
    ],
)
def test_rows_are_joined_in_parts_that_memory_has_room_for(
    weights: list[float], values: list[int], parts: list[range]
) -> None:
    assert list(parts_of(weights, values.__getitem__)) == parts
    assert JOINED_BYTES == 8 * MB


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    text = frame.write_csv(line_terminator="\n")
    path.write_text(text.replace("3,c\n", "\n3,c\n\n").rstrip("\n") + "\n\n")  # with blank lines inside and at the end


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize("cuts", [[0, 5], [0, 2, 5], [0, 1, 2, 3, 4, 5]], ids=str)
def test_the_parts_of_a_batch_are_the_batch(suffix: str, cuts: list[int], tmp_path) -> None:
    frame = pl.DataFrame({"a": [1, 2, 3, 4, 5], "b": list("abcde")})
    path = tmp_path / f"t.{suffix}"
    {"csv": write_csv, "ndjson": lambda p, f: f.write_ndjson(p), "parquet": lambda p, f: f.write_parquet(p)}[suffix](
        path, frame
    )
    (batch,) = open_table(path).batches(10)
    parts = [batch.part(begin, end) for begin, end in pairwise(cuts)]
    assert [(part.start, part.height) for part in parts] == [(begin, end - begin) for begin, end in pairwise(cuts)]
    assert pl.concat([part.frame for part in parts]).equals(batch.frame)
    if suffix == "csv":
        blank = [(part.start + row, number) for part in parts for row, number in part.blank_lines]
        assert blank == list(batch.blank_lines)
        assert blank


def test_large_blocks_that_were_unpacked_are_not_kept(ledger_in_memory: Ledger) -> None:
    results = Results(ledger_in_memory)
    for block_id in range(20):
        results._keep(block_id, [b"x" * MB])
        assert results._bytes <= 2 * MB
    for block_id in range(20, 60):
        results._keep(block_id, [b"x" * 10] * 3)
    assert len(results._blocks) == 16
    results._keep(99, [b"x" * 3 * MB])
    assert len(results._blocks) == 16
    assert 99 not in results._blocks


def test_a_result_whose_values_are_counted_is_read_once_and_let_go_when_no_row_wants_it() -> None:
    runs = [Held(1, n, 0, RunState.COMPLETED, frozenset({"f"}), "core", f"r{n}", 1, 1, n, None) for n in range(3)]
    held = {b"a": [runs[0]], b"b": [runs[1], runs[2]]}
    rows = [Row(b"a", b"{}", 1), Row(b"b", b"{}", 1), Row(b"a", b"{}", 1), Row(None, None, 1)]
    read: list[int] = []

    def result(run: Held) -> bytes:
        read.append(run.n)
        return b"[1,2]"

    results = ReadAhead(rows, held, result)
    assert [results.values(place) for place in range(4)] == [3, 6, 3, 0]
    assert [results(run) for run in runs] == [b"[1,2]"] * 3
    assert read == [0, 1, 2]
    results.forget_before(2)
    assert [results(run) for run in runs] == [b"[1,2]"] * 3
    assert read == [0, 1, 2, 1, 2]


# --- as processes ----------------------------------------------------------------------------------------

TEXT = "{type: string, description: The city.}"
OBJECT = "{type: object, properties: {a: {type: integer}}, required: [a], additionalProperties: false}"
OBJECTS = f"{{type: array, items: {OBJECT}, description: The cities.}}"
ALL_BASIS = "basis: [confidence, citations, reasoning]\n"


def raw_output(city: bytes, *, before: bytes = b"", confidence: str = "high", **basis: Any) -> bytes:
    """An output whose answer is this JSON, with other members before it."""
    entry = {"field": "city", "reasoning": "r", "citations": [], "confidence": confidence, **basis}
    return b'{"type":"json","content":{%b"city":%b},"basis":[%b]}' % (before, city, json.dumps(entry).encode())


def text_of(megabytes: float, end: str = "") -> bytes:
    return json.dumps("x" * int(megabytes * MB) + end, ensure_ascii=False).encode()


def objects_of(megabytes: float) -> bytes:
    return b"[" + b",".join([b'{"a":1}'] * int(megabytes * MB / 8)) + b"]"


def config(schema: str = TEXT) -> str:
    return CONFIG.replace(TEXT, schema) + ALL_BASIS


def read_csv(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(100 * MB)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schema", "output", "why"),
    [
        pytest.param(TEXT, lambda: raw_output(text_of(KEPT_MB)), "it has 60.0 MB, and at most 8 MB", id="a-text"),
        pytest.param(OBJECTS, lambda: raw_output(objects_of(5)), "more than 200,000 values", id="objects"),
        pytest.param(
            OBJECTS,
            lambda: raw_output(objects_of(KEPT_MB), before=b'"odd":NaN,'),
            "it has 60.0 MB, and at most 8 MB",
            id="objects-and-no-number",
        ),
        pytest.param(
            TEXT,
            lambda: raw_output(text_of(KEPT_MB, "\U0001f600"), before=b'"odd":"\\ud800",'),
            "it has 60.0 MB, and at most 8 MB",
            id="a-text-with-half-a-character",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            TEXT, lambda: raw_output(objects_of(7)), "more than 200,000 values", id="no-text", marks=pytest.mark.nightly
        ),
        pytest.param(
            TEXT,
            lambda: raw_output(b'"Bonn"', citations=[{}] * 400_000),
            "more than 200,000 values",
            id="citations",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            TEXT,
            lambda: json.dumps({"content": json.dumps({"city": "Bonn", "more": [{}] * MB})}).encode(),
            "more than 200,000 values",
            id="inside-a-text",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_a_result_that_is_too_heavy_to_be_read_is_kept_and_never_asked_again(
    schema: str, output: Callable[[], bytes], why: str, tmp_path
) -> None:
    heavy, light = output(), raw_output(b'[{"a":1}]' if schema == OBJECTS else b'"Bonn"')
    with evil(lambda service, call: None, output=lambda run_id: heavy if run_id == "trun_1" else light) as service:
        argv = lay(tmp_path, rows=3)
        (tmp_path / "c.yaml").write_text(config(schema))
        ended = measured(tmp_path, *argv, environ=service.environ)
        again = measured(tmp_path, *argv, environ=service.environ)
        assert service.calls["POST runs"] == 1
    for one in (ended, again):
        assert (one.code, one.peak_mb < MOST_MB) == (0, True), one
    rows = read_csv(tmp_path / "out.csv")
    assert [row["city_status"] for row in rows] == ["accepted", "invalid", "accepted"]
    assert rows[1]["city"] == ""
    assert rows[1]["enrich_detail"].startswith("the result is kept, and was not read: ")
    assert why in rows[1]["enrich_detail"]
    ledger = Ledger.reader(tmp_path / ".enrich" / "ledger.db")
    assert sum(heavy in raw for raw in ledger.every_result()) == 1
    ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "end"),
    [
        pytest.param("csv", "\U0001f600", id="csv"),
        pytest.param("csv", '"' * (2 * MB), id="csv-of-quotes", marks=pytest.mark.nightly),
        pytest.param("ndjson", "\U0001f600", id="ndjson", marks=pytest.mark.nightly),
        pytest.param("parquet", "\U0001f600", id="parquet", marks=pytest.mark.nightly),
    ],
)
def test_the_largest_results_that_are_read(suffix: str, end: str, tmp_path) -> None:
    value = "x" * int(READ_MB * MB - len(json.dumps(end, ensure_ascii=False).encode())) + end
    large = raw_output(json.dumps(value, ensure_ascii=False).encode())
    with evil(lambda service, call: None, output=lambda run_id: large) as service:
        argv = [*lay(tmp_path, rows=8)[:-1], f"out.{suffix}"]
        (tmp_path / "c.yaml").write_text(config())
        ended = measured(tmp_path, *argv, environ=service.environ)
    assert ended.code == 0, ended.said
    assert ended.peak_mb < MOST_MB
    out = tmp_path / f"out.{suffix}"
    match suffix:
        case "csv":
            cities = [row["city"] for row in read_csv(out)]
        case "ndjson":
            cities = [json.loads(line)["city"] for line in out.read_bytes().splitlines()]
        case _:
            cities = pl.read_parquet(out)["city"].to_list()
    assert cities == [value] * 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "rows", "megabytes"),
    [
        pytest.param("csv", 40, 0.7, id="large"),
        pytest.param("parquet", 40, 0.7, id="large-parquet", marks=pytest.mark.nightly),
        pytest.param("parquet", 1000, 0.015, id="usual-parquet", marks=pytest.mark.nightly),
    ],
)
def test_many_results_of_many_values(suffix: str, rows: int, megabytes: float, tmp_path) -> None:
    many = raw_output(objects_of(megabytes))
    with evil(lambda service, call: None, output=lambda run_id: many) as service:
        argv = [*lay(tmp_path, rows=rows)[:-1], f"out.{suffix}", "--budget", "1000"]
        (tmp_path / "c.yaml").write_text(config(OBJECTS))
        ended = measured(tmp_path, *argv, environ=service.environ)
    assert ended.code == 0, ended.said
    assert ended.peak_mb < MOST_MB


@pytest.mark.slow
@pytest.mark.parametrize(
    "output",
    [
        pytest.param(lambda: raw_output(text_of(5), confidence="low"), id="values"),
        pytest.param(
            lambda: raw_output(b'"Bonn"', confidence="low", reasoning="x" * 5 * MB),
            id="reasons",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            lambda: raw_output(b'"Bonn"', confidence="low", citations=[{"url": "https://a.example/" + "x" * 5 * MB}]),
            id="addresses",
            marks=pytest.mark.nightly,
        ),
        pytest.param(lambda: raw_output(b"[%b]" % text_of(5)), id="misfits", marks=pytest.mark.nightly),
    ],
)
def test_many_large_results_that_a_person_should_decide_on(output: Callable[[], bytes], tmp_path) -> None:
    doubtful = output()
    with evil(lambda service, call: None, output=lambda run_id: doubtful) as service:
        argv = lay(tmp_path, rows=80)
        (tmp_path / "c.yaml").write_text(config())
        ended = measured(tmp_path, *argv, environ=service.environ)
    assert ended.code == 0, ended.said
    assert ended.peak_mb < MOST_MB
    assert (tmp_path / "out.review.csv").stat().st_size < 20 * MB
    assert (tmp_path / "out.report.html").stat().st_size < MB


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "rows"),
    [
        pytest.param("csv", 40),
        pytest.param("csv", 300, marks=pytest.mark.nightly),
        pytest.param("parquet", 40, marks=pytest.mark.nightly),
    ],
)
def test_many_results_of_five_megabytes_take_no_more_memory_than_a_few(suffix: str, rows: int, tmp_path) -> None:
    large = output_of("x" * (5 * MB))
    with evil(lambda service, call: None, output=lambda run_id: large) as service:
        argv = [*lay(tmp_path, rows=rows)[:-1], f"out.{suffix}", "--budget", "1000"]
        ended = measured(tmp_path, *argv, environ=service.environ)
    assert ended.code == 0, ended.said
    assert ended.peak_mb < MOST_MB
    out = tmp_path / f"out.{suffix}"
    if suffix == "csv":
        csv.field_size_limit(10 * MB)
        with out.open(newline="") as file:
            assert [len(row["city"]) for row in csv.DictReader(file)] == [5 * MB] * rows
    else:
        assert pl.read_parquet(out, columns=["city"])["city"].str.len_bytes().to_list() == [5 * MB] * rows


@pytest.mark.nightly
def test_sixty_four_groups_of_large_results_at_once(tmp_path) -> None:
    large = output_of("x" * (5 * MB))
    with evil(lambda service, call: None, output=lambda run_id: large) as service:
        argv = [*lay(tmp_path, rows=128), "--budget", "1000"]
        (tmp_path / "c.yaml").write_text(CONFIG.replace("core", "ultra8x"))  # two runs a group
        ended = measured(tmp_path, *argv, environ=service.environ)
        assert service.calls["POST groups"] == 64
    assert ended.code == 0, ended.said
    assert ended.peak_mb < MOST_MB
