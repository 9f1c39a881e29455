"""What an answer is in a cell: lossless where it can be, harmless in a spreadsheet."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import csv_rows, examples, write

from enrich.dataset import Table, default_output, open_table
from enrich.dataset.cells import json_lines, safe_columns, text_cells
from enrich.errors import OutputError
from enrich.spec.columns import AnswerColumn
from enrich.text.hostile import neutralise_formula

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TAGS = pl.List(pl.String)
PLACE = pl.Struct({"city": pl.String, "lat": pl.Float64, "tags": TAGS})
place = st.fixed_dictionaries(
    {
        "city": st.none() | text,
        "lat": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "tags": st.none() | st.lists(st.none() | text, max_size=2),
    }
)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    (tmp_path / "t.csv").write_text("id\n1\n2\n")
    return open_table(tmp_path / "t.csv")


@examples(150)
@given(
    st.lists(st.none() | st.floats(allow_nan=False), max_size=5), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1))
)
def test_numbers_are_read_back_as_they_were(floats: list[float | None], integers: list[int | None]) -> None:
    texts = text_cells(pl.Series(floats, dtype=pl.Float64))
    assert [None if cell is None else float(cell) for cell in texts] == floats
    texts = text_cells(pl.Series(integers, dtype=pl.Int64))
    assert [None if cell is None else int(cell) for cell in texts] == integers


@examples(150)
@given(st.lists(st.none() | place, max_size=4))
def test_lists_and_structs_are_json(places: list[dict[str, Any] | None]) -> None:
    cells = text_cells(pl.Series(places, dtype=PLACE))
    assert [None if cell is None else json.loads(cell) for cell in cells] == places

    tags = [None if one is None else one["tags"] for one in places]
    cells = text_cells(pl.Series(tags, dtype=TAGS))
    assert [None if cell is None else json.loads(cell) for cell in cells] == tags

    lines = json_lines({"p": pl.Series(places, dtype=PLACE), "t": pl.Series(tags, dtype=TAGS)})
    assert [json.loads(line) for line in lines] == [{"p": p, "t": t} for p, t in zip(places, tags, strict=True)]


@examples(150)
@given(st.lists(st.text(st.sampled_from("=+-@\uff1d\t\r\n ;,'\"a1[]{}\x00\x1b\x85"), max_size=6), max_size=5))
def test_cells_are_made_safe_as_one_by_one(cells: list[str]) -> None:
    kept = {"\t", "\n", "\r"}
    plain = ["".join(c for c in cell if c in kept or (c >= " " and not "\x7f" <= c <= "\x9f")) for cell in cells]

    columns = [pl.Series("a", cells, pl.String), pl.Series("b", cells[::-1], pl.String)]
    forth, back = safe_columns(columns, neutralise=False)
    assert forth.to_list() == plain == back.to_list()[::-1]
    forth, back = safe_columns(columns, neutralise=True)
    assert forth.to_list() == [neutralise_formula(cell) for cell in plain] == back.to_list()[::-1]


HOSTILE = ["=1+1", "\x1b[31mred\x00"]


def test_added_text_is_made_safe_in_csv_and_numbers_are_left(tmp_path: Path, table: Table) -> None:
    answers = {"t": HOSTILE, "n": [-1, None], "f": [-0.5, 1e300], "b": [True, None], "l": [["a", "=x"], []]}

    written = write(tmp_path / "out.csv", table, answers).read_text()
    kept = write(tmp_path / "kept.csv", table, answers, neutralise=False).read_text()

    assert written.splitlines()[1:] == ['1,\'=1+1,-1,-0.5,true,"[""a"",""\\u003dx""]"', "2,[31mred,,1e+300,,[]"]
    assert kept.splitlines()[1] == '1,=1+1,-1,-0.5,true,"[""a"",""=x""]"'


@pytest.mark.parametrize("suffix", [".parquet", ".ndjson"])
def test_added_text_is_kept_as_it_is_elsewhere(tmp_path: Path, table: Table, suffix: str) -> None:
    written = open_table(write(tmp_path / f"out{suffix}", table, {"t": HOSTILE}))

    assert next(written.batches()).values("t") == HOSTILE


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        (".csv", "-1,x,\n=2,'=b,1\n"),
        (".tsv", "-1\tx\t\n=2\t'=b\t1\n"),
        (".ndjson", '{"id":"-1","x":"x","y":null}\n{"id":"=2","x":"=b","y":"1"}\n'),
    ],
)
def test_an_answer_goes_into_its_column_and_where_there_is_none_the_cell_stays(
    tmp_path: Path, suffix: str, expected: str
) -> None:
    (tmp_path / "t.csv").write_text("id,x,y\n-1,x,\n=2,a,\n")
    table = open_table(tmp_path / "t.csv")
    columns = [AnswerColumn("x", pl.String(), replaces=True), AnswerColumn("y", pl.Int64(), replaces=True)]

    out = write(tmp_path / f"out{suffix}", table, {"x": [None, "=b"], "y": [None, 1]}, *columns)

    assert out.read_text().endswith(expected)
    assert open_table(out).columns == ("id", "x", "y")


def test_answers_keep_the_type_of_the_column_that_they_go_into(tmp_path: Path) -> None:
    source = pl.DataFrame({"year": [1998, None], "word": ["a", None]}, {"year": pl.Int16, "word": pl.Categorical})
    source.write_parquet(tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    columns = [AnswerColumn("year", pl.Int64(), replaces=True), AnswerColumn("word", pl.String(), replaces=True)]

    out = write(tmp_path / "out.parquet", table, {"year": [None, 2001], "word": ["b", None]}, *columns)
    read = pl.read_parquet(out)

    assert read.schema == source.schema
    assert read.rows() == [(1998, "b"), (2001, None)]
    with pytest.raises(OutputError, match="column 'year' is Int16 and can't hold an answer"):
        write(out, table, {"year": [None, 70_000], "word": ["b", None]}, *columns)
    with pytest.raises(OutputError, match="column 'year' is Int16, which can't hold answers that are String"):
        write(out, table, {"year": ["x", "y"]}, AnswerColumn("year", pl.String(), replaces=True))


def test_a_name_with_a_delimiter_is_quoted_in_the_header(tmp_path: Path, table: Table) -> None:
    out = write(tmp_path / "out.csv", table, {'a,"b"\n': [1, 2]})

    assert csv_rows(out.read_text())[0] == ["id", 'a,"b"\n']


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("companies.csv", "companies.enriched.csv"),
        ("companies.v2.CSV.gz", "companies.v2.enriched.CSV.gz"),
        ("c.jsonl.zst", "c.enriched.jsonl.zst"),
        ("c.parquet", "c.enriched.parquet"),
    ],
)
def test_the_output_stands_beside_the_input(name: str, expected: str) -> None:
    assert default_output(Path("data") / name) == Path("data") / expected
