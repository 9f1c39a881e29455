"""Tables in memory: the same kind comes back, its own columns untouched, on the same ledger."""

import datetime
import gc
import signal
import tempfile
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import enrich
from enrich.errors import ConfigError, OutputError, TableError, UsageError
from enrich.frames import IncompleteWarning
from enrich.progress import QuietProgress
from tests.pipeline.desk import CONFIG, Desk

ROWS = 6


@pytest.fixture(autouse=True)
def spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which is empty again in the end."""
    folder = tmp_path / "spools"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    gc.collect()
    assert [*folder.iterdir()] == []


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "name": [f"Company {i}" for i in range(ROWS)],
            "domain": [f"company-{i}.example" for i in range(ROWS)],
            "size": pl.Series(["s", "m", "l"] * 2, dtype=pl.Enum(["s", "m", "l"])),
            "anything": pl.Series([object() for _ in range(ROWS)], dtype=pl.Object),
        }
    )


def call(desk: Desk, data, **options):
    return enrich.enrich(data, desk.config, environ=desk.service.environ, progress=False, settle_s=0.5, **options)


def test_a_dataframe_keeps_its_own_columns_as_they_are(desk: Desk, frame: pl.DataFrame) -> None:
    out = call(desk, frame)
    assert out.columns[:4] == frame.columns
    assert out.schema["size"] == frame.schema["size"]
    assert out["anything"].to_list() == frame["anything"].to_list()
    assert out.schema["year"] == pl.Int64
    assert out["enrich_status"].null_count() == 0
    assert desk.service.bill()["runs"] == ROWS


def test_every_kind_of_table_asks_once_on_one_ledger(desk: Desk, frame: pl.DataFrame) -> None:
    plain = frame.drop("size", "anything")
    expected = call(desk, plain)
    posts = desk.service.posts()
    arrow = plain.to_arrow()
    assert call(desk, plain.lazy()).collect().equals(expected)
    assert pl.DataFrame(call(desk, arrow)).equals(expected)
    reader = call(desk, pa.RecordBatchReader.from_batches(arrow.schema, arrow.to_batches()))
    assert isinstance(reader, pa.RecordBatchReader)
    assert pl.DataFrame(reader.read_all()).equals(expected)
    assert desk.service.posts() == posts


def test_frames_have_the_method(desk: Desk, frame: pl.DataFrame) -> None:
    given = {"environ": desk.service.environ, "progress": False}
    assert frame.enrich(desk.config, **given).height == ROWS  # type: ignore[attr-defined]
    assert frame.drop("anything").lazy().enrich(desk.config, **given).collect().height == ROWS  # type: ignore[attr-defined]


def test_a_plan_of_a_table_in_memory_asks_nothing_and_leaves_it(desk: Desk, frame: pl.DataFrame) -> None:
    given = {"environ": desk.service.environ}
    plain = frame.drop("size", "anything")
    for data in (frame, plain.lazy(), plain.to_arrow()):
        for plan in (enrich.plan(data, desk.config, **given), enrich.plan(desk.config, data, **given)):
            assert (plan.rows, plan.distinct_inputs, plan.runs) == (ROWS, ROWS, {"lite": ROWS})
    assert enrich.plan(frame, desk.config, limit=2, **given).runs == {"lite": 2}
    assert desk.service.posts() == 0
    call(desk, frame)
    assert enrich.plan(frame, desk.config, **given).runs == {}


def test_a_plan_refuses_what_it_would_use_up(desk: Desk, frame: pl.DataFrame) -> None:
    arrow = frame.drop("size", "anything").to_arrow()
    reader = pa.RecordBatchReader.from_batches(arrow.schema, arrow.to_batches())
    with pytest.raises(UsageError, match=r"^data: a RecordBatchReader can be read once only, and not by a plan"):
        enrich.plan(reader, desk.config)
    assert reader.read_all().num_rows == ROWS
    with pytest.raises(UsageError, match=r"^data: expected a polars, pyarrow or pandas table"):
        enrich.plan([1], desk.config)


def test_a_frame_takes_a_mapping_as_its_config(desk: Desk, tmp_path: Path) -> None:
    outputs = {"city": {"type": "string", "description": "Its city."}}
    config = {"name": "t", "inputs": {"company_name": "name"}, "outputs": outputs, "processor": "core"}
    given = {"environ": desk.service.environ, "ledger": tmp_path / "l.db", "progress": False, "settle_s": 0.5}
    out = enrich.enrich(pl.DataFrame({"name": ["A", "B"]}), config, **given)
    assert out["city_status"].null_count() == 0
    with pytest.raises(ConfigError, match=r'^config: inputs.company_name: the table has no column "name"'):
        enrich.enrich(pl.DataFrame({"other": ["A"]}), config, **given)


def test_whatever_streams_arrow_is_taken(desk: Desk, frame: pl.DataFrame) -> None:
    class Streams:
        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            return frame.drop("anything").__arrow_c_stream__(requested_schema)

    assert isinstance(call(desk, Streams()), pl.DataFrame)


def test_pandas_comes_back_as_pandas_with_its_index(desk: Desk) -> None:
    pd = pytest.importorskip("pandas")
    given = pd.DataFrame({"name": ["A", "B"], "domain": ["a.example", None]}, index=["x", "y"])
    out = call(desk, given)
    assert isinstance(out, pd.DataFrame)
    assert list(out.index) == ["x", "y"]
    assert list(out["name"]) == ["A", "B"]
    assert set(out["enrich_status"]) <= {"complete", "review", "withheld"}


def test_answers_of_pandas_are_typed_and_go_into_the_columns_they_fill(desk: Desk) -> None:
    pd = pytest.importorskip("pandas")
    desk.config.write_text(CONFIG + "existing: fill\n")
    given = pd.DataFrame({"name": ["A", "B"], "domain": "x.example", 3: [1, 2], "city": ["Bonn", None]}, index=[7, 7])
    out = call(desk, given)
    assert list(out.columns[:4]) == ["name", "domain", 3, "city"]
    assert list(out.columns[4:6]) == ["city_confidence", "city_reasoning"]
    assert out["city"].iloc[0] == "Bonn"
    assert isinstance(out["city"].iloc[1], str)
    assert (str(out["year"].dtype), list(out.index)) == ("Int64", [7, 7])
    assert given["city"].isna().sum() == 1


def test_pandas_columns_of_mixed_values_stay_and_are_asked_as_text(desk: Desk) -> None:
    pd = pytest.importorskip("pandas")
    mixed = ["A", 1, None]
    out = call(desk, pd.DataFrame({"name": mixed, "domain": [{"a": 1}, [1], "x"]}, dtype="object"))
    assert list(out["name"]) == mixed
    assert list(out["domain"]) == [{"a": 1}, [1], "x"]
    assert list(out["enrich_status"] == "skipped") == [False, False, True]


def test_pandas_attrs_and_the_name_of_its_columns_come_back(desk: Desk) -> None:
    pd = pytest.importorskip("pandas")
    given = pd.DataFrame({"name": ["A", "B"], "domain": "x.example"}, index=pd.Index([7, 7], name="row"))
    given.attrs = {"source": ["crm"]}
    given.columns.name = "fields"
    out = call(desk, given)
    assert out.attrs == {"source": ["crm"]}
    assert out.attrs["source"] is not given.attrs["source"]
    assert (out.columns.name, out.index.name, list(out.index)) == ("fields", "row", [7, 7])


def test_the_time_of_an_answer_is_a_moment(desk: Desk, frame: pl.DataFrame) -> None:
    pd = pytest.importorskip("pandas")
    plain = frame.drop("size", "anything")
    moment = pl.Datetime("us", "UTC")
    out = call(desk, plain, limit=2)
    assert out.schema["enrich_at"] == moment
    assert [at is None for at in out["enrich_at"]] == [False, False, True, True, True, True]
    now = datetime.datetime.now(datetime.UTC)
    assert all(now - datetime.timedelta(minutes=5) < at <= now for at in out["enrich_at"].drop_nulls())
    assert call(desk, plain.lazy(), limit=2).collect().schema["enrich_at"] == moment
    assert call(desk, plain.to_arrow(), limit=2).schema.field("enrich_at").type == pa.timestamp("us", "UTC")
    for rows in (plain.to_dict(as_series=False), {"name": [], "domain": []}):
        answered = call(desk, pd.DataFrame(rows, dtype=object), limit=2)
        assert str(answered["enrich_at"].dtype) == "datetime64[us, UTC]"
    plain.write_csv(desk.table)
    parquet = desk.run(output=desk.folder / "o.parquet", limit=2).output
    assert pl.read_parquet(parquet)["enrich_at"].to_list() == out["enrich_at"].to_list()
    text = [row["enrich_at"] for row in desk.result(desk.run(limit=2))]
    assert text == [at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else "" for at in out["enrich_at"]]


def test_fill_takes_columns_that_are_empty_in_every_row(desk: Desk) -> None:
    pd = pytest.importorskip("pandas")
    desk.config.write_text(CONFIG + "existing: fill\n")
    own = {"name": ["A", "B"], "domain": "x.example"}
    frames = [
        pl.DataFrame({**own, "city": [None, None], "year": [None, None]}),
        pl.DataFrame({**own, "city": [None, None], "year": [None, None]}).lazy(),
        pa.table({**own, "domain": ["x.example"] * 2, "city": pa.nulls(2), "year": pa.nulls(2)}),
        *(
            pd.DataFrame(
                {**own, "city": pd.Series([empty] * 2, dtype=dtype), "year": pd.Series([empty] * 2, dtype=dtype)}
            )
            for empty, dtype in (
                (float("nan"), "float64"),
                (None, "object"),
                (pd.NA, "object"),
                (float("nan"), "object"),
            )
        ),
    ]
    for given in frames:
        out = call(desk, given)
        out = out.collect() if isinstance(out, pl.LazyFrame) else out
        assert list(out["city_status"])
        assert all(city is None or isinstance(city, str) for city in pl.DataFrame(out)["city"])
        assert pl.DataFrame(out).schema["year"] in (pl.Int64, pl.Float64)
        names = out.column_names if isinstance(out, pa.Table) else list(out.columns)
        assert names[:4] == ["name", "domain", "city", "year"]
    assert desk.service.bill()["runs"] == 2


PYTHON_OBJECTS = {
    "2**63": [2**63, 1, None],
    "-2**70": [-(2**70), None, 1],
    "large and text": [2**70, "a", None],
    "large and a float": [1.5, 2**70, None],
    "in a list": [[2**70], [1], None],
    "in an object": [{"a": 2**70}, {"a": 1}, None],
    "half a character": ["A\ud83d", "b", None],
    "half a character and a list": ["\udcff", [1], None],
    "half a character in a list": [["\ud83d"], ["b"], None],
    "half a character as a key": [{"\ud83d": 1}, None, None],
    "complex": [1 + 2j, None, 0],
    "bytes and text": [b"\xff", "a", None],
}


@pytest.mark.parametrize("name", PYTHON_OBJECTS)
def test_pandas_columns_of_any_objects_go_along(desk: Desk, name: str) -> None:
    pd = pytest.importorskip("pandas")
    values = PYTHON_OBJECTS[name]
    given = pd.DataFrame({"name": ["A", "B", "C"], "domain": "x.example", "x": pd.Series(values, dtype=object)})
    out = call(desk, given, limit=1)
    assert out["x"].dtype == object
    assert list(out["x"]) == values
    assert set(map(type, out["x"])) == set(map(type, values))


@pytest.mark.parametrize("name", PYTHON_OBJECTS)
def test_pandas_objects_are_asked_about_as_text_or_refused_by_column_and_row(desk: Desk, name: str) -> None:
    pd = pytest.importorskip("pandas")
    given = pd.DataFrame({"name": pd.Series(PYTHON_OBJECTS[name], dtype=object), "domain": "x.example"})
    if name in ("half a character", "half a character and a list"):
        with pytest.raises(TableError, match=r"^the table: column 'name', row 1: the text is not UTF-8"):
            call(desk, given)
    elif name == "bytes and text":
        with pytest.raises(TableError, match=r"^the table: column 'name' holds bytes"):
            call(desk, given)
    else:
        assert list(call(desk, given, limit=1)["name"]) == PYTHON_OBJECTS[name]


class Own(pa.ExtensionType):
    """An extension type that Arrow was not told of."""

    def __init__(self) -> None:
        super().__init__(pa.int32(), "tests.own")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""


ARROW_TYPES = {
    "timestamp[s]": pa.array([1, None, 2], pa.timestamp("s")),
    "the last second": pa.array([2**63 - 1, None, -(2**63)], pa.timestamp("s", "+05:30")),
    "time32[s]": pa.array([1, None, 2], pa.time32("s")),
    "date64": pa.array([86_400_000, None, 0], pa.date64()),
    "dictionary<int64>": pa.array([5, None, 6]).dictionary_encode(),
    "dictionary<string_view>": pa.DictionaryArray.from_arrays([0, None, 0], pa.array(["a"], pa.string_view())),
    "ordered": pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), ["b", "a"], ordered=True),
    "list<timestamp[s]>": pa.array([[1], None, []], pa.list_(pa.timestamp("s"))),
    "not null": pa.array([[1], [2], []], pa.list_(pa.field("n", pa.int8(), nullable=False, metadata={"a": "b"}))),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.date64())),
    "run ends": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int16()), pa.array(["a", None])),
    "interval": pa.array([pa.MonthDayNano([1, 2, 3]), None, None]),
    "union": pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["a"])]
    ),
    "nothing in it": pa.array([{}, None, {}], pa.struct([])),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16), None, bytes(16)], pa.binary(16))),
    "unknown extension": pa.ExtensionArray.from_storage(Own(), pa.array([1, None, 2], pa.int32())),
    "not UTF-8": pa.array([b"\xff", None, b"ok"]).view(pa.string()),
}  # fmt: skip


@pytest.mark.parametrize("name", ARROW_TYPES)
def test_a_reader_gives_the_schema_back_that_it_had(desk: Desk, name: str) -> None:
    column = ARROW_TYPES[name]
    nullable = name != "not null"
    schema = pa.schema(
        [pa.field("name", pa.string_view(), nullable=False), pa.field("x", column.type, nullable, {"unit": "m"})],
        {"origin": "here"},
    )
    batch = pa.record_batch([pa.array(["A", "B", "C"], pa.string_view()), column], schema=schema)
    desk.config.write_text(CONFIG.replace("  website: domain\n", ""))
    reader = call(desk, pa.RecordBatchReader.from_batches(schema, [batch, batch.slice(1)]), limit=1)
    out = reader.read_all()
    assert reader.schema.metadata == schema.metadata
    assert all(out.schema.field(n).equals(schema.field(n), check_metadata=True) for n in range(2))
    assert out.num_rows == 5
    before = pa.concat_arrays([column, column.slice(1)]) if name not in ("union", "run ends") else None
    if before is not None:
        assert out["x"].combine_chunks().equals(before) or pa.concat_arrays(out["x"].chunks).equals(before)
    table = pa.Table.from_batches([batch])
    assert call(desk, table, limit=1).select(["name", "x"]).schema.equals(schema, check_metadata=True)


UNSPOOLABLE = {
    "a dictionary of an extension of nulls": pa.DictionaryArray.from_arrays(
        pa.array([None] * 3, pa.int8()), pa.ExtensionArray.from_storage(pa.opaque(pa.null(), "t", "v"), pa.nulls(0))
    ),
    "a union in a list": pa.ListArray.from_arrays(pa.array([0, 1, 1, 2], pa.int32()), ARROW_TYPES["union"].slice(0, 2)),
    "a union in lists that are all empty": pa.ListArray.from_arrays(
        pa.array([0, 0, 0, 0], pa.int32()), ARROW_TYPES["union"].slice(0, 0)
    ),
    "a dictionary of an extension": pa.DictionaryArray.from_arrays(
        pa.array([0, None, 1], pa.int8()), ARROW_TYPES["uuid"].slice(0, 2)
    ),
}


@pytest.mark.parametrize("name", UNSPOOLABLE)
def test_what_arrow_can_not_put_on_disk_stays_in_a_table_and_is_refused_in_a_reader(desk: Desk, name: str) -> None:
    column = UNSPOOLABLE[name]
    table = pa.table({"name": ["A", "B", "C"], "domain": ["x.example"] * 3, "x": column})
    out = call(desk, table, limit=1)
    assert out.select(table.column_names).schema == table.schema
    assert out["x"].chunk(0).equals(column)
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
    with pytest.raises(UsageError, match=r"^data: 'x' \(.*\) can't be put on disk; give a pyarrow Table instead"):
        call(desk, reader)


class Streams:
    """A table that has the Arrow stream interface and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def test_what_streams_types_that_polars_lacks_is_refused_by_column(desk: Desk) -> None:
    in_extension = pa.ExtensionArray.from_storage(
        pa.opaque(pa.dictionary(pa.int8(), pa.string()), "t", "v"),
        pa.DictionaryArray.from_arrays(pa.array([0, 0, None], pa.int8()), pa.array(["a"])),
    )
    columns = {"x": ARROW_TYPES["interval"], "y": ARROW_TYPES["union"], "z": in_extension}
    said = (
        r"^data: polars has no type for 'x' \(month_day_nano.*\), 'y' \(dense_union.*\), 'z' \(extension<arrow.opaque"
    )
    with pytest.raises(UsageError, match=said):
        call(desk, Streams(pa.table({"name": ["A", "B", "C"], **columns})))
    assert desk.service.posts() == 0


