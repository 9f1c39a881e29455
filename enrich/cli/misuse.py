"""A command line that can't be followed, in one line: what is wrong, what was expected, where more stands."""

from collections.abc import Sequence
from typing import Any

import typer

from enrich.text.phrases import did_you_mean

__all__ = ["misuse_text", "whole_number"]


def misuse_text(error: Any, argv: Sequence[str], commands: Sequence[str]) -> str:
    """The message for what typer refuses. It may repeat what was given, and goes through the console like all else."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else " ".join(["enrich", *argv[:1]])
    return f"{_what(error, context, argv, commands)}; `{command} --help` says more"


def _what(error: Any, context: Any, argv: Sequence[str], commands: Sequence[str]) -> str:
    option = getattr(error, "option_name", None)
    if isinstance(error, typer.BadParameter) and error.param is not None:
        name = _name(error.param)
        return f"{name}: {error.message}" if error.message else f"{name}: is missing; expected {_usage(context)}"
    if option is not None and hasattr(error, "possibilities"):
        known = [spelling for one in context.command.params for spelling in one.opts if spelling.startswith("--")]
        hint = did_you_mean(option, known) or f"known are {', '.join(known)}"
        return f"{option}: there is no such option here; {hint}"
    if option is not None:
        has_value = any(one.startswith(f"{option}=") for one in argv)
        return f"{option}: {'takes no value' if has_value else 'expected a value after it'}"
    if context is not None and context.parent is None:
        name = next((one for one in argv if not one.startswith("-")), "")
        return f"{name}: there is no such command; {did_you_mean(name, commands) or 'known are ' + ', '.join(commands)}"
    return f"too many arguments; expected {_usage(context)}"


def _name(parameter: Any) -> str:
    return max(parameter.opts, key=len) if parameter.param_type_name == "option" else str(parameter.metavar)


def _usage(context: Any) -> str:
    arguments = [one for one in context.command.params if one.param_type_name == "argument"]
    shown = [str(one.metavar) if one.required else f"[{one.metavar}]" for one in arguments]
    return " ".join([context.command_path, *shown])


def whole_number(what: str, lowest: int, highest: int | None = None) -> Any:
    """A parser for an option that is a whole number within bounds."""

    def parse(text: str | int) -> int:
        if isinstance(text, int):  # the default
            return text
        number = int(text) if text.lstrip("+-").isdecimal() and text.isascii() and len(text) <= 18 else None
        if number is None or number < lowest or (highest is not None and number > highest):
            raise typer.BadParameter(f"expected {what}, got {text!r}")
        return number

    return parse
