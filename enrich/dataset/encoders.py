"""How rows and their answers become bytes: an encoder for each kind of table.

What is added to delimited text is made safe for spreadsheets; in NDJSON and Parquet it is kept as it is.
"""

import gzip
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import msgspec
import polars as pl
import pyarrow as pa

from enrich.dataset.arrow import ArrowBatch, ArrowTable
from enrich.dataset.arrow_values import decoded, inner_types
from enrich.dataset.cells import json_column, json_lines, safe_columns, text_cells
from enrich.dataset.delimited import DelimitedTable, TextBatch
from enrich.dataset.formats import KNOWN_SUFFIXES, TableFormat, named_format
from enrich.dataset.layout import Layout
from enrich.dataset.ndjson import NdjsonBatch
from enrich.dataset.spool import spool_writer
from enrich.dataset.tables import Batch, Table
from enrich.errors import OutputError

_GZIP_LEVEL: Final = 4  # half the time of level 6, for a few percent more bytes
_ROW_GROUP_ROWS: Final = 128 << 10
_ROW_GROUP_BYTES: Final = 16 << 20
_NULL: Final = msgspec.Raw(b"null")
_RAW_VALUES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Outlet(io.RawIOBase):
    """A file for whoever writes to it as late as in its destructor, or would close it.

    When it is shut, what still comes is thrown away, and the file can be closed.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file: BinaryIO | None = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data) if self._file is None else self._file.write(data)

    def shut(self) -> None:
        """Let nothing more through."""
        self._file = None


class Encoder(Protocol):
    """Writes rows to a file that was open before and stays open."""

    def write(self, batch: Batch, answers: pl.DataFrame) -> None:
        """Add the rows of a batch with their typed answers."""

    def close(self) -> None:
        """Write what is held back."""


def output_format(path: Path, like: Table) -> TableFormat:
    """The format that the name asks for, in its details like the table's where the kind is the same."""
    named = named_format(path)
    if named is None:
        raise OutputError(f"{path}: unknown kind of table; give an output named {KNOWN_SUFFIXES}")
    text_kinds = ("csv", "tsv")
    if named.kind not in text_kinds or like.format.kind not in text_kinds:
        return named
    kept = replace(like.format, kind=named.kind, compression=named.compression)
    if named.kind == like.format.kind:
        return kept
    return replace(kept, delimiter=named.delimiter, quote=kept.quote or named.quote, above=b"")


def make_encoder(file: Outlet, form: TableFormat, layout: Layout, *, neutralise: bool) -> Encoder:
    """The encoder of a format, its header written."""
    if form.kind in ("parquet", "spool"):
        return ArrowEncoder(file, form, layout)
    sink = Sink(file, form.compression)
    if form.kind == "ndjson":
        return NdjsonEncoder(sink, layout)
    return DelimitedEncoder(sink, form, layout, neutralise=neutralise)


class Sink:
    """Bytes into a file, compressed on the way."""

    def __init__(self, file: Outlet, compression: str | None) -> None:
        self._file = file
        self._compressor: gzip.GzipFile | pa.NativeFile | None = None
        if compression == "gzip":  # no name and no time in its header: the same rows are the same bytes
            self._compressor = gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0)
        elif compression == "zstd":
            self._compressor = pa.CompressedOutputStream(pa.PythonFile(file, "w"), "zstd")

    def write(self, data: bytes) -> None:
        (self._compressor or self._file).write(data)

    def close(self) -> None:
        if self._compressor is not None:
            self._compressor.close()


