"""NDJSON: lines go through as they are, with keys added."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import Unsynced, enriched, examples, rows_of, write

from enrich.dataset import open_table
from enrich.spec.columns import AnswerColumn

numbers = st.sampled_from(["0", "-0", "1.10", "1e3", "1E+2", "12345678901234567890123", "0.1000", "-5"])
plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
scalars = st.one_of(numbers, st.sampled_from(["true", "false", "null"]), plain_text.map(json.dumps))
values = st.one_of(scalars, st.lists(scalars, max_size=2).map(lambda items: f"[ {','.join(items)}]"))
keys = plain_text.filter(lambda key: key.strip() and "\0" not in key)
objects = st.dictionaries(keys, values, max_size=4)


def line(pairs: dict[str, str], gap: str) -> str:
    return "{" + gap + ", ".join(f"{json.dumps(key)} :{gap}{value}" for key, value in pairs.items()) + gap + "}"


def as_text(cell: Any, suffix: str) -> str | None:
    """A cell of the table as it is in an output in another format, as text."""
    if suffix == ".parquet" or cell is None:
        return None if cell is None else str(cell)
    text = json.dumps(cell) if not isinstance(cell, str) else cell.replace("\0", "\u2400")
    return text or None


def literally(text: bytes) -> Any:
    """A document with its numbers as they are spelled, its pairs in order."""
    return json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=list)


@examples(200)
@given(rows=st.lists(objects, min_size=1, max_size=5), gap=st.sampled_from(["", " "]))
def test_every_object_comes_out_as_it_was_with_keys_added(tmp_path: Path, rows: list[dict[str, str]], gap: str) -> None:
    rows = [{"first": "1"}, *rows]
    source = tmp_path / "t.ndjson"
    source.write_text("\n".join(line(row, gap) for row in rows), "utf-8", newline="")
    table = open_table(source)
    name = "".join(table.columns) + "+"

    out = write(tmp_path / "out.ndjson", table, {name: [f"{n}\x00" for n in range(len(rows))]}, files=Unsynced())

    assert table.columns == tuple(dict.fromkeys(key for row in rows for key in row))
    written = [literally(text) for text in out.read_bytes().splitlines()]
    originals = [literally(line(row, gap).encode()) for row in rows]
    assert written == [[*pairs, (name, f"{n}\x00")] for n, pairs in enumerate(originals)]
    for suffix in (".csv", ".parquet"):
        out = write(tmp_path / f"out{suffix}", table, {name: ["x"] * len(rows)}, files=Unsynced())
        texts = [tuple(cell if cell is None else str(cell) for cell in row[:-1]) for row in rows_of(open_table(out))]
        assert texts == [tuple(as_text(cell, suffix) for cell in row) for row in rows_of(table)]


def test_a_column_has_a_type_where_its_values_agree(tmp_path: Path) -> None:
    lines = [
        {"i": 1, "f": 1, "b": True, "s": "x", "m": 1, "n": None, "l": [1], "big": 2**64, "w": 2**60},
        {"i": None, "f": 1.5, "b": False, "s": "", "m": "1", "n": None, "l": {"a": "é"}, "big": 1, "w": 1.5},
        {},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))

    table = open_table(tmp_path / "t.jsonl")

    assert table.schema == {
        "i": pl.Int64, "f": pl.Float64, "b": pl.Boolean, "s": pl.String, "m": pl.String, "n": pl.String,
        "l": pl.String, "big": pl.String, "w": pl.String,
    }  # fmt: skip
    assert rows_of(table) == [
        (1, 1.0, True, "x", "1", None, "[1]", "18446744073709551616", "1152921504606846976"),
        (None, 1.5, False, "", "1", None, '{"a":"é"}', "1", "1.5"),
        (None,) * 9,
    ]
    batch = next(table.batches())
    assert batch.values("m") == [1, "1", None]
    assert batch.values("l") == [[1], {"a": "é"}, None]


def test_blank_lines_and_windows_line_breaks_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "t.ndjson").write_bytes(b'\xef\xbb\xbf\r\n{"a":1.10}\r\n  \r\n{ }\r\n')

    assert enriched(tmp_path / "t.ndjson", {"x": [1, 2]}) == b'{"a":1.10,"x":1}\n{"x":2}\n'


def test_a_replaced_key_keeps_its_place_and_the_others_their_digits(tmp_path: Path) -> None:
    (tmp_path / "t.ndjson").write_bytes(b'{"x":"old", "a":1.10}\n{"a":1E2}\n{"x":[ ],"a":-0}\n{"x":{}}\n')
    table = open_table(tmp_path / "t.ndjson")
    column = AnswerColumn("x", pl.List(pl.Int64), replaces=True)
    answers = {"x": [None, [1], [2, 3], None]}

    out = write(tmp_path / "out.ndjson", table, answers, column)
    text = write(tmp_path / "out.csv", table, answers, column)

    assert out.read_bytes() == b'{"x":"old", "a":1.10}\n{"a":1E2,"x":[1]}\n{"x":[2,3],"a":-0}\n{"x":{}}\n'
    assert text.read_bytes() == b'x,a\nold,1.1\n[1],100.0\n"[2,3]",0.0\n{},\n'


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_batches_follow_each_other(tmp_path: Path, rows: int) -> None:
    (tmp_path / "t.ndjson").write_text("".join(f'{{"a":{n}}}\n' for n in range(10)))
    table = open_table(tmp_path / "t.ndjson")

    batches = list(table.batches(rows))

    assert [batch.start for batch in batches] == list(range(0, 10, rows))
    assert rows_of(table, rows) == [(n,) for n in range(10)]
