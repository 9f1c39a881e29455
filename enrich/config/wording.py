"""pydantic's errors as faults in our words: where, what came, what was expected, what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from enrich.config.gate import threshold
from enrich.errors import Fault
from enrich.spec import Json
from enrich.text.phrases import did_you_mean, either, shown

__all__ = ["MISSING", "faults_of"]

MISSING: Final = "is missing"

_REQUIRED: Final[Mapping[str, str]] = {
    "name": "such as name: companies",
    "inputs": "such as inputs: {company_name: name}",
    "outputs": "such as outputs: {founded_year: {type: integer, description: ...}}",
    "processor": "such as processor: core",
}
# Mappings that are easily taken for something simpler.
_EXAMPLES: Final[Mapping[str, str]] = {
    "confidence": "such as {accept: high, review: medium}",
    "source_policy": "such as {exclude_domains: [example.com]}",
    "csv": 'such as {delimiter: ";"}',
}
# What is written in place of a key, by people who know other tools.
_SLIPS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("model", "engine", "tier"), 'did you mean "processor"?'),
    **dict.fromkeys(("prompt", "system_prompt", "description", "context"), 'did you mean "instructions"?'),
    **dict.fromkeys(("columns", "fields", "questions", "answers", "schema"), 'did you mean "outputs"?'),
    **dict.fromkeys(("limit", "sample", "where", "max_rows", "rows"), "select rows with options of the command"),
    **dict.fromkeys(("table", "file", "path", "input_file", "source"), "give the table to the command"),
    **dict.fromkeys(("output_file", "output_path"), "set the output with -o"),
    **dict.fromkeys(("country", "region"), 'did you mean "location"?'),
    **dict.fromkeys(("domains", "sources"), 'did you mean "source_policy"?'),
}


def faults_of(error: ValidationError, model: type[BaseModel], raw: Mapping[str, Json]) -> Iterator[Fault]:
    """A fault for each of pydantic's errors in `raw`, with its key path and no line yet."""
    written: Json = dict(raw)
    for detail in error.errors(include_url=False):
        if detail["type"] == "default_factory_not_called":  # the key that the default hangs on has its fault
            continue
        loc = [str(step) for step in detail["loc"] if step != "[key]"]
        message, hint = _words(detail, loc, model)
        key = detail.get("ctx", {}).get("key", "")
        steps = [*loc, key] if key else loc
        path = steps if message == MISSING else _as_written(steps, written)
        yield Fault(message, path=".".join(path), hint=hint)


def _as_written(steps: list[str], raw: Json) -> list[str]:
    """The part of a key path that the config has: `refresh` for the `refresh.answers` of its short form."""
    for i, step in enumerate(steps):
        if isinstance(raw, dict) and step in raw:
            raw = raw[step]
        elif isinstance(raw, list) and step.isdecimal() and int(step) < len(raw):
            raw = raw[int(step)]
        else:
            return steps[:i]
    return steps


def _words(detail: ErrorDetails, loc: list[str], model: type[BaseModel]) -> tuple[str, str]:
    context: dict[str, Any] = detail.get("ctx", {})
    if detail["type"] == "enrich":
        return str(context["message"]), str(context["hint"])
    if detail["type"] == "missing":
        return MISSING, _REQUIRED[loc[-1]]
    if detail["type"] == "extra_forbidden":
        known = tuple(_model_at(model, loc[:-1]).model_fields)
        slip = _SLIPS.get(loc[-1].casefold(), "") if len(loc) == 1 else ""
        return "unknown key", slip or did_you_mean(loc[-1], known) or f"the keys here are {', '.join(known)}"
    # What is left is a mapping of ours that is none: every other kind of value has a check of its own.
    known = tuple(_model_at(model, loc).model_fields)
    got, hint = detail["input"], _EXAMPLES[loc[-1]]
    if loc[-1] == "confidence" and threshold(got) is not None:
        hint = f"write {{accept: {got}}}"
    return f"expected a mapping with {either(known)}, got {shown(got)}", hint


def _model_at(model: type[BaseModel], loc: list[str]) -> type[BaseModel]:
    """The model that validates what stands at `loc`."""
    for step in loc:
        if step in model.model_fields:
            model = _model_in(model.model_fields[step].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None
