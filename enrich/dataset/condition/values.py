"""What a part of a condition gives, and how values of each type are made and brought to one type."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from typing import Any, Final, Literal, TypeAlias

import polars as pl

ValueKind: TypeAlias = Literal[
    "truth", "number", "text", "date", "time", "timestamp", "moment", "interval", "null", "other"
]
KIND_WORDS: Final[dict[ValueKind, str]] = {
    "truth": "true or false",
    "number": "a number",
    "text": "text",
    "date": "a date",
    "time": "a time of day",
    "timestamp": "a timestamp",
    "moment": "a timestamp with a time zone",
    "interval": "an interval",
    "null": "NULL",
}
TEMPORAL: Final = ("date", "time", "timestamp", "moment")
TRUTH: Final = pl.Boolean()
INT64: Final = range(-(2**63), 2**63)
WIDE_BITS: Final = 126  # of whole numbers that are counted on in 128 bits
DECIMAL_DIGITS: Final = 38
SHOWN: Final = 40
CAST_HINT: Final = "cells of text are text; TRY_CAST(column AS INT) gives NULL where one is no number"


@dataclass(frozen=True, slots=True)
class Value:
    """What a part of a condition gives: its kind, and how it is calculated.

    `constant` is the value of a literal (numbers as Decimal, truth as bool), None where it is none. `bits` bounds a
    whole number, None where it may have a fraction. `dtype` is polars' own type of a column or a result.
    """

    kind: ValueKind
    expr: pl.Expr
    shown: str
    dtype: pl.DataType
    constant: Any = None
    bits: int | None = None
    at: int = 0

    @property
    def words(self) -> str:
        """What it is, for a message."""
        return KIND_WORDS.get(self.kind, str(self.dtype))


def null_value() -> Value:
    """NULL, of no type yet."""
    return Value("null", pl.lit(None), "NULL", pl.Null())


def truth_of(value: Value) -> pl.Expr:
    """The expression of a truth value or of NULL."""
    return pl.lit(None, TRUTH) if value.kind == "null" else value.expr


def truth_value(expr: pl.Expr) -> Value:
    """An expression as true, false or unknown."""
    return Value("truth", expr, "", TRUTH)


def text_value(expr: pl.Expr) -> Value:
    """An expression as text."""
    return Value("text", expr, "", pl.String())


def text_of(value: Value) -> pl.Expr:
    """The expression of a text or of NULL."""
    return pl.lit(None, pl.String()) if value.kind == "null" else value.expr


def fraction_value(expr: pl.Expr) -> Value:
    """An expression as a number with a fraction; NaN is NULL."""
    return Value("number", expr.fill_nan(None), "", pl.Float64())


def whole_value(expr: pl.Expr, bits: int, dtype: pl.DataType | None = None) -> Value:
    """An expression as a whole number of at most so many bits."""
    return Value("number", expr, "", dtype or pl.Int64(), bits=bits)


def common_value(values: Sequence[Value], expr: pl.Expr) -> Value:
    """A value that is one of several of one type."""
    like = next((value for value in values if value.kind != "null"), null_value())
    bits = [value.bits for value in values if value.bits is not None]
    return replace(like, expr=expr, constant=None, bits=max(bits) if like.bits is not None else None)


def number_value(number: Decimal) -> Value:
    """A number that is written out."""
    if number != number.to_integral_value() or abs(number) >= 2**WIDE_BITS:
        return Value("number", pl.lit(float(number)), "", pl.Float64(), number)
    whole = int(number)
    dtype: pl.DataType = pl.Int64() if whole in INT64 else pl.Int128()
    return Value("number", pl.lit(whole, dtype), "", dtype, number, bits=whole.bit_length())


def of_column(name: str, dtype: pl.DataType) -> Value:
    """A column by its type in the table."""
    column = pl.col(name)
    kind, expr, bits = "other", column, None
    if dtype == pl.String:
        kind = "text"
    elif isinstance(dtype, pl.Categorical | pl.Enum):
        kind, expr, dtype = "text", column.cast(pl.String), pl.String()
    elif dtype == pl.Boolean:
        kind = "truth"
    elif dtype.is_integer():
        kind, bits = "number", _width(dtype)
    elif dtype.is_float():
        kind, expr, dtype = "number", column.cast(pl.Float64).fill_nan(None), pl.Float64()
    elif dtype.is_decimal():
        kind = "number"
    elif dtype == pl.Null:
        kind = "null"
    elif isinstance(dtype, pl.Date | pl.Time):
        kind = "date" if dtype == pl.Date else "time"
    elif isinstance(dtype, pl.Datetime):
        kind = "timestamp" if dtype.time_zone is None else "moment"
    return Value(kind, expr, "", dtype, bits=bits)  # type: ignore[arg-type]


def _width(dtype: pl.DataType) -> int:
    """Bits of the greatest whole number of a type, but for its sign."""
    return int(re.sub(r"\D", "", str(dtype)))


def balanced(parts: Sequence[pl.Expr], operator: Callable[[Any, Any], Any]) -> pl.Expr:
    """Parts joined in pairs, and the pairs in pairs: as flat as can be."""
    parts = list(parts)
    while len(parts) > 1:
        parts = [reduce(operator, parts[n : n + 2]) for n in range(0, len(parts), 2)]
    return parts[0]


def alike(left: Value, right: Value) -> tuple[pl.Expr, pl.Expr]:
    """Two numbers as expressions of one type, without loss where there is such a type."""
    if left.dtype == right.dtype:
        return left.expr, right.expr
    if left.bits is not None and right.bits is not None:
        narrow = left.bits < 64 and right.bits < 64
        dtype: pl.DataType = pl.Int64() if narrow else pl.Int128()
        return left.expr.cast(dtype), right.expr.cast(dtype)
    for column, other in ((left, right), (right, left)):
        if column.dtype.is_decimal() and other.constant is not None:
            literal = format(other.constant, "f")
            if sum(map(str.isdigit, literal)) <= DECIMAL_DIGITS:
                exact = pl.lit(Decimal(literal))
                return (column.expr, exact) if column is left else (exact, column.expr)
    return as_type(left, pl.Float64()).expr, as_type(right, pl.Float64()).expr


def as_type(value: Value, dtype: pl.DataType) -> Value:
    """A number as another type."""
    if value.dtype == dtype:
        return value
    return replace(value, expr=value.expr.cast(dtype), dtype=dtype, bits=value.bits if dtype.is_integer() else None)
