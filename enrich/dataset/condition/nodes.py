"""What a condition on one row is made of: the nodes of its tree, and what is wrong with one that is none. Pure.

Columns, literals, operators, CASE, CAST and calls by name; nothing else of SQL has a node here, so nothing else can be
asked for.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

EXAMPLE: Final = "write a SQL condition such as \"country = 'DE'\""
ONE_ROW: Final = "write a condition on one row"


class ConditionError(Exception):
    """What is wrong with a condition, where (the index of a character), and what to write instead."""

    def __init__(self, reason: str, hint: str = EXAMPLE, at: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.at = at


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    at: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(_Node):
    """A text, a truth value, NULL; a number as `number`, its digits."""

    value: str | bool | None = None
    number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed(_Node):
    """`DATE '2024-01-31'` and its like, and `INTERVAL '30 days'`: a text, read as a type."""

    type_name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(_Node):
    """A column."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Logic(_Node):
    """AND or OR of two parts or more."""

    operator: str
    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix(_Node):
    """NOT, + or - before something."""

    operator: str
    operand: "Node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Infix(_Node):
    """A comparison, arithmetic, or `||`."""

    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True, kw_only=True)
class IsTest(_Node):
    """IS [NOT] NULL, TRUE, FALSE or UNKNOWN."""

    operand: "Node"
    what: str
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DistinctFrom(_Node):
    """IS [NOT] DISTINCT FROM."""

    left: "Node"
    right: "Node"
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InList(_Node):
    """[NOT] IN (…)."""

    operand: "Node"
    items: "tuple[Node, ...]"
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Between(_Node):
    """[NOT] BETWEEN … AND …."""

    operand: "Node"
    low: "Node"
    high: "Node"
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Like(_Node):
    """[NOT] LIKE or ILIKE, with an escape character or none."""

    operand: "Node"
    pattern: "Node"
    escape: str
    negated: bool
    ignores_case: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Case(_Node):
    """CASE [operand] WHEN … THEN … [ELSE …] END."""

    operand: "Node | None"
    branches: "tuple[tuple[Node, Node], ...]"
    otherwise: "Node | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast(_Node):
    """CAST, TRY_CAST or `::`."""

    operand: "Node"
    type_name: str
    sizes: tuple[int, ...]
    tries: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(_Node):
    """A function by its name in small letters."""

    function: str
    arguments: "tuple[Node, ...]"


Node: TypeAlias = (
    Literal
    | Typed
    | Name
    | Logic
    | Prefix
    | Infix
    | IsTest
    | DistinctFrom
    | InList
    | Between
    | Like
    | Case
    | Cast
    | Call
)
