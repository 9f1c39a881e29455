"""Tables of a few bytes that stand for gigabytes: read as far as memory has room for, and refused with the line."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from enrich.dataset import open_table
from enrich.dataset.records import MAX_RECORD_BYTES, bounded_lines
from enrich.errors import TableError
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
        pytest.param("t.csv.zst", zstd, b"", "t.csv.zst:1: the record is longer than 64 MB", id="a-csv-of-one-line"),
        pytest.param("t.csv.zst", zstd, b"company\n", "t.csv.zst:2: the record is longer than 64 MB", id="a-cell"),
        pytest.param("t.ndjson.zst", zstd, b"", "t.ndjson.zst:1: ", id="ndjson"),
        pytest.param("t.tsv.gz", gzipped, b"", "t.tsv.gz:1: the record is", id="gzip", marks=pytest.mark.nightly),
        pytest.param("t.ndjson.gz", gzipped, b'{"a":"', "t.ndjson.gz:1: ", id="gz", marks=pytest.mark.nightly),
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
    text = io.TextIOWrapper(io.BytesIO(b"a\r\nb\rc\n\n" + b"x" * (MAX_RECORD_BYTES + 5)), newline="")
    pieces = list(bounded_lines(text))
    assert pieces[:4] == ["a\r\n", "b\r", "c\n", "\n"]
    assert [len(piece) for piece in pieces[4:]] == [MAX_RECORD_BYTES + 1, 4]


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
