"""What a single value of a config must be; a check says what came, what was expected and what to write."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from enrich.codec import text_codec
from enrich.config.countries import COUNTRIES, COUNTRY_SLIPS
from enrich.durations import DURATION_PATTERN, parse_duration
from enrich.phrases import did_you_mean, either, shown
from enrich.templates import TemplateError, is_template, parse_template

__all__ = [
    "DURATION_SCHEMA",
    "TEXT_SCHEMA",
    "Budget",
    "Country",
    "Date",
    "Delimiter",
    "Domain",
    "DurationOrNever",
    "Encoding",
    "Flag",
    "InputName",
    "InputSource",
    "LedgerPath",
    "Name",
    "OutputName",
    "Processor",
    "Quote",
    "Text",
    "expected",
    "list_of",
    "mapping_of",
    "one_of",
    "path_problem",
    "wrong",
]

MAX_NAME_CHARS: Final = 64
MAX_COLUMN_CHARS: Final = 100

TEXT_SCHEMA: Final = {"type": "string", "minLength": 1}
DURATION_SCHEMA: Final = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["12h", "30d", "2w"]}


def wrong(message: str, hint: str = "", *, key: str = "") -> PydanticCustomError:
    """A fault whose sentence is whole; `key` names the key of a mapping that it is about."""
    return PydanticCustomError("enrich", "{message}", {"message": message, "hint": hint, "key": key})


def expected(what: str, got: object, hint: str = "") -> PydanticCustomError:
    """A fault of the common form."""
    return wrong(f"expected {what}, got {shown(got)}", hint)


# --- any kind of value ------------------------------------------------------------------------------------


def text_of(what: str) -> Callable[[object], str]:
    """A check for text that is not blank."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise expected(what, value, "put it in quotes" if isinstance(value, (bool, int, float)) else "")
        return value

    return check


def one_of(*words: str) -> BeforeValidator:
    """One of a few words."""

    def check(value: object) -> object:
        if not isinstance(value, str) or value not in words:
            raise expected(either(words), value, did_you_mean(str(value), words))
        return value

    return BeforeValidator(check)


def list_of(what: str) -> BeforeValidator:
    """A list in which nothing stands twice."""

    def check(value: object) -> object:
        if not isinstance(value, (list, tuple)):
            raise expected(f"a list of {what}", value, f"write [{value}]" if isinstance(value, str) else "")
        for i, item in enumerate(value):
            if item in value[:i]:
                raise wrong(f"{shown(item)} is there twice")
        return tuple(value)

    return BeforeValidator(check)


def mapping_of(what: str, example: str) -> BeforeValidator:
    """A mapping with something in it."""

    def check(value: object) -> object:
        if not isinstance(value, dict) or not value:
            raise expected(what, value, example)
        return value

    return BeforeValidator(check)


def _text(value: object) -> str:
    return text_of("text")(value).strip()


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        slip = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).casefold())
        raise expected("true or false", value, f"write {slip}" if slip else "")
    return value


Text: TypeAlias = Annotated[str, PlainValidator(_text), WithJsonSchema(TEXT_SCHEMA)]
Flag: TypeAlias = Annotated[bool, PlainValidator(_flag), WithJsonSchema({"type": "boolean"})]


# --- names ------------------------------------------------------------------------------------------------


def _name(value: object) -> str:
    what = f"a name of letters, digits and - _ . with at most {MAX_NAME_CHARS} characters"
    text = text_of(what)(value)
    if not re.fullmatch(r"[^\W_][\w.-]*", text) or len(text) > MAX_NAME_CHARS:
        better = re.sub(r"[^\w.-]+", "-", text).strip("-._")[:MAX_NAME_CHARS]
        raise expected(what, value, f"write {better}" if better else "")
    return text


def _check_label(text: str, what: str) -> None:
    if text != text.strip():
        raise wrong(f"the name of {what} begins or ends with a blank")
    if not text.isprintable():
        raise wrong(f"the name of {what} has a control character in it")
    if len(text) > MAX_COLUMN_CHARS:
        raise wrong(f"the name of {what} has {len(text)} characters, at most {MAX_COLUMN_CHARS} are taken")


def _input_name(value: object) -> str:
    text = text_of("the name of an input field")(value)
    _check_label(text, "an input field")
    return text


def _input_source(value: object) -> str:
    what = "a column, or text with {columns} in it"
    if isinstance(value, dict):  # YAML takes {city} for a mapping
        raise expected(what, value, 'a text that begins with { goes in quotes, such as "{city}, {country}"')
    text = text_of(what)(value)
    if is_template(text):
        try:
            parse_template(text)
        except TemplateError as error:
            raise wrong(f"{error} in {shown(text)}") from None
    return text


def _output_name(value: object) -> str:
    text = text_of("the name of an answer column")(value)
    _check_label(text, "an answer column")
    if text == "enrich":
        raise wrong('"enrich" is kept: its status would be the column of the row, enrich_status')
    if text.startswith("enrich_"):
        raise wrong('names that begin with "enrich_" are kept for the columns of the row')
    if "." in text:
        raise wrong('the name of an answer column has no "."', "the service tells parts of an answer by it")
    if text[0] in "=+-@":
        hint = "spreadsheets take it for a formula"
        raise wrong(f'the name of an answer column does not begin with "{text[0]}"', hint)
    return text


