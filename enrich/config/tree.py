"""YAML 1.2 as a tree in which every value knows its line.

The tree is built from the parser's events, so that the rules are ours: the core schema of YAML 1.2 (`NO`,
`on` and dates stay text), keys are text and stand once, anchors and `<<` work, tags do not. What is wrong
with single keys is collected; only broken syntax ends the reading.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from unicodedata import category

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from ruamel.yaml.reader import ReaderError

from enrich.config.syntax import Place, broken_text, lines_of, rest_of
from enrich.errors import Fault
from enrich.spec import Json

__all__ = ["MAX_DEPTH", "UnreadableMappingError", "YamlNode", "build_tree"]

MAX_DEPTH: Final = 60
MAX_NODES: Final = 50_000  # with anchors written out: a few lines can stand for billions of values

_PROSE: Final = ("description", "instructions")
_STAR: Final = "a text that begins with {} goes in quotes"
_TEXT_TAGS: Final = ("!", "tag:yaml.org,2002:str")

_Event: TypeAlias = Any  # ruamel's events have their attributes untyped
_Scalar: TypeAlias = bool | int | float | str | None


@dataclass(slots=True)
class YamlNode:
    """A value and its line: that of its key, or its own where it has none."""

    line: int
    value: _Scalar | list[YamlNode] | dict[str, YamlNode]
    size: int = 1

    def plain(self) -> Json:
        """The value as JSON has it."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def inner(self) -> Iterator[tuple[str, YamlNode]]:
        """The values right below this one."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from ((str(i), node) for i, node in enumerate(self.value))

    def walk(self, path: str = "") -> Iterator[tuple[str, YamlNode]]:
        """This value and every one below it, with their key paths."""
        yield path, self
        for key, node in self.inner():
            yield from node.walk(_join(path, key))


class UnreadableMappingError(Exception):
    """The text can't be read as a whole."""

    def __init__(self, message: str, line: int | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.fault = Fault(message, line=line, hint=hint)


def build_tree(text: str, advice: list[Fault] | None = None) -> tuple[YamlNode, list[Fault]]:
    """The root mapping of a text, and the faults of single keys; UnreadableError if it has none.

    What is allowed but seldom meant is added to `advice`.
    """
    builder = _Builder(text, [] if advice is None else advice)
    try:
        return builder.document(), builder.faults
    except MarkedYAMLError as error:
        raise _syntax_error(text, error) from None
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise UnreadableMappingError(f"a control character (U+{ord(text[error.position]):04X})", line) from None
    except YAMLError:
        raise UnreadableMappingError("not valid YAML") from None


class _Builder:
    """Reads one document's events into nodes."""

    def __init__(self, text: str, advice: list[Fault]) -> None:
        self._events: Iterator[_Event] = iter(YAML(typ="safe", pure=True).parse(text))
        self._lines = lines_of(text)
        self._anchors: dict[str, YamlNode | None] = {}
        self._unused: dict[str, Fault] = {}
        self._advice = advice
        self.faults: list[Fault] = []

    def document(self) -> YamlNode:
        root: YamlNode | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise UnreadableMappingError("a second document begins", _line(event), "keep one in a file")
                root = self._node(next(self._events), depth=0, path="")
        if root is None or root.value is None:
            raise UnreadableMappingError("the file is empty")
        if not isinstance(root.value, dict):
            kind = "a list" if isinstance(root.value, list) else "a single value"
            raise UnreadableMappingError(f"expected keys and values, got {kind}", root.line)
        self.faults += self._unused.values()
        return root

    def _node(self, event: _Event, *, depth: int, path: str, key_line: int | None = None) -> YamlNode:
        """The value that begins with `event`."""
        line = key_line or _line(event)
        if depth > MAX_DEPTH:
            raise UnreadableMappingError(f"nested more than {MAX_DEPTH} levels deep", line)
        if isinstance(event, AliasEvent):
            return self._alias(event, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if event.tag is not None and str(event.tag) not in _TEXT_TAGS:
            # The tag is not shown: it may be a password that begins with "!".
            self.faults.append(Fault("a tag (!…) means nothing here", line, path, _STAR.format("!")))
        if isinstance(event, ScalarEvent):
            node = YamlNode(line, _scalar(event))
            self._look_around(event, node, path)
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(depth, line, path, in_braces=bool(event.flow_style))
        else:
            node = self._sequence(depth, line, path)
        if node.size > MAX_NODES:
            raise UnreadableMappingError(f"stands for more than {MAX_NODES} values", line, "use fewer anchors")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: _Event, line: int) -> YamlNode:
        """What an anchor stands for. Its name is not shown: it may be a password that begins with "*"."""
        if event.anchor not in self._anchors:
            raise UnreadableMappingError("an alias (*…) without an anchor (&…) before it", line, _STAR.format("*"))
        target = self._anchors[event.anchor]
        self._unused.pop(event.anchor, None)
        if target is None:
            raise UnreadableMappingError("an anchor (&…) that contains its own alias (*…)", line)
        return YamlNode(line, target.value, target.size)

    def _sequence(self, depth: int, line: int, path: str) -> YamlNode:
        items: list[YamlNode] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._node(event, depth=depth + 1, path=_join(path, str(len(items)))))
        return YamlNode(line, items, 1 + sum(item.size for item in items))

    def _look_around(self, event: _Event, node: YamlNode, path: str) -> None:
        """What YAML takes away from a text without quotes: an anchor before it, a comment behind it."""
        if event.style is not None or not isinstance(node.value, str):
            return
        if event.anchor is not None:
            message = "an anchor (&…) that nothing refers to"
            self._unused[event.anchor] = Fault(message, node.line, path, _STAR.format("&"))
        is_prose = path.rpartition(".")[2] in _PROSE
        if re.match(r"[ \t]+#" if is_prose else r"[ \t]+#[^\s#]", self._behind(event)):
            message = 'the text ends before the " #", which begins a comment'
            hint = "put the whole text in quotes, or the comment on a line of its own"
            self._advice.append(Fault(message, int(event.end_mark.line) + 1, path, hint))

    def _behind(self, event: _Event) -> str:
        """What stands behind an event on its line."""
        return rest_of(self._lines, Place(int(event.end_mark.line), int(event.end_mark.column)))

    def _mapping(self, depth: int, line: int, path: str, *, in_braces: bool) -> YamlNode:
        entries: dict[str, YamlNode] = {}
        merged: dict[str, YamlNode] = {}
        bare: list[str] = []
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, depth, path)
            where = path if key is None else _join(path, key)
            node = self._node(next(self._events), depth=depth + 1, path=where, key_line=_line(event))
            if in_braces and key is not None and node.value is None and self._behind(event).lstrip()[:1] in (",", "}"):
                bare.append(key)
            if key == "<<" and event.style is None:
                merged = {**self._merged(node, path), **merged}
            elif key in entries:
                first = f"the key is there twice, first on line {entries[key].line}"
                self.faults.append(Fault(first, _line(event), where))
            elif key is not None:
                entries[key] = node
        if len(bare) < len(entries) or any(":" in key for key in bare):  # else it is no mapping that was meant
            for key in dict.fromkeys(bare):
                hint = 'write "key: value", with a blank behind the ":"'
                hint = hint if ":" in key else "a text with a comma in it goes in quotes as a whole"
                self.faults.append(Fault('a key without ":"', entries.pop(key).line, _join(path, key), hint))
        entries = {**merged, **entries}
        return YamlNode(line, entries, 1 + sum(node.size for node in entries.values()))

    def _merged(self, node: YamlNode, path: str) -> dict[str, YamlNode]:
        """What `<<` brings: of a list of mappings, the first has the last word."""
        out: dict[str, YamlNode] = {}
        for source in reversed(node.value if isinstance(node.value, list) else [node]):
            if isinstance(source.value, dict):
                out.update(source.value)
            else:
                self.faults.append(Fault("<< takes a mapping, or a list of them", node.line, path))
        return out

    def _key(self, event: _Event, depth: int, path: str) -> str | None:
        """The text of a key; None, and a fault, if it is no text."""
        line = _line(event)
        if isinstance(event, ScalarEvent):
            text, value = str(event.value), _scalar(event)
            if event.style is None and text[:1] and (text[0].isspace() or category(text[0]) == "Cf"):
                message = f"an unusual space (U+{ord(text[0]):04X}) before the key"
                raise UnreadableMappingError(message, line, "indent YAML with ordinary spaces")
            if isinstance(value, str):
                return value
            message = f"the key {text} is no text" if text else 'there is no key before the ":"'
            self.faults.append(Fault(message, line, path, f'write "{text}"' if text else ""))
            return None
        target = self._node(event, depth=depth + 1, path=path)
        if isinstance(target.value, str):
            return target.value
        self.faults.append(Fault("a key is no text", line, path, "put a text that begins with { or [ in quotes"))
        return None


# The core schema (YAML 1.2.2, section 10.3.2), without .inf and .nan: JSON has none, so they stay text.
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_INT: Final = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)


def _scalar(event: _Event) -> _Scalar:
    # The second half of a JSON escape such as \ud83d\ude00 comes alone; what stays alone becomes U+FFFD.
    text = str(event.value).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    quoted = event.style is not None or str(event.tag) in _TEXT_TAGS
    return text if quoted else _resolved(text)


def _resolved(text: str) -> _Scalar:
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    number = float(text) if _FLOAT.fullmatch(text) else math.nan
    return number if math.isfinite(number) else text


def _line(event: _Event) -> int:
    return int(event.start_mark.line) + 1


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _syntax_error(text: str, error: MarkedYAMLError) -> UnreadableMappingError:
    at, since = _place(error.problem_mark), _place(error.context_mark)
    return UnreadableMappingError(*broken_text(text, at or since, since))


def _place(mark: Any) -> Place | None:
    return None if mark is None else Place(int(mark.line), int(mark.column))
