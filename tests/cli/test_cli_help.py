"""Help: quick, complete, with an example for every command."""

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Enrich, child_environment

from enrich import __version__
from enrich.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]
HEAVY = (
    "polars",
    "pyarrow",
    "httpx",
    "pydantic_core",
    "ruamel",
    "starlette",
    "uvicorn",
    "tqdm",
    "anyio",
    "rich",
    "sqlite3",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example(enrich: Enrich, command: str) -> None:
    ended = enrich(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"\n    enrich {command} " in ended.out.replace(f"enrich {command}\n", f"enrich {command} \n")


def test_the_help_names_every_command_with_a_whole_sentence(enrich: Enrich) -> None:
    ended = enrich("--help")
    assert ended.code == 0
    listed = ended.out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(COMMANDS)
    assert not [line for line in listed if line.endswith("...")]


def test_no_command_prints_the_help(enrich: Enrich) -> None:
    ended = enrich()
    assert ended.code == 2
    assert "Commands:" in ended.out + ended.err


def test_the_version(enrich: Enrich) -> None:
    assert enrich("--version").out == f"enrich {__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from enrich.cli import main; code = main(['--help']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=child_environment(), check=True
    )
    assert ended.stdout.splitlines()[-1] == "[] 0"
