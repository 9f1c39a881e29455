"""Values that no library has a value for: nanoseconds, far years, offsets, bytes that are no text."""

import io
import json
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_files import Unsynced, write

from enrich.dataset import Table, open_table, try_writing
from enrich.dataset.arrow import ArrowBatch
from enrich.dataset.cells import text_cells
from enrich.dataset.spool import write_spool
from enrich.errors import OutputError, TableError
from enrich.inputs.documents import InputBuilder
from enrich.spec.columns import AnswerColumn

MOMENT = 1_700_000_000_123_456_789
ANSWER = AnswerColumn("answer", pl.String())


def table_with(folder: Path, column: pa.Array) -> Table:
    """A spooled table: every type stands in one."""
    names = pa.array([f"n{row}" for row in range(len(column))])
    batch = pa.record_batch({"name": names, "x": column})
    write_spool(folder / "t.enrich-spool", batch.schema, [batch])
    return open_table(folder / "t.enrich-spool")


def cells_of(folder: Path, column: pa.Array) -> tuple[list[str], list[object], list[object]]:
    """What the column is in CSV, in NDJSON, and in an input."""
    table = table_with(folder, column)
    answers = {"answer": ["a"] * table.height}
    csv = write(folder / "out.tsv", table, answers, ANSWER, files=Unsynced()).read_text().splitlines()[1:]
    lines = write(folder / "out.ndjson", table, answers, ANSWER, files=Unsynced()).read_text().splitlines()
    (batch,) = table.batches()
    documents = InputBuilder({"x": "x"}, table.schema).documents(batch)
    inputs = [None if one is None else json.loads(one)["x"] for one in documents]
    return [line.split("\t")[1] for line in csv], [json.loads(line)["x"] for line in lines], inputs


def moments(kind: pa.DataType, *counts: int) -> pa.Array:
    return pa.array(counts, pa.int64()).view(kind)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (moments(pa.timestamp("ns"), MOMENT), "2023-11-14T22:13:20.123456789"),
        (moments(pa.timestamp("us"), 253_402_300_800_000_001), "+10000-01-01T00:00:00.000001"),
        (moments(pa.timestamp("s"), 2**63 - 1), "+292277026596-12-04T15:30:07.000"),
        (moments(pa.timestamp("s"), -(2**63)), "-292277022657-01-27T08:29:52.000"),
        (moments(pa.timestamp("us", "+05:30"), 1_700_000_000_123_456), "2023-11-15T03:43:20.123456+05:30"),
        (moments(pa.timestamp("us", "-0330"), 1_700_000_000_123_456), "2023-11-14T18:43:20.123456-03:30"),
        (moments(pa.timestamp("us", "+02"), 1_700_000_000_123_456), "2023-11-15T00:13:20.123456+02:00"),
        (moments(pa.timestamp("us", "CEST"), 1_700_000_000_123_456), "2023-11-14T22:13:20.123456+00:00"),
        (moments(pa.timestamp("s", "Z"), 1_700_000_000), "2023-11-14T22:13:20.000+00:00"),
        (moments(pa.timestamp("ns", "Europe/Berlin"), MOMENT), "2023-11-14T23:13:20.123456789+01:00"),
        (moments(pa.timestamp("s", "Europe/Berlin"), -(10**10)), "1653-02-10T07:06:48.000+00:53:28"),
        (pa.array([2**31 - 1], pa.int32()).view(pa.date32()), "+5881580-07-11"),
        (moments(pa.date64(), 86_400_000), "1970-01-02"),
        (moments(pa.time64("ns"), 1), "00:00:00.000000001"),
        (moments(pa.time64("us"), 90_000 * 10**6), "25:00:00"),
        (moments(pa.duration("ns"), 3_600_000_000_001), "PT1H0.000000001S"),
        (moments(pa.duration("s"), -(2**63)), "-P106751991167300DT15H30M8S"),
        (pa.array([pa.MonthDayNano([1, -2, -3])]), "P1M-2DT-0.000000003S"),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)], pa.binary(16))), str(UUID(int=0))),
        (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([2], pa.int8())), "true"),
        (pa.array([float("inf")]), "inf"),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)  # fmt: skip
def test_a_value_that_no_library_has_is_written_whole(tmp_path: Path, column: pa.Array, text: str) -> None:
    (csv,), (line,), (sent,) = cells_of(tmp_path, column)

    assert csv == text
    assert (line if isinstance(line, str) else json.dumps(line)) == text
    assert sent is None if text == "inf" else (sent if isinstance(sent, str) else json.dumps(sent)) == text


