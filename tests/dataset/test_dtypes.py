"""Every type of polars, made of every other: what is said to reach Arrow and Parquet does, without a panic."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.exceptions import PolarsError

from enrich.dataset.dtypes import has_wide_integers, held, is_in_arrow, is_in_parquet


def extension(storage: pl.DataType) -> pl.DataType:
    return pl.Extension("made.up", storage)


LEAVES: list[pl.DataType] = [
    *(pl.Int8(), pl.UInt64(), pl.Int128(), pl.UInt128(), pl.Float16(), pl.Float64(), pl.Decimal(38, 2), pl.Boolean()),
    *(pl.String(), pl.Binary(), pl.Null(), pl.Categorical(), pl.Enum(["a", "b"]), pl.Enum([])),
    *(pl.Date(), pl.Time(), pl.Duration("ms"), pl.Datetime("ns"), pl.Datetime("us", "Europe/Berlin")),
    *(pl.Struct({}), pl.Array(pl.Int8, 0)),
]
WRAPPERS: list[Callable[[pl.DataType], pl.DataType]] = [
    pl.List,
    lambda inner: pl.Array(inner, 2),
    lambda inner: pl.Array(inner, 0),
    lambda inner: pl.Struct({"a": inner, "b": pl.Int8}),
    lambda inner: pl.Map(pl.String, inner),
    lambda inner: pl.Map(inner, pl.Int8),
    extension,
]


def kinds() -> Iterator[pl.DataType]:
    for leaf in LEAVES:
        yield leaf
        for wrap in WRAPPERS:
            yield wrap(leaf)
            yield from (outer(wrap(leaf)) for outer in WRAPPERS if outer != extension or wrap != extension)


def column_of(kind: pl.DataType) -> pl.DataFrame | None:
    """Two nulls of a type; None where there is no such type."""
    try:
        return pl.DataFrame(schema={"x": kind}).clear(2)
    except PolarsError:
        return None


FRAMES = [frame for frame in map(column_of, kinds()) if frame is not None]


def test_what_is_said_to_reach_arrow_does() -> None:
    taken = [frame for frame in FRAMES if is_in_arrow(frame.schema["x"])]
    assert len(taken) > 0.9 * len(FRAMES)
    for frame in taken:
        dtype = frame.schema["x"]
        arrow = frame.select(pl.col("x").cast(held(dtype))).to_arrow(compat_level=pl.CompatLevel.oldest())
        assert len(arrow) == 2
        assert not has_wide_integers(held(dtype))


def test_what_is_said_to_reach_parquet_comes_back(tmp_path: Path) -> None:
    taken = [frame for frame in FRAMES if is_in_parquet(frame.schema["x"])]
    assert len(taken) > 0.3 * len(FRAMES)
    for frame in taken:
        dtype = frame.schema["x"]
        frame.lazy().select(pl.col("x").cast(held(dtype))).sink_parquet(tmp_path / "t.parquet")
        back = pl.scan_parquet(tmp_path / "t.parquet").select(pl.col("x").cast(dtype)).collect()
        assert back.equals(frame)
        assert back.schema == frame.schema


@pytest.mark.parametrize(
    ("kind", "arrow", "parquet"),
    [
        (pl.List(pl.Int128), True, True),
        (pl.Struct({}), True, False),
        (pl.List(pl.Array(pl.Int8, 0)), True, False),
        (pl.Map(pl.UInt128, pl.Int8), False, False),
        (pl.Map(pl.String, pl.List(pl.Struct({}))), True, False),
        (pl.Extension("made.up", pl.String), True, True),
        (pl.List(pl.Extension("made.up", pl.String)), True, False),
        (pl.Extension("made.up", pl.Categorical), False, False),
        (pl.Array(pl.Extension("made.up", pl.List(pl.Int128)), 1), False, False),
        (pl.Object(), True, False),
    ],
    ids=str,
)
def test_what_each_can_hold(kind: pl.DataType, arrow: bool, parquet: bool) -> None:
    frame = pl.DataFrame(schema={"x": kind})
    assert (is_in_arrow(frame.schema["x"]), is_in_parquet(frame.schema["x"])) == (arrow, parquet)