def test_whole_numbers_of_128_bits_may_stand_anywhere_in_polars(desk: Desk) -> None:
    numbers = pl.Series([[2**100], None], dtype=pl.List(pl.Int128))
    given = pl.DataFrame(
        {
            "name": ["A", "B"],
            "domain": "x.example",
            "list": numbers,
            "array": numbers.list.to_array(1),
            "struct": pl.Series([{"a": 2**100}, None], dtype=pl.Struct({"a": pl.UInt128})),
            "map": pl.Series([{"a": 2**100, "b": None}, None], dtype=pl.Map(pl.String, pl.Int128)),
            "lists": pl.Series([{"a": [2**100]}, {}], dtype=pl.Map(pl.String, pl.List(pl.UInt128))),
        }
    )
    for out in (call(desk, given), call(desk, given.lazy()).collect()):
        assert out.select(given.columns).equals(given)
        assert out.select(given.columns).schema == given.schema


def extension(values: list[Any], dtype: Any) -> pl.Series:
    return pl.Series(values, dtype=dtype).ext.to(pl.Extension("made.up", dtype))


EXTENSION = extension(["a", None], pl.String())
IN_MEMORY_ONLY = {
    "no fields": pl.Series([{}, None], dtype=pl.Struct({})),
    "a list of no fields": pl.Series([[{}, None], None], dtype=pl.List(pl.Struct({}))),
    "an array of no fields": pl.Series([[{}], None], dtype=pl.Array(pl.Struct({}), 1)),
    "a struct of no fields": pl.Series([{"a": {}}, None], dtype=pl.Struct({"a": pl.Struct({})})),
    "a map to no fields": pl.Series([{"a": {}}, None], dtype=pl.Map(pl.String, pl.Struct({}))),
    "a list of an extension": pl.select(pl.concat_list(pl.lit(EXTENSION))).to_series(),
    "an array of an extension": pl.select(pl.concat_arr(pl.lit(EXTENSION))).to_series(),
    "a struct of an extension": EXTENSION.to_frame("a").to_struct(),
}


