"""The outermost frame: every way in which a command ends becomes a message and a documented exit code."""

import os
import resource
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from typing import Any, Final

import typer

from enrich.api.environment import Environment
from enrich.cli.app import COMMANDS, Command, all_commands, make_app
from enrich.cli.console import Console
from enrich.cli.misuse import misuse_text
from enrich.errors import EnrichError, ExitCode, system_refusals

OUR_FAULT = (
    "this is a fault of enrich; nothing is lost: what was paid for is in the ledger or at the service, "
    "and the same command goes on"
)

# What pyarrow and httpx load where they find it, and no command uses: 20 MB, and a tenth of a second.
UNUSED: Final = frozenset({"numpy", "pandas", "httpx._main"})

# What is wrong with a command line. typer took it from click once, and has it of its own now.
MISUSE: Final[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def main(argv: Sequence[str] | None = None, commands: Iterable[tuple[str, Command]] | None = None) -> int:
    """Run the command line; gives the exit code (see `enrich.errors.ExitCode`).

    Without `argv` it is that of this process, which is then the command's alone; without `commands` they are all there.
    """
    _open_closed_streams()
    if argv is None:
        set_up_process()
    given = list(sys.argv[1:] if argv is None else argv)
    console = Console(sys.stdout, sys.stderr, redact=_redaction(Environment.here()))
    try:
        with system_refusals():
            app = make_app(all_commands() if commands is None else commands)
            ended = app(args=given, prog_name="enrich", obj=console, standalone_mode=False)
        code = ended if isinstance(ended, int) else ExitCode.DONE
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else ExitCode.DONE
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 — the one place: whatever it is, the exit code is documented
        code = explain(error, console, given)
    console.close()
    return int(code)


def explain(error: Exception, console: Console, argv: Sequence[str]) -> ExitCode:
    """Say on standard error what an error is about; gives the exit code that it ends with."""
    if isinstance(error, MISUSE):
        if argv:
            console.error([misuse_text(error, argv, COMMANDS)], ExitCode.USAGE)
        else:  # nothing was asked for: the help is the answer
            usage = StringIO()
            error.show(file=usage)
            console.note(usage.getvalue())
        return ExitCode.USAGE
    if isinstance(error, EnrichError) and error.exit_code is not ExitCode.INTERNAL:
        text = f"{error}; {error.hint}" if error.hint else str(error)
        console.error(text.split("\n"), error.exit_code)  # a line a fault
        return error.exit_code
    console.error(["".join(traceback.format_exception(error)) + OUR_FAULT], ExitCode.INTERNAL)
    return ExitCode.INTERNAL


def _redaction(environ: Environment) -> Callable[[str], str]:
    """Takes the API key out of a text, wherever that comes from."""
    secret = environ.secret
    return (lambda text: text) if secret is None else secret.redact


def set_up_process() -> None:
    """Make the most of a process that is the command's alone, before anything large is imported."""
    sys.meta_path.insert(0, _Unused())
    # Arrow's own allocator is meant for many threads: it holds 30 MB more than that of the system, and is no faster.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # A core dump would hold the key and the table, in a folder that is not ours to choose; nobody asked for one.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


class _Unused:
    """Whoever looks for a module of `UNUSED` finds that it is not installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname in UNUSED:
            raise ModuleNotFoundError(f"{fullname} is left out", name=fullname)


def _open_closed_streams() -> None:
    """Leave descriptors 0 to 2 to nobody: a table that is opened as number 2 would get the error messages."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
