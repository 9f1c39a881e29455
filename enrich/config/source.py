"""Files of keys and values, YAML 1.2 or JSON, read with the line of every value."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from enrich.config.tree import MAX_DEPTH, UnreadableMappingError, YamlNode, build_tree
from enrich.errors import ConfigError, Fault

__all__ = ["Source", "read_source"]

MAX_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: its tree, and what is wrong with it so far."""

    path: Path
    root: YamlNode
    faults: list[Fault] = field(default_factory=list)
    advice: list[Fault] = field(default_factory=list)
    sha256: str = ""

    def lines(self) -> dict[str, int]:
        """Key path → line."""
        return {path: node.line for path, node in self.root.walk()}


def read_source(path: Path) -> Source:
    """The tree of a file whose root is a mapping; ConfigError where there is none."""
    try:
        data = _bytes(path)
        text = _text(data)
        if path.suffix == ".json":
            text = _checked_json(text)
        advice: list[Fault] = []
        root, faults = build_tree(text, advice)
    except UnreadableMappingError as error:
        raise ConfigError(str(path), [error.fault]) from None
    return Source(path, root, faults, advice, sha256(data).hexdigest())


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # to open a pipe may wait for ever
            raise UnreadableMappingError("is no regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableMappingError("there is no such file", hint=_neighbour(path)) from None
    except IsADirectoryError:
        raise UnreadableMappingError("is a folder, expected a file") from None
    except OSError as error:
        raise UnreadableMappingError(f"can't be read: {error.strerror or type(error).__name__}") from None
    except ValueError:  # a NUL in the path
        raise UnreadableMappingError("is no path of a file") from None
    if len(data) > MAX_BYTES:
        raise UnreadableMappingError(f"is larger than {MAX_BYTES} bytes", hint="is it the table?")
    return data


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableMappingError("is UTF-16, expected UTF-8", hint="save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UnreadableMappingError(f"byte 0x{data[error.start]:02x} is not UTF-8", line, "save it as UTF-8") from None


def _neighbour(path: Path) -> str:
    near = path.with_suffix(".yml" if path.suffix == ".yaml" else ".yaml") if path.name else path
    return f'did you mean "{near}"?' if near != path and near.is_file() else ""


def _checked_json(text: str) -> str:
    """JSON as YAML takes it: tabs, which stand only between values, as blanks; other than ASCII, which stands
    only in texts, as escapes."""
    if not text.strip():
        raise UnreadableMappingError("the file is empty")
    try:
        json.loads(text, parse_int=str)  # of any length: what is no number here is a text
    except json.JSONDecodeError as error:
        hint = "look for a missing or surplus comma, quote or bracket before it; comments are for YAML"
        raise UnreadableMappingError(f"not valid JSON from column {error.colno} on", error.lineno, hint) from None
    except RecursionError:
        raise UnreadableMappingError(f"nested more than {MAX_DEPTH} levels deep") from None
    return re.sub(r"[^\n\r -~]", lambda c: json.dumps(c[0])[1:-1], text.replace("\t", " "))
