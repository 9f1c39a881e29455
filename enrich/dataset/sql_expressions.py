"""The meaning of a condition: its tree as polars expressions, with the types and the three-valued logic of SQL.

NULL is unknown: a comparison with it is NULL, AND and OR follow Kleene, and only IS says true or false of it. NaN is
NULL, as it is an empty cell wherever else a table is read. Every function gives a result whose size is bounded by its
arguments; what is not here is refused by its name. Whole numbers are exact, `/` gives fractions, and what has no
answer (a division by zero) is NULL. Types are not mixed by guessing: a text beside a number is a fault, but for a
literal beside a date or a time, which is read as one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import reduce
from operator import and_, eq, ge, gt, le, lt, ne, or_
from typing import Any, Final, Literal, NoReturn, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from enrich.dataset.sql_syntax import (
    EXAMPLE,
    ONE_ROW,
    Between,
    Call,
    Case,
    Cast,
    ConditionError,
    Distinct,
    Infix,
    InList,
    IsTest,
    Like,
    Logic,
    Name,
    Node,
    Prefix,
    Typed,
)
from enrich.dataset.sql_syntax import Literal as LiteralNode
from enrich.text.hostile import clean
from enrich.text.phrases import did_you_mean, some

Kind: TypeAlias = Literal["truth", "number", "text", "date", "time", "timestamp", "moment", "interval", "null", "other"]

_WORDS: Final[dict[Kind, str]] = {
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
_TEMPORAL: Final = ("date", "time", "timestamp", "moment")
_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_TRUTH: Final = pl.Boolean()
_INT64: Final = range(-(2**63), 2**63)
_WIDE_BITS: Final = 126  # of whole numbers that are counted on in 128 bits
_DECIMAL_DIGITS: Final = 38
_NS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000}
_DAY_NS: Final = 86_400 * 10**9
_MAX_OR: Final = 200
_MAX_PATTERN: Final = 500
_SHOWN: Final = 40
CAST_HINT: Final = "cells of text are text; TRY_CAST(column AS INT) gives NULL where one is no number"
_AGGREGATES: Final = frozenset(
    {"any_value", "array_agg", "avg", "bool_and", "bool_or", "count", "every", "first", "group_concat", "last", "max"}
    | {"mean", "median", "min", "mode", "quantile", "stddev", "stdev", "string_agg", "sum", "total", "var", "variance"}
)


@dataclass(frozen=True, slots=True)
class Value:
    """What a part of a condition gives: its kind, and how it is calculated.

    `constant` is the value of a literal (numbers as Decimal, truth as bool), None where it is none. `bits` bounds a
    whole number, None where it may have a fraction. `dtype` is polars' own type of a column or a result.
    """

    kind: Kind
    expr: pl.Expr
    shown: str
    dtype: pl.DataType
    constant: Any = None
    bits: int | None = None
    at: int = 0

    @property
    def words(self) -> str:
        """What it is, for a message."""
        return _WORDS.get(self.kind, str(self.dtype))


@dataclass(frozen=True, slots=True)
class StrictCast:
    """A CAST that must succeed in every row: where it fails, and what could not be cast."""

    fails: pl.Expr
    operand: pl.Expr
    shown: str
    type_name: str
    at: int


class Translator:
    """Makes expressions of trees, for tables with the columns `schema`, at the time `now`."""

    def __init__(
        self, text: str, schema: Mapping[str, pl.DataType], find: Callable[[str], str | None], now: datetime
    ) -> None:
        self.columns: dict[str, None] = {}
        """The columns that the condition looks at."""
        self.casts: list[StrictCast] = []
        self._text = text
        self._schema = schema
        self._find = find
        self._now = now

    def condition(self, tree: Node) -> pl.Expr:
        """The expression of a whole condition. Raises ConditionError."""
        value = self.value(tree)
        if value.kind not in ("truth", "null"):
            raise ConditionError(f"it gives {value.words}, not true or false", "compare it with something")
        return _truth(value)

    def value(self, node: Node) -> Value:
        """Any part of it."""
        made: Value = _TRANSLATIONS[type(node)](self, node)
        return replace(made, shown=self._shown(node), at=node.at)

    def _shown(self, node: Node) -> str:
        return clean(self._text[node.at : node.end], _SHOWN)

    # --- leaves

    def _literal(self, node: LiteralNode) -> Value:
        if node.number:
            return _number(Decimal(node.number)) if len(node.number) <= _DECIMAL_DIGITS else _too_long(node)
        if node.value is None:
            return _null()
        if isinstance(node.value, bool):
            return Value("truth", pl.lit(node.value), "", _TRUTH, node.value)
        return Value("text", pl.lit(node.value, pl.String()), "", pl.String(), node.value)

    def _typed(self, node: Typed) -> Value:
        if node.type_name == "INTERVAL":
            return Value("interval", pl.lit(None), "", pl.Duration(), _interval(node))
        kind: Kind = {"DATE": "date", "TIME": "time"}.get(node.type_name, "timestamp")  # type: ignore[assignment]
        return _temporal_constant(kind, _read_temporal(node.text, kind, None, node.at))

    def _name(self, node: Name) -> Value:
        column = self._find(node.name)
        if column is None:
            names = [name for name in self._schema if "\0" not in name]
            hint = did_you_mean(node.name, names) or f"the columns are {some(names)}"
            reason = f'the table has no column "{clean(node.name, 100)}"'
            raise ConditionError(reason, f"{hint} (text values stand in single quotes)", node.at)
        self.columns[column] = None
        return _of_column(column, self._schema[column])

    # --- logic

    def _logic(self, node: Logic) -> Value:
        parts = [self._truth(part, node.operator) for part in node.parts]
        return _truth_value(_balanced(parts, and_ if node.operator == "AND" else or_))

    def _truth(self, node: Node, operator: str) -> pl.Expr:
        value = self.value(node)
        if value.kind not in ("truth", "null"):
            reason = f"{operator} takes true or false, and {value.shown} is {value.words}"
            raise ConditionError(reason, "compare it with something", node.at)
        return _truth(value)

    def _prefix(self, node: Prefix) -> Value:
        if node.operator == "NOT":
            return _truth_value(~self._truth(node.operand, "NOT"))
        value = self._of_kind(node.operand, ("number", "null"), node.operator)
        if value.kind == "null" or node.operator == "+":
            return value
        if value.constant is not None:
            return _number(-value.constant)
        return self._calculated("-", _number(Decimal(0)), value)

    def _is(self, node: IsTest) -> Value:
        if node.what == "NULL":
            value = self.value(node.operand)
            return _truth_value(value.expr.is_not_null() if node.negated else value.expr.is_null())
        truth = self._truth(node.operand, f"IS {node.what}")
        found = {
            "TRUE": truth.fill_null(value=False),
            "FALSE": (~truth).fill_null(value=False),
            "UNKNOWN": truth.is_null(),
        }[node.what]
        return _truth_value(~found if node.negated else found)

    def _distinct(self, node: Distinct) -> Value:
        left, right = self._aligned(self.value(node.left), self.value(node.right), node)
        return _truth_value(left.eq_missing(right) if node.negated else left.ne_missing(right))

    # --- comparisons

    def _infix(self, node: Infix) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if node.operator in _COMPARE:
            return self._compared(node.operator, left, right, node)
        if "null" in (left.kind, right.kind):
            return _null()
        if node.operator == "||":
            return self._joined(node, [left, right])
        if left.kind in ("date", "timestamp", "moment") and node.operator in "+-":
            return _moved(node, left, right)
        for value, part in ((left, node.left), (right, node.right)):
            if value.kind != "number":
                raise self._mismatch(f"{node.operator} takes numbers", value, part.at)
        return self._calculated(node.operator, left, right)

    def _compared(self, operator: str, left: Value, right: Value, node: Node) -> Value:
        if "null" in (left.kind, right.kind):
            self._refuse_other(left, right, node)
            return _null()
        one, other = self._aligned(left, right, node)
        return _truth_value(_COMPARE[operator](one, other))

    def _refuse_other(self, left: Value, right: Value, node: Node) -> None:
        for value in (left, right):
            if value.kind in ("other", "interval"):
                reason = f"{value.shown} is {value.words}, of which a condition can only ask IS NULL"
                raise ConditionError(reason, "compare another column", node.at)

    def _aligned(self, left: Value, right: Value, node: Node) -> tuple[pl.Expr, pl.Expr]:
        """Two values as expressions that can be compared. Raises ConditionError when their types differ."""
        self._refuse_other(left, right, node)
        left, right = _read_as(left, right), _read_as(right, left)
        kinds = {left.kind, right.kind} - {"null"}
        if kinds <= {"date", "timestamp"} and kinds:
            if left.dtype == right.dtype and left.constant is right.constant is None:
                return left.expr, right.expr
            return _nanoseconds(left), _nanoseconds(right)
        if len(kinds) > 1:
            reason = f"{left.shown} is {left.words}, and {right.shown} is {right.words}"
            textual = "text" in kinds and (kinds & {"number", *_TEMPORAL})
            hint = CAST_HINT if "number" in kinds and textual else "compare values of one type, or CAST one of them"
            raise ConditionError(reason, hint, node.at)
        if "number" in kinds and "null" not in (left.kind, right.kind):
            return _alike(left, right)
        if kinds & {"moment", "time"}:
            return _nanoseconds(left), _nanoseconds(right)
        return left.expr, right.expr

    def _in(self, node: InList) -> Value:
        operand = self.value(node.operand)
        items = [self.value(item) for item in node.items]
        some_null = any(item.kind == "null" for item in items)
        listed = [item for item in items if item.kind != "null"]
        found = _truth(_null()) if not listed else self._found(node, operand, listed)
        if some_null:
            found |= pl.lit(None, _TRUTH)
        return _truth_value(~found if node.negated else found)

    def _found(self, node: InList, operand: Value, items: Sequence[Value]) -> pl.Expr:
        constants = [item.constant for item in items]
        if operand.kind == "text" and all(isinstance(constant, str) for constant in constants):
            return operand.expr.is_in(pl.Series(constants, dtype=pl.String).implode())
        whole = operand.bits is not None and operand.bits < _INT64.stop.bit_length()
        if whole and all(item.kind == "number" and item.bits is not None for item in items):
            fitting = [int(constant) for constant in constants if constant is not None and int(constant) in _INT64]
            if None not in constants:
                return operand.expr.cast(pl.Int64).is_in(pl.Series(fitting, dtype=pl.Int64).implode())
        if len(items) > _MAX_OR:
            reason = f"{len(items):,} values in a list, of which at most {_MAX_OR} may be other than text or whole"
            raise ConditionError(reason, "write the list in parts", node.at)
        return _balanced([_truth(self._compared("=", operand, item, node)) for item in items], or_)

    def _between(self, node: Between) -> Value:
        operand, low, high = (self.value(part) for part in (node.operand, node.low, node.high))
        inside = _truth(self._compared(">=", operand, low, node)) & _truth(self._compared("<=", operand, high, node))
        return _truth_value(~inside if node.negated else inside)

    def _like(self, node: Like) -> Value:
        operand = self._of_kind(node.operand, ("text", "null"), "LIKE")
        pattern = self._of_kind(node.pattern, ("text", "null"), "LIKE")
        if "null" in (operand.kind, pattern.kind):
            return _null()
        if pattern.constant is None or len(pattern.constant) > _MAX_PATTERN:
            reason = f"LIKE takes a pattern in quotes, of at most {_MAX_PATTERN} characters"
            raise ConditionError(reason, "contains(column, other) looks for another column's text", node.pattern.at)
        flags = "(?si)" if node.ignores_case else "(?s)"
        found = operand.expr.str.contains(rf"{flags}\A{_regex(pattern.constant, node)}\z")
        return _truth_value(~found if node.negated else found)

    # --- values that are chosen, and types

    def _case(self, node: Case) -> Value:
        operand = None if node.operand is None else self.value(node.operand)
        conditions = []
        for when, _ in node.branches:
            if operand is None:
                conditions.append(self._truth(when, "WHEN"))
            else:
                conditions.append(_truth(self._compared("=", operand, self.value(when), node)))
        values = [self.value(then) for _, then in node.branches]
        values.append(_null() if node.otherwise is None else self.value(node.otherwise))
        *results, result = values = self._unified(values, "CASE", node)
        expr = result.expr
        for condition, chosen in zip(reversed(conditions), reversed(results), strict=True):
            expr = pl.when(condition).then(chosen.expr).otherwise(expr)
        return _result(values, expr)

    def _unified(self, values: Sequence[Value], what: str, node: Node) -> list[Value]:
        """Values that one column can hold. Raises ConditionError."""
        kinds = {value.kind for value in values} - {"null"}
        dtypes = {value.dtype for value in values if value.kind in _TEMPORAL}
        if len(kinds) > 1 or len(dtypes) > 1 or kinds & {"other", "interval"}:
            named = ", ".join(dict.fromkeys(f"{value.shown} is {value.words}" for value in values if value.shown))
            raise ConditionError(f"{what} takes values of one type: {named}", "CAST them to one", node.at)
        if kinds != {"number"}:
            return list(values)
        whole = all(value.bits is not None for value in values if value.kind == "number")
        dtype: pl.DataType = pl.Int128() if whole else pl.Float64()
        return [value if value.kind == "null" else _as_type(value, dtype) for value in values]

    def _cast(self, node: Cast) -> Value:
        operand = self.value(node.operand)
        target = _cast_type(node)
        if operand.kind == "null":
            return replace(_null(), dtype=target)
        made = _casted(operand, target, node)
        if not node.tries:
            fails = operand.expr.is_not_null() & made.expr.is_null()
            self.casts.append(StrictCast(fails, operand.expr, operand.shown, node.type_name, node.at))
        return made

    def _call(self, node: Call) -> Value:
        name = node.function
        if name in _AGGREGATES:
            raise ConditionError(f"{name} counts or sums over rows", ONE_ROW, node.at)
        if name in _NOW:
            return _temporal_constant(*_NOW[name](self._now))
        found = _FUNCTIONS.get(name)
        if found is None:
            known = ", ".join(sorted(_FUNCTIONS))
            hint = did_you_mean(name, _FUNCTIONS) or f"there are {known}"
            raise ConditionError(f'"{clean(name, _SHOWN)}" is no function of a condition', hint, node.at)
        least, most, build = found
        if not least <= len(node.arguments) <= most:
            takes = f"{least}" if least == most else f"{least} to {most}"
            reason = f"{name} takes {takes} argument{'' if takes == '1' else 's'}, and has {len(node.arguments)}"
            raise ConditionError(reason, EXAMPLE, node.at)
        return build(self, node)

    # --- functions

    def _of_kind(self, node: Node, kinds: tuple[Kind, ...], what: str) -> Value:
        value = self.value(node)
        if value.kind not in kinds:
            raise self._mismatch(f"{what} takes {' or '.join(_WORDS[kind] for kind in kinds[:-1])}", value, node.at)
        return value

    def _mismatch(self, expected: str, value: Value, at: int) -> ConditionError:
        hint = CAST_HINT if value.kind == "text" and "number" in expected else "CAST it to that type"
        return ConditionError(f"{expected}, and {value.shown} is {value.words}", hint, at)

    def _text_argument(self, node: Call, place: int) -> Value:
        return self._of_kind(node.arguments[place], ("text", "null"), node.function)

    def _whole(self, node: Call, place: int, least: int) -> int:
        value = self.value(node.arguments[place])
        number = value.constant
        if value.kind != "number" or number is None or value.bits is None or not least <= number < 2**31:
            reason = f"{node.function} takes a whole number from {least} on, and has {value.shown}"
            raise ConditionError(reason, "write the number itself", node.arguments[place].at)
        return int(number)

    def _letters(self, node: Call, change: Callable[[pl.Expr], pl.Expr]) -> Value:
        return _text(change(_string(self._text_argument(node, 0))))

    def _trim(self, node: Call, side: str) -> Value:
        characters = " "
        if len(node.arguments) > 1:
            given = self._text_argument(node, 1)
            if given.constant is None:
                reason = f"{node.function} takes the characters to cut off in quotes"
                raise ConditionError(reason, "such as trim(name, ' .')", node.arguments[1].at)
            characters = given.constant
        text = _string(self._text_argument(node, 0)).str
        strip = {"": text.strip_chars, "l": text.strip_chars_start, "r": text.strip_chars_end}[side]
        return _text(strip(characters) if characters else _string(self._text_argument(node, 0)))

    def _substring(self, node: Call) -> Value:
        start = self._whole(node, 1, 1)
        length = self._whole(node, 2, 0) if len(node.arguments) > 2 else None
        return _text(_string(self._text_argument(node, 0)).str.slice(start - 1, length))

    def _part_of_text(self, node: Call) -> Value:
        count = self._whole(node, 1, 0)
        text = _string(self._text_argument(node, 0)).str
        return _text(text.head(count) if node.function == "left" else text.tail(count))

    def _search(self, node: Call) -> Value:
        text, part = (self._text_argument(node, place) for place in (0, 1))
        if "null" in (text.kind, part.kind):
            return _null()
        if node.function == "contains":
            return _truth_value(text.expr.str.contains(part.expr, literal=True))
        if node.function == "starts_with":
            return _truth_value(text.expr.str.starts_with(part.expr))
        return _truth_value(text.expr.str.ends_with(part.expr))

    def _joined(self, node: Infix, values: Sequence[Value]) -> Value:
        for value, part in zip(values, (node.left, node.right), strict=True):
            if value.kind != "text":
                raise self._mismatch("|| takes text", value, part.at)
        return _text(pl.concat_str([value.expr for value in values]))

    def _concat(self, node: Call) -> Value:
        parts = [_string(self._text_argument(node, place)) for place in range(len(node.arguments))]
        return _text(pl.concat_str(parts, ignore_nulls=True))

    def _first(self, node: Call) -> Value:
        values = self._unified([self.value(argument) for argument in node.arguments], node.function, node)
        return _result(values, pl.coalesce([value.expr for value in values]))

    def _nullif(self, node: Call) -> Value:
        left, right = (self.value(argument) for argument in node.arguments)
        if left.kind == "null":
            return left
        same = _truth(self._compared("=", left, right, node))
        return replace(left, expr=pl.when(same.fill_null(value=False)).then(None).otherwise(left.expr), constant=None)

    def _number_function(self, node: Call) -> Value:
        value = self._of_kind(node.arguments[0], ("number", "null"), node.function)
        if value.kind == "null":
            return value
        if node.function == "sign":
            return _as_whole(value.expr.cast(pl.Float64).sign().cast(pl.Int64), 2)
        if node.function == "abs":
            wide = _as_type(value, pl.Int128()) if value.bits is not None else value
            return replace(wide, expr=wide.expr.abs(), constant=None)
        digits = self._whole(node, 1, 0) if len(node.arguments) > 1 else 0
        if value.bits is not None:
            return value
        number = value.expr.cast(pl.Float64)
        if node.function == "floor":
            return _fraction(number.floor())
        if node.function in ("ceil", "ceiling"):
            return _fraction(number.ceil())
        return _fraction(number.round(min(digits, 20), mode="half_away_from_zero"))

    def _part_of_time(self, node: Call) -> Value:
        value = self._of_kind(node.arguments[0], ("date", "timestamp", "moment", "null"), node.function)
        if value.kind == "null":
            return value
        if value.kind == "date" and node.function in ("hour", "minute", "second"):
            raise self._mismatch(f"{node.function} takes a timestamp", value, node.at)
        return _as_whole(getattr(value.expr.dt, node.function)().cast(pl.Int64), 33)

    def _calculated(self, operator: str, left: Value, right: Value) -> Value:
        """Arithmetic: exact on whole numbers while 128 bits hold the result, else on fractions."""
        bits = _bits(operator, left, right)
        if bits is None:
            one, other = (_as_type(value, pl.Float64()).expr for value in (left, right))
            return _fraction(_ARITHMETIC[operator](one, other))
        one, other = (_as_type(value, pl.Int128()).expr for value in (left, right))
        return _as_whole(_ARITHMETIC[operator](one, other), bits, pl.Int128())


# ---------------------------------------------------------------------- values


def _null() -> Value:
    return Value("null", pl.lit(None), "NULL", pl.Null())


def _truth(value: Value) -> pl.Expr:
    return pl.lit(None, _TRUTH) if value.kind == "null" else value.expr


def _truth_value(expr: pl.Expr) -> Value:
    return Value("truth", expr, "", _TRUTH)


def _text(expr: pl.Expr) -> Value:
    return Value("text", expr, "", pl.String())


def _string(value: Value) -> pl.Expr:
    return pl.lit(None, pl.String()) if value.kind == "null" else value.expr


def _fraction(expr: pl.Expr) -> Value:
    return Value("number", expr.fill_nan(None), "", pl.Float64())


def _as_whole(expr: pl.Expr, bits: int, dtype: pl.DataType | None = None) -> Value:
    return Value("number", expr, "", dtype or pl.Int64(), bits=bits)


def _result(values: Sequence[Value], expr: pl.Expr) -> Value:
    """A value that is one of several of one type."""
    like = next((value for value in values if value.kind != "null"), _null())
    bits = [value.bits for value in values if value.bits is not None]
    return replace(like, expr=expr, constant=None, bits=max(bits) if like.bits is not None else None)


def _number(number: Decimal) -> Value:
    if number != number.to_integral_value() or abs(number) >= 2**_WIDE_BITS:
        return Value("number", pl.lit(float(number)), "", pl.Float64(), number)
    whole = int(number)
    dtype: pl.DataType = pl.Int64() if whole in _INT64 else pl.Int128()
    return Value("number", pl.lit(whole, dtype), "", dtype, number, bits=whole.bit_length())


def _too_long(node: LiteralNode) -> NoReturn:
    raise ConditionError(f"a number of more than {_DECIMAL_DIGITS} digits", "write fewer", node.at)


def _of_column(name: str, dtype: pl.DataType) -> Value:
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


def _balanced(parts: Sequence[pl.Expr], operator: Callable[[Any, Any], Any]) -> pl.Expr:
    """Parts joined in pairs, and the pairs in pairs: as flat as can be."""
    parts = list(parts)
    while len(parts) > 1:
        parts = [reduce(operator, parts[n : n + 2]) for n in range(0, len(parts), 2)]
    return parts[0]


# ---------------------------------------------------------------------- numbers


def _alike(left: Value, right: Value) -> tuple[pl.Expr, pl.Expr]:
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
            if sum(map(str.isdigit, literal)) <= _DECIMAL_DIGITS:
                exact = pl.lit(Decimal(literal))
                return (column.expr, exact) if column is left else (exact, column.expr)
    return _as_type(left, pl.Float64()).expr, _as_type(right, pl.Float64()).expr


def _as_type(value: Value, dtype: pl.DataType) -> Value:
    if value.dtype == dtype:
        return value
    return replace(value, expr=value.expr.cast(dtype), dtype=dtype, bits=value.bits if dtype.is_integer() else None)


def _bits(operator: str, left: Value, right: Value) -> int | None:
    """How wide a whole result may be; None where it is a fraction, or may be wider than can be counted on."""
    if left.bits is None or right.bits is None or operator == "/":
        return None
    bits = {
        "+": max(left.bits, right.bits) + 1,
        "-": max(left.bits, right.bits) + 1,
        "*": left.bits + right.bits,
        "%": max(left.bits, right.bits),
    }[operator]
    return bits if bits <= _WIDE_BITS else None


def _remainder(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """What is left of a division; it has the sign of what is divided."""
    size = left.abs() % _nonzero(right).abs()
    return pl.when(left < 0).then(size * -1).otherwise(size)


def _nonzero(expr: pl.Expr) -> pl.Expr:
    return pl.when(expr != 0).then(expr)


_ARITHMETIC: Final[dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / _nonzero(right),
    "%": _remainder,
}


# ---------------------------------------------------------------------- text


def _regex(pattern: str, node: Like) -> str:
    parts = []
    characters = iter(pattern)
    for character in characters:
        if character == node.escape:
            escaped = next(characters, None)
            if escaped is None:
                raise ConditionError("the pattern ends with its escape character", EXAMPLE, node.pattern.at)
            parts.append(re.escape(escaped))
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return "".join(parts)


# ---------------------------------------------------------------------- dates and times


def _temporal_constant(kind: Kind, value: date | time) -> Value:
    dtype: pl.DataType = {"date": pl.Date(), "time": pl.Time(), "timestamp": pl.Datetime("us")}.get(
        kind, pl.Datetime("us", "UTC")
    )
    return Value(kind, pl.lit(value, dtype), "", dtype, value)


def _read_as(value: Value, like: Value) -> Value:
    """A text in quotes beside a date or a time, read as one."""
    if like.kind not in _TEMPORAL or not isinstance(value.constant, str):
        return value
    kind, zone = like.kind, None
    if kind == "moment":
        zone = _zone(like.dtype)
    elif kind == "date" and len(value.constant.strip()) > len("2024-12-31"):
        kind = "timestamp"
    return replace(_temporal_constant(kind, _read_temporal(value.constant, kind, zone, value.at)), shown=value.shown)


def _zone(dtype: pl.DataType) -> tzinfo:
    name = getattr(dtype, "time_zone", None) or "UTC"
    if match := re.fullmatch(r"([+-])(\d\d):?(\d\d)", name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        reason = f"the time zone {name} is not known here"
        raise ConditionError(reason, "write an offset, such as '2024-12-31T12:00:00+01:00'") from None


_FORMS: Final[dict[str, str]] = {
    "date": "a date such as '2024-12-31'",
    "time": "a time such as '23:59:00'",
    "timestamp": "a timestamp such as '2024-12-31 23:59:00'",
    "moment": "a timestamp such as '2024-12-31 23:59:00'",
}


def _read_temporal(text: str, kind: Kind, zone: tzinfo | None, at: int) -> date | time:
    """A text as a date, time, timestamp, or moment (a time without an offset is one of `zone`)."""
    try:
        if kind == "date":
            return date.fromisoformat(text.strip())
        if kind == "time":
            return time.fromisoformat(text.strip())
        found = datetime.fromisoformat(text.strip())
        if zone is not None:
            return found.replace(tzinfo=found.tzinfo or zone).astimezone(UTC)
        if found.tzinfo is None:
            return found
    except (ValueError, OverflowError):
        pass
    raise ConditionError(f"'{clean(text, _SHOWN)}' is not {_FORMS[kind]}", "write it in this form", at)


def _nanoseconds(value: Value) -> pl.Expr:
    """Since 1970, or since midnight; 128 bits, so that none of any unit is lost."""
    if value.constant is not None:
        return pl.lit(_ns_of(value.constant), pl.Int128())
    if value.kind == "null":
        return pl.lit(None, pl.Int128())
    if value.dtype == pl.Date:
        return value.expr.cast(pl.Int32).cast(pl.Int128) * _DAY_NS
    factor = 1 if value.dtype == pl.Time else _NS[value.dtype.time_unit]  # type: ignore[attr-defined]
    return value.expr.cast(pl.Int64).cast(pl.Int128) * factor


def _ns_of(value: date | time) -> int:
    if isinstance(value, time):
        whole = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
        return (whole // timedelta(microseconds=1)) * 1_000
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 (dates have no zone)
    epoch = datetime(1970, 1, 1, tzinfo=None if value.tzinfo is None else UTC)
    return ((value - epoch) // timedelta(microseconds=1)) * 1_000


_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_INTERVAL: Final = re.compile(r"\s*([+-]?\d{1,9})\s+(second|minute|hour|day|week|month|year)s?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Interval:
    months: int = 0
    seconds: int = 0

    def __neg__(self) -> "_Interval":
        return _Interval(-self.months, -self.seconds)


def _interval(node: Typed) -> _Interval:
    match = _INTERVAL.fullmatch(node.text)
    if match is None:
        raise ConditionError(f"'{clean(node.text, _SHOWN)}' is no interval", "write INTERVAL '30 days'", node.at)
    count, unit = int(match[1]), match[2].lower()
    if unit in ("month", "year"):
        return _Interval(months=count * (12 if unit == "year" else 1))
    return _Interval(seconds=count * _UNITS[unit])


def _moved(node: Infix, left: Value, right: Value) -> Value:
    """A date or timestamp that is written out or is now, before or after an interval."""
    interval = right.constant
    if right.kind == "number" and left.kind == "date" and right.bits is not None and interval is not None:
        interval = _Interval(seconds=int(interval) * 86_400)
    if left.constant is None or not isinstance(interval, _Interval):
        reason = f"{node.operator} moves a date that is written out, or now, by an interval that is written out"
        raise ConditionError(reason, "compare the column with CURRENT_DATE - INTERVAL '30 days'", node.at)
    try:
        return _temporal_constant(left.kind, _shifted(left.constant, -interval if node.operator == "-" else interval))
    except (ValueError, OverflowError):
        raise ConditionError("the date is out of range", "years are 1 to 9999", node.at) from None


def _shifted(start: date, interval: _Interval) -> date:
    month = start.year * 12 + start.month - 1 + interval.months
    year, month = month // 12, month % 12 + 1
    last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day if year < 9999 or month < 12 else 31
    moved = start.replace(year=year, month=month, day=min(start.day, last))
    return moved + timedelta(seconds=interval.seconds)


_NOW: Final[dict[str, Callable[[datetime], tuple[Kind, date]]]] = {
    "current_date": lambda now: ("date", now.date()),
    "today": lambda now: ("date", now.date()),
    "current_timestamp": lambda now: ("moment", now),
    "now": lambda now: ("moment", now),
    "localtimestamp": lambda now: ("timestamp", now.replace(tzinfo=None)),
}


# ---------------------------------------------------------------------- casts

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


def _cast_type(node: Cast) -> pl.DataType:
    if node.type_name in ("DECIMAL", "NUMERIC"):
        digits, scale = (*node.sizes, 0)[:2] if node.sizes else (0, 0)
        if not 1 <= digits <= _DECIMAL_DIGITS or scale > digits:
            reason = f"{node.type_name} takes its digits, and how many of them are behind the point"
            raise ConditionError(reason, f"such as {node.type_name}(18, 2)", node.at)
        return pl.Decimal(digits, scale)
    if node.sizes:
        raise ConditionError(f"{node.type_name} takes no size here", f"write {node.type_name}", node.at)
    found = _TYPES.get(node.type_name)
    if found is None:
        reason = f'there is no type "{clean(node.type_name, _SHOWN)}" to cast to'
        raise ConditionError(reason, f"there are {', '.join((*_TYPES, 'DECIMAL(18, 2)'))}", node.at)
    return found


def _casted(value: Value, target: pl.DataType, node: Cast) -> Value:
    """A value as another type, NULL where it can't be one."""
    like = _of_column("", target)
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
    if value.kind in _TEMPORAL:
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


