"""Local references (`$ref: "#/$defs/…"`) written out, so that every field's schema stands on its own."""

from __future__ import annotations

from typing import Final

from enrich.errors import Fault
from enrich.spec.shape import Json, Schema
from enrich.text.phrases import did_you_mean

__all__ = ["inline_refs"]

MAX_VALUES: Final = 20_000  # a schema of a few lines can stand for billions of values

_DEFINITIONS: Final = ("$defs", "definitions")
_ROOT_ONLY: Final = (*_DEFINITIONS, "$schema", "$id")
_INSTEAD: Final[dict[str, Json]] = {"type": "string", "description": "-"}  # of what can't be found


def inline_refs(schema: Schema) -> tuple[dict[str, Json], list[Fault]]:
    """The schema without references and definitions; a fault for each reference that can't be followed."""
    inliner = _Inliner(schema)
    kept = {key: value for key, value in schema.items() if key not in _ROOT_ONLY}
    inlined = inliner.value(kept, "", ())
    assert isinstance(inlined, dict)
    return inlined, inliner.faults


class _Inliner:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._values = 0
        self.faults: list[Fault] = []

    def value(self, node: Json, path: str, followed: tuple[str, ...]) -> Json:
        self._values += 1
        if isinstance(node, list):
            return [self.value(item, f"{path}.{i}", followed) for i, item in enumerate(node)]
        if not isinstance(node, dict):
            return node
        ref = node.get("$ref")
        if isinstance(ref, str):
            return self._target(ref, node, path, followed)
        return self.mapping(node, path, followed)

    def mapping(self, node: dict[str, Json], path: str, followed: tuple[str, ...]) -> dict[str, Json]:
        return {key: self.value(value, f"{path}.{key}" if path else key, followed) for key, value in node.items()}

    def _target(self, ref: str, node: dict[str, Json], path: str, followed: tuple[str, ...]) -> dict[str, Json]:
        """What a reference points at, with what stands beside the reference laid over it."""
        beside = self.mapping({key: v for key, v in node.items() if key != "$ref"}, path, followed)
        target = _pointed_at(self._root, ref)
        if target is None:
            self._fault(f'"{ref}" does not exist', path, _hint(self._root, ref))
        elif ref in followed:
            self._fault(f'"{ref}" contains itself', path, "write out the levels that are wanted")
        elif self._values > MAX_VALUES:
            self._fault(f"the references stand for more than {MAX_VALUES} values", path, "use fewer")
        else:
            inlined = self.value(target, path, (*followed, ref))
            assert isinstance(inlined, dict)
            return {**inlined, **beside}
        return {**_INSTEAD, **beside}

    def _fault(self, message: str, path: str, hint: str) -> None:
        self.faults.append(Fault(message, path=f"{path}.$ref" if path else "$ref", hint=hint))


def _pointed_at(root: Schema, ref: str) -> dict[str, Json] | None:
    """The schema at a JSON Pointer (RFC 6901) into the root."""
    if not ref.startswith("#/"):
        return None
    node: Json = dict(root)
    for step in ref[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or key not in node:
            return None
        node = node[key]
    return node if isinstance(node, dict) else None


def _hint(root: Schema, ref: str) -> str:
    if not ref.startswith("#"):
        return "only what is in the same schema can be referred to, such as #/$defs/address"
    known = []
    for key in _DEFINITIONS:
        definitions = root.get(key)
        known += [f"#/{key}/{name}" for name in definitions] if isinstance(definitions, dict) else []
    return did_you_mean(ref, known)