class DelimitedEncoder:
    """CSV and TSV: a cell is quoted only where it must be."""

    def __init__(self, sink: Sink, form: TableFormat, layout: Layout, *, neutralise: bool) -> None:
        self._sink = sink
        self._format = form
        self._layout = layout
        self._neutralise = neutralise
        own = layout.table.header_cells if isinstance(layout.table, DelimitedTable) else layout.table.headers
        header = pl.DataFrame({name: [cell] for name, cell in zip(layout.names, (*own, *layout.added), strict=True)})
        # Unquoted, such a name would be taken for the byte order mark of the file.
        like_a_mark = layout.headers[0].startswith("\ufeff")
        self._emit(("\ufeff" if form.bom else "").encode() + form.above)
        self._emit(self._encode(header, quote_all=like_a_mark))

    def write(self, batch: Batch, answers: pl.DataFrame) -> None:
        safe = self._safe(answers)
        cells = pl.DataFrame([self._cells(name, batch, answers, safe) for name in self._layout.names])
        written = 0
        for row, blank_lines in batch.blank_lines if isinstance(batch, TextBatch) else ():
            self._emit(self._encode(cells[written:row]) + self._format.newline.encode() * blank_lines)
            written = row
        self._emit(self._encode(cells[written:] if written else cells))

    def close(self) -> None:
        self._sink.close()

    def _safe(self, answers: pl.DataFrame) -> dict[str, pl.Series]:
        """The answers as text that can stand in this file and calculates nothing, by name."""
        cells = {column.name: text_cells(column) for column in answers}
        texts = [name for name, dtype in answers.schema.items() if not dtype.is_numeric() and dtype != pl.Boolean]
        safe = safe_columns([cells[name] for name in texts], neutralise=self._neutralise)
        cells |= dict(zip(texts, safe, strict=True))
        if not self._format.quote:
            broken = f"[\r\n{re.escape(self._format.delimiter)}]+"
            cells = {name: column.str.replace_all(broken, " ") for name, column in cells.items()}
        return {name: _blank_to_null(column) for name, column in cells.items()}

    def _cells(self, name: str, batch: Batch, answers: pl.DataFrame, safe: Mapping[str, pl.Series]) -> pl.Series:
        if name not in safe:
            return self._original(name, batch)
        kept = self._layout.kept(name, answers)
        return safe[name] if kept is None else self._original(name, batch).zip_with(kept, safe[name])

    def _original(self, name: str, batch: Batch) -> pl.Series:
        if isinstance(batch, TextBatch):
            return batch.raw.get_column(name)
        return batch.texts(name).str.replace_all("\0", "\u2400", literal=True)  # no CSV keeps a NUL

    def _encode(self, cells: pl.DataFrame, *, quote_all: bool = False) -> bytes:
        # polars writes null as nothing and an empty text as two quotes, which a line of one cell needs.
        cells = cells.fill_null("") if cells.width == 1 else cells
        out = io.BytesIO()
        cells.write_csv(
            out,
            include_header=False,
            separator=self._format.delimiter,
            line_terminator=self._format.newline,
            quote_char=self._format.quote or '"',
            quote_style="never" if not self._format.quote else "always" if quote_all else "necessary",
        )
        return out.getvalue()

    def _emit(self, data: bytes) -> None:
        if self._format.encoding != "utf-8":
            # Only an answer can hold a character that the encoding lacks.
            data = data.decode().encode(self._format.encoding, "backslashreplace")
        self._sink.write(data)


def _blank_to_null(cells: pl.Series) -> pl.Series:
    """Cells of which an empty text is nothing."""
    if not (cells == "").any():
        return cells
    return cells.to_frame().select(pl.when(pl.first() != "").then(pl.first())).to_series()


class NdjsonEncoder:
    """NDJSON: an NDJSON input's lines go through, with keys added at their end."""

    def __init__(self, sink: Sink, layout: Layout) -> None:
        self._sink = sink
        self._layout = layout

    def write(self, batch: Batch, answers: pl.DataFrame) -> None:
        if not isinstance(batch, NdjsonBatch):
            rows = json_lines({name: self._json(name, batch, answers) for name in self._layout.names})
            self._write(rows)
            return
        lines = batch.lines
        if self._layout.replaced:
            lines = self._with_values(batch, _answer_lines(answers, self._layout.replaced))
        if self._layout.added:
            added = _answer_lines(answers, self._layout.added)
            lines = [_with_keys(line, keys) for line, keys in zip(lines, added, strict=True)]
        self._write(lines)

    def close(self) -> None:
        self._sink.close()

    def _write(self, lines: Sequence[bytes]) -> None:
        self._sink.write(b"\n".join([*lines, b""]))

    def _json(self, name: str, batch: Batch, answers: pl.DataFrame) -> pl.Series | list[Any]:
        if name in answers.columns:
            return json_column(self._layout.joined(name, batch, answers))
        return batch.json(name)

    def _with_values(self, batch: NdjsonBatch, values: Sequence[bytes]) -> list[bytes]:
        """The lines with new values for some keys; every other value stays as it stands."""
        lines = []
        for line, text in zip(batch.lines, values, strict=True):
            new = {name: value for name, value in _RAW_VALUES.decode(text).items() if value != _NULL}
            lines.append(msgspec.json.encode(_RAW_VALUES.decode(line) | new) if new else line)
        return lines


def _answer_lines(answers: pl.DataFrame, names: Sequence[str]) -> list[bytes]:
    return json_lines({name: json_column(answers[name]) for name in names})


def _with_keys(line: bytes, keys: bytes) -> bytes:
    """A JSON object with the keys of another at its end."""
    start = line[:-1].rstrip()
    return start + keys[1:] if start == b"{" else start + b"," + keys[1:]


