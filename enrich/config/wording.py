"""pydantic's errors as faults in our own words: where, what came, what was expected, what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from enrich.errors import Fault
from enrich.spec import did_you_mean, shown

__all__ = ["MISSING", "faults_of"]

MISSING: Final = "is missing"

_REQUIRED: Final[Mapping[str, str]] = {
    "name": "such as name: companies",
    "inputs": "such as inputs: {company_name: name}",
    "outputs": "such as outputs: {founded_year: {type: integer, description: ...}}",
    "processor": "such as processor: core",
}


def faults_of(error: ValidationError, model: type[BaseModel]) -> Iterator[Fault]:
    """A fault for each of pydantic's errors, with its key path and no line yet."""
    for detail in error.errors(include_url=False):
        loc = [str(step) for step in detail["loc"] if step != "[key]"]
        message, hint = _words(detail, loc, model)
        key = detail.get("ctx", {}).get("key", "")
        yield Fault(message, path=".".join([*loc, key] if key else loc), hint=hint)


def _words(detail: ErrorDetails, loc: list[str], model: type[BaseModel]) -> tuple[str, str]:
    context: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "enrich":
            return str(context["message"]), str(context["hint"])
        case "missing":
            return MISSING, _REQUIRED.get(loc[-1], "")
        case "extra_forbidden":
            known = tuple(_model_at(model, loc[:-1]).model_fields)
            return "unknown key", did_you_mean(loc[-1], known) or f"the keys here are {', '.join(known)}"
        case _:  # a model where something else came; every other kind of value has a validator of its own
            known = tuple(_model_at(model, loc).model_fields)
            return f"expected a mapping with {', '.join(known)}, got {shown(detail['input'])}", ""


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
