"""Rows to input documents: equal inputs are equal bytes."""

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import csv_text, examples

from enrich.dataset import InputBuilder, Table, open_table
from enrich.errors import TableError


def table_of(folder: Path, *rows: Sequence[str]) -> Table:
    path = folder / "t.csv"
    path.write_bytes(csv_text(rows).encode())
    return open_table(path)


def documents(table: Table, inputs: dict[str, str]) -> list[str | None]:
    builder = InputBuilder(inputs, table.schema)
    found = [document for batch in table.batches() for document in builder.documents(batch)]
    return [None if document is None else document.decode() for document in found]


@pytest.mark.parametrize(
    ("inputs", "row", "expected"),
    [
        pytest.param({"z": "name", "a": "zip"}, ["Acme", "00123"], '{"a":"00123","z":"Acme"}', id="sorted"),
        pytest.param({"n": "name"}, [" Acme\u00a0\n", ""], '{"n":"Acme"}', id="stripped"),
        pytest.param({"n": "name", "p": "zip"}, ["Acme", " \t"], '{"n":"Acme"}', id="blank-left-out"),
        pytest.param({"n": "name"}, ["", "1"], None, id="nothing-left"),
        pytest.param({"n": "name"}, ['"Ünï"\u2028', "1"], '{"n":"\\"Ünï\\""}', id="utf-8"),
        pytest.param({"n": "{name} ({zip})"}, [" Acme ", "1"], '{"n":"Acme (1)"}', id="template"),
        pytest.param({"n": "{name} {zip}"}, ["Acme", ""], '{"n":"Acme"}', id="template-half-empty"),
        pytest.param({"n": "firm {name}{zip}"}, ["", " "], None, id="template-empty"),
        pytest.param({"n": "{{{name}}}"}, ["Acme", ""], '{"n":"{Acme}"}', id="template-braces"),
        pytest.param({"n-1": "name", "class": "zip"}, ["A", "B"], '{"class":"B","n-1":"A"}', id="any-field-name"),
    ],
)
def test_a_row_becomes_a_document(tmp_path: Path, inputs: dict[str, str], row: list[str], expected: str | None) -> None:
    assert documents(table_of(tmp_path, ["name", "zip"], row), inputs) == [expected]


TYPED: list[tuple[pa.Array, str]] = [
    (pa.array([1]), "1"),
    (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    (pa.array([0.1]), "0.1"),
    (pa.array([0.1], pa.float32()), "0.10000000149011612"),
    (pa.array([True]), "true"),
    (pa.array([Decimal("1.20")]), '"1.20"'),
    (pa.array([dt.date(2024, 2, 29)]), '"2024-02-29"'),
    (pa.array([1], pa.timestamp("ns")), '"1970-01-01T00:00:00.000000001"'),
    (pa.array([0], pa.timestamp("s", "Europe/Berlin")), '"1970-01-01T01:00:00.000+01:00"'),
    (pa.array(["x "]).dictionary_encode(), '"x"'),
    (pa.array([["b", None, " a "]]), '["b",null," a "]'),
    (pa.array([{"z": 1, "a": dt.date(2024, 2, 29)}]), '{"a":"2024-02-29","z":1}'),
]


@pytest.mark.parametrize(("array", "expected"), [pytest.param(*case, id=str(case[0].type)) for case in TYPED])
def test_types_of_parquet_columns_are_kept(tmp_path: Path, array: pa.Array, expected: str) -> None:
    pq.write_table(pa.table({"c": array}), tmp_path / "t.parquet")

    assert documents(open_table(tmp_path / "t.parquet"), {"f": "c"}) == [f'{{"f":{expected}}}']


@pytest.mark.parametrize(
    "array",
    [
        pa.array([None], pa.int64()),
        pa.array([float("nan")]),
        pa.array([float("inf")]),
        pa.array([" "]),
        pa.array([[]], pa.list_(pa.int64())),
        pa.nulls(1),
    ],
    ids=str,
)
def test_what_is_empty_is_left_out(tmp_path: Path, array: pa.Array) -> None:
    pq.write_table(pa.table({"c": array}), tmp_path / "t.parquet")

    assert documents(open_table(tmp_path / "t.parquet"), {"f": "c"}) == [None]


def test_ndjson_values_are_what_they_are_row_by_row(tmp_path: Path) -> None:
    (tmp_path / "t.ndjson").write_text(
        '{"a":1}\n{"a":"1"}\n{"a":[1,{"z":0,"b":" "}]}\n{"b":2}\n{"a":false}\n{"a":{}}\n'
    )

    found = documents(open_table(tmp_path / "t.ndjson"), {"f": "a", "t": "{a}!"})

    assert found == [
        '{"f":1,"t":"1!"}',
        '{"f":"1","t":"1!"}',
        '{"f":[1,{"b":" ","z":0}],"t":"[1,{\\"b\\":\\" \\",\\"z\\":0}]!"}',
        None,
        '{"f":false,"t":"false!"}',
        None,
    ]


@examples(100)
@given(
    rows=st.lists(
        st.tuples(*2 * [st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)]),
        min_size=1,
        max_size=5,
    )
)
def test_documents_are_canonical_json_of_the_cells_that_are_not_empty(
    tmp_path: Path, rows: list[tuple[str, str]]
) -> None:
    table = table_of(tmp_path, ["a", "b"], *rows)

    for row, document in zip(rows, documents(table, {"y": "a", "x": "b"}), strict=True):
        kept = {field: cell.strip() for field, cell in (("x", row[1]), ("y", row[0])) if cell.strip()}
        assert document == (json.dumps(kept, ensure_ascii=False, separators=(",", ":")) if kept else None) or (
            json.loads(document or "null") == (kept or None)  # the two may escape a control character differently
        )


def test_the_first_required_field_that_a_row_lacks_is_named(tmp_path: Path) -> None:
    table = table_of(tmp_path, ["a", "b"], ["1", "2"], ["", "2"], ["1", " "], ["", ""])
    builder = InputBuilder({"x": "a", "y": "b", "t": "{a}{b}"}, table.schema)
    batch = next(table.batches())

    assert builder.missing(batch, ["x", "y"]) == [None, "x", "y", "x"]
    assert builder.missing(batch, ["y", "x"]) == [None, "x", "y", "y"]
    assert builder.missing(batch, ["t"]) == [None, None, None, "t"]
    assert builder.missing(batch, []) == [None] * 4


def test_columns_that_are_missing_or_hold_bytes_are_refused() -> None:
    schema: dict[str, Any] = {"name": pl.String(), "logo": pl.Binary(), "logos": pl.List(pl.Struct({"x": pl.Binary}))}

    with pytest.raises(TableError) as caught:
        InputBuilder({"a": "nmae", "b": "logo", "c": "{name} {zip}", "d": "logos"}, schema, "t.parquet")

    assert str(caught.value).splitlines() == [
        "t.parquet: the table has no column 'nmae', which the input 'a' is made of; did you mean 'name'?",
        "t.parquet: column 'logo' holds bytes, which can't be sent as the input 'b'",
        "t.parquet: the table has no column 'zip', which the input 'c' is made of; the columns are name, logo, logos",
        "t.parquet: column 'logos' holds bytes, which can't be sent as the input 'd'",
    ]