NESTED = [
    (pa.timestamp("ns"), MOMENT, "2023-11-14T22:13:20.123456789"),
    (pa.timestamp("ns"), MOMENT // 1000 * 1000, "2023-11-14T22:13:20.123456"),
    (pa.timestamp("ns"), 0, "1970-01-01T00:00:00"),
    (pa.timestamp("ns", "UTC"), MOMENT, "2023-11-14T22:13:20.123456789Z"),
    (pa.timestamp("us", "+05:30"), 0, "1970-01-01T05:30:00+05:30"),
    (pa.timestamp("us", "CEST"), 0, "1970-01-01T00:00:00Z"),
    (pa.timestamp("ms"), 253_402_300_800_000, "+10000-01-01T00:00:00"),
    (pa.time64("ns"), 1, "00:00:00.000000001"),
    (pa.duration("ns"), 86_400_000_000_001, "P1DT0.000000001S"),
]


@pytest.mark.parametrize(("kind", "count", "text"), NESTED, ids=str)
def test_a_value_inside_of_another_keeps_all_its_digits(
    tmp_path: Path, kind: pa.DataType, count: int, text: str
) -> None:
    item = moments(kind, count)
    offsets = pa.array([0, 1], pa.int32())
    forms: list[tuple[pa.Array, object]] = [
        (pa.ListArray.from_arrays(offsets, item), [text]),
        (pa.ListViewArray.from_arrays(offsets[:1], pa.array([1], pa.int32()), item), [text]),
        (pa.FixedSizeListArray.from_arrays(item, 1), [text]),
        (pa.StructArray.from_arrays([item], ["at"]), {"at": text}),
        (pa.MapArray.from_arrays(offsets, pa.array(["k"]), item), [["k", text]]),
        (pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([item], ["at"])), [{"at": text}]),
        (pa.ListArray.from_arrays(offsets, item.dictionary_encode()), [text]),
    ]
    for column, value in forms:
        (csv,), (line,), (sent,) = cells_of(tmp_path, column)
        assert json.loads(csv.strip('"').replace('""', '"')) == value
        assert (json.loads(line) if isinstance(line, str) else line) == value
        assert (json.loads(sent) if isinstance(sent, str) else sent) == value


def test_nanoseconds_and_far_years_need_no_pandas(tmp_path: Path) -> None:
    item = moments(pa.timestamp("ns"), MOMENT)
    offsets = pa.array([0, 1], pa.int32())
    far = pa.array([[2**31 - 1]], pa.list_(pa.int32())).view(pa.list_(pa.date32()))
    columns = {
        "map": pa.MapArray.from_arrays(offsets, pa.array(["k"]), item),
        "list": pa.ListArray.from_arrays(offsets, item),
    }
    pq.write_table(pa.table({**columns, "far": far}), tmp_path / "t.parquet")
    program = (
        "import json, sys; sys.modules['pandas'] = None\n"
        "from pathlib import Path\n"
        "from enrich.dataset import TableWriter, open_table\n"
        f"table = open_table(Path({str(tmp_path / 't.parquet')!r}))\n"
        "import polars as pl\n"
        f"with TableWriter(Path({str(tmp_path / 'out.csv')!r}), table, []) as writer:\n"
        "    for batch in table.batches():\n"
        "        writer.write(batch, pl.DataFrame(height=batch.height))\n"
        "        print(json.dumps([batch.values(name) for name in table.columns]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert json.loads(ended.stdout) == [
        ['[["k","2023-11-14T22:13:20.123456789"]]'],
        [["2023-11-14T22:13:20.123456789"]],
        [["+5881580-07-11"]],
    ]
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == (
        '"[[""k"",""2023-11-14T22:13:20.123456789""]]","[""2023-11-14T22:13:20.123456789""]","[""+5881580-07-11""]"'
    )


@pytest.mark.parametrize("cells", [["NaN", float("nan")], ["inf", float("inf")], ["-inf", -float("inf")]], ids=str)
def test_numbers_that_json_lacks_are_text_in_it_and_no_null(tmp_path: Path, cells: list[object]) -> None:
    text, number = cells
    offsets = pa.array([0, 1, 2], pa.int32())
    plain = pa.array([number, 1.5])
    assert cells_of(tmp_path, plain)[:2] == ([text, "1.5"], [text, 1.5])
    assert cells_of(tmp_path, pa.ListArray.from_arrays(offsets, plain))[1] == [[text], [1.5]]