@pytest.mark.parametrize("name", IN_MEMORY_ONLY)
def test_what_polars_can_not_put_on_disk_stays_in_a_frame_and_is_refused_in_a_query(desk: Desk, name: str) -> None:
    given = pl.DataFrame({"name": ["A", "B"], "domain": "x.example", "x": IN_MEMORY_ONLY[name]})
    out = call(desk, given)
    assert out.select(given.columns).equals(given)
    assert out.select(given.columns).schema == given.schema
    with pytest.raises(UsageError, match=r"^data: 'x' \(.*\) can't be streamed to disk, as a LazyFrame is; collect it"):
        call(desk, given.lazy())


OUT_OF_REACH = {
    "categories in an extension": extension(["a", "b"], pl.Categorical()),
    "an enum in an extension": extension(["a", "b"], pl.Enum(["a", "b"])),
    "128 bits in an extension": extension([1, 2], pl.Int128()),
    "keys of 128 bits": pl.Series([{2**100: 1}, None], dtype=pl.Map(pl.Int128, pl.Int8)),
    "an array of categories in an extension": extension([["a"], None], pl.Array(pl.Categorical, 1)),
}


@pytest.mark.parametrize("name", OUT_OF_REACH)
def test_what_polars_can_not_give_to_arrow_is_refused_by_column(desk: Desk, name: str) -> None:
    given = pl.DataFrame({"name": ["A", "B"], "domain": "x.example", "x": OUT_OF_REACH[name]})
    with pytest.raises(UsageError, match=r"^data: 'x' \(.*\) can't be given to Arrow; cast it to another"):
        call(desk, given)
    with pytest.raises(UsageError, match=r"^data: 'x' \(.*\) can't be streamed to disk"):
        call(desk, given.lazy())
    assert desk.service.posts() == 0


