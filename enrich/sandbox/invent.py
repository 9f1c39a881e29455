"""Values made up from a JSON Schema: of the right type, in the enum, complete, and the same every time.

An invented text says that it is invented; the basis that goes with it (`enrich.sandbox.answers`) says so
too. `invent` never fails on a schema that passed `enrich.sandbox.schema_rules`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from enrich.sandbox.dice import Dice
from enrich.sandbox.schema_rules import resolve

Json = Any

NULL_ONE_IN = 8  # a value that may be null is null this often
_YEARS = range(1950, 2025)
_ANYTHING: Mapping[str, Json] = {"type": "string"}


def invent(schema: Mapping[str, Json], dice: Dice, *, name: str, root: Mapping[str, Json]) -> Json:
    """One value for `schema`; `name` (of the field) only flavours it, `root` is where `$ref`s point."""
    schema = _one_branch(schema, dice, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][dice.below(len(schema["enum"]))]
    return _of_type(_pick_type(schema, dice), schema, dice, name, root)


def _one_branch(schema: Mapping[str, Json], dice: Dice, root: Mapping[str, Json]) -> Mapping[str, Json]:
    """`schema` with references followed, parts of an allOf merged and one branch of a union chosen."""
    for _ in range(16):
        if "$ref" in schema:
            schema = resolve(schema, root) or _ANYTHING
        elif schema.get("allOf"):
            schema = _merged(schema, root)
        elif branches := schema.get("anyOf") or schema.get("oneOf"):
            rest = {word: value for word, value in schema.items() if word not in ("anyOf", "oneOf")}
            schema = rest | dict(_pick_branch(branches, dice))
        else:
            return schema
    return _ANYTHING


def _merged(schema: Mapping[str, Json], root: Mapping[str, Json]) -> Mapping[str, Json]:
    whole = {word: value for word, value in schema.items() if word != "allOf"}
    for part in schema["allOf"]:
        found = dict(resolve(part, root) or {})
        properties = {**whole.get("properties", {}), **found.get("properties", {})}
        whole |= found
        if properties:
            whole["properties"] = properties
    return whole


def _pick_branch(branches: Sequence[Mapping[str, Json]], dice: Dice) -> Mapping[str, Json]:
    others = [branch for branch in branches if not _is_null(branch)]
    if not others or (len(others) < len(branches) and dice.below(NULL_ONE_IN) == 0):
        return {"type": "null"}
    return others[dice.below(len(others))]


def _is_null(schema: Mapping[str, Json]) -> bool:
    return schema.get("type") in ("null", ["null"]) or ("const" in schema and schema["const"] is None)


def _pick_type(schema: Mapping[str, Json], dice: Dice) -> str:
    named = schema.get("type")
    if isinstance(named, str):
        return named
    if not named:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    others = [name for name in named if name != "null"]
    if not others or (len(others) < len(named) and dice.below(NULL_ONE_IN) == 0):
        return "null"
    return str(others[dice.below(len(others))])


def _of_type(kind: str, schema: Mapping[str, Json], dice: Dice, name: str, root: Mapping[str, Json]) -> Json:
    if kind == "array":
        inner = schema.get("items")
        items = inner if isinstance(inner, dict) else _ANYTHING
        count = 0 if inner is False else dice.below(4)
        return [invent(items, dice, name=name, root=root) for _ in range(count)]
    if kind == "object":
        properties = schema.get("properties", {})
        return {key: invent(inner, dice, name=key, root=root) for key, inner in properties.items()}
    return _SCALARS[kind](name, dice)


def _null(_name: str, _dice: Dice) -> None:
    return None


def _truth(_name: str, dice: Dice) -> bool:
    return dice.below(2) == 1


def _number(_name: str, dice: Dice) -> float:
    return dice.below(1_000_000) / 100


def _whole_number(name: str, dice: Dice) -> int:
    if "year" in name.lower():
        return _YEARS[dice.below(len(_YEARS))]
    return dice.below(10_000)


def _text(name: str, dice: Dice) -> str:
    lower, number = name.lower(), dice.below(10_000)
    if any(word in lower for word in ("website", "url", "domain", "homepage")):
        return f"https://invented-{number}.sandbox.invalid/"
    if "email" in lower:
        return f"nobody@invented-{number}.sandbox.invalid"
    return f"Invented {name.replace('_', ' ')} {number}"


_SCALARS: Mapping[str, Callable[[str, Dice], Json]] = {
    "null": _null,
    "boolean": _truth,
    "integer": _whole_number,
    "number": _number,
    "string": _text,
}
