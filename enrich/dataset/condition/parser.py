"""The syntax of a condition: SQL text to a tree. Pure.

Length and depth are bounded: a tree is as deep as its condition is nested, and chains of AND and OR are one node.
Which functions and types there are, `functions` and `casts` say.
"""

import re
from collections.abc import Callable
from typing import Final, NoReturn

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
    Literal,
    Logic,
    Name,
    Node,
    Prefix,
    Typed,
)
from enrich.dataset.condition.tokens import CLOCKS, Token, tokens_of

MAX_CHARS: Final = 100_000
MAX_DEPTH: Final = 50
_RESERVED: Final = frozenset(
    {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "ILIKE", "ESCAPE", "IS", "NULL", "TRUE", "FALSE", "UNKNOWN"}
    | {"DISTINCT", "FROM", "CASE", "WHEN", "THEN", "ELSE", "END"}
)
_QUERY: Final = frozenset(["SELECT", "WITH", "VALUES", "TABLE", "UNION", "EXISTS", "ANY", "ALL", "SOME"])
_MATCHES: Final = frozenset(["REGEXP", "RLIKE", "GLOB", "SIMILAR", "MATCH"])
_SIGNS: Final = {"!=": "<>", "==": "="}
_COMPARISONS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
_TYPED: Final = frozenset({"DATE", "TIMESTAMP", "TIME"})


def parse_condition(text: str) -> Node:
    """The tree of a condition. Raises ConditionError."""
    if len(text) > MAX_CHARS:
        raise ConditionError(f"it has {len(text):,} characters, and at most {MAX_CHARS:,} are taken", ONE_ROW)
    parser = _Parser(tokens_of(text))
    return parser.whole()