@pytest.mark.parametrize("size", [0, 1])
def test_arrays_of_no_cells_go_along(desk: Desk, size: int) -> None:
    kinds = [pl.Array(pl.Int8, 0), pl.List(pl.Array(pl.String, 0)), pl.Struct({"a": pl.Array(pl.Int8, 0)})]
    values: list[Any] = [[], [[]], {"a": []}]
    columns = {
        f"x{n}": pl.Series([one, None][: 2 * size], dtype=kind)
        for n, (one, kind) in enumerate(zip(values, kinds, strict=True))
    }
    given = pl.DataFrame({"name": ["A", "B"][: 2 * size], "domain": ["x.example"] * 2 * size, **columns})
    assert call(desk, given).select(given.columns).equals(given)
    with pytest.raises(UsageError, match=r"^data: 'x0' \(.*\), 'x1' \(.*\), 'x2' \(.*\) can't be streamed to disk"):
        call(desk, given.lazy())
    table = pa.table({"name": ["A"], "domain": ["x.example"], "x": pa.array([[]], pa.list_(pa.int8(), 0))})
    assert call(desk, table).select(table.column_names).equals(table)
    with pytest.raises(UsageError, match=r"^data: polars has no type for 'x' \(fixed_size_list<.*>\[0\]\); give"):
        call(desk, Streams(table))


