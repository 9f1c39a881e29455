"""The names that a config gives: of itself, of input fields and answer columns, of processors."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from enrich.config.values import TEXT_SCHEMA, expected, text_of, wrong
from enrich.text.phrases import did_you_mean, shown
from enrich.text.templates import TemplateError, is_template, parse_template

MAX_NAME_CHARS: Final = 64
MAX_COLUMN_CHARS: Final = 100


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
        raise wrong(
            'expected the name of an answer column without "."', "the service puts it between parts of an answer"
        )
    if text[0] in "=+-@":
        hint = "spreadsheets take it for a formula"
        raise wrong(f'the name of an answer column does not begin with "{text[0]}"', hint)
    return text


def _processor(value: object) -> str:
    from enrich.spec.processors import NAMES, PROCESSORS

    if not isinstance(value, str) or value not in PROCESSORS:
        ladder = [name.strip() for name in str(value).split(",")]
        hint = f"write [{', '.join(ladder)}]" if len(ladder) > 1 and {*ladder} <= {*PROCESSORS} else ""
        raise expected("a processor", value, hint or did_you_mean(str(value), PROCESSORS) or NAMES)
    return value


ConfigName: TypeAlias = Annotated[
    str,
    PlainValidator(_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS}),
]
InputName: TypeAlias = Annotated[str, PlainValidator(_input_name), WithJsonSchema(TEXT_SCHEMA)]
InputSource: TypeAlias = Annotated[str, PlainValidator(_input_source), WithJsonSchema(TEXT_SCHEMA)]
OutputName: TypeAlias = Annotated[str, PlainValidator(_output_name), WithJsonSchema(TEXT_SCHEMA)]
ProcessorName: TypeAlias = Annotated[str, PlainValidator(_processor), WithJsonSchema(TEXT_SCHEMA)]
