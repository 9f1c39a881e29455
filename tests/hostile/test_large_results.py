"""Many large results: of them a few megabytes are held at once, where they are fetched and where they are joined."""

import csv
from itertools import pairwise

import polars as pl
import pytest

from enrich.dataset import open_table
from enrich.ledger.store import Ledger
from enrich.outputs.parts import JOINED_BYTES, parts_of
from enrich.planning.results import Results
from tests.hostile.evil import CONFIG, evil, lay, output_of
from tests.hostile.measuring import MOST_MB, measured

MB = 1 << 20


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        pytest.param([], [range(0)], id="nothing"),
        pytest.param([0.0] * 5, [range(5)], id="light"),
        pytest.param([5.0 * MB] * 7, [range(3), range(3, 6), range(6, 7)], id="large"),
        pytest.param([99.0 * MB, 1, 99 * MB], [range(1), range(1, 2), range(2, 3)], id="larger-than-a-part"),
        pytest.param([1.0, 99 * MB, 1, 1], [range(1), range(1, 2), range(2, 4)], id="one-among-light-ones"),
    ],
)
def test_rows_are_joined_in_parts_that_memory_has_room_for(weights: list[float], parts: list[range]) -> None:
    assert list(parts_of(weights)) == parts
    assert JOINED_BYTES == 16 * MB


def write_csv(path, frame: pl.DataFrame) -> None:
    text = frame.write_csv(line_terminator="\n")
    path.write_text(text.replace("3,c\n", "\n3,c\n\n").rstrip("\n") + "\n\n")  # with blank lines inside and at the end


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])
@pytest.mark.parametrize("cuts", [[0, 5], [0, 2, 5], [0, 1, 2, 3, 4, 5]], ids=str)
def test_the_parts_of_a_batch_are_the_batch(suffix: str, cuts: list[int], tmp_path) -> None:
    frame = pl.DataFrame({"a": [1, 2, 3, 4, 5], "b": list("abcde")})
    path = tmp_path / f"t.{suffix}"
    {"csv": write_csv, "ndjson": lambda p, f: f.write_ndjson(p), "parquet": lambda p, f: f.write_parquet(p)}[suffix](
        path, frame
    )
    (batch,) = open_table(path).batches(10)
    parts = [batch.part(begin, end) for begin, end in pairwise(cuts)]
    assert [(part.start, part.height) for part in parts] == [(begin, end - begin) for begin, end in pairwise(cuts)]
    assert pl.concat([part.frame for part in parts]).equals(batch.frame)
    if suffix == "csv":
        blank = [(part.start + row, number) for part in parts for row, number in part.blank_lines]
        assert blank == list(batch.blank_lines)
        assert blank


def test_large_blocks_that_were_unpacked_are_not_kept(ledger_in_memory: Ledger) -> None:
    results = Results(ledger_in_memory)
    for block_id in range(20):
        results._keep(block_id, [b"x" * MB])
        assert results._bytes <= 2 * MB
    for block_id in range(20, 60):
        results._keep(block_id, [b"x" * 10] * 3)
    assert len(results._blocks) == 16
    results._keep(99, [b"x" * 60 * MB])
    assert [*results._blocks] == [99]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", pytest.param("parquet", marks=pytest.mark.nightly)])
def test_many_results_of_five_megabytes_take_no_more_memory_than_a_few(suffix: str, tmp_path) -> None:
    large = output_of("x" * (5 * MB))
    with evil(lambda service, call: None, output=lambda run_id: large) as service:
        argv = [*lay(tmp_path, rows=40)[:-1], f"out.{suffix}"]
        ended = measured(tmp_path, *argv, environ=service.environ)
    assert ended.code == 0, ended.said
    assert ended.peak_mb < MOST_MB
    out = tmp_path / f"out.{suffix}"
    if suffix == "csv":
        csv.field_size_limit(10 * MB)
        with out.open(newline="") as file:
            assert [len(row["city"]) for row in csv.DictReader(file)] == [5 * MB] * 40
    else:
        assert pl.read_parquet(out, columns=["city"])["city"].str.len_bytes().to_list() == [5 * MB] * 40


@pytest.mark.nightly
def test_sixty_four_groups_of_large_results_at_once(tmp_path) -> None:
    large = output_of("x" * (5 * MB))
    with evil(lambda service, call: None, output=lambda run_id: large) as service:
        argv = [*lay(tmp_path, rows=128), "--budget", "1000"]
        (tmp_path / "c.yaml").write_text(CONFIG.replace("core", "ultra8x"))  # two runs a group
        ended = measured(tmp_path, *argv, environ=service.environ)
        assert service.calls["POST groups"] == 64
    assert ended.code == 0, ended.said
    assert ended.peak_mb < MOST_MB
