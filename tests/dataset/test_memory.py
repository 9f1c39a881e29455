"""A table of any size goes through in bounded memory."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """\
import re, sys
from pathlib import Path
import polars as pl
from enrich.dataset import TableWriter, open_table
from enrich.inputs.documents import InputBuilder
from enrich.spec.columns import AnswerColumn

source, out = map(Path, sys.argv[1:])
table = open_table(source)
builder = InputBuilder({"company": "name", "where": "{city} ({country})"}, table.schema)
columns = [AnswerColumn(f"x{n}", pl.List(pl.String) if n % 4 == 0 else pl.String()) for n in range(20)]
with TableWriter(out, table, columns) as writer:
    for batch in table.batches():
        assert len(builder.documents(batch)) == batch.height
        answers = {c.name: [["a source"] if c.dtype == pl.List else "an answer of some length"] for c in columns}
        frame = pl.DataFrame(answers, {column.name: column.dtype for column in columns})
        writer.write(batch, frame.select(pl.all().repeat_by(batch.height).explode()))
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells the peak of one program only on Linux")
@pytest.mark.parametrize("suffix", [".csv", ".ndjson.gz", ".parquet"])
def test_120_000_rows_stay_under_300_mb(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "t.csv"
    with source.open("w") as file:
        file.write("id,name,domain,city,country,founded,revenue,notes\n")
        for n in range(120_000):
            file.write(f'{n:07d},"Company {n}, Inc.",www.c{n}.com,Berlin,DE,{1900 + n % 100},{n * 3.1},"a\nb"\n')

    command = [sys.executable, "-c", PROGRAM, str(source), str(tmp_path / f"out{suffix}")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert int(done.stdout) < 300
