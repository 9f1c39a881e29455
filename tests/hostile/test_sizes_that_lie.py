"""Tables of a few bytes that stand for gigabytes: read as far as memory has room for, and refused with the line."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enrich.dataset import open_table
from enrich.dataset.formats import MAX_BYTES, MAX_OWN_BYTES
from enrich.dataset.strict import bounded_lines
from enrich.errors import TableError
from tests.dataset.table_files import write
from tests.hostile.evil import CONFIG
from tests.hostile.measuring import MOST_MB, measured

MB = 1 << 20
LINE_MB = 1200


def zstd(path: Path, start: bytes) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.CompressedOutputStream(file, "zstd") as packed:
        packed.write(start)
        for _ in range(LINE_MB // 16):
            packed.write(b"x" * 16 * MB)


def gzipped(path: Path, start: bytes) -> None:
    with gzip.open(path, "wb", compresslevel=1) as packed:
        packed.write(start)
        for _ in range(LINE_MB // 16):
            packed.write(b"x" * 16 * MB)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pack", "start", "said"),
    [
        pytest.param("t.csv.zst", zstd, b"", "t.csv.zst:1: the record is longer than 16 MB", id="a-csv-of-one-line"),
        pytest.param("t.csv.zst", zstd, b"company\n", "t.csv.zst:2: the record is longer than 16 MB", id="a-cell"),
        pytest.param("t.ndjson.zst", zstd, b"", "t.ndjson.zst:1: the row is longer than 16 MB", id="ndjson"),
        pytest.param("t.tsv.gz", gzipped, b"", "t.tsv.gz:1: the record is", id="gzip", marks=pytest.mark.nightly),
        pytest.param("t.ndjson.gz", gzipped, b'{"a":"', "t.ndjson.gz:1: the row", id="gz", marks=pytest.mark.nightly),
    ],
)
def test_a_line_of_gigabytes_takes_no_more_than_a_record_may(
    name: str, pack: Callable[[Path, bytes], None], start: bytes, said: str, tmp_path
) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    pack(tmp_path / name, start)
    assert (tmp_path / name).stat().st_size < 10 * MB
    ended = measured(tmp_path, "plan", "c.yaml", name)
    assert ended.code == 2
    assert said in ended.said
    assert ended.peak_mb < MOST_MB


def test_a_line_is_read_no_further_than_a_record_may_go() -> None:
    text = io.TextIOWrapper(io.BytesIO(b"a\r\nb\rc\n\n" + b"x" * 1005), newline="")
    pieces = list(bounded_lines(text, 1000))
    assert pieces[:4] == ["a\r\n", "b\r", "c\n", "\n"]
    assert [len(piece) for piece in pieces[4:]] == [1001, 4]


def test_a_row_of_more_values_than_memory_has_room_for_is_refused(tmp_path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_bytes(b'{"a":1}\n{"a":2,"b":[' + b"0," * 1_000_001 + b"0]}\n")
    with pytest.raises(TableError) as caught:
        open_table(path)
    said = str(caught.value)
    assert said == f"{path}:2: the row has more than 1000000 values; give each of its parts a row"
    path.write_bytes(b'{"a":1}\n{"a":2,"b":[' + b"0," * 400_000 + b"0]}\n")
    assert open_table(path).height == 2


def test_a_long_text_has_one_value_however_many_commas(tmp_path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_bytes(b'{"a":"' + b"x, " * 300_000 + b'"}\n')
    assert open_table(path).height == 1


def one_value(path: Path, value: str, rows: int) -> None:
    """A Parquet file in which a column has one value, which a dictionary holds once."""
    note = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))
    table = pa.table({"company": [f"Company {n % 3}" for n in range(rows)], "note": note})
    pq.write_table(table, path, compression="zstd", store_schema=False)


def test_rows_of_one_long_value_come_a_few_at_a_time(tmp_path) -> None:
    path = tmp_path / "t.parquet"
    one_value(path, "x" * MB, 100)
    assert path.stat().st_size < MB
    table = open_table(path)
    heights = [batch.height for batch in table.batches(1000)]
    assert (sum(heights), max(heights) <= 32) == (100, True)
    one_value(path, "x", 5000)
    assert [batch.height for batch in open_table(path).batches(1000)] == [1000] * 5


def test_a_list_of_equal_numbers_without_end_is_refused_by_its_column(tmp_path) -> None:
    path = tmp_path / "t.parquet"
    zeros = pa.Array.from_buffers(pa.int64(), 9_000_000, [None, pa.py_buffer(bytes(72_000_000))])
    numbers = pa.ListArray.from_arrays(pa.array([0, 9_000_000], pa.int32()), zeros)
    pq.write_table(pa.table({"company": ["Acme"], "numbers": numbers}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < MB
    table = open_table(path)
    with pytest.raises(TableError) as caught:
        list(table.batches())
    assert str(caught.value) == (
        f"{path}: column 'numbers' has 68 MB a row in row group 0, at most 16 MB; "
        "write smaller values, or leave the column out"
    )


@pytest.mark.slow
def test_half_a_kilobyte_of_parquet_takes_no_gigabytes_in_a_column_that_is_not_asked_about(tmp_path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    one_value(tmp_path / "t.parquet", "x" * MB, 2000)
    ended = measured(tmp_path, "plan", "c.yaml", "t.parquet")
    assert ended.code == 0, ended.said
    assert ended.peak_mb < MOST_MB


def put(path: Path, frame: pl.DataFrame) -> None:
    {".csv": frame.write_csv, ".ndjson": frame.write_ndjson, ".parquet": frame.write_parquet}[path.suffix](path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "cell"),
    [
        pytest.param("csv", "x" * (15 * MB), id="csv"),
        pytest.param("csv", '"' * (15 * MB // 2), id="csv-of-quotes"),
        pytest.param("csv", "\n" * (15 * MB), id="csv-of-line-breaks", marks=pytest.mark.nightly),
        pytest.param("csv", "x" * (15 * MB) + "\U0001f600", id="csv-with-a-wide-character", marks=pytest.mark.nightly),
        pytest.param("ndjson", "x" * (15 * MB) + "\U0001f600", id="ndjson", marks=pytest.mark.nightly),
        pytest.param("parquet", "x" * (15 * MB) + "\U0001f600", id="parquet", marks=pytest.mark.nightly),
    ],
)
def test_the_longest_records_that_are_read(suffix: str, cell: str, tmp_path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    put(tmp_path / f"t.{suffix}", pl.DataFrame({"company": ["Acme", "Beta", "Gamma"], "note": [cell] * 3}))
    ended = measured(tmp_path, "plan", "c.yaml", f"t.{suffix}")
    assert ended.code == 0, ended.said
    assert ended.peak_mb < MOST_MB


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])
def test_a_row_may_be_longer_with_its_answers_than_without(suffix: str, tmp_path) -> None:
    """What came with answers can be written, and read back; it can't be the table of another run."""
    source, out = tmp_path / f"t.{suffix}", tmp_path / f"out.{suffix}"
    put(source, pl.DataFrame({"company": ["Acme"], "note": ["x" * 1000]}))
    write(out, open_table(source), {"city": ["y" * (MAX_BYTES + MB)]})
    assert open_table(out, is_ours=True).height == 1
    with pytest.raises(TableError, match="16 MB"):
        list(open_table(out).batches())
    assert open_table(out, is_ours=True).format.record_bytes == MAX_OWN_BYTES
