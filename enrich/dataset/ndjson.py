"""NDJSON in: one JSON object a line, kept as the line it is.

Rows may have different keys; the columns are all keys in the order in which they are first seen. The text of
each line goes along with its batch, so that an output in NDJSON holds the same numbers digit for digit. The
polars view has a type where all values of a column agree (numbers, booleans, text); any other column is text:
strings as they are, everything else as JSON. Blank lines are no rows. Where a key stands twice in an object
the last one counts, as JSON readers have it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final, Self

import msgspec
import polars as pl

from enrich.dataset.formats import TableFormat
from enrich.dataset.streams import CHUNK_BYTES, find_encoding, open_bytes, open_utf8, reading
from enrich.dataset.tables import BATCH_ROWS, Batch, FileState, Table, changed, rereading, table_error
from enrich.errors import Fault
from enrich.text.jsontext import why_no_json

_DECODER: Final = msgspec.json.Decoder(dict[str, Any])
_EXACT_FLOAT: Final = 2**53
_INT64: Final = 2**63
_DEEPEST: Final = 100  # what reads the table again has limits of its own
_BATCH_BYTES: Final = 4 << 20
_ONE_OBJECT: Final = "each line must be one JSON object, in UTF-8"


_LARGE: Final = 1 << 20  # bytes: a shorter line has fewer values than …
_MOST_VALUES: Final = 1_000_000  # of one row: each takes some 100 bytes of memory


class NdjsonBatch(Batch):
    """Rows of NDJSON: `lines` as they came, without line breaks, and `documents`, the same parsed."""

    def __init__(self, start: int, lines: list[bytes], schema: pl.Schema) -> None:
        self.start = start
        self.lines = lines
        self._schema = schema

    @cached_property
    def documents(self) -> list[dict[str, Any]]:
        """The rows as Python objects."""
        return [_DECODER.decode(line) for line in self.lines]

    @cached_property
    def _frame(self) -> pl.DataFrame:
        series = (_typed(name, self.values(name), dtype) for name, dtype in self._schema.items())
        return pl.DataFrame(list(series))

    @property
    def frame(self) -> pl.DataFrame:
        return self._frame

    @property
    def height(self) -> int:
        return len(self.lines)

    def part(self, begin: int, end: int) -> Self:
        return type(self)(self.start + begin, self.lines[begin:end], self._schema)

    def values(self, column: str) -> list[Any]:
        return [document.get(column) for document in self.documents]

    def unusual(self, column: str) -> Iterable[int]:
        return [row for row, value in enumerate(self.values(column)) if not _is_plain(value)]


def _is_plain(value: Any) -> bool:
    if type(value) is str:
        return value.isascii() and value.isprintable()
    return value is None or type(value) in (int, bool)


class NdjsonTable(Table):
    """A sound NDJSON file."""

    def __init__(self, path: Path, table_format: TableFormat) -> None:
        """Read the file to its end. Raises TableError with all its faults."""
        self.path = path
        self.format = table_format
        self._state = FileState.of(path)
        scan = _Scan(table_format.record_bytes)
        with open_utf8(path, table_format) as stream:
            for number, line in _lines(stream, table_format.record_bytes):
                scan.add(number, line)
        if not scan.kinds and not scan.faults:
            hint = "the columns are the keys of its rows"
            scan.faults.append(Fault("the file has no rows with keys", hint=hint))
        if scan.faults:
            raise table_error(path, scan.faults)
        self._state.check(path)
        self.height = scan.rows
        self.columns = tuple(scan.kinds)
        self.schema = pl.Schema({name: _dtype(kinds) for name, kinds in scan.kinds.items()})

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[Batch]:
        start = 0
        with rereading(self.path, self._state), open_utf8(self.path, self.format) as stream:
            lines = (line for _, line in _lines(stream, self.format.record_bytes))
            while batch := _take(lines, rows):
                yield NdjsonBatch(start, batch, self.schema)
                start += len(batch)
        if start != self.height:
            raise changed(self.path)


def open_ndjson(path: Path, named: TableFormat, *, encoding: str | None = None) -> NdjsonTable:
    """Open an NDJSON file. Raises TableError."""
    with reading(path):
        with open_bytes(path, named.compression) as stream:
            codec, bom = find_encoding(path, stream.read(4), encoding)
        return NdjsonTable(path, replace(named, encoding=codec, bom=bom))


class _Scan:
    """What one reading of the file tells: rows, columns, the kinds of their values, faults."""

    def __init__(self, most: int) -> None:
        self._most = most  # bytes of a row
        self.rows = 0
        self.kinds: dict[str, set[object]] = {}
        self.faults: list[Fault] = []

    def add(self, number: int, line: bytes) -> None:
        if len(line) > self._most:
            message = f"the row is longer than {self._most >> 20} MB"
            self.faults.append(Fault(message, number, hint="each line is a row: is it one of many?"))
            return
        if len(line) > _LARGE and line.count(b",") + line.count(b"[") + line.count(b"{") > _MOST_VALUES:
            message = f"the row has more than {_MOST_VALUES} values"
            self.faults.append(Fault(message, number, hint="give each of its parts a row"))
            return
        try:
            document = _DECODER.decode(line)
            too_deep = line.count(b"[") + line.count(b"{") > _DEEPEST and _is_deeper(document, _DEEPEST)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.faults.append(Fault(f"not a JSON object: {why_no_json(line)}", number, hint=_ONE_OBJECT))
            return
        except RecursionError:
            too_deep = True
        if too_deep:
            self.faults.append(Fault(f"nested more than {_DEEPEST} levels deep", number, hint="flatten it"))
            return
        self.rows += 1
        for key, value in document.items():
            kind: object = type(value)
            if kind is int and not -_EXACT_FLOAT <= value <= _EXACT_FLOAT:
                kind = "wide" if -_INT64 <= value < _INT64 else "huge"
            try:
                self.kinds[key].add(kind)
            except KeyError:
                self.kinds[key] = {kind}
                if not key.strip():
                    self.faults.append(Fault("a key has no name", number, hint="give it one"))
                elif "\0" in key:
                    self.faults.append(Fault(f"the key {key!r} has a NUL character, which no CSV keeps", number))


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested in one another more than so many levels deep."""
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


