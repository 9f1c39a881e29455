"""The config as frozen, typed values.

Every key is here with its type, default and description; the JSON Schema for editors is made from it. What a value
must be is said by our own validators, so that a message never speaks of pydantic. Rules between keys that need more
than one model stand in `checks`.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic import Field as Key
from pydantic_core import PydanticCustomError

from enrich.config.countries import COUNTRIES, COUNTRY_SLIPS
from enrich.config.places import Places
from enrich.durations import DURATION_PATTERN, duration_text, parse_duration
from enrich.errors import Fault
from enrich.spec import Field, Json, build_field, did_you_mean, shown
from enrich.templates import TemplateError, columns_of, is_template, parse_template

__all__ = [
    "Config",
    "CsvOptions",
    "Evidence",
    "Existing",
    "Gate",
    "GateLevel",
    "Output",
    "Refresh",
    "SourcePolicy",
    "Threshold",
    "score",
]

Evidence: TypeAlias = Literal["confidence", "citations", "reasoning"]
Existing: TypeAlias = Literal["error", "fill", "replace"]
GateLevel: TypeAlias = Literal["accept", "review", "withhold"]
Word: TypeAlias = Literal["high", "medium", "low"]

# Words and numbers of confidence, the one place where they meet. A word that the service gives counts as the number,
# and a word in a gate stands for it: so a gate of words judges numbers, and a gate of numbers judges words.
# 0.9 and 0.6 are the vendor's advice for numeric confidences.
WORD_SCORES: Final[Mapping[str, float]] = {"high": 0.9, "medium": 0.6, "low": 0.0}

MAX_DOMAINS: Final = 200
MAX_NAME_CHARS: Final = 64
MAX_COLUMN_CHARS: Final = 100


def score(confidence: object) -> float | None:
    """A confidence as a number from 0 to 1; None for what is none (absent, an unknown word, out of range)."""
    if isinstance(confidence, str):
        word = confidence.strip().casefold()
        if word in WORD_SCORES:
            return WORD_SCORES[word]
        try:
            confidence = float(word)
        except ValueError:
            return None
    if isinstance(confidence, bool) or not isinstance(confidence, (int, float)):
        return None
    return float(confidence) if 0 <= confidence <= 1 else None


# --- what a value must be ---------------------------------------------------------------------------------------


def wrong(message: str, hint: str = "", *, key: str = "") -> PydanticCustomError:
    """A fault whose sentence is whole; `key` names the key of a mapping that it is about."""
    return PydanticCustomError("enrich", "{message}", {"message": message, "hint": hint, "key": key})


def expected(what: str, got: object, hint: str = "") -> PydanticCustomError:
    """A fault of the common form."""
    return wrong(f"expected {what}, got {shown(got)}", hint)


def _text(what: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            quoted = isinstance(value, (bool, int, float))
            raise expected(what, value, "put it in quotes to make it text" if quoted else "")
        return value

    return check


def _one_of(words: tuple[str, ...], alias: Mapping[str, str] | None = None) -> BeforeValidator:
    def check(value: object) -> object:
        if not isinstance(value, str) or value not in words:
            near = (alias or {}).get(str(value).casefold())
            hint = f'did you mean "{near}"?' if near else did_you_mean(str(value), words)
            raise expected(_or(words), value, hint)
        return value

    return BeforeValidator(check)


def _list_of(what: str) -> BeforeValidator:
    def check(value: object) -> object:
        if not isinstance(value, (list, tuple)):
            raise expected(f"a list of {what}", value, f"write [{value}]" if isinstance(value, str) else "")
        twice = [item for i, item in enumerate(value) if item in value[:i]]
        if twice:
            raise wrong(f"{shown(twice[0])} is there twice")
        return tuple(value)

    return BeforeValidator(check)


def _flag(value: object) -> object:
    if not isinstance(value, bool):
        raise expected("true or false", value)
    return value


def _name(value: object) -> str:
    text = _text("a name")(value)
    if not re.fullmatch(r"[^\W_][\w.-]*", text) or len(text) > MAX_NAME_CHARS:
        what = f"a name of letters, digits, - _ . (at most {MAX_NAME_CHARS})"
        raise expected(what, value)
    return text


def _input_name(value: object) -> str:
    text = _text("the name of an input field")(value)
    _check_label(text, "an input field")
    return text


def _check_label(text: str, what: str) -> None:
    if text != text.strip():
        raise wrong(f"the name of {what} begins or ends with a blank")
    if not text.isprintable():
        raise wrong(f"the name of {what} has a control character")
    if len(text) > MAX_COLUMN_CHARS:
        raise wrong(f"the name of {what} has {len(text)} characters, at most {MAX_COLUMN_CHARS} are taken")


def _input_source(value: object) -> str:
    text = _text("a column, or text with {columns} in it")(value)
    if is_template(text):
        try:
            parse_template(text)
        except TemplateError as error:
            raise wrong(f"{error} in {shown(text)}") from None
    return text


def _inputs(value: object) -> object:
    if not isinstance(value, dict) or not value:
        raise expected("a mapping of input fields to columns", value, "such as company_name: name")
    return value


def _output_name(value: object) -> str:
    text = _text("the name of an answer column")(value)
    _check_label(text, "an answer column")
    if text.startswith("enrich_"):
        raise wrong('names that begin with "enrich_" are kept for the columns of the row')
    if "." in text:
        raise wrong('the name of an answer column has no "."', "the service names parts of an answer with it")
    if text[0] in "=+-@":
        raise wrong(
            f'the name of an answer column can\'t begin with "{text[0]}"',
            "spreadsheets take it for a formula",
        )
    return text


def _outputs(value: object) -> object:
    if not isinstance(value, dict) or not value:
        raise expected("a mapping of answer columns to JSON Schemas, or a file", value)
    return value


def _processor(value: object) -> str:
    from enrich.api.processors import PROCESSORS

    if not isinstance(value, str) or value not in PROCESSORS:
        hint = did_you_mean(str(value), tuple(PROCESSORS))
        raise expected("a processor", value, hint or f"there are {', '.join(PROCESSORS)}")
    return value


def _ladder(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)) or not value:
        raise expected("a processor, or a list of them", value, "such as [core, pro]")
    return tuple(value)


def _ascending(ladder: tuple[str, ...]) -> tuple[str, ...]:
    from enrich.api.processors import PROCESSORS

    def strength(name: str) -> tuple[Decimal, bool]:
        return PROCESSORS[name].usd, not name.endswith("-fast")

    for weaker, stronger in zip(ladder, ladder[1:], strict=False):
        if weaker == stronger or strength(weaker) >= strength(stronger):
            right = sorted(dict.fromkeys(ladder), key=strength)
            raise wrong(
                f"{stronger} after {weaker}: a ladder goes from the weakest to the strongest",
                f"write [{', '.join(right)}]" if len(right) > 1 else f"write {right[0]}",
            )
    return ladder


def _threshold(value: object) -> Word | float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and score(value) is not None:
        return float(value)  # type: ignore[arg-type]
    words: tuple[Word, ...] = get_args(Word)
    for word in words:
        if value == word:
            return word
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    if number and isinstance(value, (int, float)) and 1 < value <= 100:
        hint = f"{value} percent is {value / 100:g}"
    raise expected("high, medium, low or a number from 0 to 1", value, hint)


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return parse_duration(value) if isinstance(value, str) else parse_duration("")
    except ValueError:
        hint = f"did you mean {value}d?" if isinstance(value, int) and not isinstance(value, bool) else ""
        raise expected("a duration such as 12h, 30d or 2w", value, hint) from None


def _duration_or_never(value: object) -> timedelta | None:
    if value is None or value == "never":
        return None
    try:
        return _duration(value)
    except PydanticCustomError as error:
        context = error.context or {}
        raise wrong(
            str(context["message"]).replace(
                "a duration such as 12h, 30d or 2w", "a duration such as 30d, or never"
            ),
            str(context["hint"]),
        ) from None


def _budget(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(float(str(value))) or float(str(value)) <= 0:
        raise expected("US dollars above zero, such as 25.00", value, _dollars(value))
    return Decimal(str(value))


def _dollars(value: object) -> str:
    match = re.fullmatch(r"\s*(?:USD|\$)?\s*([0-9]+(?:\.[0-9]+)?)\s*(?:USD|\$)?\s*", str(value))
    return f"write {match[1]}" if isinstance(value, str) and match else ""


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    text = _text("a path")(value)
    if "$" in text or text.startswith("~"):
        raise wrong(
            f"{shown(text)} is taken as it stands", "variables and ~ are not replaced: write the path out"
        )
    return Path(text)


def _ledger(value: object, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path())
    return Path(folder) / _path(value)


_DOMAIN: Final = re.compile(
    r"\.?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])", re.ASCII
)


def _domain(value: object) -> str:
    text = _text("a domain such as example.com")(value)
    plain = text.casefold()
    if not _DOMAIN.fullmatch(plain) or "." not in plain or len(plain) > 253:
        bare = re.sub(r"^[a-z]+://|[/?#:].*$", "", re.sub(r"^[a-z]+://", "", plain)).removeprefix("*.")
        good = bare != plain and _DOMAIN.fullmatch(bare) and "." in bare
        raise expected("a plain domain such as example.com or .gov", value, f"write {bare}" if good else "")
    return plain


def _date(value: object) -> date:
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise expected("a date such as 2024-01-31", value)


def _location(value: object) -> str:
    code = str(value).upper()
    if isinstance(value, str) and code in COUNTRIES:
        return code
    slip = COUNTRY_SLIPS.get(code)
    raise expected(
        "a country as two letters (ISO 3166-1), such as US", value, f'did you mean "{slip}"?' if slip else ""
    )


def _encoding(value: object) -> str:
    text = _text("an encoding such as utf-8")(value)
    try:
        return codecs.lookup(text).name
    except (LookupError, ValueError):
        near = did_you_mean(text, ("utf-8", "utf-16", "latin-1", "windows-1252", "iso-8859-15", "cp1252"))
        raise expected("an encoding such as utf-8, latin-1 or windows-1252", value, near) from None


def _character(what: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or len(value) != 1 or value in "\r\n\0" or ord(value) > 127:
            tab = value in ("\\t", "tab", "TAB")
            raise expected(
                f"one character as {what}", value, 'a tab is "\\t" in double quotes' if tab else ""
            )
        return value

    return check


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


# --- the models -------------------------------------------------------------------------------------------------

_DURATION_SCHEMA: Final = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["12h", "30d", "2w"]}
_NEVER_SCHEMA: Final = {"anyOf": [{"const": "never"}, _DURATION_SCHEMA]}
_TEXT_SCHEMA: Final = {"type": "string", "minLength": 1}

Threshold: TypeAlias = Annotated[
    Word | float,
    PlainValidator(_threshold),
    WithJsonSchema({"anyOf": [{"enum": list(WORD_SCORES)}, {"type": "number", "minimum": 0, "maximum": 1}]}),
]
Duration: TypeAlias = Annotated[timedelta, PlainValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
DurationOrNever: TypeAlias = Annotated[
    timedelta | None, PlainValidator(_duration_or_never), WithJsonSchema(_NEVER_SCHEMA)
]
Domain: TypeAlias = Annotated[str, BeforeValidator(_domain)]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )


class Gate(_Model):
    """From which confidence an answer is accepted, and from which it is queued for review; the rest is withheld."""

    accept: Threshold = Key(default="high", description="Confidence from which an answer is accepted.")
    review: Threshold = Key(
        default_factory=lambda data: _at_most(data.get("accept", "high"), "medium"),
        description="Confidence from which an answer goes to review; below it, it is withheld.",
    )
    missing: Annotated[GateLevel, _one_of(get_args(GateLevel))] = Key(
        default="review", description="What becomes of an answer that came without a confidence."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if _number(self.review) > _number(self.accept):
            raise wrong(
                f"review ({self.review}) is stricter than accept ({self.accept})",
                "what is good enough to accept needs no review: lower review, or raise accept",
                key="review",
            )
        return self

    def level(self, confidence: str | float | None) -> GateLevel:
        """What the gate says of a confidence, word or number; unknown words and numbers count as missing."""
        number = score(confidence)
        if number is None:
            return self.missing
        if number >= _number(self.accept):
            return "accept"
        return "review" if number >= _number(self.review) else "withhold"

    def overridden(self, accept: Threshold | None, review: Threshold | None) -> Gate:
        """This gate with an answer's own thresholds; an inherited review is never stricter than its accept."""
        strict = self.accept if accept is None else accept
        return Gate(
            accept=strict,
            review=_at_most(strict, self.review) if review is None else review,
            missing=self.missing,
        )


