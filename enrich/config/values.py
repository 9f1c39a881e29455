"""What a single value of a config must be; a check says what came, what was expected and what to write."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from enrich.config.countries import COUNTRIES, COUNTRY_SLIPS
from enrich.text.durations import DURATION_PATTERN, parse_duration
from enrich.text.encodings import text_codec
from enrich.text.phrases import did_you_mean, either, shown

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
    "LedgerPath",
    "Quote",
    "RunsPerMinute",
    "Skip",
    "Text",
    "expected",
    "list_of",
    "mapping_of",
    "one_of",
    "path_problem",
    "wrong",
]
MAX_SKIP: Final = 1000
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
            hint = "put it in quotes" if isinstance(value, (bool, int, float)) else ""
            raise expected(what, value, "put the whole text in quotes" if isinstance(value, (list, dict)) else hint)
        return value

    return check


def one_of(*words: str, slips: Mapping[str, str] = MappingProxyType({})) -> BeforeValidator:
    """One of a few words; `slips` says what to do about what is written in place of them, in small letters."""

    def check(value: object) -> object:
        if not isinstance(value, str) or value not in words:
            raise expected(either(words), value, _slip(value, slips) or did_you_mean(str(value), words))
        return value

    return BeforeValidator(check)


def _slip(value: object, slips: Mapping[str, str]) -> str:
    return slips.get(str(value).casefold(), "")


_NOTHING: Final = ("none", "no", "false", "off", "nothing", "empty")
_EVERYTHING: Final = ("all", "any", "true", "yes", "on", "everything", "*")


def list_of(what: str, *, words: Sequence[str] = ()) -> BeforeValidator:
    """A list in which nothing stands twice; of `words`, where there are no others."""
    slips = dict.fromkeys(_NOTHING, "write [] for none")
    if words:
        slips |= dict.fromkeys(_EVERYTHING, f"write [{', '.join(words)}] for all")

    def advice(value: object) -> str:
        items = [item.strip() for item in value.split(",")] if isinstance(value, str) else []
        if words and not {*items} <= {*words}:
            return _slip(value, slips) or next(filter(None, (did_you_mean(item, words) for item in items)), "")
        return _slip(value, slips) or (f"write [{', '.join(items)}]" if items else "")

    def check(value: object) -> object:
        if not isinstance(value, (list, tuple)):
            raise expected(f"a list of {what}", value, advice(value))
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
        words = {"yes": "true", "on": "true", "no": "false", "off": "false", "none": "false", "never": "false"}
        slip = words.get(str(value).casefold())
        raise expected("true or false", value, f"write {slip}" if slip else "")
    return value


Text: TypeAlias = Annotated[str, PlainValidator(_text), WithJsonSchema(TEXT_SCHEMA)]
Flag: TypeAlias = Annotated[bool, PlainValidator(_flag), WithJsonSchema({"type": "boolean"})]


# --- durations, money, places -----------------------------------------------------------------------------


def _duration_or_never(value: object) -> timedelta | None:
    if value is None or isinstance(value, timedelta):
        return value
    if value == "never":
        return None
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError:
        raise expected("a duration such as 12h, 30d or 2w, or never", value, _duration_hint(value)) from None


_DURATION_WORDS: Final[Mapping[str, str]] = {
    "none": "never",
    "no": "never",
    "false": "never",
    "off": "never",
    "forever": "never",
    "manual": "never",
    "hourly": "1h",
    "daily": "1d",
    "nightly": "1d",
    "weekly": "7d",
    "monthly": "30d",
    "quarterly": "90d",
    "yearly": "365d",
    "annually": "365d",
}
_CENTURY_DAYS: Final = 36_500
_DAYS: Final[Mapping[str, int]] = {"d": 1, "day": 1, "w": 7, "week": 7, "mo": 30, "month": 30, "y": 365, "year": 365}


def _duration_hint(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return f"did you mean {value}d?"
    if word := _DURATION_WORDS.get(str(value).casefold()):
        return f'did you mean "{word}"?'
    if not isinstance(value, str):
        return ""
    match = re.fullmatch(r"([0-9]{1,4}) *([a-z]+?)s?", value.strip().casefold())
    if match and 0 < (days := int(match[1]) * _DAYS.get(match[2], 0)) <= _CENTURY_DAYS:
        return f"did you mean {days}d?"
    if match and match[2] in ("hour", "minute", "second"):
        return f"did you mean {match[1]}{match[2][0]}?"
    return did_you_mean(value, ["never"])


def _budget(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(float(str(value))) or float(str(value)) <= 0:
        number_text = re.fullmatch(r"\s*(?:USD|\$)?\s*([0-9]{1,12}(?:[.,][0-9]{1,2})?)\s*(?:USD|\$)?\s*", str(value))
        hint = f"write {number_text[1].replace(',', '.')}" if isinstance(value, str) and number_text else ""
        if str(value).casefold() in (*_NOTHING, "unlimited", "infinite", "inf", ".inf"):
            hint = "leave the key out for no limit"
        raise expected("US dollars above zero, such as 25.00", value, hint)
    return Decimal(str(value))


def _runs_per_minute(value: object) -> int:
    if type(value) is int and value > 0:
        return value
    hint = "leave the key out for the usual 2000" if str(value).casefold() in _NOTHING else ""
    raise expected("the runs that the account may create in a minute, such as 2000", value, hint)


def path_problem(text: str) -> tuple[str, str] | None:
    """What keeps a text from being a path as it stands: message and hint."""
    if "$" in text or text.startswith("~"):
        hint = "variables and ~ are not expanded in a config: write the path out"
        return f"expected a path, got {shown(text)}", hint
    if not text.isprintable():
        hint = "inside of \"…\" a \\ begins an escape such as \\n: put the path in '…', or write it with /"
        return f"expected a path, got {shown(text)}", hint
    return None


def _ledger(value: object, info: ValidationInfo) -> Path:
    if isinstance(value, Path):
        return value
    text = text_of("a path")(value)
    if problem := path_problem(text):
        raise wrong(*problem)
    if text.casefold() in (*_NOTHING, "null", "never", "memory", ":memory:"):
        raise expected("the path of a file", value, "every run needs a ledger; leave the key out for .enrich/ledger.db")
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
    if str(value).casefold() in (*_NOTHING, *_EVERYTHING, "world", "global"):
        raise expected("a country in two letters of ISO 3166-1", value, "leave the key out for the whole world")
    raise expected("a country in two letters of ISO 3166-1", value, f'did you mean "{slip}"?' if slip else "such as DE")


def _encoding(value: object) -> str:
    what = "an encoding such as utf-8, latin-1 or windows-1252"
    text = text_of(what)(value)
    try:
        return text_codec(text)
    except LookupError:
        if text.casefold() in ("ansi", "excel", "windows", "western"):
            raise expected(what, value, "did you mean windows-1252?") from None
        known = ("utf-8", "utf-16", "latin-1", "windows-1252", "iso-8859-1", "iso-8859-15", "cp1252")
        raise expected(what, value, did_you_mean(text, known)) from None


_CHARACTER_NAMES: Final[Mapping[str, str]] = {
    "\\t": '"\\t" for a tab',
    "tab": '"\\t" for a tab',
    "comma": '","',
    "semicolon": '";"',
    "pipe": '"|"',
    "double": "'\"'",
    "single": '"\'"',
}


def _character(what: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
            name = _CHARACTER_NAMES.get(str(value).casefold(), "")
            raise expected(f"one character as {what}", value, f"write {name}" if name else "")
        return value

    return check


def _skip(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SKIP:
        raise expected(f"a number of lines from 0 to {MAX_SKIP}", value)
    return value


_CHARACTER_SCHEMA: Final[Mapping[str, object]] = {"type": "string", "minLength": 1, "maxLength": 1}
DurationOrNever: TypeAlias = Annotated[
    timedelta | None,
    PlainValidator(_duration_or_never),
    WithJsonSchema({"anyOf": [{"const": "never"}, DURATION_SCHEMA]}),
]
Budget: TypeAlias = Annotated[
    Decimal, PlainValidator(_budget), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]
RunsPerMinute: TypeAlias = Annotated[
    int, PlainValidator(_runs_per_minute), WithJsonSchema({"type": "integer", "exclusiveMinimum": 0})
]
LedgerPath: TypeAlias = Annotated[Path, PlainValidator(_ledger), WithJsonSchema(TEXT_SCHEMA)]
Domain: TypeAlias = Annotated[str, PlainValidator(_domain), WithJsonSchema(TEXT_SCHEMA)]
Date: TypeAlias = Annotated[
    date, PlainValidator(_date), WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"})
]
Country: TypeAlias = Annotated[
    str, PlainValidator(_country), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{2}$"})
]
Skip: TypeAlias = Annotated[
    int, PlainValidator(_skip), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_SKIP})
]
Encoding: TypeAlias = Annotated[str, PlainValidator(_encoding), WithJsonSchema(TEXT_SCHEMA)]
Delimiter: TypeAlias = Annotated[
    str, PlainValidator(_character("the delimiter")), WithJsonSchema(dict(_CHARACTER_SCHEMA))
]
Quote: TypeAlias = Annotated[str, PlainValidator(_character("the quote")), WithJsonSchema(dict(_CHARACTER_SCHEMA))]
