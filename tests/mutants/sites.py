"""Source → the mutants that can be made of it: one small change each, as text, so that all the rest stays as it is.

Left alone is what no test should notice: docstrings, annotations, decorators, imports, asserts, `TYPE_CHECKING`, and
texts, but for those in SQL.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Mutant:
    """One change: the bytes from `start` to `end` of a file become `text`."""

    file: str  # from the root of the checkout
    start: int
    end: int
    text: str
    operator: str
    line: int
    function: str  # the outermost one, with its classes: Store.open; empty outside of any
    before: str  # the lines it touches, in one
    after: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]

    def is_valid(self, source: bytes) -> bool:
        """Whether it is Python, and another program than before."""
        try:
            changed = ast.parse(self.applied(source))
        except SyntaxError:
            return False
        return ast.dump(changed) != ast.dump(ast.parse(source))


Change = tuple[int, int, str, str]  # start, end, text, operator

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
FOR_TYPES = {"TypeVar", "NewType", "ParamSpec", "cast", "assert_never"}

SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|WHERE|HAVING|ORDER BY|PRAGMA)\b")
SQL_CHANGES = [
    (re.compile(pattern), text)
    for pattern, text in (
        ("<>", "="),
        ("<=", "<"),
        (">=", ">"),
        ("<(?![>=])", "<="),
        ("(?<![<])>(?!=)", ">="),
        (r"(?<=\w) = (?=[\w?:]+(?: (?:AND|OR|THEN)|\)|\"|$))", " <> "),
        (r"\bAND\b", "OR"),
        (r"\bOR\b(?! (?:REPLACE|IGNORE|ABORT|FAIL|ROLLBACK))", "AND"),
        (r" AND [\w.]+ (?:=|<>|<|>|<=|>=|IS|IS NOT) [\w.]+(?=[ \")])(?! [-+*/])", ""),
        (r"\bmin\(", "max("),
        (r"\bmax\(", "min("),
        (r"\bcoalesce\(([\w.?]+), ([\w.?]+)\)", r"coalesce(\2, \1)"),
        (r" \+ ", " - "),
        (r" - ", " + "),
        (r"\bIS NULL\b", "IS NOT NULL"),
        (r"\bIS NOT NULL\b", "IS NULL"),
        (r"\bNOT (?=IN\b|EXISTS\b)", ""),
        (r"(?<!NOT )\b(?=IN \(|EXISTS \()", "NOT "),
        (r"\bLEFT JOIN\b", "JOIN"),
        (r"\bDISTINCT ", ""),
        (r" DESC\b", ""),
        (r"(?<=ORDER BY )([\w.]+)\b(?! DESC)", r"\1 DESC"),
        (r"\bOR IGNORE ", ""),
        (r"= FULL\b", "= NORMAL"),
    )
]
SETS = re.compile(r"\b(SET|PRAGMA)\b(?!.*\b(WHERE|AND|OR|ON|HAVING|WHEN)\b)", re.DOTALL)  # then = is no comparison
INTERPOLATED = re.compile(r"\{[^{}]*\}")


def mutants_of(root: Path, file: Path) -> list[Mutant]:
    """All mutants of a file below `root`, in the order of their places. Not each of them is valid Python."""
    return mutants_in(file.read_bytes(), str(file.relative_to(root)))


def mutants_in(source: bytes, file: str) -> list[Mutant]:
    """All mutants of the source of a file."""
    starts = [0, *(match.end() for match in re.finditer(rb"\n", source)), len(source)]
    found = set()
    for function, (start, end, text, operator) in _Finder(source, starts).changes(ast.parse(source), ""):
        first, last = (source.count(b"\n", 0, place) for place in (start, end))
        head, tail = source[starts[first] : start], source[end : starts[last + 1]]
        before, after = (
            b" ".join((head + part + tail).split()).decode() for part in (source[start:end], text.encode())
        )
        found.add(Mutant(file, start, end, text, operator, first + 1, function, before, after))
    return sorted(found)


class _Finder:
    def __init__(self, source: bytes, starts: list[int]) -> None:
        self._source = source
        self._starts = starts

    def changes(self, node: ast.AST, function: str, *, inside: bool = False) -> Iterator[tuple[str, Change]]:
        """The changes at a node and below, with the function they are in (`inside`: one has begun)."""
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                function = function if inside else f"{function}.{name}".lstrip(".")
                inside = True
                parts: list[ast.AST] = [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]
            case ast.ClassDef(name=name):
                function = function if inside else f"{function}.{name}".lstrip(".")
                parts = list(node.body)
            case ast.AnnAssign(target=target, value=value):
                parts = [target, *([value] if value else [])]
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Assert() | ast.Import() | ast.ImportFrom():
                return
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Call(func=ast.Name(id=name)) if name in FOR_TYPES:
                return
            case ast.JoinedStr():
                yield from ((function, change) for change in self._sql(node))
                return
            case _:
                parts = list(ast.iter_child_nodes(node))
        yield from ((function, change) for change in self._at(node))
        for part in parts:
            yield from self.changes(part, function, inside=inside)

    def _at(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                for before, op, after in zip([left, *comparators], ops, comparators, strict=False):
                    yield from self._between(before, after, *COMPARISONS[type(op)], "comparison")
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                yield from self._between(left, right, *ARITHMETIC[type(op)], "arithmetic")
            case ast.BoolOp(op=op, values=values):
                words, neutral = (("and", "or"), "True") if isinstance(op, ast.And) else (("or", "and"), "False")
                for before, after in pairwise(values):
                    yield from self._between(before, after, *words, "and/or")
                yield from (self._instead(value, neutral, "operand") for value in values)
            case ast.UnaryOp(op=ast.Not() | ast.USub() as op):
                prefix = 3 if isinstance(op, ast.Not) else 1
                yield self._instead(node, self._text(node)[prefix:].strip(), "not" if prefix == 3 else "sign")
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield from self._condition(test)
            case ast.comprehension(ifs=tests):
                for test in tests:
                    yield from self._condition(test)
            case ast.Constant():
                yield from self._constant(node)
            case ast.Slice(lower=lower, upper=upper):
                for bound in (lower, upper):
                    if bound is not None and not isinstance(bound, ast.Constant | ast.UnaryOp):
                        yield self._instead(bound, f"({self._text(bound)}) + 1", "slice")
            case ast.Call():
                yield from self._call(node)
            case ast.ExceptHandler(type=ast.Tuple(elts=types)):
                for one, other in zip(types, [*types[1:], types[0]], strict=True):
                    yield self._instead(one, self._text(other), "except")
            case ast.ExceptHandler(type=ast.expr() as caught):
                yield self._instead(caught, "()", "except")
            case ast.match_case(pattern=pattern, guard=guard, body=body):
                if guard is not None:
                    yield from self._condition(guard)
                elif "assert_never" not in self._text(body[0]):
                    end = self._source.index(b":", self._span(pattern)[1])
                    yield end, end, " if False", "case"
            case ast.stmt():
                yield from self._statement(node)

    def _statement(self, node: ast.stmt) -> Iterator[Change]:
        match node:
            case ast.Return(value=ast.expr() as value) if not _is_none(value):
                yield self._instead(value, "None", "return")
            case ast.Raise():
                yield self._instead(node, "pass", "raise")
            case ast.Expr(value=ast.Call(func=ast.Name(id=name))) if name in FOR_TYPES:
                pass
            case ast.Expr(value=ast.Call() | ast.Await() | ast.Yield() | ast.YieldFrom()) | ast.Delete():
                yield self._instead(node, "pass", "statement")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                yield self._instead(node, "pass", "statement")
            case ast.AnnAssign(target=ast.Attribute() | ast.Subscript(), value=ast.expr()):
                yield self._instead(node, "pass", "statement")
            case ast.AugAssign(target=target, op=op, value=value):
                yield self._instead(node, "pass", "statement")
                if type(op) in ARITHMETIC:
                    yield from self._between(target, value, *ARITHMETIC[type(op)], "arithmetic")
            case ast.Break():
                yield self._instead(node, "continue", "loop")
            case ast.Continue():
                yield self._instead(node, "break", "loop")
                yield self._instead(node, "pass", "loop")

    def _call(self, node: ast.Call) -> Iterator[Change]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in CALLS:
            yield self._instead(node.func, CALLS[name], "min/max")
        for keyword in node.keywords:
            if keyword.arg is not None:
                yield self._without(keyword)
        for one, other in pairwise(node.args):
            if name not in ("min", "max", "isinstance") and _is_place(one) and _is_place(other):
                (start, first), (second, end) = self._span(one), self._span(other)
                gap = self._source[first:second].decode()
                yield start, end, self._text(other) + gap + self._text(one), "arguments"

    def _without(self, keyword: ast.keyword) -> Change:
        start, end = self._span(keyword)
        if comma := re.match(rb"\s*,", self._source[end:]):
            return start, end + comma.end(), "", "keyword"
        kept = self._source[:start].rstrip().removesuffix(b",")
        return len(kept), end, "", "keyword"

    def _condition(self, test: ast.expr) -> Iterator[Change]:
        if not isinstance(test, ast.Constant):
            yield self._instead(test, f"not ({self._text(test)})", "condition")
            yield self._instead(test, "True", "condition")
            yield self._instead(test, "False", "condition")

    def _constant(self, node: ast.Constant) -> Iterator[Change]:
        match node.value:
            case bool(value):
                yield self._instead(node, str(not value), "constant")
            case int(value):
                yield self._instead(node, str(value + 1), "constant")
                yield self._instead(node, str(value - 1), "constant")
            case float(value):
                yield self._instead(node, str(value * 2 or 1.0), "constant")
            case str():
                yield from self._sql(node)

    def _sql(self, node: ast.expr) -> Iterator[Change]:
        text = self._text(node)
        if not SQL.search(text):
            return
        kept = [match.span() for match in INTERPOLATED.finditer(text)] if isinstance(node, ast.JoinedStr) else []
        offset = self._span(node)[0]
        for pattern, replacement in SQL_CHANGES:
            for match in pattern.finditer(text):
                if replacement == " <> " and SETS.search(text[: match.start()]):
                    continue
                if not any(start < match.end() and match.start() < end for start, end in kept):
                    start, end = (offset + len(text[:at].encode()) for at in match.span())
                    yield start, end, match.expand(replacement), "SQL"

    def _between(self, before: ast.expr, after: ast.expr, old: str, new: str, operator: str) -> Iterator[Change]:
        """Another operator between two expressions."""
        start, end = self._span(before)[1], self._span(after)[0]
        pattern = rf"\b{old}\b".replace(" ", r"\s+") if old.isalnum() or " " in old else re.escape(old)
        if match := re.search(pattern.encode(), self._source[start:end]):
            yield start + match.start(), start + match.end(), new, operator

    def _instead(self, node: ast.AST, text: str, operator: str) -> Change:
        return *self._span(node), text, operator

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _span(self, node: ast.AST) -> tuple[int, int]:
        """Where it begins and ends, in bytes."""
        assert isinstance(node, ast.expr | ast.stmt | ast.keyword | ast.pattern)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_place(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute)