@pytest.mark.parametrize("kind", [pa.decimal32(9, 2), pa.decimal64(9, 2)], ids=str)
def test_narrow_decimals_in_others_over_which_polars_ends_the_process_never_reach_it(
    desk: Desk, kind: pa.DataType
) -> None:
    offsets, keys = pa.array([0, 0], pa.int32()), pa.array([], pa.string())
    for column in (
        pa.MapArray.from_arrays(offsets, keys, pa.array([], kind)),
        pa.MapArray.from_arrays(offsets, pa.array([], kind), pa.array([], pa.int8())),
        pa.array([[]], pa.list_(kind)),
        pa.array([{"a": []}], pa.struct([("a", pa.list_(pa.list_(kind, 2)))])),
    ):
        table = pa.table({"name": ["A"], "domain": ["x.example"], "x": column})
        assert call(desk, table).select(table.column_names).equals(table)
        with pytest.raises(UsageError, match=r"^data: polars has no type for 'x' \(.*\); give a pyarrow Table"):
            call(desk, Streams(table))


TYPES = {
    "category": pl.Series(["x", "y", None], dtype=pl.Categorical),
    "enum": pl.Series(["x", None, "y"], dtype=pl.Enum(["x", "y"])),
    "decimal": pl.Series([Decimal("1.10"), None, Decimal(2)], dtype=pl.Decimal(10, 2)),
    "date": pl.Series([datetime.date(2020, 1, 1), None, datetime.date(2021, 1, 1)]),
    "time": pl.Series([datetime.time(1, 2), None, datetime.time(3)]),
    "duration": pl.Series([datetime.timedelta(seconds=1), None, datetime.timedelta(days=9)]),
    "at": pl.Series([datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), None, None]),
    "list": pl.Series([[1, 2], None, []], dtype=pl.List(pl.Int8)),
    "array": pl.Series([[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int16, 2)),
    "struct": pl.Series([{"a": 1, "b": "x"}, None, {"a": None, "b": None}]),
    "binary": pl.Series([b"\x00\xff", None, b""]),
    "nothing": pl.Series([None, None, None], dtype=pl.Null),
    "small": pl.Series([1, None, 255], dtype=pl.UInt8),
    "large": pl.Series([2**100, None, -1], dtype=pl.Int128),
    "single": pl.Series([1.5, float("nan"), None], dtype=pl.Float32),
}


