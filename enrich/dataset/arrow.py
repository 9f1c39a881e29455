"""Tables of Arrow batches: they go through untouched, with a polars view and texts of their cells beside them.

A batch keeps pyarrow's own record batch, so every type (dictionaries, decimals, time zones, nested ones)
and all metadata come out as they went in. The view is for conditions and for columns that answers go into:
dictionaries are decoded, and a column of a type that polars does not have (maps, 256-bit decimals, extensions)
is text. Inputs and text outputs have the cells from Arrow where polars would lose some of them.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import msgspec
import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from enrich.dataset.arrow_times import in_plain_time, within_polars
from enrich.dataset.arrow_values import decoded, first_bad_text, holds_text, inner_types, json_cells, json_values
from enrich.dataset.cells import finite, is_json_type, json_column, text_cells
from enrich.dataset.tables import BATCH_ROWS, Batch, FileState, Table, changed, name_faults, rereading, table_error
from enrich.errors import Fault, TableError


class ArrowBatch(Batch):
    """Rows of a table of Arrow: `arrow` as they came. `path` is the table's, for errors."""

    def __init__(self, start: int, arrow: pa.RecordBatch, path: Path) -> None:
        self.start = start
        self.arrow = arrow
        self._path = path

    @cached_property
    def _frame(self) -> pl.DataFrame:
        return pl.DataFrame([self.column(name) for name in self.arrow.schema.names])

    @property
    def frame(self) -> pl.DataFrame:
        return self._frame

    def column(self, name: str) -> pl.Series:
        return _column_of(name, self._array(name))

    @property
    def height(self) -> int:
        return int(self.arrow.num_rows)

    def part(self, begin: int, end: int) -> Self:
        return type(self)(self.start + begin, self.arrow.slice(begin, end - begin), self._path)

    def values(self, column: str) -> list[Any]:
        array = self._array(column)
        if not is_known(array.type):
            return _texts_of(column, array).to_list()
        if pa.types.is_nested(array.type):
            return json_values(array)
        cells = _column_of(column, array)
        return (cells if is_json_type(cells.dtype) else _texts_of(column, array)).to_list()

    def texts(self, name: str) -> pl.Series:
        return _texts_of(name, self._array(name))

    def json(self, name: str) -> pl.Series | list[Any]:
        array = self._array(name)
        if not is_known(array.type):
            return _texts_of(name, array)
        if pa.types.is_nested(array.type):
            return list(map(finite, json_values(array)))
        cells = _column_of(name, array)
        return json_column(cells) if is_json_type(cells.dtype) else _texts_of(name, array)

    def check_text(self, name: str) -> None:
        """Raise TableError where a text in a column is not UTF-8, with its row."""
        self._array(name)

    def _array(self, name: str) -> pa.Array:
        """A column, without a dictionary where polars has the type in it. Raises TableError for bad text."""
        array = self.arrow.column(self.arrow.schema.get_field_index(name))
        if pa.types.is_dictionary(array.type) and is_known(array.type.value_type):
            array = decoded(array)
        place = first_bad_text(array)
        if place is not None:
            message = f"column {name!r}, row {self.start + place + 1}: the text is not UTF-8"
            hint = (
                "fix it, or make it a column of bytes (binary); if it is not mapped, Parquet output keeps it as it is"
            )
            raise TableError(str(self._path), [Fault(message, hint=hint)])
        return array