def _number(threshold: Threshold) -> float:
    return WORD_SCORES[threshold] if isinstance(threshold, str) else threshold


def _at_most(limit: Threshold, threshold: Threshold) -> Threshold:
    return threshold if _number(threshold) <= _number(limit) else limit


class Refresh(_Model):
    """How long an outcome stands before it is asked for again; None is for ever."""

    answers: DurationOrNever = Key(default=None, description="An answer that was found.")
    not_found: DurationOrNever = Key(
        default_factory=lambda data: _shorter(timedelta(days=7), data.get("answers")),
        description="No source says so. Never longer than answers.",
    )
    failed: Duration = Key(
        default_factory=lambda data: (
            _shorter(timedelta(hours=12), data.get("answers")) or timedelta(hours=12)
        ),
        description="The run failed, and cost nothing.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, dict):
            return value
        if isinstance(value, (list, tuple)):
            raise expected("a duration, never, or a mapping of answers, not_found and failed", value)
        return {"answers": value}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for key in ("not_found", "failed"):
            if key in self.model_fields_set and self.answers is not None:
                own = getattr(self, key)
                if own is None or own > self.answers:
                    said = "never" if own is None else duration_text(own)
                    raise wrong(
                        f"{key} ({said}) is longer than answers ({duration_text(self.answers)})",
                        "what is not known is asked again no later than what is",
                        key=key,
                    )
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
            failed=own.failed if "failed" in said else (_shorter(self.failed, answers) or self.failed),
        )


