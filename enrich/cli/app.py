"""The commands, and the options of `enrich` itself."""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from enrich import __version__

# A file each, which holds a function of the same name; its docstring is the command's help. In the order of `--help`.
COMMANDS: Final = (
    *("run", "plan", "check", "init", "review", "status"),
    *("recover", "verify", "adopt", "schema", "sandbox"),
)


Command = Callable[..., Any]


def all_commands() -> Iterator[tuple[str, Command]]:
    """Every command, by its name."""
    return ((name, getattr(import_module(f"enrich.cli.{name}"), name)) for name in COMMANDS)


def make_app(commands: Iterable[tuple[str, Command]]) -> typer.Typer:
    """A command line of these commands; not run yet."""
    app = typer.Typer(
        name="enrich",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(enrich)
    for name, command in commands:
        app.command(name)(command)
    return app


def enrich(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda wanted: _show_version(wanted=wanted))
    ] = False,
) -> None:
    """Answer questions about every row of a table from the web: paid once, never lost, the table untouched.

    \b
    Try it, free of charge:
      enrich run configs/companies.yaml sample_data/companies.csv --sandbox
    With a table of your own:
      enrich init TABLE, then enrich plan and enrich run
    """


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"enrich {__version__}")
        raise typer.Exit