class ArrowTable(Table):
    """A table that is read as Arrow. `arrow_schema` is its own schema with all metadata."""

    arrow_schema: pa.Schema
    state: FileState  # in which it was found sound

    def describe(self, schema: pa.Schema) -> None:
        """Take the table's columns from its schema. Raises TableError."""
        self.arrow_schema = schema
        self._empty: dict[str, bool] = {}
        self.columns = tuple(schema.names)
        faults = name_faults(list(self.columns), None)
        if not self.columns:
            faults = [Fault("the table has no columns")]
        if faults:
            raise table_error(self.path, faults)
        self.shown_as_text = frozenset(field.name for field in schema if not is_known(_decoded_type(field.type)))
        self.schema = pl.Schema({field.name: _viewed(field.type) for field in schema})

    def takes_answers(self, name: str) -> bool:
        """Whether a value that the table does not have yet can stand in a column.

        It can't in a type that polars does not have, in an ordered dictionary (an Enum among them, which has no values
        but its own), nor in lists and structs without nulls in them, as answers may have.
        """
        arrow_type = self.arrow_schema.field(name).type
        is_ordered = pa.types.is_dictionary(arrow_type) and arrow_type.ordered
        return not is_ordered and name not in self.shown_as_text and _is_nullable(arrow_type)

    def lacks_type(self, name: str) -> bool:
        kind = self.arrow_schema.field(name).type
        if pa.types.is_null(kind):
            return True
        if not pa.types.is_float64(kind):
            return False
        if name not in self._empty:  # as pandas has a column without cells: NaN in each
            cells = (batch.column(name) for batch in self.batches_of([name]))
            self._empty[name] = all((one.is_null() | one.is_nan().fill_null(value=True)).all() for one in cells)
        return self._empty[name]

    def check_texts(self, columns: Iterable[str]) -> None:
        """Read columns to their end, and raise TableError for the first text in them that is not UTF-8."""
        names = [name for name in columns if holds_text(self.arrow_schema.field(name).type)]
        for batch in self.batches_of(names) if names else ():
            for name in names:
                batch.check_text(name)

    @contextmanager
    def named(self, columns: Sequence[str] | None) -> Iterator[None]:
        """Name the columns that Arrow can't read, when it can't: each is read by itself. Raises TableError."""
        try:
            yield
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            faults = [self._unreadable(name) for name in columns or self.columns if not self._is_readable(name)]
            if not faults:
                raise
            raise table_error(self.path, faults) from None

    def _is_readable(self, name: str) -> bool:
        try:
            for _ in self.parts([name], BATCH_ROWS):
                pass
        except (pa.ArrowException, OSError):
            return False
        return True

    def _unreadable(self, name: str) -> Fault:
        kind = self.arrow_schema.field(name).type
        message = (
            f"column {name!r} ({kind}) can't be read: it is damaged, has a text that is not UTF-8, or is of a type"
        )
        return Fault(f"{message} that Arrow can't read", hint="leave it out, or write it as plain text or bytes")

    @abstractmethod
    def parts(self, columns: Sequence[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
        """The file's own batches, of at most `rows`, of some of its columns or of all; raises what Arrow raises."""

    def batches_of(self, columns: Sequence[str] | None, rows: int = BATCH_ROWS) -> Iterator[ArrowBatch]:
        """`batches` of some of the columns, of all of them where None is given."""
        start = 0
        with rereading(self.path, self.state), self.named(columns):
            for part in self.parts(columns, rows):
                yield ArrowBatch(start, part, self.path)
                start += part.num_rows
        if start != self.height:
            raise changed(self.path)

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[Batch]:
        return self.batches_of(None, rows)


def _column_of(name: str, array: pa.Array) -> pl.Series:
    """An array as the view has it."""
    if not is_known(array.type):
        return _texts(name, json_cells(array))
    if pa.types.is_temporal(array.type):
        array = within_polars(array)
    elif pa.types.is_fixed_size_list(array.type):
        # polars refuses a part of one whose cells are all null.
        array = array.take(pa.array(range(len(array)), pa.int64()))
    return pl.Series(name, array)


def _texts_of(name: str, array: pa.Array) -> pl.Series:
    """An array as text, with all its digits."""
    types = pa.types
    if not is_known(array.type) or types.is_nested(array.type) or types.is_date64(array.type):
        return _texts(name, json_cells(array))
    if types.is_temporal(array.type) and not in_plain_time(array):
        return _texts(name, json_cells(array))
    return text_cells(pl.Series(name, array))


def is_known(arrow_type: pa.DataType) -> bool:
    """Whether polars has the type; of some that it lacks it panics."""
    types = pa.types
    if isinstance(arrow_type, pa.BaseExtensionType):
        return False
    if types.is_nested(arrow_type):
        return _is_known_nested(arrow_type) and all(map(is_known, inner_types(arrow_type)))
    if types.is_timestamp(arrow_type):
        return arrow_type.tz is None or _has_zone(arrow_type.tz)
    if types.is_temporal(arrow_type):
        return not types.is_interval(arrow_type)
    known = (
        types.is_integer,
        types.is_floating,
        types.is_boolean,
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_binary,
        types.is_large_binary,
        types.is_fixed_size_binary,
        types.is_null,
    )
    return any(is_type(arrow_type) for is_type in known) or (
        types.is_decimal128(arrow_type) and 0 <= arrow_type.scale <= arrow_type.precision
    )


def _is_known_nested(arrow_type: pa.DataType) -> bool:
    types = pa.types
    if types.is_struct(arrow_type):
        names = [field.name for field in arrow_type]
        return 0 < len({*names}) == len(names)
    if types.is_fixed_size_list(arrow_type):
        # polars takes no array of nulls from Arrow, and of lists of no cells it panics.
        return arrow_type.list_size > 0 and not types.is_null(arrow_type.value_type)
    return any(is_type(arrow_type) for is_type in (types.is_list, types.is_large_list))


@lru_cache(maxsize=256)
def _has_zone(zone: str) -> bool:
    try:
        pl.Series([], dtype=pl.Datetime("us", zone)).dt.to_string("iso:strict")
    except PolarsError:
        return False
    return True


def _decoded_type(arrow_type: pa.DataType) -> pa.DataType:
    return arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type


def _is_nullable(arrow_type: pa.DataType) -> bool:
    """Whether everything inside of a value may be null."""
    inner = [arrow_type.field(n) for n in range(arrow_type.num_fields)]
    return all(field.nullable and _is_nullable(field.type) for field in inner)


def _texts(name: str, values: list[Any]) -> pl.Series:
    encode = msgspec.json.encode
    cells = [one if one is None or type(one) is str else encode(one).decode() for one in map(finite, values)]
    return pl.Series(name, cells, pl.String)


def _viewed(arrow_type: pa.DataType) -> pl.DataType:
    """The type that a column has in the view."""
    decoded_type = _decoded_type(arrow_type)
    # Of nulls, not of a list: for an array of that pyarrow would load pandas, 34 MB.
    return pl.Series(pa.nulls(0, decoded_type)).dtype if is_known(decoded_type) else pl.String()