def _shorter(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    return min((duration for duration in (one, other) if duration is not None), default=None)


class SourcePolicy(_Model):
    """Which sources may be used."""

    include_domains: Annotated[tuple[Domain, ...], _list_of("domains")] = Key(
        default=(), description="Only these domains (and those below them)."
    )
    exclude_domains: Annotated[tuple[Domain, ...], _list_of("domains")] = Key(
        default=(), description="None of these domains."
    )
    after_date: Annotated[
        date | None, PlainValidator(_date), WithJsonSchema({"type": "string", "format": "date"})
    ] = Key(default=None, description="Only what was published on this day or later.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        both = sorted({*self.include_domains} & {*self.exclude_domains})
        if both:
            raise wrong(f"{both[0]} is both included and excluded")
        count = len(self.include_domains) + len(self.exclude_domains)
        if count > MAX_DOMAINS:
            raise wrong(f"{count} domains in all, the service takes {MAX_DOMAINS}")
        return self

    def to_wire(self) -> dict[str, Json]:
        """As the service takes it; the order of domains means nothing, so they are sorted."""
        wire: dict[str, Json] = {}
        if self.include_domains:
            wire["include_domains"] = list[Json](sorted(self.include_domains))
        if self.exclude_domains:
            wire["exclude_domains"] = list[Json](sorted(self.exclude_domains))
        if self.after_date is not None:
            wire["after_date"] = self.after_date.isoformat()
        return wire


class CsvOptions(_Model):
    """How CSV and TSV are read and written; what is left out is found out from the file."""

    encoding: Annotated[str | None, PlainValidator(_encoding), WithJsonSchema(_TEXT_SCHEMA)] = Key(
        default=None, description="Encoding of the file, such as utf-8 or windows-1252."
    )
    delimiter: Annotated[
        str | None,
        PlainValidator(_character("a delimiter")),
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 1}),
    ] = Key(default=None, description="Character between the cells.")
    quote: Annotated[
        str | None,
        PlainValidator(_character("a quote")),
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 1}),
    ] = Key(default=None, description="Character around cells that need it.")
    formulas: Annotated[Literal["neutralise", "keep"], _one_of(("neutralise", "keep"))] = Key(
        default="neutralise",
        description="Whether added cells that a spreadsheet would run as a formula get an apostrophe before them.",
    )

    @model_validator(mode="after")
    def _different(self) -> Self:
        if self.delimiter is not None and self.delimiter == self.quote:
            raise wrong("delimiter and quote are the same character")
        return self


