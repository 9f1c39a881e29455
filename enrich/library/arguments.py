"""What a Python caller gives, checked, and errors in a caller's words: arguments in place of a command's options."""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from enrich.api.environment import Environment
from enrich.config import Config
from enrich.config.loading import load_mapping
from enrich.errors import EnrichError, FaultsError, UsageError, system_refusals
from enrich.job import Options
from enrich.text.phrases import did_you_mean

__all__ = ["as_config", "as_options", "as_path", "in_python", "seal", "spelled"]


def as_options(options: Mapping[str, Any], output: object = None) -> Options:
    """What a caller gave by name, checked; None stands for what is not given. Raises UsageError."""
    for name in options:
        if name not in _OPTIONS:
            hint = did_you_mean(name, _OPTIONS) or f"known are {', '.join(_OPTIONS)}"
            raise UsageError(f"{name}: there is no such argument here; {hint}")
    given = {name: _checked(name, value, *_OPTIONS[name]) for name, value in options.items() if value is not None}
    return Options(output=None if output is None else as_path("output", output), call=True, **given)


def seal(options: dict[str, Any]) -> None:
    """Take the key out of the environment that a caller gave, before a traceback could show it. Raises UsageError."""
    environ = options.pop("environ", None)
    if isinstance(environ, Mapping):
        options["environ"] = Environment.of(environ)
    elif environ is not None:
        kind = type(environ).__name__
        del environ
        raise UsageError(f"environ: expected a mapping such as os.environ, got {kind}")


def as_path(name: str, value: object) -> Path:
    """The path that a caller gave as `name`. Raises UsageError."""
    return Path(_checked(name, value, "a path", Path))


def as_config(value: object, options: Options) -> Path | Config:
    """The config's path, or the config that a mapping is, loaded. Raises UsageError and ConfigError."""
    if not isinstance(value, Mapping):
        return Path(_checked("config", value, "a path or a mapping", Path))
    config = load_mapping(value, options.environ)
    if config.ledger is None and options.ledger is None and not options.sandbox:
        raise UsageError(
            "config: a mapping has no folder, in which a ledger would stand; say where it is, always the same, with"
            " ledger='…/ledger.db': it is what keeps anything from being paid for twice"
        )
    return config


def _checked(name: str, value: Any, what: str, convert: Callable[[Any], Any]) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, ArithmeticError):  # decimal's own errors are of the last kind
        got = repr(value) if isinstance(value, str | int | float | Decimal) else type(value).__name__
        raise UsageError(f"{name}: expected {what}, got {got}") from None


def _one_of(*kinds: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise TypeError
        return value

    return check


_NUMBER: Final = re.compile(r"\s*\$?[+-]?[0-9]{1,15}(?:\.[0-9]{0,9})?\s*", re.ASCII)


def _number(value: Any) -> Any:
    """A number, or what a text of digits says, such as a widget or the environment gives."""
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise ValueError
        return Decimal(value.strip().removeprefix("$"))
    return value


def _whole(value: Any) -> int:
    number = _number(value)
    if isinstance(number, Decimal):
        if number != (whole := int(number)):
            raise ValueError
        return whole
    return operator.index(number)


def _usd(value: Any) -> Decimal:
    usd = Decimal(str(_number(value)))
    if not usd.is_finite():
        raise ValueError
    return usd


def _seconds(value: Any) -> float:
    seconds = float(_one_of(int, float, Decimal)(_number(value)))
    if not math.isfinite(seconds):
        raise ValueError
    return seconds


_ROWS: Final = "a whole number of rows"
_SECONDS: Final = ("a number of seconds", _seconds)
_FLAG: Final = ("True or False", _one_of(bool))
_OPTIONS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "limit": (_ROWS, _whole),
    "sample": (_ROWS, _whole),
    "where": ("a SQL condition as text", _one_of(str)),
    "processor": ("the name of one processor", _one_of(str)),
    "budget": ("US dollars such as 25 or '2.50'", _usd),
    "settle_s": _SECONDS,
    "deadline_s": _SECONDS,
    "ledger": ("a path", Path),
    "sandbox": _FLAG,
    "facts": ("a path", Path),
    "retry_failed": _FLAG,
    "rewrite": _FLAG,
    "replace": _FLAG,
    "pay_again": _FLAG,
    "environ": ("a mapping such as os.environ", _one_of(Mapping)),
}

# --- errors in a caller's words

_ARGUMENTS: Final[Mapping[str, str]] = {
    **{f"--{name.removesuffix('_s').replace('_', '-')}": f"{name}=" for name in _OPTIONS if name != "environ"},
    **{f"--{name.replace('_', '-')}": f"{name}=True" for name, kind in _OPTIONS.items() if kind is _FLAG},
    "--output": "output=",
    "-o": "output=",
    "the same command goes on": "the same call goes on",
    "run the same command again": "make the same call again",
}
_WORDS: Final = re.compile(r"`[^`]*`|" + "|".join(rf"(?<![\w-]){re.escape(word)}(?![\w-])" for word in _ARGUMENTS))


def spelled(text: str) -> str:
    """A message with arguments in place of options; commands in backquotes stay commands."""
    return _WORDS.sub(lambda match: _ARGUMENTS.get(match[0], match[0]), text)


@contextmanager
def in_python() -> Iterator[None]:
    """Let the errors of the block name arguments, where the command's name options; what the system refuses is one."""
    try:
        with system_refusals():
            yield
    except EnrichError as error:
        if isinstance(error, FaultsError):
            error.file = spelled(error.file).removesuffix("=") if error.file in _ARGUMENTS else error.file
            error.faults = tuple(
                replace(fault, message=spelled(fault.message), hint=spelled(fault.hint)) for fault in error.faults
            )
            error.args = ("\n".join(fault.render(error.file) for fault in error.faults),)
        else:
            error.args = (_named_first(spelled(str(error))),)
        raise


def _named_first(text: str) -> str:
    """`limit: …` in place of `limit=: …`, as all faults of arguments begin."""
    return re.sub(r"^(\w+)=(?:True)?: ", r"\1: ", text)
