"""A config that a program gives as a mapping: the same tree as a file's, without lines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final

from enrich.config.tree import MAX_DEPTH, UnreadableMappingError, YamlNode
from enrich.errors import Fault

__all__ = ["NO_LINE", "tree_of"]

NO_LINE: Final = 0
_KINDS: Final = "text, numbers, true and false, None, lists and mappings"


def tree_of(mapping: Mapping[Any, object]) -> tuple[YamlNode, list[Fault]]:
    """The mapping as a tree, and a fault for each value that no config holds; UnreadableError where it has no end."""
    faults: list[Fault] = []
    root = _node(mapping, "", 0, faults)
    assert root is not None
    return root, faults


def _node(value: object, path: str, depth: int, faults: list[Fault]) -> YamlNode | None:
    """The value as a node; None, and a fault, for one that no config holds."""
    if depth > MAX_DEPTH:
        raise UnreadableMappingError(f"nested more than {MAX_DEPTH} levels deep")
    match value:
        case Mapping():
            entries: dict[str, YamlNode] = {}
            for key, inner in value.items():
                if not isinstance(key, str):
                    faults.append(Fault(f"expected texts as keys, got {_name(key)}", path=path))
                elif (node := _node(inner, f"{path}.{key}" if path else key, depth + 1, faults)) is not None:
                    entries[key] = node
            return YamlNode(NO_LINE, entries, 1 + sum(node.size for node in entries.values()))
        case list() | tuple():
            nodes = [_node(inner, f"{path}.{i}", depth + 1, faults) for i, inner in enumerate(value)]
            items = [node for node in nodes if node is not None]
            return YamlNode(NO_LINE, items, 1 + sum(item.size for item in items))
        case Decimal() if value.is_finite():
            return YamlNode(NO_LINE, float(value))
        case PurePath():
            return YamlNode(NO_LINE, str(value))
        case date():
            return YamlNode(NO_LINE, value.isoformat())
        case float() if not math.isfinite(value):
            faults.append(Fault(f"expected {_KINDS}, got {value}", path=path))
        case None | bool() | int() | float() | str():
            return YamlNode(NO_LINE, value)
        case _:
            faults.append(Fault(f"expected {_KINDS}, got {_name(value)}", path=path))
    return None


def _name(value: object) -> str:
    return f"a value of the type {type(value).__name__}"
