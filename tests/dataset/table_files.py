"""Tables in files of a test's own, and what stands in them."""

import csv
import gzip
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, settings

from enrich.dataset import Files, Table, TableWriter, open_table
from enrich.spec.columns import AnswerColumn


def examples(count: int) -> settings:
    """So many examples in a normal run; all night long as many as ENRICH_HYPOTHESIS_EXAMPLES says."""
    return settings(
        max_examples=int(os.environ.get("ENRICH_HYPOTHESIS_EXAMPLES", count)),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


class Unsynced(Files):
    """A disk that is trusted, for tests that write hundreds of files."""

    def sync(self, file: Any) -> None:
        file.flush()

    def sync_folder(self, folder: Path) -> None:
        pass


def rows_of(table: Table, rows: int = 8192) -> list[tuple[Any, ...]]:
    """All rows as the batches have them."""
    return [row for batch in table.batches(rows) for row in batch.frame.rows()]


def write(
    path: Path,
    table: Table,
    answers: Mapping[str, Sequence[Any]] | pl.DataFrame,
    *columns: AnswerColumn,
    rows: int = 8192,
    **options: Any,
) -> Path:
    """Write the table with answers; columns that are not described are added, with the types they have."""
    frame = pl.DataFrame(answers)
    described = {column.name for column in columns}
    added = [AnswerColumn(name, dtype) for name, dtype in frame.schema.items() if name not in described]
    with TableWriter(path, table, [*columns, *added], **options) as writer:
        for batch in table.batches(rows):
            writer.write(batch, frame.slice(batch.start, batch.height))
    return path


def enriched(path: Path, answers: Mapping[str, Sequence[Any]], output: str = "", **options: Any) -> bytes:
    """The bytes of the output for the table at `path`; `output` is its suffix, like the input's if not given."""
    table = open_table(path)
    out = path.with_name("out" + (output or "".join(path.suffixes)))
    write(out, table, answers, **options)
    raw = out.read_bytes()
    return gzip.decompress(raw) if out.suffix == ".gz" else raw


def csv_rows(text: str, **dialect: Any) -> list[list[str]]:
    """The records of a text as Python's csv module reads them, strictly."""
    before = csv.field_size_limit(len(text) + 1)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True, **dialect))
    finally:
        csv.field_size_limit(before)


def csv_text(
    rows: Sequence[Sequence[str]],
    *,
    delimiter: str = ",",
    quotechar: str = '"',
    lineterminator: str = "\n",
    quote_all: bool = False,
) -> str:
    """Rows as RFC 4180 has them. (`csv.writer` of Python 3.11 leaves some line breaks unquoted.)"""

    def text(cell: str, alone: bool) -> str:
        special = quote_all or (alone and not cell) or any(one in cell for one in (delimiter, quotechar, *"\r\n"))
        return quotechar + cell.replace(quotechar, 2 * quotechar) + quotechar if special else cell

    lines = (delimiter.join(text(cell, len(row) == 1) for cell in row) for row in rows)
    return "".join(line + lineterminator for line in lines)