def _processor(value: object) -> str:
    from enrich.api.processors import PROCESSORS

    if not isinstance(value, str) or value not in PROCESSORS:
        plain = [name for name in PROCESSORS if not name.endswith("-fast")]
        known = f"there are {', '.join(plain)}, and each with -fast"
        raise expected("a processor", value, did_you_mean(str(value), PROCESSORS) or known)
    return value


Name: TypeAlias = Annotated[
    str,
    PlainValidator(_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS}),
]
InputName: TypeAlias = Annotated[str, PlainValidator(_input_name), WithJsonSchema(TEXT_SCHEMA)]
InputSource: TypeAlias = Annotated[str, PlainValidator(_input_source), WithJsonSchema(TEXT_SCHEMA)]
OutputName: TypeAlias = Annotated[str, PlainValidator(_output_name), WithJsonSchema(TEXT_SCHEMA)]
Processor: TypeAlias = Annotated[str, PlainValidator(_processor), WithJsonSchema(TEXT_SCHEMA)]


# --- durations, money, places -----------------------------------------------------------------------------


def _duration_or_never(value: object) -> timedelta | None:
    if value is None or isinstance(value, timedelta):
        return value
    if value == "never":
        return None
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError:
        number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        hint = did_you_mean(value, ["never"]) if isinstance(value, str) else ""
        hint = f"did you mean {value}d?" if number else hint
        raise expected("a duration such as 12h, 30d or 2w, or never", value, hint) from None


def _budget(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(float(str(value))) or float(str(value)) <= 0:
        match = re.fullmatch(r"\s*(?:USD|\$)?\s*([0-9]+(?:\.[0-9]+)?)\s*(?:USD|\$)?\s*", str(value))
        hint = f"write {match[1]}" if isinstance(value, str) and match else ""
        raise expected("US dollars above zero, such as 25.00", value, hint)
    return Decimal(str(value))


def path_problem(text: str) -> tuple[str, str] | None:
    """What keeps a text from being a path as it stands: message and hint."""
    if "$" in text or text.startswith("~"):
        hint = "variables and ~ are not replaced in a config: write the path out"
        return f"expected a path, got {shown(text)}", hint
    return None


def _ledger(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    text = text_of("a path")(value)
    if problem := path_problem(text):
        raise wrong(*problem)
    return Path((info.context or {}).get("folder", "")) / text


_DOMAIN: Final = re.compile(r"\.?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])", re.ASCII)


def _is_domain(text: str) -> bool:
    return len(text) <= 253 and "." in text and _DOMAIN.fullmatch(text) is not None


def _domain(value: object) -> str:
    what = "a plain domain such as example.com or .gov"
    text = text_of(what)(value).casefold()
    if not _is_domain(text):
        bare = re.sub(r"[/?#:].*", "", re.sub(r"^[a-z]+://", "", text)).removeprefix("*.")
        raise expected(what, value, f"write {bare}" if _is_domain(bare) else "")
    return text


def _date(value: object) -> date:
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            return date.fromisoformat(value)
    except ValueError:
        pass  # a day that no month has: the same fault as any other text
    raise expected("a date such as 2024-01-31", value)


def _country(value: object) -> str:
    code = str(value).upper()
    if isinstance(value, str) and code in COUNTRIES:
        return code
    slip = COUNTRY_SLIPS.get(code)
    raise expected("a country in two letters of ISO 3166-1", value, f'did you mean "{slip}"?' if slip else "")


def _encoding(value: object) -> str:
    what = "an encoding such as utf-8, latin-1 or windows-1252"
    text = text_of(what)(value)
    try:
        return text_codec(text)
    except LookupError:
        known = ("utf-8", "utf-16", "latin-1", "windows-1252", "iso-8859-1", "iso-8859-15", "cp1252")
        raise expected(what, value, did_you_mean(text, known)) from None


def _character(what: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
            tab = value in ("\\t", "tab", "TAB")
            raise expected(f"one character as {what}", value, 'write "\\t" for a tab' if tab else "")
        return value

    return check


_CHARACTER_SCHEMA: Final[Mapping[str, object]] = {"type": "string", "minLength": 1, "maxLength": 1}

DurationOrNever: TypeAlias = Annotated[
    timedelta | None,
    PlainValidator(_duration_or_never),
    WithJsonSchema({"anyOf": [{"const": "never"}, DURATION_SCHEMA]}),
]
Budget: TypeAlias = Annotated[
    Decimal, PlainValidator(_budget), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]
LedgerPath: TypeAlias = Annotated[Path, PlainValidator(_ledger), WithJsonSchema(TEXT_SCHEMA)]
Domain: TypeAlias = Annotated[str, PlainValidator(_domain), WithJsonSchema(TEXT_SCHEMA)]
Date: TypeAlias = Annotated[
    date, PlainValidator(_date), WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"})
]
Country: TypeAlias = Annotated[
    str, PlainValidator(_country), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{2}$"})
]
Encoding: TypeAlias = Annotated[str, PlainValidator(_encoding), WithJsonSchema(TEXT_SCHEMA)]
Delimiter: TypeAlias = Annotated[
    str, PlainValidator(_character("the delimiter")), WithJsonSchema(dict(_CHARACTER_SCHEMA))
]
Quote: TypeAlias = Annotated[str, PlainValidator(_character("the quote")), WithJsonSchema(dict(_CHARACTER_SCHEMA))]