OWN_KEYS: Final = ("accept", "review", "refresh")


class Output(_Model):
    """One answer column: the JSON Schema of its value, and a gate and refresh of its own."""

    value_schema: dict[str, Any]  # Json; pydantic cannot take a recursive alias
    accept: Threshold | None = None
    review: Threshold | None = None
    refresh: Refresh | None = None

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Takes the keys that are ours from beside the schema's."""
        if not isinstance(value, dict):
            raise expected("a JSON Schema (a mapping)", value, "such as {type: string, description: ...}")
        own = {key: value[key] for key in OWN_KEYS if key in value}
        nothing = [key for key, given in own.items() if given is None]
        if nothing:
            raise wrong("expected a value, got nothing", "write one, or leave the key out", key=nothing[0])
        return {"value_schema": {key: v for key, v in value.items() if key not in OWN_KEYS}, **own}


_OUTPUTS_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string", "minLength": 1, "description": "A JSON Schema file, beside the config."},
        {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/Output"}},
    ]
}


class Config(_Model):
    """What goes in, which answers come out, how sure they must be, and what they may cost."""

    name: Annotated[str, BeforeValidator(_name)] = Key(description="Name of the enrichment, for people.")
    inputs: Annotated[
        dict[Annotated[str, BeforeValidator(_input_name)], Annotated[str, BeforeValidator(_input_source)]],
        BeforeValidator(_inputs),
        WithJsonSchema({"type": "object", "minProperties": 1, "additionalProperties": _TEXT_SCHEMA}),
    ] = Key(
        description="Field of the input document: a column, or text with {columns} in it. Nothing else is sent."
    )
    require: Annotated[
        tuple[str, ...],
        _list_of("input fields"),
        WithJsonSchema({"type": "array", "items": _TEXT_SCHEMA, "uniqueItems": True}),
    ] = Key(
        default=(),
        description="Input fields that a row must have; a row without them is skipped, and costs nothing.",
    )
    instructions: Annotated[
        str | None, BeforeValidator(lambda value: _text("text")(value).strip()), WithJsonSchema(_TEXT_SCHEMA)
    ] = Key(
        default=None, description="What holds for all answers. A change makes every answer a new question."
    )
    outputs: Annotated[
        dict[Annotated[str, BeforeValidator(_output_name)], Output],
        BeforeValidator(_outputs),
        WithJsonSchema(_OUTPUTS_SCHEMA),
    ] = Key(
        description="Answer column: JSON Schema of its value; the description is the question. Or a JSON Schema file."
    )
    processor: Annotated[
        tuple[Annotated[str, BeforeValidator(_processor)], ...],
        BeforeValidator(_ladder),
        AfterValidator(_ascending),
    ] = Key(
        description="The processor, or a ladder of them, weakest first: what stays too weak is asked again on the next."
    )
    confidence: Gate = Key(default=Gate(), description="How sure an answer must be.")
    basis: Annotated[
        tuple[Annotated[Evidence, _one_of(get_args(Evidence), {"citation": "citations"})], ...],
        _list_of("confidence, citations, reasoning"),
    ] = Key(default=get_args(Evidence), description="Evidence columns to join for each answer.")
    refresh: Refresh = Key(default=Refresh(), description="When an outcome is asked for again.")
    budget: Annotated[
        Decimal | None,
        PlainValidator(_budget),
        WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
    ] = Key(
        default=None, description="US dollars that a run may have at stake: paid, submitted and unresolved."
    )
    existing: Annotated[Existing, _one_of(get_args(Existing))] = Key(
        default="error", description="What to do when the table already has a column of an answer's name."
    )
    ledger: Annotated[Path | None, PlainValidator(_ledger), WithJsonSchema(_TEXT_SCHEMA)] = Key(
        default=None,
        description="The ledger's file, from the config's folder; .enrich/ledger.db if left out.",
    )
    source_policy: SourcePolicy | None = Key(default=None, description="Which sources may be used.")
    location: Annotated[
        str | None, PlainValidator(_location), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{2}$"})
    ] = Key(default=None, description="Country to search from, as two letters (ISO 3166-1).")
    chain: Annotated[bool, BeforeValidator(_flag)] = Key(
        default=True,
        description="Whether an escalation builds on the cheaper attempt. Not for accounts without data retention.",
    )
    csv: CsvOptions = Key(default=CsvOptions(), description="How CSV and TSV are read and written.")

    _places: Places = PrivateAttr(default_factory=lambda: Places(Path("enrich.yaml")))
    _schema_advice: tuple[Fault, ...] = PrivateAttr(default=())

    @property
    def path(self) -> Path:
        """The file that the config was read from."""
        return self._places.path

    @property
    def schema_advice(self) -> tuple[Fault, ...]:
        """What the service's rules advise against in the output schemas, without lines."""
        return self._schema_advice

    def placed(self, fault: Fault) -> Fault:
        """A fault of this config with its line, and with its file where that is the schema's."""
        return self._places.put(fault)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The answers wanted, in the config's order."""
        policy = self.source_policy.to_wire() if self.source_policy is not None else None
        return tuple(
            build_field(
                name,
                output.value_schema,
                instructions=self.instructions,
                source_policy=policy or None,
                location=self.location,
            )
            for name, output in self.outputs.items()
        )

    @cached_property
    def _gates(self) -> dict[str, Gate]:
        return {name: self.confidence.overridden(o.accept, o.review) for name, o in self.outputs.items()}

    @cached_property
    def _refreshes(self) -> dict[str, Refresh]:
        return {name: self.refresh.overridden(o.refresh) for name, o in self.outputs.items()}

    def gate_for(self, name: str) -> Gate:
        """The gate of an answer: its own thresholds over the config's."""
        return self._gates[name]

    def refresh_for(self, name: str) -> Refresh:
        """When outcomes of an answer are asked for again: its own durations over the config's."""
        return self._refreshes[name]

    def columns_of(self, input_field: str) -> tuple[str, ...]:
        """The table's columns that an input field is made of."""
        return columns_of(self.inputs[input_field])

    def run_settings(self) -> dict[str, Json]:
        """What stands beside the input of each run for the service: source policy and location."""
        settings: dict[str, Json] = {}
        if self.source_policy is not None and (policy := self.source_policy.to_wire()):
            settings["source_policy"] = policy
        if self.location is not None:
            settings["advanced_settings"] = {"location": self.location.lower()}
        return settings
