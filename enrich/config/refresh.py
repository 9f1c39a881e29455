"""How long an outcome stands before it is asked for again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic import Field as Key
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from enrich.config.values import DURATION_SCHEMA, DurationOrNever, expected, wrong
from enrich.text.durations import duration_text

__all__ = ["TOO_LONG", "Refresh", "duration_words"]

TOO_LONG: Final = "shorten it, or lengthen answers"

_NOT_FOUND: Final = timedelta(days=7)
_FAILED: Final = timedelta(hours=12)


def duration_words(duration: timedelta | None) -> str:
    """A duration as a config says it."""
    return "never" if duration is None else duration_text(duration)


def _shorter(duration: timedelta | None, limit: timedelta | None) -> timedelta | None:
    return min((one for one in (duration, limit) if one is not None), default=None)


class Refresh(BaseModel):
    """Durations after which an outcome is asked for again; None is never."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    answers: DurationOrNever = Key(default=None, description="How long a found answer stands.")
    not_found: DurationOrNever = Key(
        default_factory=lambda data: _shorter(_NOT_FOUND, data["answers"]),
        description="How long a not-found outcome stands. Never longer than answers.",
    )
    failed: DurationOrNever = Key(
        default_factory=lambda data: _shorter(_FAILED, data["answers"]),
        description="How long to wait before a failed run is repeated. Never longer than answers.",
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"const": "never"}, DURATION_SCHEMA, handler(schema)]}

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            raise expected("a duration, never, or a mapping of answers, not_found and failed", value)
        return value if isinstance(value, (dict, Refresh)) else {"answers": value}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for key in ("not_found", "failed"):
            own = getattr(self, key)
            if self.answers is not None and (own is None or own > self.answers):
                message = f"{key} ({duration_words(own)}) is longer than answers ({duration_words(self.answers)})"
                raise wrong(message, TOO_LONG, key=key)
        return self

    def overridden(self, own: Refresh | None) -> Refresh:
        """These durations with an answer's own; inherited ones are never longer than its answers."""
        if own is None:
            return self
        said = own.model_fields_set
        answers = own.answers if "answers" in said else self.answers
        return Refresh(
            answers=answers,
            not_found=own.not_found if "not_found" in said else _shorter(self.not_found, answers),
            failed=own.failed if "failed" in said else _shorter(self.failed, answers),
        )
