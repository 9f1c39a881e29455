"""Tables of the benchmarks, as a user has them: more columns than are asked about.

python -m benchmarks.tables PATH ROWS SHARE_OF_DUPLICATES
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from benchmarks.prose import Prose

_CHUNK = 100_000
_COUNTRIES = ("Germany", "France", "Japan", "Brazil", "Kenya", "Canada", "India", "Norway", "Chile", "Vietnam")


def write_table(path: Path, rows: int, duplicates: float) -> Path:
    """A table of so many rows, of which a share repeats the input of an earlier row, far away. Made once."""
    if path.exists():
        return path
    temporary = path.with_name("making-" + path.name)
    if path.suffix == ".parquet":
        _write_parquet(temporary, rows, duplicates)
    else:
        with temporary.open("wb") as file:
            for frame in _frames(rows, duplicates):
                frame.write_csv(file, include_header=file.tell() == 0)
    temporary.replace(path)
    return path


def _write_parquet(path: Path, rows: int, duplicates: float) -> None:
    import pyarrow.parquet as pq

    writer = None
    for frame in _frames(rows, duplicates):
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _frames(rows: int, duplicates: float) -> Iterator[pl.DataFrame]:
    distinct = max(1, rows - round(rows * duplicates))
    prose = Prose(1, words=20_000)
    words = [prose.word() for _ in range(997)]
    step = _coprime(distinct)
    for start in range(0, rows, _CHUNK):
        numbers = range(start, min(rows, start + _CHUNK))
        companies = [n if n < distinct else n * step % distinct for n in numbers]
        yield pl.DataFrame(
            {
                "id": [f"{n:08d}" for n in numbers],
                "name": [f"{words[n % 997].title()} {words[n // 997 % 997].title()} {n}" for n in companies],
                "domain": [f"{words[n % 997]}-{n}.example" for n in companies],
                "country": [_COUNTRIES[n % 10] for n in companies],
                "owner": [words[n * 7 % 997] for n in numbers],
                "note": [f"{words[n % 991]}, {words[n * 3 % 983]}; called {n % 28 + 1} times" for n in numbers],
            }
        )


def _coprime(number: int) -> int:
    step = round(number * 0.618) | 1
    while math.gcd(step, number) > 1:
        step += 2
    return step


if __name__ == "__main__":
    write_table(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
