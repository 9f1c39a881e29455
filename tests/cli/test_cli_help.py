"""Help: quick, complete, with an example for every command."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from command_line import SURE, Enrich, child_environment

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


def test_a_command_of_its_own_process_loads_nothing_that_it_does_not_use(folder: Path) -> None:
    table = pl.DataFrame(
        {"name": ["Basel", "Cologne"], "sizes": [[1.5], []], "at": [datetime(2024, 1, 2, tzinfo=UTC), None]}
    )
    table.write_parquet(folder / "places.parquet")
    with (folder / "places.yaml").open("a") as file:
        file.write(SURE)
    program = (
        "import sys; from enrich.cli import main; from enrich.cli.entry import UNUSED; "
        "sys.argv[1:] = ['run', 'places.yaml', 'places.parquet', '--sandbox']; code = main(); "
        "print(sorted({*UNUSED, 'rich'} & {*sys.modules}), code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=child_environment(), check=True
    )
    assert ended.stdout.splitlines()[-1] == "[] 0"
    assert pl.read_parquet(folder / "places.sandbox.parquet").select(table.columns).equals(table)
