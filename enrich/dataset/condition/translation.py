"""The meaning of a condition: its tree as polars expressions, with the types and the three-valued logic of SQL.

NULL is unknown: a comparison with it is NULL, AND and OR follow Kleene, and only IS says true or false of it. NaN is
NULL, as it is an empty cell wherever else a table is read. Every function gives a result whose size is bounded by its
arguments; what is not here is refused by its name. Whole numbers are exact, `/` gives fractions, and what has no
answer (a division by zero) is NULL. Types are not mixed by guessing: a text beside a number is a fault, but for a
literal beside a date or a time, which is read as one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from operator import and_, eq, ge, gt, le, lt, ne, or_
from typing import Any, Final, NoReturn

import polars as pl

from enrich.dataset.condition.arithmetic import calculated
from enrich.dataset.condition.casts import StrictCast, cast_type, casted
from enrich.dataset.condition.functions import AGGREGATES, KNOWN_FUNCTIONS
from enrich.dataset.condition.nodes import (
    EXAMPLE,
    ONE_ROW,
    Between,
    Call,
    Case,
    Cast,
    ConditionError,
    DistinctFrom,
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
from enrich.dataset.condition.nodes import Literal as LiteralNode
from enrich.dataset.condition.temporal import (
    MOMENTS,
    moved,
    nanoseconds,
    read_as,
    read_interval,
    read_temporal,
    temporal_constant,
)
from enrich.dataset.condition.values import (
    CAST_HINT,
    DECIMAL_DIGITS,
    INT64,
    KIND_WORDS,
    SHOWN,
    TEMPORAL,
    TRUTH,
    Value,
    ValueKind,
    alike,
    as_type,
    balanced,
    common_value,
    null_value,
    number_value,
    of_column,
    text_value,
    truth_of,
    truth_value,
)
from enrich.text.hostile import clean
from enrich.text.phrases import did_you_mean, some

_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_MAX_OR: Final = 200
_MAX_PATTERN: Final = 500


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
        return truth_of(value)

    def value(self, node: Node) -> Value:
        """Any part of it."""
        made: Value = _TRANSLATIONS[type(node)](self, node)
        return replace(made, shown=self._shown(node), at=node.at)

    def _shown(self, node: Node) -> str:
        return clean(self._text[node.at : node.end], SHOWN)

    # --- leaves

    def _literal(self, node: LiteralNode) -> Value:
        if node.number:
            return number_value(Decimal(node.number)) if len(node.number) <= DECIMAL_DIGITS else _too_long(node)
        if node.value is None:
            return null_value()
        if isinstance(node.value, bool):
            return Value("truth", pl.lit(node.value), "", TRUTH, node.value)
        return Value("text", pl.lit(node.value, pl.String()), "", pl.String(), node.value)

    def _typed(self, node: Typed) -> Value:
        if node.type_name == "INTERVAL":
            return Value("interval", pl.lit(None), "", pl.Duration(), read_interval(node))
        kind: ValueKind = {"DATE": "date", "TIME": "time"}.get(node.type_name, "timestamp")  # type: ignore[assignment]
        return temporal_constant(kind, read_temporal(node.text, kind, None, node.at))

    def _name(self, node: Name) -> Value:
        column = self._find(node.name)
        if column is None:
            names = [name for name in self._schema if "\0" not in name]
            hint = did_you_mean(node.name, names) or f"the columns are {some(names)}"
            reason = f'the table has no column "{clean(node.name, 100)}"'
            raise ConditionError(reason, f"{hint} (text values stand in single quotes)", node.at)
        self.columns[column] = None
        return of_column(column, self._schema[column])

    # --- logic

    def _logic(self, node: Logic) -> Value:
        parts = [self._truth(part, node.operator) for part in node.parts]
        return truth_value(balanced(parts, and_ if node.operator == "AND" else or_))

    def _truth(self, node: Node, operator: str) -> pl.Expr:
        value = self.value(node)
        if value.kind not in ("truth", "null"):
            reason = f"{operator} takes true or false, and {value.shown} is {value.words}"
            raise ConditionError(reason, "compare it with something", node.at)
        return truth_of(value)

    def _prefix(self, node: Prefix) -> Value:
        if node.operator == "NOT":
            return truth_value(~self._truth(node.operand, "NOT"))
        value = self.of_kind(node.operand, ("number", "null"), node.operator)
        if value.kind == "null" or node.operator == "+":
            return value
        if value.constant is not None:
            return number_value(-value.constant)
        return calculated("-", number_value(Decimal(0)), value)

    def _is(self, node: IsTest) -> Value:
        if node.what == "NULL":
            value = self.value(node.operand)
            return truth_value(value.expr.is_not_null() if node.negated else value.expr.is_null())
        truth = self._truth(node.operand, f"IS {node.what}")
        found = {
            "TRUE": truth.fill_null(value=False),
            "FALSE": (~truth).fill_null(value=False),
            "UNKNOWN": truth.is_null(),
        }[node.what]
        return truth_value(~found if node.negated else found)

    def _distinct(self, node: DistinctFrom) -> Value:
        left, right = self._aligned(self.value(node.left), self.value(node.right), node)
        return truth_value(left.eq_missing(right) if node.negated else left.ne_missing(right))

    # --- comparisons

    def _infix(self, node: Infix) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if node.operator in _COMPARE:
            return self.compared(node.operator, left, right, node)
        if "null" in (left.kind, right.kind):
            return null_value()
        if node.operator == "||":
            return self._joined(node, [left, right])
        if left.kind in ("date", "timestamp", "moment") and node.operator in "+-":
            return moved(node, left, right)
        for value, part in ((left, node.left), (right, node.right)):
            if value.kind != "number":
                raise self.mismatch(f"{node.operator} takes numbers", value, part.at)
        return calculated(node.operator, left, right)

    def compared(self, operator: str, left: Value, right: Value, node: Node) -> Value:
        if "null" in (left.kind, right.kind):
            self._refuse_other(left, right, node)
            return null_value()
        one, other = self._aligned(left, right, node)
        return truth_value(_COMPARE[operator](one, other))

    def _refuse_other(self, left: Value, right: Value, node: Node) -> None:
        for value in (left, right):
            if value.kind in ("other", "interval"):
                reason = f"{value.shown} is {value.words}, of which a condition can only ask IS NULL"
                raise ConditionError(reason, "compare another column", node.at)

    def _aligned(self, left: Value, right: Value, node: Node) -> tuple[pl.Expr, pl.Expr]:
        """Two values as expressions that can be compared. Raises ConditionError when their types differ."""
        self._refuse_other(left, right, node)
        left, right = read_as(left, right), read_as(right, left)
        kinds = {left.kind, right.kind} - {"null"}
        if kinds <= {"date", "timestamp"} and kinds:
            if left.dtype == right.dtype and left.constant is right.constant is None:
                return left.expr, right.expr
            return nanoseconds(left), nanoseconds(right)
        if len(kinds) > 1:
            reason = f"{left.shown} is {left.words}, and {right.shown} is {right.words}"
            textual = "text" in kinds and (kinds & {"number", *TEMPORAL})
            hint = CAST_HINT if "number" in kinds and textual else "compare values of one type, or CAST one of them"
            raise ConditionError(reason, hint, node.at)
        if "number" in kinds and "null" not in (left.kind, right.kind):
            return alike(left, right)
        if kinds & {"moment", "time"}:
            return nanoseconds(left), nanoseconds(right)
        return left.expr, right.expr

    def _in(self, node: InList) -> Value:
        operand = self.value(node.operand)
        items = [self.value(item) for item in node.items]
        some_null = any(item.kind == "null" for item in items)
        listed = [item for item in items if item.kind != "null"]
        found = truth_of(null_value()) if not listed else self._found(node, operand, listed)
        if some_null:
            found |= pl.lit(None, TRUTH)
        return truth_value(~found if node.negated else found)

    def _found(self, node: InList, operand: Value, items: Sequence[Value]) -> pl.Expr:
        constants = [item.constant for item in items]
        if operand.kind == "text" and all(isinstance(constant, str) for constant in constants):
            return operand.expr.is_in(pl.Series(constants, dtype=pl.String).implode())
        whole = operand.bits is not None and operand.bits < INT64.stop.bit_length()
        if whole and all(item.kind == "number" and item.bits is not None for item in items):
            fitting = [int(constant) for constant in constants if constant is not None and int(constant) in INT64]
            if None not in constants:
                return operand.expr.cast(pl.Int64).is_in(pl.Series(fitting, dtype=pl.Int64).implode())
        if len(items) > _MAX_OR:
            reason = f"{len(items):,} values in a list, of which at most {_MAX_OR} may be other than text or whole"
            raise ConditionError(reason, "write the list in parts", node.at)
        return balanced([truth_of(self.compared("=", operand, item, node)) for item in items], or_)

    def _between(self, node: Between) -> Value:
        operand, low, high = (self.value(part) for part in (node.operand, node.low, node.high))
        inside = truth_of(self.compared(">=", operand, low, node)) & truth_of(self.compared("<=", operand, high, node))
        return truth_value(~inside if node.negated else inside)

    def _like(self, node: Like) -> Value:
        operand = self.of_kind(node.operand, ("text", "null"), "LIKE")
        pattern = self.of_kind(node.pattern, ("text", "null"), "LIKE")
        if "null" in (operand.kind, pattern.kind):
            return null_value()
        if pattern.constant is None or len(pattern.constant) > _MAX_PATTERN:
            reason = f"LIKE takes a pattern in quotes, of at most {_MAX_PATTERN} characters"
            raise ConditionError(reason, "contains(column, other) looks for another column's text", node.pattern.at)
        flags = "(?si)" if node.ignores_case else "(?s)"
        found = operand.expr.str.contains(rf"{flags}\A{_regex(pattern.constant, node)}\z")
        return truth_value(~found if node.negated else found)

    # --- values that are chosen, and types

    def _case(self, node: Case) -> Value:
        operand = None if node.operand is None else self.value(node.operand)
        conditions = []
        for when, _ in node.branches:
            if operand is None:
                conditions.append(self._truth(when, "WHEN"))
            else:
                conditions.append(truth_of(self.compared("=", operand, self.value(when), node)))
        values = [self.value(then) for _, then in node.branches]
        values.append(null_value() if node.otherwise is None else self.value(node.otherwise))
        *results, result = values = self.unified(values, "CASE", node)
        expr = result.expr
        for condition, chosen in zip(reversed(conditions), reversed(results), strict=True):
            expr = pl.when(condition).then(chosen.expr).otherwise(expr)
        return common_value(values, expr)

    def unified(self, values: Sequence[Value], what: str, node: Node) -> list[Value]:
        """Values that one column can hold. Raises ConditionError."""
        kinds = {value.kind for value in values} - {"null"}
        dtypes = {value.dtype for value in values if value.kind in TEMPORAL}
        if len(kinds) > 1 or len(dtypes) > 1 or kinds & {"other", "interval"}:
            named = ", ".join(dict.fromkeys(f"{value.shown} is {value.words}" for value in values if value.shown))
            raise ConditionError(f"{what} takes values of one type: {named}", "CAST them to one", node.at)
        if kinds != {"number"}:
            return list(values)
        whole = all(value.bits is not None for value in values if value.kind == "number")
        dtype: pl.DataType = pl.Int128() if whole else pl.Float64()
        return [value if value.kind == "null" else as_type(value, dtype) for value in values]

    def _cast(self, node: Cast) -> Value:
        operand = self.value(node.operand)
        target = cast_type(node)
        if operand.kind == "null":
            return replace(null_value(), dtype=target)
        made = casted(operand, target, node)
        if not node.tries:
            fails = operand.expr.is_not_null() & made.expr.is_null()
            self.casts.append(StrictCast(fails, operand.expr, operand.shown, node.type_name, node.at))
        return made

    def _call(self, node: Call) -> Value:
        name = node.function
        if name in AGGREGATES:
            raise ConditionError(f"{name} counts or sums over rows", ONE_ROW, node.at)
        if name in MOMENTS:
            return temporal_constant(*MOMENTS[name](self._now))
        found = KNOWN_FUNCTIONS.get(name)
        if found is None:
            known = ", ".join(sorted(KNOWN_FUNCTIONS))
            hint = did_you_mean(name, KNOWN_FUNCTIONS) or f"there are {known}"
            raise ConditionError(f'"{clean(name, SHOWN)}" is no function of a condition', hint, node.at)
        least, most, build = found
        if not least <= len(node.arguments) <= most:
            takes = f"{least}" if least == most else f"{least} to {most}"
            reason = f"{name} takes {takes} argument{'' if takes == '1' else 's'}, and has {len(node.arguments)}"
            raise ConditionError(reason, EXAMPLE, node.at)
        return build(self, node)

    def of_kind(self, node: Node, kinds: tuple[ValueKind, ...], what: str) -> Value:
        value = self.value(node)
        if value.kind not in kinds:
            raise self.mismatch(f"{what} takes {' or '.join(KIND_WORDS[kind] for kind in kinds[:-1])}", value, node.at)
        return value

    def mismatch(self, expected: str, value: Value, at: int) -> ConditionError:
        hint = CAST_HINT if value.kind == "text" and "number" in expected else "CAST it to that type"
        return ConditionError(f"{expected}, and {value.shown} is {value.words}", hint, at)

    def _joined(self, node: Infix, values: Sequence[Value]) -> Value:
        for value, part in zip(values, (node.left, node.right), strict=True):
            if value.kind != "text":
                raise self.mismatch("|| takes text", value, part.at)
        return text_value(pl.concat_str([value.expr for value in values]))


def _too_long(node: LiteralNode) -> NoReturn:
    raise ConditionError(f"a number of more than {DECIMAL_DIGITS} digits", "write fewer", node.at)


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


_TRANSLATIONS: Final[dict[type, Callable[[Translator, Any], Value]]] = {
    LiteralNode: Translator._literal,
    Typed: Translator._typed,
    Name: Translator._name,
    Logic: Translator._logic,
    Prefix: Translator._prefix,
    Infix: Translator._infix,
    IsTest: Translator._is,
    DistinctFrom: Translator._distinct,
    InList: Translator._in,
    Between: Translator._between,
    Like: Translator._like,
    Case: Translator._case,
    Cast: Translator._cast,
    Call: Translator._call,
}