class ArrowEncoder:
    """Parquet and spools: the input's Arrow columns go through, with columns added at their end."""

    def __init__(self, file: Outlet, form: TableFormat, layout: Layout) -> None:
        self._layout = layout
        self._schema = _arrow_schema(layout)
        self._held: list[pa.RecordBatch] = []
        self._most_rows = 1 if form.kind == "spool" else _ROW_GROUP_ROWS
        self._writer = arrow_writer(file, form, self._schema)

    def write(self, batch: Batch, answers: pl.DataFrame) -> None:
        arrays = [self._array(field, batch, answers) for field in self._schema]
        self._held.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        rows = sum(held.num_rows for held in self._held)
        # Not `nbytes`, which takes the process down with it for some types without a buffer.
        if rows >= self._most_rows or sum(held.get_total_buffer_size() for held in self._held) >= _ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _array(self, field: pa.Field, batch: Batch, answers: pl.DataFrame) -> pa.Array:
        name = field.name
        if not isinstance(batch, ArrowBatch):
            return _arrow_array(self._layout.joined(name, batch, answers), field.type)
        if name not in answers.columns:
            return batch.arrow.column(self._schema.get_field_index(name))
        kept = self._layout.kept(name, answers)
        if kept is None:
            return _arrow_array(answers[name], field.type)
        return _filled(batch.arrow.column(self._schema.get_field_index(name)), answers[name], kept).cast(field.type)

    def _flush(self) -> None:
        if self._held:
            table = pa.Table.from_batches(self._held, self._schema)
            self._writer.write_table(table, _ROW_GROUP_ROWS)
            self._held = []


def arrow_writer(file: BinaryIO | Outlet, form: TableFormat, schema: pa.Schema) -> Any:
    """What writes Arrow tables in a format. Raises TypeError for lists of no cells, which Parquet can't give back."""
    if form.kind == "spool":
        return spool_writer(file, schema)
    if any(_has_no_cells(field.type) for field in schema):  # the writer would end the process over some of them
        raise TypeError("Parquet has no lists of no cells")

    import pyarrow.parquet as pq  # 10 MB, which text has no need of

    return pq.ParquetWriter(file, schema, compression="zstd")


def _has_no_cells(arrow_type: pa.DataType) -> bool:
    is_hollow = pa.types.is_fixed_size_list(arrow_type) and not arrow_type.list_size
    return is_hollow or any(map(_has_no_cells, inner_types(arrow_type)))


def _arrow_schema(layout: Layout) -> pa.Schema:
    table = layout.table
    if not isinstance(table, ArrowTable):
        return pa.schema([pa.field(name, _arrow_type(layout.dtype(name))) for name in layout.names])
    fields = []
    for name in layout.names:
        if name not in layout.columns:
            fields.append(table.arrow_schema.field(name))
        elif layout.columns[name].replaces:
            own = table.arrow_schema.field(name)
            is_retyped = name in layout.retyped
            kind = _arrow_type(layout.dtype(name)) if is_retyped else _roomy(own.type)
            fields.append(own.with_type(kind).with_nullable(own.nullable or is_retyped))
        else:
            fields.append(pa.field(name, _arrow_type(layout.dtype(name))))
    return pa.schema(fields, table.arrow_schema.metadata)


def _roomy(arrow_type: pa.DataType) -> pa.DataType:
    """The type of a column that answers go into: a dictionary numbers as many values as may come."""
    if not pa.types.is_dictionary(arrow_type) or arrow_type.index_type.bit_width >= 32:
        return arrow_type
    return pa.dictionary(pa.int32(), arrow_type.value_type)


def _arrow_type(dtype: pl.DataType) -> pa.DataType:
    exported = pl.Series([], dtype=dtype).to_arrow(compat_level=pl.CompatLevel.oldest()).type
    return _plain(exported)


def _plain(exported: pa.DataType) -> pa.DataType:
    """The type without 64-bit offsets, which no column of answers needs and some readers lack."""
    if pa.types.is_large_string(exported):
        return pa.string()
    if pa.types.is_large_list(exported):
        return pa.list_(_plain(exported.value_type))
    if pa.types.is_struct(exported):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in exported])
    return exported


def _arrow_array(column: pl.Series, arrow_type: pa.DataType) -> pa.Array:
    return column.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(arrow_type)


def _filled(original: pa.Array, answers: pl.Series, kept: pl.Series) -> pa.Array:
    """The original cells where `kept`, answers where not, in a type that can be cast to the original's."""
    import pyarrow.compute as pc

    if pa.types.is_dictionary(original.type):
        return _filled(decoded(original), answers, kept).dictionary_encode()
    if pa.types.is_string_view(original.type):  # which `if_else` does not take
        return _filled(original.cast(pa.large_string()), answers, kept)
    return pc.if_else(kept.to_arrow(), original, _arrow_array(answers, original.type))
