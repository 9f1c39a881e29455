"""Parquet: Arrow goes through untouched, whatever its types."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import Unsynced, enriched, examples, rows_of, write

from enrich.dataset import Layout, open_table
from enrich.errors import OutputError
from enrich.spec.columns import AnswerColumn

BERLIN = dt.timezone(dt.timedelta(hours=1))
COLUMNS = {
    "text": pa.array(["é", "", None]),
    "large": pa.array(["a", "b", None], pa.large_string()),
    "int8": pa.array([1, -1, None], pa.int8()),
    "uint64": pa.array([2**64 - 1, 0, None], pa.uint64()),
    "half": pa.array([0.5, -0.0, None], pa.float32()).cast(pa.float16()),
    "double": pa.array([1e300, float("nan"), None]),
    "flag": pa.array([True, False, None]),
    "money": pa.array([Decimal("1.20"), Decimal("-0.05"), None], pa.decimal128(10, 2)),
    "fortune": pa.array([Decimal("1.20"), None, Decimal(10) ** 40], pa.decimal256(50, 2)),
    "day": pa.array([dt.date(2024, 2, 29), dt.date(1, 1, 1), None]),
    "moment": pa.array([1, 1_700_000_000_123_456_789, None], pa.timestamp("ns", "Europe/Berlin")),
    "shifted": pa.array([0, 1, None], pa.timestamp("us", "+02:00")),
    "clock": pa.array([dt.time(1, 2, 3, 4), None, dt.time(0)]),
    "span": pa.array([1, 90_061_000_000, None], pa.duration("us")),
    "words": pa.array(["a", "b", None]).dictionary_encode(),
    "codes": pa.array([7, 8, 7]).dictionary_encode(),
    "bytes": pa.array([b"\x00\xff", b"", None]),
    "fixed": pa.array([b"ab", b"cd", None], pa.binary(2)),
    "list": pa.array([[1, None], [], None]),
    "pair": pa.array([[1, 2], [3, 4], None], pa.list_(pa.int32(), 2)),
    "struct": pa.array([{"a": 1, "b": ["x"]}, {"a": None, "b": None}, None]),
    "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "nothing": pa.nulls(3),
}


def rich_table() -> pa.Table:
    fields = [pa.field(name, array.type, metadata={"unit": name}) for name, array in COLUMNS.items()]
    return pa.Table.from_arrays(list(COLUMNS.values()), schema=pa.schema(fields, {"origin": "here", "é": "ü"}))


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    pq.write_table(rich_table(), path)
    return path


def test_columns_of_every_type_come_out_with_schema_and_metadata(rich: Path) -> None:
    before = pq.read_table(rich)

    write(rich.with_name("out.parquet"), open_table(rich), {"x": ["a", "b", None]}, rows=2)

    after = pq.read_table(rich.with_name("out.parquet"))
    assert after.drop_columns("x").schema.equals(before.schema, check_metadata=True)
    assert [str(after[name]) for name in COLUMNS] == [str(before[name]) for name in COLUMNS]  # NaN is not NaN
    assert after.schema.field("x").type == pa.string()
    assert after["x"].to_pylist() == ["a", "b", None]


def test_every_type_has_a_view_and_text(rich: Path) -> None:
    table = open_table(rich)

    assert (table.height, table.columns) == (3, tuple(COLUMNS))
    assert tuple(table.schema) == table.columns
    assert table.schema["words"] == table.schema["map"] == table.schema["fortune"] == pl.String
    text = enriched(rich, {"x": [1, 2, 3]}, ".csv").decode()
    assert text.splitlines()[1] == (
        "é,a,1,18446744073709551615,0.5,1e+300,true,1.20,1.20,2024-02-29,"
        "1970-01-01T01:00:00.000000001+01:00,1970-01-01T02:00:00.000000+02:00,01:02:03.000004,PT0.000001S,a,7,"
        'AP8=,YWI=,"[1,null]","[1,2]","{""a"":1,""b"":[""x""]}","[[""k"",1]]",,1'
    )


def test_every_type_has_json(rich: Path) -> None:
    first = enriched(rich, {"x": [1, 2, 3]}, ".ndjson").decode().splitlines()[0]

    assert first == (
        '{"text":"é","large":"a","int8":1,"uint64":18446744073709551615,"half":0.5,"double":1e300,"flag":true,'
        '"money":"1.20","fortune":"1.20","day":"2024-02-29","moment":"1970-01-01T01:00:00.000000001+01:00",'
        '"shifted":"1970-01-01T02:00:00.000000+02:00","clock":"01:02:03.000004","span":"PT0.000001S","words":"a",'
        '"codes":7,"bytes":"AP8=","fixed":"YWI=","list":[1,null],"pair":[1,2],"struct":{"a":1,"b":["x"]},'
        '"map":"[[\\"k\\",1]]","nothing":null,"x":1}'
    )


def test_answers_have_the_types_that_they_are_given(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "t.parquet")
    citations = pl.List(pl.Struct({"url": pl.String, "title": pl.String}))
    columns = [
        AnswerColumn("year", pl.Int64()),
        AnswerColumn("share", pl.Float64()),
        AnswerColumn("listed", pl.Boolean()),
        AnswerColumn("tags", pl.List(pl.String)),
        AnswerColumn("cited", citations),
    ]
    answers = pl.DataFrame(
        {
            "year": [1998, None], "share": [None, 0.5], "listed": [True, None], "tags": [["=a", "\x00"], []],
            "cited": [[{"url": "u", "title": None}], None],
        },
        {column.name: column.dtype for column in columns},
    )  # fmt: skip

    write(tmp_path / "out.parquet", open_table(tmp_path / "t.parquet"), answers, *columns)

    written = pq.read_table(tmp_path / "out.parquet")
    assert written.drop_columns("a").to_pylist() == answers.to_dicts()
    assert [str(field.type) for field in written.schema] == [
        "int64", "int64", "double", "bool", "list<element: string>",
        "list<element: struct<url: string, title: string>>",
    ]  # fmt: skip


@examples(100)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "s": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
                "i": st.none() | st.integers(-(2**63), 2**63 - 1),
                "f": st.none() | st.floats(allow_nan=False),
                "l": st.none() | st.lists(st.none() | st.integers(0, 9), max_size=3),
            }
        ),
        max_size=9,
    ),
    group=st.integers(1, 4),
)
def test_any_rows_in_any_row_groups_come_out(tmp_path: Path, rows: list[dict[str, object]], group: int) -> None:
    schema = pa.schema({"s": pa.string(), "i": pa.int64(), "f": pa.float64(), "l": pa.list_(pa.int8())})
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "t.parquet", row_group_size=group)
    table = open_table(tmp_path / "t.parquet")

    write(tmp_path / "out.parquet", table, {"x": list(range(len(rows)))}, rows=3, files=Unsynced())

    assert pq.read_table(tmp_path / "out.parquet").drop_columns("x").to_pylist() == rows
    assert [dict(zip(table.columns, row, strict=True)) for row in rows_of(table)] == rows


def test_text_becomes_string_columns_and_an_empty_cell_null(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('id,name\n007,\n"",x\n')

    write(tmp_path / "out.parquet", open_table(tmp_path / "t.csv"), {"n": [1, 2]})

    written = pq.read_table(tmp_path / "out.parquet")
    assert written.to_pylist() == [{"id": "007", "name": None, "n": 1}, {"id": None, "name": "x", "n": 2}]
    assert written.schema.types == [pa.string(), pa.string(), pa.int64()]


# --- columns that answers go into


@pytest.mark.parametrize(
    "arrow",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.uint8(), pa.string()),
        pa.dictionary(pa.int32(), pa.large_string()),
    ],
    ids=str,
)
def test_text_of_any_kind_takes_answers(tmp_path: Path, arrow: pa.DataType) -> None:
    rows = 300
    cells = ["own", *[None] * (rows - 1)]
    pq.write_table(pa.table({"x": pa.array(cells, pa.string()).cast(arrow)}), tmp_path / "t.parquet")
    answers = [None, *(f"answer {n}" for n in range(1, rows))]

    out = write(
        tmp_path / "out.parquet",
        open_table(tmp_path / "t.parquet"),
        {"x": answers},
        AnswerColumn("x", pl.String(), replaces=True),
    )

    read = pq.read_table(out)["x"]
    assert read.to_pylist() == ["own", *answers[1:]]
    assert pa.types.is_dictionary(read.type) == pa.types.is_dictionary(arrow)


NANS = pa.array([float("nan")] * 2)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".ndjson", ".enrich-spool"])
@pytest.mark.parametrize(
    ("column", "answers", "dtype", "arrow"),
    [
        (pa.nulls(2), ["a", None], pl.String(), pa.string()),
        (pa.nulls(2), [1, None], pl.Int64(), pa.int64()),
        (pa.nulls(2), [["a"], None], pl.List(pl.String), pa.list_(pa.field("element", pa.string()))),
        (NANS, ["a", None], pl.String(), pa.string()),
        (NANS, [True, None], pl.Boolean(), pa.bool_()),
        (pa.nulls(2, pa.float64()), ["a", None], pl.String(), pa.string()),
        (NANS, [1, None], pl.Int64(), pa.float64()),
        (NANS, [1.5, None], pl.Float64(), pa.float64()),
    ],
)
def test_a_column_without_a_type_takes_that_of_its_answers(
    tmp_path: Path, suffix: str, column: pa.Array, answers: list[object], dtype: pl.DataType, arrow: pa.DataType
) -> None:
    field = pa.field("x", column.type, metadata={"unit": "m"})
    pq.write_table(
        pa.table([column, pa.array([1, 2])], pa.schema([field, pa.field("y", pa.int64())])), tmp_path / "t.parquet"
    )
    typed = suffix in (".parquet", ".enrich-spool")
    text = dtype if typed or not dtype.is_nested() else pl.String()
    cells = answers if text == dtype else ['["a"]', None]

    out = write(
        tmp_path / f"out{suffix}",
        open_table(tmp_path / "t.parquet"),
        pl.DataFrame({"x": pl.Series(cells, dtype=text)}),
        AnswerColumn("x", text, replaces=True),
        rows=1,
    )

    table = open_table(out)
    assert table.columns == ("x", "y")
    values = [value for batch in table.batches() for value in batch.values("x")]
    if typed:
        assert table.arrow_schema.field("x").type == arrow  # type: ignore[attr-defined]
        assert table.arrow_schema.field("x").metadata == {b"unit": b"m"}  # type: ignore[attr-defined]
        assert values[0] == answers[0]
    assert values[1] is None or str(values[1]).lower() == "nan"


@pytest.mark.parametrize("column", [pa.array([1.5, float("nan")]), pa.nulls(2, pa.date32()), pa.array([0.0, None])])
def test_a_column_with_a_type_or_a_cell_keeps_it(tmp_path: Path, column: pa.Array) -> None:
    pq.write_table(pa.table({"x": column}), tmp_path / "t.parquet")
    with pytest.raises(OutputError, match=r"column 'x' is .*, which can't hold answers that are String"):
        Layout(open_table(tmp_path / "t.parquet"), [AnswerColumn("x", pl.String(), replaces=True)])


LIST = pl.List(pl.String())
STRUCT = pl.Struct({"a": pl.Int64()})


@pytest.mark.parametrize(
    ("column", "answer", "own"),
    [
        (pl.Series(["a", None], dtype=pl.Enum(["a", "b"])), pl.String(), "dictionary<values=string, indices=uint8"),
        (pa.nulls(2, pa.dictionary(pa.int32(), pa.string(), ordered=True)), pl.String(), "ordered=1"),
        (pa.nulls(2, pa.list_(pa.field("item", pa.string(), nullable=False))), LIST, "not null"),
        (pa.array([{"a": 1}] * 2, pa.struct([pa.field("a", pa.int64(), nullable=False)])), STRUCT, "not null"),
        (pa.nulls(2, pa.map_(pa.string(), pa.string())), pl.String(), "map<string, string"),
        (pa.nulls(2, pa.decimal256(50, 2)), pl.Int64(), r"decimal256\(50, 2\)"),
        (pa.nulls(2, pa.date32()), pl.String(), "Date"),
        (pa.nulls(2, pa.bool_()), pl.Int64(), "Boolean"),
        (pa.nulls(2, pa.float32()), pl.Float64(), "Float32"),
    ],
    ids=lambda value: str(getattr(value, "dtype", getattr(value, "type", ""))),
)
def test_a_column_that_can_not_hold_every_answer_is_refused(
    tmp_path: Path, column: pa.Array | pl.Series, answer: pl.DataType, own: str
) -> None:
    source = tmp_path / "t.parquet"
    if isinstance(column, pl.Series):
        column.to_frame("x").write_parquet(source)
    else:
        pq.write_table(pa.table({"x": column}), source)

    with pytest.raises(OutputError, match=f"column 'x' is .*{own}.*, which can't hold answers that are"):
        Layout(open_table(source), [AnswerColumn("x", answer, replaces=True)])
