"""`import enrich`: the same as the command from Python, with and without an event loop, and with the same errors."""

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import anyio
import polars as pl
import pytest

import enrich
from enrich.errors import ConfigError, EnrichError, MissingKeyError, TableError, UsageError
from enrich.job import Options
from enrich.sandbox import SandboxSettings, running

CONFIG = "name: t\ninputs: {place: name}\noutputs:\n  river: {type: string, description: Its river.}\nprocessor: core\n"


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    with running(SandboxSettings(latency_s=(0, 0))) as base_url:
        yield {"PARALLEL_BASE_URL": base_url, "PARALLEL_API_KEY": "any-word-will-do"}


@pytest.fixture
def paths(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "t.yaml").write_text(CONFIG)
    (tmp_path / "t.csv").write_text("name\nBasel\nCologne\nBasel\n")
    return str(tmp_path / "t.yaml"), str(tmp_path / "t.csv")


def test_a_run_gives_what_the_command_prints(paths: tuple[str, str], tmp_path: Path, environ: dict[str, str]) -> None:
    report = enrich.run(*paths, output=str(tmp_path / "out.parquet"), environ=environ)
    assert isinstance(report, enrich.Report)
    assert (report.exit_code, report.stopped, report.output) == (0, "", tmp_path / "out.parquet")
    assert (report.receipt.rows_in, report.receipt.runs_paid, report.receipt.usd) == (3, 2, Decimal("0.05"))
    assert report.sandbox
    assert all(path.exists() for path in (report.output, report.review, report.report, report.manifest))


def test_what_the_sandbox_invents_comes_as_it_is(paths: tuple[str, str]) -> None:
    """Its key is none of the words of an answer, which would be taken out of it."""
    report = enrich.run(*paths, sandbox=True, environ={})
    written = report.output.read_text()
    assert "Invented by the enrich sandbox" in written
    assert "[redacted]" not in written


def test_a_plan_gives_what_a_run_would_ask(paths: tuple[str, str], environ: dict[str, str]) -> None:
    before = enrich.plan(*paths, environ=environ)
    assert isinstance(before, enrich.Plan)
    assert (before.rows, before.distinct_inputs, before.runs) == (3, 2, {"core": 2})
    assert (before.answers_due, before.usd_expected) == ({"missing": 2}, Decimal("0.05"))
    enrich.run(*paths, environ=environ)
    assert enrich.plan(*paths, environ=environ).runs == {}


def test_in_a_running_loop_it_works_in_a_thread_of_its_own(paths: tuple[str, str], environ: dict[str, str]) -> None:
    async def cell_of_a_notebook() -> int:
        return enrich.run(*paths, environ=environ).receipt.rows_in

    assert anyio.run(cell_of_a_notebook) == 3


def test_the_asynchronous_twin(paths: tuple[str, str], environ: dict[str, str]) -> None:
    async def work() -> int:
        return (await enrich.run_async(*paths, environ=environ)).receipt.rows_in

    assert anyio.run(work) == 3


@pytest.mark.parametrize(
    ("config", "table", "error"),
    [
        pytest.param("nope.yaml", "t.csv", ConfigError, id="config"),
        pytest.param("t.yaml", "nope.csv", TableError, id="table"),
        pytest.param("t.yaml", "t.csv", MissingKeyError, id="key"),
    ],
)
@pytest.mark.parametrize("in_a_loop", [False, True], ids=["plain", "in-a-loop"])
def test_errors_are_raised_as_they_are(
    paths: tuple[str, str], config: str, table: str, error: type[EnrichError], in_a_loop: bool
) -> None:
    folder = Path(paths[0]).parent

    def call() -> None:
        enrich.run(folder / config, folder / table, environ={})

    async def cell_of_a_notebook() -> None:
        call()

    with pytest.raises(error):
        anyio.run(cell_of_a_notebook) if in_a_loop else call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"limt": 3}, 'limt: there is no such option here; did you mean "limit"?', id="unknown"),
        pytest.param({"limit": "5"}, "limit: expected a whole number of rows, got '5'", id="limit-text"),
        pytest.param({"limit": 1.5}, "limit: expected a whole number of rows, got 1.5", id="limit-part"),
        pytest.param({"limit": True}, "limit: expected a whole number of rows, got True", id="limit-flag"),
        pytest.param({"budget": "x"}, "budget: expected US dollars such as 25 or '2.50', got 'x'", id="budget"),
        pytest.param({"budget": "nan"}, "budget: expected US dollars such as 25 or '2.50', got 'nan'", id="budget-nan"),
        pytest.param({"budget": True}, "budget: expected US dollars such as 25 or '2.50', got True", id="budget-flag"),
        pytest.param({"processor": ["core"]}, "processor: expected the name of one processor, got list", id="ladder"),
        pytest.param({"settle_s": "15m"}, "settle_s: expected a number of seconds, got '15m'", id="settle"),
        pytest.param({"sandbox": "no"}, "sandbox: expected True or False, got 'no'", id="sandbox"),
    ],
)
def test_a_wrong_option_says_what_was_expected(
    paths: tuple[str, str], options: dict[str, object], message: str
) -> None:
    async def later() -> None:
        await enrich.run_async(*paths, **options)

    for call in (
        partial(enrich.run, *paths, **options),
        partial(enrich.plan, *paths, **options),
        partial(anyio.run, later),
    ):
        with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
            call()


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Options)])
def test_every_option_has_its_check(paths: tuple[str, str], name: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: expected .*, got object$"):
        enrich.run(*paths, **{name: object()})  # type: ignore[arg-type]


def test_options_that_are_none_are_not_given(paths: tuple[str, str], environ: dict[str, str]) -> None:
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(Options) if field.name != "environ")
    assert enrich.run(*paths, environ=environ, **nothing).receipt.runs_paid == 2  # type: ignore[arg-type]


def test_a_table_in_memory_is_no_file(paths: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=r"^table: expected a path, got DataFrame$"):
        enrich.run(paths[0], pl.DataFrame({"name": ["Basel"]}))  # type: ignore[arg-type]


def test_importing_it_loads_nothing_heavy() -> None:
    program = "import sys, enrich; print([m for m in ('polars', 'httpx', 'pydantic') if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert ended.stdout == "[]\n"


def test_a_table_in_parquet_loads_no_pandas(paths: tuple[str, str]) -> None:
    folder = Path(paths[0]).parent
    pl.DataFrame({"name": ["Basel"], "sizes": [[1]]}).write_parquet(folder / "t.parquet")
    program = f"import sys, enrich; enrich.run({paths[0]!r}, 't.parquet', sandbox=True); print('pandas' in sys.modules)"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=folder, env=environ
    )
    assert ended.stdout == "False\n"
