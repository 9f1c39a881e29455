"""Whatever type a column has: it comes out as it went in, or is refused by name before anything is paid for."""

import csv
import json
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from any_arrow import Kind, Raw, array_of, columns, means, means_text
from hypothesis import given
from table_files import Unsynced, examples, write

import enrich
from enrich.dataset import Table, open_table, try_writing
from enrich.dataset.spool import is_spoolable, write_spool
from enrich.errors import OutputError, TableError, UsageError
from enrich.inputs.documents import InputBuilder
from enrich.spec.canonical import canonical_json
from enrich.spec.columns import AnswerColumn
from enrich.upkeep.adopt import documents_of

ANSWER = AnswerColumn("answer", pl.String())
UNSEEN = "\u034f\u17b4\u17b5\u2800"  # letters and marks without any ink


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
    cells = [json.loads(line)["x"] for line in out.read_bytes().splitlines()]
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
        assert says_as_asked(kind, cell, raw), (cell, raw)
        check_one_form(document)


def check_one_form(document: bytes) -> None:
    """An input that the service gives back, or another program sent, has the key that the table's reader gave it."""
    for spelled in (spelled_otherwise(document, ensure_ascii=True), spelled_otherwise(document, indent=1)):
        assert canonical_json(msgspec.json.decode(spelled)) == document
        assert documents_of(spelled, ["field"])[0] == document


def spelled_otherwise(document: bytes, **form: Any) -> bytes:
    """The same JSON with its members in another order, and in another form."""
    turned = json.loads(document, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    return json.dumps(turned, **form).encode()


def says_as_asked(kind: Kind, cell: Any, raw: Raw) -> bool:
    """Whether an input is a value, its texts in NFC, and without what can't be seen at the ends of one alone."""
    raw = in_nfc(raw)
    if isinstance(raw, str):
        before, found, after = raw.partition(cell)
        return bool(found) and not any(map(can_be_seen, before + after))
    return means(kind, cell, raw) or (isinstance(cell, str) and means_text(kind, cell, raw)) or "inf" in repr(raw)


def in_nfc(raw: Raw) -> Raw:
    if isinstance(raw, dict):
        return {key: in_nfc(inner) for key, inner in raw.items()}
    if isinstance(raw, list | tuple):
        return type(raw)(map(in_nfc, raw))
    return unicodedata.normalize("NFC", raw) if isinstance(raw, str) else raw


def can_be_seen(char: str) -> bool:
    return unicodedata.category(char)[0] not in "CZ" and "FILLER" not in unicodedata.name(char) and char not in UNSEEN


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
    if before["x"].type == kind.type:  # some the file keeps as others: durations in a dictionary as whole numbers
        check_text_formats(source, kind, raws)
        check_inputs(source, kind, raws)


def check_spool(folder: Path, kind: Kind, raws: list[Raw]) -> None:
    if not is_spoolable(kind.type):
        return
    before = table_of(kind, raws)
    path = folder / "t.enrich-spool"
    write_spool(path, before.schema, before.to_batches())
    source = open_table(path)
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


CONFIG = """\
name: any
inputs: {field: name}
outputs: {answer: {type: string, description: An answer.}}
processor: lite
"""
NOWHERE = {"PARALLEL_BASE_URL": "http://127.0.0.1:9", "PARALLEL_API_KEY": "a-key-that-nobody-asks-for-0123456789"}


def in_memory(data: Any, config: Path) -> Any:
    """What comes back of a table in memory in which there is nothing to ask; None where it is refused by its column."""
    try:
        return enrich.enrich(data, config, environ=NOWHERE, progress=False)
    except UsageError as error:
        return _told(error, "'x' (")


def check_frames(folder: Path, kind: Kind, raws: list[Raw]) -> None:
    config = folder / "c.yaml"
    config.write_text(CONFIG)
    table = table_of(kind, raws).set_column(0, "name", pa.nulls(len(raws), pa.string()))
    out = in_memory(table, config)
    assert out.select(["name", "x"]).schema.equals(table.schema, check_metadata=True)
    assert holds(out["x"], array_of(kind, raws))
    reader = in_memory(pa.RecordBatchReader.from_batches(table.schema, table.to_batches()), config)
    if reader is not None:
        out = reader.read_all()
        assert out.select(["name", "x"]).schema.equals(table.schema, check_metadata=True)
        assert holds(out["x"], array_of(kind, raws))
    frame = in_memory(Streams(table), config)
    if frame is not None:
        own = pl.DataFrame(table)
        assert frame.select(own.columns).schema == own.schema
        assert in_memory(own, config).select(own.columns).schema == own.schema


class Streams:
    """A table that has the Arrow stream interface and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


@examples(40)
@given(columns())
def test_a_column_of_any_type_comes_out_as_it_went_in(column: tuple[Kind, list[Raw]]) -> None:
    check(*column)


@examples(6)
@given(columns())
def test_a_column_of_any_type_comes_back_to_memory_as_it_was(column: tuple[Kind, list[Raw]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_frames(Path(folder), *column)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@examples(1500)
@given(columns(depth=3, rows=6))
def test_a_column_of_any_type_comes_out_all_night(column: tuple[Kind, list[Raw]]) -> None:
    check(*column)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@examples(300)
@given(columns(depth=3, rows=6))
def test_a_column_of_any_type_comes_back_all_night(column: tuple[Kind, list[Raw]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_frames(Path(folder), *column)
