"""The functions that a condition may call, each with a result whose size its arguments bound."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from enrich.dataset.condition.nodes import Call, ConditionError
from enrich.dataset.condition.values import (
    Value,
    as_type,
    common_value,
    fraction_value,
    null_value,
    text_of,
    text_value,
    truth_of,
    truth_value,
    whole_value,
)

if TYPE_CHECKING:
    from enrich.dataset.condition.translation import Translator

AGGREGATES: Final = frozenset(
    {"any_value", "array_agg", "avg", "bool_and", "bool_or", "count", "every", "first", "group_concat", "last", "max"}
    | {"mean", "median", "min", "mode", "quantile", "stddev", "stdev", "string_agg", "sum", "total", "var", "variance"}
)


def _text_argument(t: "Translator", node: Call, place: int) -> Value:
    return t.of_kind(node.arguments[place], ("text", "null"), node.function)


def _whole(t: "Translator", node: Call, place: int, least: int) -> int:
    value = t.value(node.arguments[place])
    number = value.constant
    if value.kind != "number" or number is None or value.bits is None or not least <= number < 2**31:
        reason = f"{node.function} takes a whole number from {least} on, and has {value.shown}"
        raise ConditionError(reason, "write the number itself", node.arguments[place].at)
    return int(number)


def _letters(t: "Translator", node: Call, change: Callable[[pl.Expr], pl.Expr]) -> Value:
    return text_value(change(text_of(_text_argument(t, node, 0))))


def _trim(t: "Translator", node: Call, side: str) -> Value:
    characters = " "
    if len(node.arguments) > 1:
        given = _text_argument(t, node, 1)
        if given.constant is None:
            reason = f"{node.function} takes the characters to cut off in quotes"
            raise ConditionError(reason, "such as trim(name, ' .')", node.arguments[1].at)
        characters = given.constant
    text = text_of(_text_argument(t, node, 0)).str
    strip = {"": text.strip_chars, "l": text.strip_chars_start, "r": text.strip_chars_end}[side]
    return text_value(strip(characters) if characters else text_of(_text_argument(t, node, 0)))


def _substring(t: "Translator", node: Call) -> Value:
    start = _whole(t, node, 1, 1)
    length = _whole(t, node, 2, 0) if len(node.arguments) > 2 else None
    return text_value(text_of(_text_argument(t, node, 0)).str.slice(start - 1, length))


def _part_of_text(t: "Translator", node: Call) -> Value:
    count = _whole(t, node, 1, 0)
    text = text_of(_text_argument(t, node, 0)).str
    return text_value(text.head(count) if node.function == "left" else text.tail(count))


def _search(t: "Translator", node: Call) -> Value:
    text, part = (_text_argument(t, node, place) for place in (0, 1))
    if "null" in (text.kind, part.kind):
        return null_value()
    if node.function == "contains":
        return truth_value(text.expr.str.contains(part.expr, literal=True))
    if node.function == "starts_with":
        return truth_value(text.expr.str.starts_with(part.expr))
    return truth_value(text.expr.str.ends_with(part.expr))


def _concat(t: "Translator", node: Call) -> Value:
    parts = [text_of(_text_argument(t, node, place)) for place in range(len(node.arguments))]
    return text_value(pl.concat_str(parts, ignore_nulls=True))


def _first(t: "Translator", node: Call) -> Value:
    values = t.unified([t.value(argument) for argument in node.arguments], node.function, node)
    return common_value(values, pl.coalesce([value.expr for value in values]))


def _nullif(t: "Translator", node: Call) -> Value:
    left, right = (t.value(argument) for argument in node.arguments)
    if left.kind == "null":
        return left
    same = truth_of(t.compared("=", left, right, node))
    return replace(left, expr=pl.when(same.fill_null(value=False)).then(None).otherwise(left.expr), constant=None)


def _number_function(t: "Translator", node: Call) -> Value:
    value = t.of_kind(node.arguments[0], ("number", "null"), node.function)
    if value.kind == "null":
        return value
    if node.function == "sign":
        return whole_value(value.expr.cast(pl.Float64).sign().cast(pl.Int64), 2)
    if node.function == "abs":
        wide = as_type(value, pl.Int128()) if value.bits is not None else value
        return replace(wide, expr=wide.expr.abs(), constant=None)
    digits = _whole(t, node, 1, 0) if len(node.arguments) > 1 else 0
    if value.bits is not None:
        return value
    number = value.expr.cast(pl.Float64)
    if node.function == "floor":
        return fraction_value(number.floor())
    if node.function in ("ceil", "ceiling"):
        return fraction_value(number.ceil())
    return fraction_value(number.round(min(digits, 20), mode="half_away_from_zero"))


def _part_of_time(t: "Translator", node: Call) -> Value:
    value = t.of_kind(node.arguments[0], ("date", "timestamp", "moment", "null"), node.function)
    if value.kind == "null":
        return value
    if value.kind == "date" and node.function in ("hour", "minute", "second"):
        raise t.mismatch(f"{node.function} takes a timestamp", value, node.at)
    return whole_value(getattr(value.expr.dt, node.function)().cast(pl.Int64), 33)


Build: TypeAlias = "Callable[[Translator, Call], Value]"
KNOWN_FUNCTIONS: Final[dict[str, tuple[int, int, Build]]] = {
    "lower": (1, 1, lambda t, node: _letters(t, node, lambda text: text.str.to_lowercase())),
    "upper": (1, 1, lambda t, node: _letters(t, node, lambda text: text.str.to_uppercase())),
    **dict.fromkeys(("trim", "btrim"), (1, 2, lambda t, node: _trim(t, node, ""))),
    "ltrim": (1, 2, lambda t, node: _trim(t, node, "l")),
    "rtrim": (1, 2, lambda t, node: _trim(t, node, "r")),
    **dict.fromkeys(
        ("length", "char_length", "character_length", "len"),
        (1, 1, lambda t, node: whole_value(text_of(_text_argument(t, node, 0)).str.len_chars().cast(pl.Int64), 33)),
    ),
    **dict.fromkeys(("substr", "substring"), (2, 3, _substring)),
    **dict.fromkeys(("left", "right"), (2, 2, _part_of_text)),
    **dict.fromkeys(("starts_with", "ends_with", "contains"), (2, 2, _search)),
    "concat": (1, 50, _concat),
    "coalesce": (1, 50, _first),
    "ifnull": (2, 2, _first),
    "nullif": (2, 2, _nullif),
    "round": (1, 2, _number_function),
    **dict.fromkeys(("abs", "floor", "ceil", "ceiling", "sign"), (1, 1, _number_function)),
    **dict.fromkeys(("year", "month", "day", "hour", "minute", "second"), (1, 1, _part_of_time)),
}
FUNCTIONS: Final = tuple(sorted(KNOWN_FUNCTIONS))
"""The functions that a condition may call."""