def test_columns_of_every_type_come_back_as_they_are(desk: Desk) -> None:
    given = pl.DataFrame({"name": ["A", "B", "C"], "domain": "x.example", **TYPES})
    for out in (call(desk, given), call(desk, given.lazy()).collect()):
        assert out.select(given.columns).schema == given.schema
        assert out.select(given.columns).equals(given)
    arrow = given.drop("large", "single").to_arrow()
    out = call(desk, arrow).select(arrow.column_names)
    assert out.schema == arrow.schema
    assert out.equals(arrow)


@pytest.mark.parametrize("name", TYPES)
def test_a_column_of_any_type_may_be_asked_about(desk: Desk, name: str) -> None:
    given = pl.DataFrame({"name": TYPES[name], "domain": ["a.example", "b.example", "c.example"]})
    if name == "binary":
        with pytest.raises(TableError, match="the table: column 'name' holds bytes"):
            call(desk, given)
    else:
        assert call(desk, given)["enrich_status"].null_count() == 0


def test_tables_without_rows_come_back_with_their_columns(desk: Desk, frame: pl.DataFrame) -> None:
    empty = frame.drop("size", "anything").clear()
    out = call(desk, empty)
    assert (out.height, out.schema["year"]) == (0, pl.Int64)
    assert call(desk, empty.lazy()).collect().schema == out.schema
    assert call(desk, empty.to_arrow()).num_rows == 0
    reader = pa.RecordBatchReader.from_batches(empty.to_arrow().schema, [])
    assert call(desk, reader).read_all().num_rows == 0
    assert desk.service.posts() == 0


