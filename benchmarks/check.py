"""Is the output right? The original columns as they were, and the stub's own answers beside them.

python -m benchmarks.check TABLE OUTPUT
"""

import json
import sys
from pathlib import Path
from zlib import crc32

import msgspec
import polars as pl

from benchmarks.answers import render_outputs
from benchmarks.config import FIELDS

_CHECKED_ROWS = 40


def check(table: Path, output: Path) -> None:
    """Raise AssertionError for the first thing that is wrong in some rows all over the table."""
    height = _scan(table).select(pl.len()).collect(engine="streaming").item()
    step = max(1, height // _CHECKED_ROWS)
    rows = _scan(output).gather_every(step).collect(engine="streaming")
    before = _scan(table).gather_every(step).collect(engine="streaming")
    assert rows.select(before.columns).equals(before), "the original columns changed"
    outputs = render_outputs()
    for row in rows.iter_rows(named=True):
        document = {"company_name": row["name"], "country": row["country"], "website": row["domain"]}
        given = json.loads(outputs[crc32(msgspec.json.encode(document)) % len(outputs)])
        for basis in given["basis"]:
            name, confidence = basis["field"], basis["confidence"]
            assert row[f"{name}_confidence"] == confidence, row
            assert row[f"{name}_reasoning"] == basis["reasoning"], row
            cited = row[f"{name}_citations"]
            assert (json.loads(cited) if isinstance(cited, str) else cited) == basis["citations"], row
            value = row[name]
            if output.suffix == ".csv" and FIELDS[name][0] != "string" and value is not None:
                value = json.loads(value)
            assert value == (given["content"][name] if confidence != "low" else None), row


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema=False)


if __name__ == "__main__":
    check(Path(sys.argv[1]), Path(sys.argv[2]))
