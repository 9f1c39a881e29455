"""Whatever type a column has: it comes out as it went in, or is refused by name before anything is paid for."""

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from any_arrow import Kind, Raw, array_of, columns, means, means_text
from hypothesis import given
from table_files import Unsynced, examples, write

from enrich.dataset import AnswerColumn, InputBuilder, Table, open_table, try_writing
from enrich.dataset.spool import write_spool
from enrich.errors import OutputError, TableError

ANSWER = AnswerColumn("answer", pl.String())


def table_of(kind: Kind, raws: list[Raw]) -> pa.Table:
    field = pa.field("x", kind.type, metadata={"unit": "é"})
    schema = pa.schema([pa.field("name", pa.string()), field], {"origin": "here"})
    array = array_of(kind, raws)
    array.validate()
    return pa.Table.from_arrays([pa.array(["n"] * len(raws)), array], schema=schema)


def enriched(source: Table, suffix: str) -> Path | None:
    """The table with an answer in each row, None where it is refused; by name, before it is written."""
    out = source.path.with_name(f"out{suffix}")
    try:
        try_writing(out, source, [ANSWER], asked=source.columns)
    except OutputError as error:
        return _told(error, "column 'x' is ")
    return write(out, source, {"answer": ["a"] * source.height}, ANSWER, rows=2, files=Unsynced())


def _told(error: Exception, words: str) -> None:
    assert words in str(error)


def holds(after: pa.ChunkedArray, before: pa.Array) -> bool:
    """Whether the same cells come one after the other (a ChunkedArray of some types can't be compared as a whole)."""
    start = 0
    for chunk in after.chunks:
        if not chunk.equals(before.slice(start, len(chunk))):
            return False
        start += len(chunk)
    return start == len(before)


def check_text_formats(source: Table, kind: Kind, raws: list[Raw]) -> None:
    for suffix, delimiter in ((".csv", ","), (".tsv", "\t")):
        out = enriched(source, suffix)
        assert out is not None
        with out.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, delimiter=delimiter))[1:]
        assert [row[2] for row in rows] == ["a"] * len(raws)
        assert all(means_text(kind, row[1], raw) for row, raw in zip(rows, raws, strict=True)), (rows, raws)
    out = enriched(source, ".ndjson")
    assert out is not None
    cells = [json.loads(line)["x"] for line in out.read_text("utf-8").splitlines()]
    for cell, raw in zip(cells, raws, strict=True):
        assert means(kind, cell, raw) or (isinstance(cell, str) and means_text(kind, cell, raw)), (cell, raw)


def check_inputs(source: Table, kind: Kind, raws: list[Raw]) -> None:
    try:
        builder = InputBuilder({"field": "x"}, source.schema, "table")
    except TableError as error:
        _told(error, "column 'x' holds bytes")
        return
    documents = [one for batch in source.batches(2) for one in builder.documents(batch)]
    for document, raw in zip(documents, raws, strict=True):
        cell: Any = None if document is None else json.loads(document)["field"]
        if cell is None:
            continue  # empty: null, "", [], an infinity
        assert says_stripped(kind, cell, raw), (cell, raw)


def says_stripped(kind: Kind, cell: Any, raw: Raw) -> bool:
    if isinstance(raw, str):
        return isinstance(cell, str) and cell == raw.strip()
    return means(kind, cell, raw) or (isinstance(cell, str) and means_text(kind, cell, raw)) or "inf" in repr(raw)


def check_file(folder: Path, kind: Kind, raws: list[Raw]) -> None:
    path = folder / "t.parquet"
    try:
        pq.write_table(table_of(kind, raws), path)
    except (pa.ArrowException, OSError, ValueError):
        return  # there is no such file
    before = pq.read_table(path)
    source = open_table(path)
    out = enriched(source, ".parquet")
    assert out is not None
    after = pq.read_table(out)
    assert after.schema.remove(2).equals(before.schema, check_metadata=True)
    assert after.drop_columns("answer").equals(before)
    check_text_formats(source, kind, raws)
    check_inputs(source, kind, raws)


def check_spool(folder: Path, kind: Kind, raws: list[Raw]) -> None:
    before = table_of(kind, raws)
    path = folder / "t.enrich-spool"
    write_spool(path, before.schema, before.to_batches())
    try:
        source = open_table(path)
    except TableError as error:  # of runs of which there is none
        _told(error, "column 'x' (")
        return
    out = enriched(source, ".enrich-spool")
    assert out is not None
    after = pa.ipc.open_stream(out.read_bytes()).read_all()
    assert after.schema.remove(2).equals(before.schema, check_metadata=True)
    assert holds(after["x"], array_of(kind, raws))
    check_text_formats(source, kind, raws)
    check_inputs(source, kind, raws)


def check(kind: Kind, raws: list[Raw]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_spool(Path(folder), kind, raws)
        check_file(Path(folder), kind, raws)


@examples(60)
@given(columns())
def test_a_column_of_any_type_comes_out_as_it_went_in(column: tuple[Kind, list[Raw]]) -> None:
    check(*column)