def test_empty_pandas_tables_have_answers_of_the_types_that_full_ones_have(desk: Desk) -> None:
    pd = pytest.importorskip("pandas")
    full = pd.DataFrame({"name": ["A"], "domain": ["a.example"]})
    assert call(desk, full.iloc[:0]).dtypes.equals(call(desk, full).dtypes)


def test_what_is_made_of_an_enriched_query_still_reads(desk: Desk, frame: pl.DataFrame, spools: Path) -> None:
    query = call(desk, frame.drop("anything").lazy()).filter(pl.col("name") != "Company 0").select("name", "year")
    gc.collect()
    assert query.collect().height == ROWS - 1
    assert query.head(2).collect(engine="streaming").columns == ["name", "year"]
    assert len([*spools.iterdir()]) == 1


def test_a_reader_that_is_never_read_leaves_nothing_behind(desk: Desk, frame: pl.DataFrame) -> None:
    arrow = frame.drop("size", "anything").to_arrow()
    call(desk, pa.RecordBatchReader.from_batches(arrow.schema, arrow.to_batches()))


def test_a_source_that_fails_midway_asks_nothing(desk: Desk, frame: pl.DataFrame) -> None:
    arrow = frame.drop("size", "anything").to_arrow()

    def batches() -> Iterator[pa.RecordBatch]:
        yield from arrow.to_batches()
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        call(desk, pa.RecordBatchReader.from_batches(arrow.schema, batches()))
    with pytest.raises(ZeroDivisionError):
        call(desk, frame.drop("anything").lazy().map_batches(lambda _: 1 / 0))  # type: ignore[arg-type,return-value]
    assert desk.service.posts() == 0