# ---------------------------------------------------------------------- the tables of what there is

Build: TypeAlias = Callable[[Translator, Call], Value]
_FUNCTIONS: Final[dict[str, tuple[int, int, Build]]] = {
    "lower": (1, 1, lambda t, node: t._letters(node, lambda text: text.str.to_lowercase())),
    "upper": (1, 1, lambda t, node: t._letters(node, lambda text: text.str.to_uppercase())),
    **dict.fromkeys(("trim", "btrim"), (1, 2, lambda t, node: t._trim(node, ""))),
    "ltrim": (1, 2, lambda t, node: t._trim(node, "l")),
    "rtrim": (1, 2, lambda t, node: t._trim(node, "r")),
    **dict.fromkeys(
        ("length", "char_length", "character_length", "len"),
        (1, 1, lambda t, node: _as_whole(_string(t._text_argument(node, 0)).str.len_chars().cast(pl.Int64), 33)),
    ),
    **dict.fromkeys(("substr", "substring"), (2, 3, Translator._substring)),
    **dict.fromkeys(("left", "right"), (2, 2, Translator._part_of_text)),
    **dict.fromkeys(("starts_with", "ends_with", "contains"), (2, 2, Translator._search)),
    "concat": (1, 50, Translator._concat),
    "coalesce": (1, 50, Translator._first),
    "ifnull": (2, 2, Translator._first),
    "nullif": (2, 2, Translator._nullif),
    "round": (1, 2, Translator._number_function),
    **dict.fromkeys(("abs", "floor", "ceil", "ceiling", "sign"), (1, 1, Translator._number_function)),
    **dict.fromkeys(("year", "month", "day", "hour", "minute", "second"), (1, 1, Translator._part_of_time)),
}
FUNCTIONS: Final = tuple(sorted(_FUNCTIONS))
"""The functions that a condition may call."""

_TRANSLATIONS: Final[dict[type, Callable[[Translator, Any], Value]]] = {
    LiteralNode: Translator._literal,
    Typed: Translator._typed,
    Name: Translator._name,
    Logic: Translator._logic,
    Prefix: Translator._prefix,
    Infix: Translator._infix,
    IsTest: Translator._is,
    Distinct: Translator._distinct,
    InList: Translator._in,
    Between: Translator._between,
    Like: Translator._like,
    Case: Translator._case,
    Cast: Translator._cast,
    Call: Translator._call,
}
