"""YAML 1.2 and JSON files as a tree in which every value knows its line.

The tree is built from the parser's events, so that the rules are ours: the core schema of YAML 1.2 (`NO`, `on` and
dates stay text), keys are text, a key stands once, anchors work, tags do not. Every fault of the file that leaves
something to read is collected; only broken syntax ends the reading.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from enrich.errors import ConfigError, Fault
from enrich.spec import Json

__all__ = ["Node", "Source", "read_source"]

MAX_BYTES: Final = 1_000_000
MAX_NODES: Final = 50_000  # anchors written out: a file of a few lines can stand for billions of values
MAX_DEPTH: Final = 60


@dataclass(slots=True)
class Node:
    """One value and the line of its key, or its own line where it has no key."""

    line: int
    value: bool | int | float | str | list[Node] | dict[str, Node] | None
    size: int = 1

    def plain(self) -> Json:
        """The value as JSON has it."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def walk(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """Every value below this one (and this one) with its key path."""
        yield path, self
        inner: Iterator[tuple[str, Node]] = iter(())
        if isinstance(self.value, dict):
            inner = iter(self.value.items())
        elif isinstance(self.value, list):
            inner = ((str(i), node) for i, node in enumerate(self.value))
        for key, node in inner:
            yield from node.walk(f"{path}.{key}" if path else key)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: its tree, and what is wrong with it so far."""

    path: Path
    root: Node
    faults: list[Fault] = field(default_factory=list)

    def lines(self) -> dict[str, int]:
        """Key path → line."""
        return {path: node.line for path, node in self.root.walk()}


def read_source(path: Path) -> Source:
    """The tree of a YAML or JSON file whose root is a mapping; ConfigError where there is none."""
    try:
        text = _text(path)
        if path.suffix == ".json":
            text = _checked_json(text)
        root, faults = _tree(text)
    except _UnreadableError as error:
        raise ConfigError(str(path), [error.fault]) from None
    return Source(path, root, faults)


