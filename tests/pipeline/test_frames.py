"""Tables in memory: the same kind comes back, its own columns untouched, on the same ledger."""

import polars as pl
import pyarrow as pa
import pytest

import enrich
from enrich.errors import ConfigError
from enrich.frames import IncompleteWarning
from tests.pipeline.conftest import Desk

ROWS = 6


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
    with pytest.raises(TypeError, match="got list"):
        call(desk, [1, 2])
    with pytest.raises(ConfigError, match="the table has no column"):
        call(desk, pl.DataFrame({"nam": ["a"]}))
