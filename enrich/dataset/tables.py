"""A table as the other steps see it: named columns, a row count, and batches of rows in the table's order.

A batch has a polars `frame` of the columns as they were read. In text formats each column is text and an
empty cell is null; nothing is guessed, so `00123` stays `00123`. `values` gives one column as Python values.
Whatever a format needs to give the original cells back unchanged, its own batch class carries along.
"""

import csv
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import polars as pl
from polars.exceptions import PolarsError

from enrich.dataset.cells import json_column, text_cells
from enrich.dataset.formats import TableFormat
from enrich.dataset.streams import reading
from enrich.dataset.where import Condition
from enrich.errors import Fault, TableError

BATCH_ROWS = 8192
MAX_FAULTS = 20


class Batch(ABC):
    """Some rows of a table, one after the other. `start` is the index of the first, from 0."""

    start: int

    @property
    @abstractmethod
    def frame(self) -> pl.DataFrame:
        """The rows, each column with its type in the table's `schema`."""

    @property
    @abstractmethod
    def height(self) -> int:
        """How many rows."""

    @abstractmethod
    def part(self, begin: int, end: int) -> Self:
        """The rows from `begin` up to `end`, counted from the first of the batch."""

    def column(self, name: str) -> pl.Series:
        """One column of the frame."""
        return self.frame.get_column(name)

    def mask(self, condition: Condition) -> pl.Series:
        """Which rows fulfil a condition; NULL is false. Raises ConfigError where a cell can't be cast."""
        return condition.mask(self.column, self.height)

    def values(self, column: str) -> list[Any]:
        """The cells of one column as JSON values (text where JSON lacks the type), None for an empty one."""
        return self.column(column).to_list()

    def unusual(self, column: str) -> Iterable[int]:
        """The rows whose value in a column may be anything but printable ASCII, a number or a truth value."""
        cells = self.column(column)
        dtype = cells.dtype
        if dtype == pl.String:
            return cells.to_frame().select(pl.first().str.contains(r"[^ -~]").arg_true()).to_series().to_list()
        is_plain = dtype.is_integer() or dtype.is_temporal() or dtype.is_decimal() or dtype in (pl.Boolean, pl.Null)
        return () if is_plain else range(self.height)

    def texts(self, name: str) -> pl.Series:
        """The cells of one column as text, null where there is nothing."""
        return text_cells(self.column(name))

    def json(self, name: str) -> pl.Series | list[Any]:
        """The cells of one column as JSON has them, NaN and the infinities as text."""
        return json_column(self.column(name))


class Table(ABC):
    """A table that was read once to its end and found sound; `batches` reads it again, as often as asked."""

    path: Path
    format: TableFormat
    columns: tuple[str, ...]
    schema: pl.Schema
    height: int

    title: str = ""
    """What to ask where a column is missing: whether the first line is a title, and what to do then."""

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of the columns as the file has them; `columns` are these, but for what `column_keys` does."""
        return self.columns

    @abstractmethod
    def batches(self, rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """The table from its first row on, in batches of at most `rows`, in bounded memory.

        Raises TableError when the file is no longer the one that was opened.
        """

    def lacks_type(self, name: str) -> bool:
        """Whether a column is empty in every row, and of a type that says nothing: answers may have their own there."""
        return False

    def condition(self, where: str, now: datetime | None = None) -> Condition:
        """A SQL condition on this table's columns. Raises ConfigError when it is none; reads no rows.

        `now` is the time that it may ask for; without it, that of this machine.
        """
        return Condition(where, self.schema, now)


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells that a file was changed or replaced between two readings."""

    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """The state of the file at `path` now. Raises OSError."""
        status = os.stat(path)
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)

    def check(self, path: Path) -> None:
        """Raise TableError when the file at `path` is not in this state."""
        if FileState.of(path) != self:
            raise changed(path)


@contextmanager
def rereading(path: Path, state: FileState) -> Iterator[None]:
    """A file that was found sound is read again: what fails now fails because it was changed."""
    with reading(path):
        state.check(path)
        try:
            yield
        except (ValueError, csv.Error, PolarsError):
            state.check(path)
            raise
        state.check(path)


def changed(path: Path) -> TableError:
    """The error for a file that is not the one that was opened."""
    return TableError(
        str(path),
        [Fault("the file was changed while it was being read", hint="run the same command again")],
    )


def table_error(path: Path, faults: list[Fault]) -> TableError:
    """All `faults` in the order of their lines, the first ones in full and the rest counted."""
    ordered = sorted(faults, key=lambda fault: fault.line or 0)
    more = len(ordered) - MAX_FAULTS
    if more > 0:
        ordered = [*ordered[:MAX_FAULTS], Fault(f"and {more} more {'fault' if more == 1 else 'faults'}")]
    return TableError(str(path), ordered)


def column_keys(names: Sequence[str]) -> tuple[str, ...]:
    """Names that tell columns apart: a column without a name, or with one that stands twice, gets its number.

    Behind a NUL character, which is in no name: it can't be named by anyone, and passes through.
    """
    count = Counter(names)
    return tuple(
        name if name.strip() and count[name] == 1 else f"{name}\0{number}" for number, name in enumerate(names, 1)
    )


def name_faults(names: list[str], line: int | None) -> list[Fault]:
    """What is wrong with a table's column names: empty ones and doubles."""
    faults = []
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name.strip():
            faults.append(Fault(f"column {number} has no name", line, hint="give it one in the header"))
        elif name in first:
            message = f"columns {first[name]} and {number} have the same name {name!r}"
            faults.append(Fault(message, line, hint="rename one of them"))
        elif "\0" in name and line is None:  # in text it is found with its line
            faults.append(Fault(f"the name of column {number}, {name!r}, has a NUL character, which no CSV keeps"))
        first.setdefault(name, number)
    return faults