def _dtype(kinds: set[object]) -> pl.DataType:
    some = kinds - {type(None)}
    if some == {bool}:
        return pl.Boolean()
    if some and some <= {int, "wide"}:
        return pl.Int64()
    if some and some <= {int, float}:
        return pl.Float64()
    return pl.String()


def _typed(name: str, values: list[Any], dtype: pl.DataType) -> pl.Series:
    if dtype == pl.String:
        encode = msgspec.json.encode
        values = [cell if cell is None or type(cell) is str else encode(cell).decode() for cell in values]
    elif dtype == pl.Float64:
        values = [None if cell is None else float(cell) for cell in values]
    return pl.Series(name, values, dtype)


def _lines(stream: IO[bytes], most: int) -> Iterator[tuple[int, bytes]]:
    """(number, text) of each line that is not blank; the last is cut where it has more than `most` bytes."""
    number = 0
    rest = b""
    while chunk := stream.read(CHUNK_BYTES):
        first, *others = chunk.split(b"\n")
        rest += first
        for following in others:
            number += 1
            if line := rest.strip():
                yield number, line
            rest = following
        if len(rest) > most:
            break  # what it is part of is too long
    if line := rest.strip():
        yield number + 1, line


def _take(lines: Iterator[bytes], rows: int) -> list[bytes]:
    """At most `rows` lines, fewer of long ones."""
    taken: list[bytes] = []
    size = 0
    while len(taken) < rows and size < _BATCH_BYTES and (line := next(lines, None)) is not None:
        taken.append(line)
        size += len(line)
    return taken