def test_lists_stay_lists_beside_what_json_lacks(tmp_path: Path) -> None:
    table = table_with(tmp_path, pa.array([float("nan")]))
    out = write(tmp_path / "out.ndjson", table, {"answer": [[{"a": ["b"]}]]}, files=Unsynced())
    assert json.loads(out.read_text()) == {"name": "n0", "x": "NaN", "answer": [{"a": ["b"]}]}


def test_structs_with_a_name_twice_lose_nothing(tmp_path: Path) -> None:
    column = pa.StructArray.from_arrays(
        [pa.array([1]), pa.array(["b"])], fields=[pa.field("a", pa.int64()), pa.field("a", pa.string())]
    )
    assert cells_of(tmp_path, column)[1] == ['[["a",1],["a","b"]]']


@pytest.mark.parametrize(
    "kind",
    [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "Europe/Berlin")]
    + [pa.duration(unit) for unit in ("s", "ms", "us", "ns")]
    + [pa.date64(), pa.time64("us"), pa.time64("ns"), pa.date32(), pa.time32("s"), pa.time32("ms")],
    ids=str,
)
def test_a_condition_on_the_farthest_times_decides(tmp_path: Path, kind: pa.DataType) -> None:
    most = 2 ** (kind.bit_width - 1) - 1
    column = pa.array([-most - 1, 0, None, most], pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)
    (batch,) = table_with(tmp_path, column).batches()
    series = batch.column("x")
    least = 0 if pa.types.is_time(kind) else -1
    physical = series.to_physical().to_list()
    assert [one is None or (one > 0) - (one < 0) for one in physical] == [least, 0, True, 1]
    assert text_cells(series).null_count() == 1  # none is beyond what polars can show


# --- bytes that are no text

BAD = b"Soci\xe9t\xe9"


def texts(kind: pa.DataType, *values: bytes | None) -> pa.Array:
    binary = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}[kind]
    array = pa.array(values, binary)
    return pa.Array.from_buffers(kind, len(array), array.buffers(), array.null_count)


STRING = texts(pa.string(), b"ok", None, BAD)
WITH_BAD = {
    "string": STRING,
    "large_string": texts(pa.large_string(), b"ok", None, BAD),
    "string_view": texts(pa.string_view(), b"ok", None, BAD + b" and Co."),
    "list": pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), STRING),
    "struct": pa.StructArray.from_arrays([STRING], ["a"]),
    "map": pa.MapArray.from_arrays(pa.array([0, 1, 1, 2], pa.int32()), STRING.take(pa.array([0, 2])), pa.array([1, 2])),
    "dictionary": pa.DictionaryArray.from_arrays(pa.array([0, 0, 1], pa.int8()), texts(pa.string(), b"ok", BAD)),
    "json": pa.ExtensionArray.from_storage(pa.json_(), STRING),
}


@pytest.mark.parametrize("name", WITH_BAD)
def test_text_that_is_not_utf8_is_refused_with_its_row_where_it_is_sent_or_written_as_text(
    tmp_path: Path, name: str
) -> None:
    table = table_with(tmp_path, WITH_BAD[name])
    said = r"column 'x', row 3: the text is not UTF-8; "
    for suffix in (".csv", ".tsv", ".ndjson"):
        with pytest.raises(TableError, match=said):
            try_writing(tmp_path / f"out{suffix}", table, [ANSWER])
    with pytest.raises(TableError, match=said):
        try_writing(tmp_path / "out.parquet", table, [ANSWER], asked=["x"])
    builder = InputBuilder({"x": "x"}, table.schema)
    with pytest.raises(TableError, match=said):
        [builder.documents(batch) for batch in table.batches(2)]


