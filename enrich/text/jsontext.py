"""Why bytes are no JSON, in our own words: those of the decoders change from version to version."""

import json
from typing import Final, NoReturn

_KINDS: Final[dict[type, str]] = {
    dict: "an object of another form",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


class _NoNumberError(ValueError):
    """One of the names that are numbers in JavaScript and nothing in JSON."""


def why_no_json(text: bytes | str) -> str:
    """Why a decoder took none of a text: what is wrong with it, and from which character (counted from 1) on.

    Of JSON that is sound it says what kind it is: which one was expected is the caller's affair.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            return f"byte 0x{text[error.start]:02x}, the {error.start + 1:,}. of its bytes, is not UTF-8"
    if not text.strip():
        return "it is empty"
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()):
            return "it ends in the middle"
        return f"it is no JSON from character {error.pos + 1:,} on"
    except UnicodeEncodeError as error:
        return f"{ascii(error.object[error.start])[1:-1]} is half of a character (a lone surrogate)"
    except _NoNumberError as error:
        return f"{error} is no JSON"
    except RecursionError:
        return "it is nested too deep"
    except ValueError:
        return "it holds a number of thousands of digits"
    return f"it is {_KINDS[type(value)]}"


def _refuse(name: str) -> NoReturn:
    raise _NoNumberError(name)