class _UnreadableError(Exception):
    """The file can't be read as a whole."""

    def __init__(self, message: str, line: int | None = None, hint: str = "") -> None:
        self.fault = Fault(message, line=line, hint=hint)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _UnreadableError("there is no such file", hint=_neighbour(path)) from None
    except IsADirectoryError:
        raise _UnreadableError("is a folder, expected a file") from None
    except OSError as error:
        raise _UnreadableError(f"can't be read: {error.strerror or type(error).__name__}") from None
    if len(data) > MAX_BYTES:
        raise _UnreadableError(f"is larger than {MAX_BYTES} bytes", hint="is this the table?")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _UnreadableError("is UTF-16, expected UTF-8", hint="save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = f"0x{data[error.start]:02x}"
        raise _UnreadableError(f"byte {byte} is not UTF-8", line, "save the file as UTF-8") from None


def _neighbour(path: Path) -> str:
    other = {".yaml": ".yml", ".yml": ".yaml"}.get(path.suffix, ".yaml")
    near = path.with_suffix(other)
    return f'did you mean "{near}"?' if path.name and near.is_file() else ""


def _checked_json(text: str) -> str:
    """JSON as YAML takes it: tabs between the values become blanks (inside texts JSON has none)."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise _UnreadableError(
            f"not valid JSON: {error.msg[0].lower()}{error.msg[1:]}", error.lineno
        ) from None
    except RecursionError:
        raise _UnreadableError(f"nested more than {MAX_DEPTH} levels deep") from None
    return text.replace("\t", " ")


def _tree(text: str) -> tuple[Node, list[Fault]]:
    builder = _Builder(text)
    try:
        root = builder.document()
    except MarkedYAMLError as error:
        raise _syntax_fault(error, text) from None
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise _UnreadableError(f"a control character (U+{ord(text[error.position]):04X})", line) from None
    except YAMLError:
        raise _UnreadableError("not valid YAML") from None
    return root, builder.faults


# --- events to nodes --------------------------------------------------------------------------------------------


class _Builder:
    """Builds the tree of one document."""

    def __init__(self, text: str) -> None:
        yaml = YAML(typ="safe", pure=True)
        self._events: Iterator[Event] = iter(yaml.parse(text))
        self._anchors: dict[str, Node | None] = {}
        self.faults: list[Fault] = []

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise _UnreadableError("a second document begins", _line(event), "keep one in a file")
                root = self._node(next(self._events), depth=0, line=None, path="")
        if root is None or root.value is None:
            raise _UnreadableError("the file is empty")
        if not isinstance(root.value, dict):
            kind = "a list" if isinstance(root.value, list) else "a single value"
            raise _UnreadableError(f"expected keys and values, got {kind}", root.line)
        return root

    def _node(self, event: Event, *, depth: int, line: int | None, path: str) -> Node:
        """The value that begins with `event`; `line` is that of its key."""
        line = line or _line(event)
        if depth > MAX_DEPTH:
            raise _UnreadableError(f"nested more than {MAX_DEPTH} levels deep", line)
        if isinstance(event, AliasEvent):
            return self._alias(event, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._check_tag(event, line, path)
        if isinstance(event, ScalarEvent):
            node = Node(line, _scalar(event))
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(depth, line, path)
        else:
            assert isinstance(event, SequenceStartEvent)
            node = self._sequence(depth, line, path)
        if node.size > MAX_NODES:
            raise _UnreadableError(f"stands for more than {MAX_NODES} values", line, "use fewer anchors")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: AliasEvent, line: int) -> Node:
        name = event.anchor
        if name not in self._anchors:
            raise _UnreadableError(f'"*{name}" stands for nothing', line, f'"&{name}" must come before it')
        target = self._anchors[name]
        if target is None:
            raise _UnreadableError(f'"*{name}" contains itself', line)
        return Node(line, target.value, target.size)

    def _check_tag(self, event: Any, line: int, path: str) -> None:
        if event.tag is not None and str(event.tag) not in ("!", "tag:yaml.org,2002:str"):
            self.faults.append(
                Fault(f"the tag {event.tag} is not known here", line, path, "write the plain value")
            )

    def _sequence(self, depth: int, line: int, path: str) -> Node:
        items: list[Node] = []
        for event in iter(self._events.__next__, None):
            if isinstance(event, SequenceEndEvent):
                break
            where = f"{path}.{len(items)}" if path else str(len(items))
            items.append(self._node(event, depth=depth + 1, line=None, path=where))
        return Node(line, items, 1 + sum(item.size for item in items))

    def _mapping(self, depth: int, line: int, path: str) -> Node:
        entries: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for event in iter(self._events.__next__, None):
            if isinstance(event, MappingEndEvent):
                break
            key = self._key(event, path)
            key_line = _line(event)
            where = f"{path}.{key}" if path else str(key)
            node = self._node(next(self._events), depth=depth + 1, line=key_line, path=where)
            if key == "<<" and getattr(event, "style", "") is None:
                merged = {**self._merge(node, path), **merged}
            elif key in entries:
                first = entries[key].line
                self.faults.append(Fault(f"the key is there twice, first on line {first}", key_line, where))
            elif key is not None:
                entries[key] = node
        entries = {**merged, **entries}
        return Node(line, entries, 1 + sum(node.size for node in entries.values()))

    def _merge(self, node: Node, path: str) -> dict[str, Node]:
        sources = node.value if isinstance(node.value, list) else [node]
        out: dict[str, Node] = {}
        for source in reversed(sources):
            if isinstance(source.value, dict):
                out.update(source.value)
            else:
                self.faults.append(Fault("<< takes a mapping, or a list of them", node.line, path))
        return out

    def _key(self, event: Event, path: str) -> str | None:
        line = _line(event)
        if isinstance(event, ScalarEvent):
            text, value = str(event.value), _scalar(event)
            if isinstance(value, str):
                return value
            what = f"the key {text} is not text" if text else "an empty key"
            hint = f'write "{text}" in quotes' if text else ""
            self.faults.append(Fault(what, line, path, hint))
            return None
        if isinstance(event, AliasEvent):
            target = self._alias(event, line).value
            if isinstance(target, str):
                return target
        else:
            self._node(event, depth=0, line=line, path=path)  # reads past it
        self.faults.append(Fault("a key must be text", line, path, "a text that begins with { is quoted"))
        return None


def _scalar(event: ScalarEvent) -> bool | int | float | str | None:
    text = _without_surrogates(event.value)
    return text if event.style is not None or event.tag is not None else _resolved(text)


# The core schema of YAML 1.2.2, section 10.3.2, without .inf and .nan: JSON has none, so they stay text.
_NULL: Final = frozenset(["", "~", "null", "Null", "NULL"])
_TRUE: Final = frozenset(["true", "True", "TRUE"])
_FALSE: Final = frozenset(["false", "False", "FALSE"])
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)


def _resolved(text: str) -> bool | int | float | str | None:
    """The value of a plain scalar."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text) and len(text) < 400:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _without_surrogates(text: str) -> str:
    r"""Joins the pairs that JSON's `\ud83d\ude00` leaves; what stays alone becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# --- words for what the parser says -----------------------------------------------------------------------------

_QUOTE: Final = "put the text in quotes"


def _syntax_fault(error: MarkedYAMLError, text: str) -> _UnreadableError:
    mark = error.problem_mark or error.context_mark
    line = int(mark.line) + 1 if mark is not None else None
    problem, context = str(error.problem or ""), str(error.context or "")
    if "'\\t'" in problem:
        return _UnreadableError("a tab where blanks are expected", line, "YAML is indented by blanks")
    if match := re.search(r"found character '(.)' that cannot start any token", problem):
        return _UnreadableError(f'a text can\'t begin with "{match[1]}"', line, _QUOTE)
    if "mapping values are not allowed here" in problem:
        return _UnreadableError(
            'a ":" that is not expected here', line, f"{_QUOTE}, or check the indentation"
        )
    if "quoted scalar" in context:
        start = int(error.context_mark.line) + 1 if error.context_mark is not None else line
        return _UnreadableError("a quote is never closed", start)
    if "flow" in context:
        start = int(error.context_mark.line) + 1 if error.context_mark is not None else line
        what = "[" if "sequence" in context else "{"
        return _UnreadableError(f'a "{what}" is not closed, or a comma is missing', start)
    if "block" in context or "simple key" in context or "document start" in problem:
        hint = (
            'check the indentation, and the ":" behind each key; '
            + _QUOTE.replace("the text", "a text")
            + " if it begins with { [ or a quote"
        )
        return _UnreadableError("the line does not fit what is above it", line, hint)
    return _UnreadableError("not valid YAML" + (f": {problem}" if problem else ""), line)
