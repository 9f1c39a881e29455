"""What docs/python.md says is so: its examples run, its options are those there are."""

import dataclasses
import inspect
import re
import shutil
from pathlib import Path
from typing import Any

import anyio
import polars as pl
import pytest

import enrich
from enrich.job import Options

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str]]:
    """The names that the page's programs leave, run one after the other, and what they print."""
    folder = tmp_path_factory.mktemp("python")
    for name in ("configs", "sample_data"):
        ignored = shutil.ignore_patterns(".enrich", "*.enriched.*", "*.sandbox.*")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    printed: list[str] = []
    names: dict[str, Any] = {"print": lambda *values: printed.append(" ".join(map(str, values)))}
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for program in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL):
            exec(program, names)
        anyio.run(names["nightly"])
        names["doubtful"] = pl.read_parquet("doubtful.parquet")
    return names, printed


def test_the_examples_run(ran: tuple[dict[str, Any], list[str]]) -> None:
    names, printed = ran
    assert names["answered"].schema["founded_year"] == pl.Int64
    assert names["doubtful"].get_column("enrich_status").unique().to_list() == ["review"]
    assert "runs paid" in printed[1]
    assert printed[2].startswith("rows            360")
    assert printed[3] == "8.575"
    assert "answers.parquet DONE" in printed[5]
    assert printed[6].startswith('[\'the table has no column "name"')


def test_what_is_asked_in_memory_is_not_due_in_a_file(ran: tuple[dict[str, Any], list[str]]) -> None:
    assert ran[0]["plan"].runs == {}


def test_every_option_is_in_the_table_and_the_other_way_round() -> None:
    table = TEXT.partition("## Options")[2].partition("## ")[0]
    named = {name for cell in re.findall(r"^\| (`.+?) \|", table, flags=re.MULTILINE) for name in cell.split("`")[1::2]}
    assert named == {field.name for field in dataclasses.fields(Options)} - {"call"}  # which nobody gives


def test_every_parameter_of_a_frame_is_described() -> None:
    own = [name for name, one in inspect.signature(enrich.enrich).parameters.items() if one.kind is one.KEYWORD_ONLY]
    table = TEXT.partition("takes, beside the")[2].partition("```")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == own


def test_every_function_is_in_the_overview() -> None:
    overview = TEXT.partition("## ")[0]
    functions = {name for name in enrich.__all__ if inspect.isfunction(getattr(enrich, name))}
    assert set(re.findall(r"^\| `enrich\.(\w+)\(", overview, flags=re.MULTILINE)) == functions
