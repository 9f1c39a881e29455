"""Outputs that a client must survive: emptied, misshapen, enormous, hostile; by run, so repeatable."""

from collections.abc import Mapping
from typing import Any

import msgspec

from enrich.sandbox.faults import FaultPlan
from enrich.sandbox.registry import Run

Json = Any

HUGE_CHARS = 1_000_000
SEPARATORS = "\u2028line separator\u2029paragraph separator\u0085next line"
_NUMERIC = {"high": 0.95, "medium": 0.75, "low": 0.4, None: None}

HOSTILE_TEXTS = (
    '=HYPERLINK("https://evil.sandbox.invalid","click")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1+1)",
    "\t=1+1",
    "\r=1+1",
    "\uff1d1+1",  # full-width =
    "\uff0b1+1",  # full-width +
    " =1+1",
    '"=1+1',
    ";=1+1",
    "first line\n=1+1",
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "<svg/onload=alert(1)>",
    "</td></table><iframe src=javascript:alert(1)>",
    "{{7*7}} ${7*7} {% raw %}",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;new title\x07",
    "\x1b]8;;https://evil.sandbox.invalid\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31mC1",
    "\x00NUL\x08\x7f",
    "abc\u202egnp.exe",
    "\u2066isolated\u2069 \u200f\u061c",
    "zero\u200bwidth\ufeff",
)
HOSTILE_LINKS = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//https://x",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    'https://x.sandbox.invalid/"onmouseover="alert(1)',
    "https://user:pw@evil.sandbox.invalid/\x1b[31m",
    "\\\\evil.sandbox.invalid\\share",
)


def tampered(output: dict[str, Json], run: Run, plan: FaultPlan) -> dict[str, Json]:
    """`output` as the faults that strike `run` leave it."""
    content, basis = _tampered_content(output["content"], run, plan), output["basis"]
    if plan.of_run("hostile-values", run):
        content, basis = _hostile(content, basis, run)
    if plan.of_run("huge-value", run):
        content = _with_huge_value(content)
    if plan.of_run("string-content", run) and isinstance(content, dict):
        content = msgspec.json.encode(content).decode()
    whole = {name: value for name, value in output.items() if name != "basis"}
    return whole | {"content": content} | _tampered_basis(basis, run, plan)


def _tampered_content(content: Json, run: Run, plan: FaultPlan) -> Json:
    if plan.of_run("null-fields", run):
        return dict.fromkeys(content) if isinstance(content, dict) else None
    if plan.of_run("invalid-values", run):
        if isinstance(content, dict):
            return {name: _misfit(value) for name, value in content.items()}
        return _misfit(content)
    return content


def _misfit(value: Json) -> Json:
    """A value of another type than `value` and than null."""
    return "not an object" if isinstance(value, dict) else {"unexpected": value}


def _with_huge_value(content: Json) -> Json:
    if isinstance(content, str):
        return "x" * HUGE_CHARS
    if isinstance(content, dict):
        texts = [name for name, value in content.items() if isinstance(value, str)]
        return {**content, **dict.fromkeys(texts[:1], "x" * HUGE_CHARS)}
    return content


def _hostile(content: Json, basis: list[Json], run: Run) -> tuple[Json, list[Json]]:
    """Texts replaced where the schema takes any text, and all of the basis; which ones, differs by run."""
    free = _free_texts(content, run)
    first = run.number * 3  # shares no factor with the number of texts or links: all get their turn
    if isinstance(content, dict):
        replaced = {name: _pick(HOSTILE_TEXTS, first + place) for place, name in enumerate(free)}
        content = {**content, **replaced}
    elif isinstance(content, str):
        content = _pick(HOSTILE_TEXTS, first)
    return content, [_hostile_entry(entry, first + place) for place, entry in enumerate(basis)]


def _free_texts(content: Json, run: Run) -> list[str]:
    schema = run.request.spec.schema
    if not isinstance(content, dict) or schema is None:
        return []
    closed = {name for name, inner in schema["properties"].items() if "enum" in inner or "const" in inner}
    return [name for name, value in content.items() if isinstance(value, str) and name not in closed]


def _hostile_entry(entry: Mapping[str, Json], number: int) -> dict[str, Json]:
    citation = {
        "url": _pick(HOSTILE_LINKS, number),
        "title": _pick(HOSTILE_TEXTS, number + 1),
        "excerpts": [_pick(HOSTILE_TEXTS, number + 2)],
    }
    return {**entry, "reasoning": _pick(HOSTILE_TEXTS, number + 3), "citations": [citation]}


def _pick(texts: tuple[str, ...], number: int) -> str:
    return texts[number % len(texts)]


def _tampered_basis(basis: list[Json], run: Run, plan: FaultPlan) -> dict[str, Json]:
    """The `basis` member, or none."""
    gone = plan.of_run("no-basis", run)
    if gone is not None:
        return {"basis": []} if gone.word == "empty" else {"basis": None} if gone.word == "null" else {}
    if plan.of_run("missing-basis", run):
        basis = basis[1::2]
    if plan.of_run("no-confidence", run):
        basis = [{**entry, "confidence": None} for entry in basis]
    if plan.of_run("line-separators", run):
        basis = [{**entry, "reasoning": f"{entry['reasoning']}{SEPARATORS}"} for entry in basis]
    numeric = plan.of_run("numeric-confidence", run)
    if numeric is None:
        return {"basis": basis}
    basis = [{**entry, "confidence": _NUMERIC.get(entry["confidence"], entry["confidence"])} for entry in basis]
    if numeric.word == "list":
        return {"basis": basis}
    return {"basis": {"fields": {entry["field"]: _other_shape(entry) for entry in basis}}}


def _other_shape(entry: Mapping[str, Json]) -> dict[str, Json]:
    """An entry of the other published shape: one link, one snippet."""
    cited = entry["citations"][0] if entry["citations"] else {}
    return {
        "confidence": entry["confidence"],
        "reasoning": entry["reasoning"],
        "source_url": cited.get("url"),
        "snippet": (cited.get("excerpts") or [None])[0],
    }
