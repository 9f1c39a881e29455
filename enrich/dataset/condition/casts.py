"""CAST, TRY_CAST and `::`: a value as another type."""

from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from enrich.dataset.condition.nodes import Cast, ConditionError
from enrich.dataset.condition.values import DECIMAL_DIGITS, SHOWN, TEMPORAL, Value, of_column
from enrich.text.hostile import clean


@dataclass(frozen=True, slots=True)
class StrictCast:
    """A CAST that must succeed in every row: where it fails, and what could not be cast."""

    fails: pl.Expr
    operand: pl.Expr
    shown: str
    type_name: str
    at: int


_TYPES: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(("TEXT", "VARCHAR", "CHAR", "STRING"), pl.String()),
    **dict.fromkeys(("INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "INT2", "INT4", "INT8"), pl.Int64()),
    **dict.fromkeys(("DOUBLE", "FLOAT", "REAL", "FLOAT4", "FLOAT8"), pl.Float64()),
    **dict.fromkeys(("BOOLEAN", "BOOL"), pl.Boolean()),
    **dict.fromkeys(("TIMESTAMP", "DATETIME"), pl.Datetime("us")),
    "DATE": pl.Date(),
    "TIME": pl.Time(),
}
_INT_TEXT: Final = r"\A[+-]?[0-9]+\z"
_FLOAT_TEXT: Final = r"\A[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\z"
_DATE_TEXT: Final = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\z"


def cast_type(node: Cast) -> pl.DataType:
    """The type to cast to. Raises ConditionError for one that there is not."""
    if node.type_name in ("DECIMAL", "NUMERIC"):
        digits, scale = (*node.sizes, 0)[:2] if node.sizes else (0, 0)
        if not 1 <= digits <= DECIMAL_DIGITS or scale > digits:
            reason = f"{node.type_name} takes its digits, and how many of them are behind the point"
            raise ConditionError(reason, f"such as {node.type_name}(18, 2)", node.at)
        return pl.Decimal(digits, scale)
    if node.sizes:
        raise ConditionError(f"{node.type_name} takes no size here", f"write {node.type_name}", node.at)
    found = _TYPES.get(node.type_name)
    if found is None:
        reason = f'there is no type "{clean(node.type_name, SHOWN)}" to cast to'
        raise ConditionError(reason, f"there are {', '.join((*_TYPES, 'DECIMAL(18, 2)'))}", node.at)
    return found


def casted(value: Value, target: pl.DataType, node: Cast) -> Value:
    """A value as another type, NULL where it can't be one."""
    like = of_column("", target)
    expr: pl.Expr | None = None
    if value.kind == "text":
        expr = _from_text(value.expr.str.strip_chars(), value.expr, target)
    elif target == pl.String:
        expr = _to_text(value)
    elif value.kind == "number" and (target.is_numeric() or target == pl.Boolean):
        expr = value.expr != 0 if target == pl.Boolean else value.expr.cast(target, strict=False)
    elif value.kind == "truth" and (target.is_integer() or target == pl.Boolean):
        expr = value.expr.cast(target)
    elif value.kind in ("timestamp", "moment") and target in (pl.Date, pl.Time):
        expr = value.expr.dt.date() if target == pl.Date else value.expr.dt.time()
    elif value.kind == "moment" and target == pl.Datetime:
        expr = value.expr.dt.replace_time_zone(None).cast(target)
    elif (
        value.kind in ("date", "timestamp", "time") and like.kind in ("timestamp", value.kind) and value.kind != "time"
    ):
        expr = value.expr.cast(target)
    elif value.dtype == target:
        expr = value.expr
    if expr is None:
        reason = f"{value.shown} is {value.words}, which is never {node.type_name}"
        raise ConditionError(reason, "cast it to TEXT first", node.at)
    return replace(like, expr=expr)


def _to_text(value: Value) -> pl.Expr | None:
    if value.kind in TEMPORAL:
        return value.expr.dt.to_string("iso:strict")
    return value.expr.cast(pl.String) if value.kind in ("number", "truth") else None


def _from_text(text: pl.Expr, whole: pl.Expr, target: pl.DataType) -> pl.Expr:
    if target == pl.String:
        return whole
    if target.is_integer():
        return _where(text.str.contains(_INT_TEXT), text).cast(target, strict=False)
    if target.is_float():
        return _where(text.str.contains(_FLOAT_TEXT), text).cast(target, strict=False).fill_nan(None)
    if target.is_decimal():
        return _where(text.str.contains(_FLOAT_TEXT), text).cast(target, strict=False)
    if target == pl.Boolean:
        low = text.str.to_lowercase()
        yes, no = (
            pl.Series(words).implode() for words in (["true", "t", "yes", "y", "1"], ["false", "f", "no", "n", "0"])
        )
        return pl.when(low.is_in(yes)).then(pl.lit(value=True)).when(low.is_in(no)).then(pl.lit(value=False))
    if target == pl.Date:
        return _where(text.str.contains(_DATE_TEXT), text).str.to_date("%Y-%m-%d", strict=False)
    if target == pl.Time:
        padded = pl.when(text.str.contains(r"\A[0-9]{2}:[0-9]{2}\z")).then(text + ":00").otherwise(text)
        return padded.str.to_time("%H:%M:%S%.f", strict=False)
    spaced = text.str.replace("T", " ", literal=True)
    full = (
        pl.when(spaced.str.contains(_DATE_TEXT))
        .then(spaced + " 00:00:00")
        .when(spaced.str.contains(r"\A\S{10} [0-9]{2}:[0-9]{2}\z"))
        .then(spaced + ":00")
        .otherwise(spaced)
    )
    return full.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")


def _where(condition: pl.Expr, expr: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(expr)