class _Parser:
    """Reads tokens from the first to the last, by recursive descent."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._either()
        if self._token.kind != "end":
            self._unexpected()
        return node

    # --- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _following(self) -> Token:
        return self._tokens[min(self._next + 1, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._token
        self._next += token.kind != "end"
        return token

    def _took(self, *words: str) -> bool:
        """Whether these keywords come next; they are taken then."""
        coming = self._tokens[self._next : self._next + len(words)]
        if [token.upper for token in coming] != list(words):
            return False
        self._next += len(words)
        return True

    def _took_sign(self, sign: str) -> bool:
        if self._token.kind != "sign" or self._token.text != sign:
            return False
        self._next += 1
        return True

    def _need(self, word: str) -> None:
        if not self._took(word):
            self._unexpected(f", where {word} is expected")

    def _need_sign(self, sign: str) -> None:
        if not self._took_sign(sign):
            self._unexpected(f', where "{sign}" is expected')

    @property
    def _end(self) -> int:
        return self._tokens[self._next - 1].end

    def _unexpected(self, expected: str = "") -> NoReturn:
        token = self._token
        if token.kind == "end":
            raise ConditionError(f"it ends too early{expected}", EXAMPLE, token.at)
        if token.upper in _MATCHES:
            raise ConditionError(f"{token.upper} is no operator of a condition", "LIKE knows % and _", token.at)
        if token.upper in _QUERY:
            self._refuse_query()
        raise ConditionError(f'unexpected "{token.text[:40]}"{expected}', EXAMPLE, token.at)

    def _refuse_query(self) -> NoReturn:
        token = self._token
        raise ConditionError(f"{token.upper} belongs to a query, and a condition is none", ONE_ROW, token.at)

    def _nested(self, read: "Callable[[], Node]") -> Node:
        self._depth += 1
        self._check_depth(self._depth)
        node = read()
        self._depth -= 1
        return node

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ConditionError(f"it is nested more than {MAX_DEPTH} levels deep", "write it flatter", self._token.at)

    # --- from what binds weakest to what binds strongest

    def _either(self) -> Node:
        return self._logic("OR", lambda: self._logic("AND", self._negation))

    def _logic(self, operator: str, read: "Callable[[], Node]") -> Node:
        parts = [read()]
        while self._took(operator):
            parts.append(read())
        if len(parts) == 1:
            return parts[0]
        return Logic(operator=operator, parts=tuple(parts), at=parts[0].at, end=self._end)

    def _negation(self) -> Node:
        at = self._token.at
        if self._token.upper == "NOT":
            self._take()
            return Prefix(operator="NOT", operand=self._nested(self._negation), at=at, end=self._end)
        return self._predicate()

    def _predicate(self) -> Node:
        node = self._compared(self._sum())
        tests = 0
        while self._took("IS"):
            tests += 1
            self._check_depth(self._depth + tests)
            node = self._is(node)
        return node

    def _compared(self, left: Node) -> Node:
        token = self._token
        sign = _SIGNS.get(token.text, token.text)
        if token.kind == "sign" and sign in _COMPARISONS:
            self._take()
            right = self._sum()
            if self._token.kind == "sign" and _SIGNS.get(self._token.text, self._token.text) in _COMPARISONS:
                raise ConditionError("two comparisons in a row", "join them with AND", self._token.at)
            return Infix(operator=sign, left=left, right=right, at=left.at, end=self._end)
        negated = token.upper == "NOT" and self._following().upper in ("IN", "BETWEEN", "LIKE", "ILIKE")
        if negated:
            self._take()
        if self._took("IN"):
            return InList(operand=left, items=self._items(), negated=negated, at=left.at, end=self._end)
        if self._took("BETWEEN"):
            low = self._sum()
            self._need("AND")
            high = self._sum()
            return Between(operand=left, low=low, high=high, negated=negated, at=left.at, end=self._end)
        if self._token.upper in ("LIKE", "ILIKE"):
            return self._like(left, negated=negated)
        return left

    def _like(self, left: Node, *, negated: bool) -> Node:
        ignores_case = self._take().upper == "ILIKE"
        pattern = self._sum()
        escape = ""
        if self._took("ESCAPE"):
            token = self._token
            escape = self._text_of(token) if token.kind == "text" else ""
            if len(escape) != 1:
                raise ConditionError("ESCAPE takes one character in quotes", "such as ESCAPE '!'", token.at)
            self._take()
        return Like(
            operand=left,
            pattern=pattern,
            escape=escape,
            negated=negated,
            ignores_case=ignores_case,
            at=left.at,
            end=self._end,
        )

    def _is(self, node: Node) -> Node:
        negated = self._took("NOT")
        if self._took("DISTINCT", "FROM"):
            return DistinctFrom(left=node, right=self._sum(), negated=negated, at=node.at, end=self._end)
        for what in ("NULL", "TRUE", "FALSE", "UNKNOWN"):
            if self._took(what):
                return IsTest(operand=node, what=what, negated=negated, at=node.at, end=self._end)
        return self._unexpected(", where NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM is expected")

    def _items(self) -> tuple[Node, ...]:
        self._need_sign("(")
        if self._token.upper in _QUERY:
            self._refuse_query()
        items = [self._nested(self._either)]
        while self._took_sign(","):
            items.append(self._nested(self._either))
        self._need_sign(")")
        return tuple(items)

    def _sum(self) -> Node:
        return self._chain(("+", "-", "||"), lambda: self._chain(("*", "/", "%"), self._signed))

    def _chain(self, signs: tuple[str, ...], read: "Callable[[], Node]") -> Node:
        left = read()
        length = 0
        while self._token.kind == "sign" and self._token.text in signs:
            length += 1
            self._check_depth(self._depth + length)
            sign = self._take().text
            right = read()
            left = Infix(operator=sign, left=left, right=right, at=left.at, end=self._end)
        return left

    def _signed(self) -> Node:
        token = self._token
        if token.kind == "sign" and token.text in ("-", "+"):
            self._take()
            return Prefix(operator=token.text, operand=self._nested(self._signed), at=token.at, end=self._end)
        node = self._primary()
        casts = 0
        while self._took_sign("::"):
            casts += 1
            self._check_depth(self._depth + casts)
            type_name, sizes = self._type()
            node = Cast(operand=node, type_name=type_name, sizes=sizes, tries=False, at=node.at, end=self._end)
        return node

    def _primary(self) -> Node:
        token = self._token
        if token.kind == "number":
            self._take()
            if self._token.kind == "word" and self._token.at == token.end:
                self._unexpected()
            return Literal(number=token.text, at=token.at, end=token.end)
        if token.kind == "text":
            self._take()
            return Literal(value=self._text_of(token), at=token.at, end=token.end)
        if token.kind == "quoted":
            self._take()
            mark = token.text[0]
            return Name(name=token.text[1:-1].replace(mark * 2, mark), at=token.at, end=token.end)
        if self._took_sign("("):
            node = self._nested(self._either)
            if self._token.text == ",":
                raise ConditionError("a list stands where one value is expected", EXAMPLE, token.at)
            self._need_sign(")")
            return node
        return self._word()

    def _word(self) -> Node:
        token = self._token
        word, following = token.upper, self._following()
        if word in ("TRUE", "FALSE", "NULL", "UNKNOWN"):
            self._take()
            return Literal(value={"TRUE": True, "FALSE": False}.get(word), at=token.at, end=token.end)
        if word == "CASE":
            self._take()
            return self._nested(lambda: self._case(token.at))
        if word in _QUERY and (following.kind != "end" or word == "SELECT") and following.text not in _COMPARISONS:
            self._refuse_query()
        if not word or word in _RESERVED:
            self._unexpected(", where a value is expected")
        self._take()
        if word in _TYPED and following.kind == "text":
            return Typed(type_name=word, text=self._text_of(self._take()), at=token.at, end=self._end)
        if word == "INTERVAL" and following.kind in ("text", "number"):
            return self._interval(token.at)
        if self._token.kind == "sign" and self._token.text == "(":
            return self._call(token)
        if word in CLOCKS:
            return Call(function=word.lower(), arguments=(), at=token.at, end=token.end)
        return Name(name=token.text, at=token.at, end=token.end)

    def _interval(self, at: int) -> Node:
        token = self._take()
        text = self._text_of(token) if token.kind == "text" else token.text
        if re.fullmatch(r"\s*[+-]?\d+\s*", text):
            text = f"{text} {self._take().text}"
        return Typed(type_name="INTERVAL", text=text, at=at, end=self._end)

    def _case(self, at: int) -> Node:
        operand = None if self._token.upper == "WHEN" else self._either()
        branches = []
        while self._took("WHEN"):
            when = self._either()
            self._need("THEN")
            branches.append((when, self._either()))
            self._check_depth(len(branches))
        otherwise = self._either() if branches and self._took("ELSE") else None
        self._need("END" if branches else "WHEN")
        return Case(operand=operand, branches=tuple(branches), otherwise=otherwise, at=at, end=self._end)

    def _call(self, name: Token) -> Node:
        self._need_sign("(")
        function = name.text.lower()
        if function in ("cast", "try_cast"):
            return self._cast(name, tries=function == "try_cast")
        if function == "extract":
            return self._extract(name)
        arguments: list[Node] = []
        if self._token.text == "*" and self._following().text == ")":
            self._take()  # count(*), which is refused by its name
        elif self._token.text != ")":
            if self._token.upper in _QUERY:
                self._refuse_query()
            arguments.append(self._nested(self._either))
            while self._took_sign(","):
                arguments.append(self._nested(self._either))
        self._need_sign(")")
        if self._token.upper in ("OVER", "FILTER"):
            raise ConditionError(
                f"{function} … {self._token.upper} looks at other rows than the one it decides on",
                ONE_ROW,
                self._token.at,
            )
        return Call(function=function, arguments=tuple(arguments), at=name.at, end=self._end)

    def _cast(self, name: Token, *, tries: bool) -> Node:
        operand = self._nested(self._either)
        self._need("AS")
        type_name, sizes = self._type()
        self._need_sign(")")
        return Cast(operand=operand, type_name=type_name, sizes=sizes, tries=tries, at=name.at, end=self._end)

    def _extract(self, name: Token) -> Node:
        part = self._take()
        self._need("FROM")
        operand = self._nested(self._either)
        self._need_sign(")")
        return Call(function=part.text.lower(), arguments=(operand,), at=name.at, end=self._end)

    def _type(self) -> tuple[str, tuple[int, ...]]:
        if self._token.kind != "word":
            self._unexpected(", where a type is expected")
        name = self._take().upper
        if name == "DOUBLE":
            self._took("PRECISION")
        sizes: list[int] = []
        if self._took_sign("("):
            while self._token.kind == "number" and self._token.text.isdecimal() and len(self._token.text) < 4:
                sizes.append(int(self._take().text))
                self._took_sign(",")
            self._need_sign(")")
        return name, tuple(sizes)

    @staticmethod
    def _text_of(token: Token) -> str:
        return token.text[1:-1].replace("''", "'")