class _Impatient(QuietProgress):
    """Presses Ctrl-C when runs are under way."""

    def start(self, total_runs: int, *, done: int = 0) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.mark.parametrize("in_a_loop", [False, True], ids=["plain", "in-a-loop"])
def test_an_interrupted_call_has_ended_and_the_same_call_goes_on(desk: Desk, *, in_a_loop: bool) -> None:
    import anyio

    desk.rows(40)

    async def cell_of_a_notebook() -> None:
        desk.run(progress=_Impatient())

    with pytest.raises(KeyboardInterrupt):
        anyio.run(cell_of_a_notebook) if in_a_loop else desk.run(progress=_Impatient())
    # One that still ran would hold the ledger's lock.
    assert desk.run().receipt.rows.get("pending", 0) == 0
    assert desk.service.bill()["runs"] == 40


async def _inside_a_loop(desk: Desk, frame: pl.DataFrame) -> pl.DataFrame:
    return call(desk, frame)


def test_it_works_inside_a_running_loop_as_a_notebook_has(desk: Desk, frame: pl.DataFrame) -> None:
    import anyio

    assert anyio.run(_inside_a_loop, desk, frame).height == ROWS


def test_rows_left_pending_are_warned_of_and_files_are_kept_where_asked(desk: Desk, frame: pl.DataFrame) -> None:
    reports: list[enrich.Report] = []
    kept = desk.folder / "kept"
    kept.mkdir()
    with pytest.warns(IncompleteWarning, match=r"budget of \$0.01 is reached.*4 rows are pending"):
        out = call(desk, frame, budget="0.01", files=kept, on_report=reports.append)
    assert out["enrich_status"].to_list().count("pending") == 4
    assert reports[0].review.parent == kept
    assert (kept / "table.report.html").exists()


def test_wrong_data_and_wrong_columns_are_errors(desk: Desk) -> None:
    for data in ([1, 2], pl.DataFrame({"name": ["a"]}).to_arrow()["name"]):
        with pytest.raises(UsageError, match=f"^data: expected a polars, .*got {type(data).__name__}$"):
            call(desk, data)
    with pytest.raises(ConfigError, match="the table has no column"):
        call(desk, pl.DataFrame({"nam": ["a"]}))
    with pytest.raises(TableError, match=r"^the table: columns 1 and 2 have the same name 'name'"):
        call(desk, pa.table([["a"], ["b"]], names=["name", "name"]))
    with pytest.raises(UsageError, match=r"^data: 'domain' \(Object\) can't be streamed to disk, as a LazyFrame is; "):
        call(desk, pl.LazyFrame({"name": ["a"], "domain": pl.Series([object()], dtype=pl.Object)}))


def test_a_pandas_series_is_no_table(desk: Desk) -> None:
    pd = pytest.importorskip("pandas")
    with pytest.raises(UsageError, match=r"got Series$"):
        call(desk, pd.Series(["a"]))


def test_wrong_options_are_refused_before_the_table_is_written(desk: Desk, frame: pl.DataFrame) -> None:
    broken = frame.drop("anything").lazy().map_batches(lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
    for options in ({"limt": 1}, {"output": "x.csv"}, {"files": 3}):
        with pytest.raises(UsageError, match=f"^{next(iter(options))}: "):
            call(desk, broken, **options)


def test_answers_that_do_not_fit_are_told_of_the_table(desk: Desk) -> None:
    desk.config.write_text(CONFIG + "existing: replace\n")
    with pytest.raises(OutputError, match=r"^the table: column 'year' is Date"):
        call(desk, pl.DataFrame({"name": ["a"], "domain": "b", "year": [datetime.date(2020, 1, 1)]}))
