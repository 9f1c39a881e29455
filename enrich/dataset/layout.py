"""Which columns an output has, in order, and where each cell comes from: the table or an answer."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from enrich.dataset.arrow import ArrowTable
from enrich.dataset.cells import text_cells
from enrich.dataset.ndjson import NdjsonTable
from enrich.dataset.tables import Batch, Table
from enrich.errors import OutputError
from enrich.spec.canonical import normal_text
from enrich.spec.columns import AnswerColumn


class Layout:
    """The columns of an output."""

    def __init__(self, table: Table, columns: Sequence[AnswerColumn]) -> None:
        """Raises OutputError when answers can't have the type of the column that they go into."""
        self.table = table
        self.columns = {column.name: column for column in columns}
        self.replaced = [column.name for column in columns if column.replaces]
        self.added = [column.name for column in columns if not column.replaces]
        self.names = (*table.columns, *self.added)
        self.headers = (*table.headers, *self.added)
        if not set(self.replaced) <= set(table.columns) or len(set(self.names)) < len(self.names):
            raise ValueError(f"columns {list(self.columns)} do not fit a table of {table.columns}")
        misfits = [column for column in columns if column.replaces and not _fits(column, table)]
        self.retyped = frozenset(column.name for column in misfits if table.lacks_type(column.name))
        for column in misfits:
            if column.name not in self.retyped:
                raise OutputError(
                    f"{table.path}: column {column.name!r} is {_own_type(column.name, table)}, which can't hold "
                    f"answers that are {column.dtype}; give it a type that can, or rename the answer"
                )

    def dtype(self, name: str) -> pl.DataType:
        """The type of a column of the output."""
        column = self.columns.get(name)
        if column is None or (column.replaces and name not in self.retyped):
            return self.table.schema[name]
        return column.dtype

    def typed(self, answers: pl.DataFrame) -> pl.DataFrame:
        """The answers with the types of their columns. Raises OutputError for one that does not fit."""
        if isinstance(self.table, NdjsonTable):  # a value of any type can stand at any key
            return answers.select(pl.col(name).cast(column.dtype) for name, column in self.columns.items())
        return pl.DataFrame([self._typed(answers[name]) for name in self.columns])

    def kept(self, name: str, answers: pl.DataFrame) -> pl.Series | None:
        """Whether the original cell stays, row by row; None for a column of answers alone."""
        return answers[name].is_null() if self.columns[name].replaces and name not in self.retyped else None

    def joined(self, name: str, batch: Batch, answers: pl.DataFrame) -> pl.Series:
        """A column of the output, as polars has it."""
        if name not in answers.columns:
            return batch.column(name)
        kept = self.kept(name, answers)
        return answers[name] if kept is None else batch.column(name).zip_with(kept, self._typed(answers[name]))

    def _typed(self, column: pl.Series) -> pl.Series:
        dtype = self.dtype(column.name)
        if dtype == pl.String:
            return text_cells(column)
        try:
            return column.cast(dtype)
        except PolarsError as error:
            raise OutputError(
                f"{self.table.path}: column {column.name!r} is {dtype} and can't hold an answer; "
                "name the answer otherwise"
            ) from error


def is_empty(value: Any) -> bool:
    """Whether a cell holds nothing to keep: null, nothing that can be seen, or NaN."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not normal_text(value))


def _fits(answer: AnswerColumn, table: Table) -> bool:
    dtype = table.schema[answer.name]
    if isinstance(table, ArrowTable) and not table.takes_answers(answer.name):
        return False
    return dtype in (pl.String, answer.dtype) or (answer.dtype.is_integer() and dtype.is_numeric())


def _own_type(name: str, table: Table) -> str:
    if isinstance(table, ArrowTable) and not table.takes_answers(name):
        return str(table.arrow_schema.field(name).type)
    return str(table.schema[name])