def test_text_that_is_not_utf8_goes_through_from_parquet_to_parquet(tmp_path: Path) -> None:
    names = ["string", "large_string", "list", "struct", "map", "json"]
    before = pa.table({name: WITH_BAD[name] for name in names})
    pq.write_table(before, tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")

    try_writing(tmp_path / "out.parquet", table, [ANSWER])
    out = write(tmp_path / "out.parquet", table, {"answer": ["a"] * 3}, ANSWER)

    assert pq.read_table(out).drop_columns("answer").equals(pq.read_table(tmp_path / "t.parquet"))


def test_a_dictionary_with_a_text_that_is_not_utf8_is_refused_by_name_since_no_parquet_reader_gives_it(
    tmp_path: Path,
) -> None:
    pq.write_table(pa.table({"a": [1, 2, 3], "x": WITH_BAD["dictionary"]}), tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    with pytest.raises(
        TableError, match=r"column 'x' \(dictionary<.*\) can't be read: it is damaged, has a text that is"
    ):
        try_writing(tmp_path / "out.parquet", table, [ANSWER])


def test_lists_of_a_fixed_size_may_hold_nothing_but_nulls(tmp_path: Path) -> None:
    column = pa.FixedSizeListArray.from_arrays(pa.nulls(2), 2)
    assert cells_of(tmp_path, column) == (["[null,null]"], ["[null,null]"], ["[null,null]"])


def test_a_part_of_lists_of_a_fixed_size_may_be_all_null(tmp_path: Path) -> None:
    items, mask = pa.nulls(6, pa.bool_()), pa.array([True] * 3)
    table = table_with(tmp_path, pa.FixedSizeListArray.from_arrays(items, type=pa.list_(pa.bool_(), 2), mask=mask))
    assert [batch.column("x").to_list() for batch in table.batches(2)] == [[None, None], [None]]
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.nulls(1))
    (batch,) = table_with(tmp_path, pa.FixedSizeListArray.from_arrays(runs, 2)).batches()
    assert batch.column("x").to_list() == ["[null,null]"]


def test_a_list_of_runs_without_any_is_taken(tmp_path: Path) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([], pa.int32()), pa.nulls(0))
    assert cells_of(tmp_path, pa.ListArray.from_arrays(pa.array([0, 0], pa.int32()), runs)) == (["[]"], ["[]"], ["[]"])


# --- what can't be written

UNWRITABLE = {
    "interval": pa.array([pa.MonthDayNano([1, 2, 3])]),
    "union": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
    "empty struct": pa.array([{}], pa.struct([])),
    "run_end_encoded": pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["a"])),
    "no cells": pa.array([[]], pa.list_(pa.int8(), 0)),
    "a list of no cells": pa.array([[[]], None], pa.list_(pa.list_(pa.string(), 0))),
    "negative scale": pa.nulls(1, pa.decimal128(5, -2)),
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_a_column_that_parquet_lacks_is_refused_by_name(tmp_path: Path, name: str) -> None:
    table = table_with(tmp_path, UNWRITABLE[name])
    with pytest.raises(OutputError) as refused:
        try_writing(tmp_path / "out.parquet", table, [ANSWER])
    assert str(refused.value) == (
        f"{tmp_path}/out.parquet: column 'x' is {UNWRITABLE[name].type}, which can't be written as parquet; give it "
        "another type, such as text, or leave it out"
    )
    for suffix in (".csv", ".ndjson", ".enrich-spool"):
        try_writing(tmp_path / f"out{suffix}", table, [ANSWER])


def test_a_trial_leaves_nothing_and_touches_nothing(tmp_path: Path) -> None:
    table = table_with(tmp_path, pa.array([1]))
    (tmp_path / "out.csv").write_text("what stood there")
    try_writing(tmp_path / "out.csv", table, [ANSWER])
    assert (tmp_path / "out.csv").read_text() == "what stood there"
    assert {path.name for path in tmp_path.iterdir()} == {"t.enrich-spool", "out.csv"}


def test_dictionaries_are_the_values_that_they_stand_for() -> None:
    column = pa.array([5, 6, 5]).dictionary_encode()
    batch = ArrowBatch(0, pa.record_batch({"a": column}), Path("t"))
    assert batch.values("a") == [5, 6, 5]
    assert batch.column("a").dtype == pl.Int64


def test_wide_rows_come_a_few_at_a_time(tmp_path: Path) -> None:
    wide = [letter * (12 << 20) for letter in "abc"]  # two of them pass what is held at once
    pq.write_table(pa.table({"a": wide}), tmp_path / "t.parquet", use_dictionary=False)
    assert [batch.height for batch in open_table(tmp_path / "t.parquet").batches()] == [1, 1, 1]


def test_row_groups_are_written_when_they_are_large_in_bytes(tmp_path: Path) -> None:
    wide = [letter * (9 << 20) for letter in "abcdef"]  # two of them fill a row group
    pq.write_table(pa.table({"a": wide}), tmp_path / "t.parquet", use_dictionary=False)
    out = write(tmp_path / "out.parquet", open_table(tmp_path / "t.parquet"), {"x": [*range(6)]}, rows=1)
    assert pq.ParquetFile(io.BytesIO(out.read_bytes())).num_row_groups == 3
