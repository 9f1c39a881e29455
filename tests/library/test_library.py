"""`import enrich`: the same as the command from Python, with and without an event loop, and with the same errors."""

import dataclasses
import datetime
import json
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
from enrich.config.loading import load_mapping
from enrich.errors import ConfigError, EnrichError, MissingKeyError, TableError, UsageError
from enrich.job import Options
from enrich.library.arguments import spelled
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
        pytest.param({"limt": 3}, 'limt: there is no such argument here; did you mean "limit"?', id="unknown"),
        pytest.param({"limit": "five"}, "limit: expected a whole number of rows, got 'five'", id="limit-text"),
        pytest.param({"limit": "1e9"}, "limit: expected a whole number of rows, got '1e9'", id="limit-power"),
        pytest.param({"limit": "1.5"}, "limit: expected a whole number of rows, got '1.5'", id="limit-text-part"),
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


# All but what tells that it is a call, which nobody gives.
ARGUMENTS = [field.name for field in dataclasses.fields(Options) if field.name != "call"]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_option_has_its_check(paths: tuple[str, str], name: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: expected .*, got object$"):
        enrich.run(*paths, **{name: object()})  # type: ignore[arg-type]


def test_options_that_are_none_are_not_given(paths: tuple[str, str], environ: dict[str, str]) -> None:
    nothing = dict.fromkeys(name for name in ARGUMENTS if name != "environ")
    assert enrich.run(*paths, environ=environ, **nothing).receipt.runs_paid == 2  # type: ignore[arg-type]


def test_a_table_in_memory_is_no_file(paths: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=r"^table: expected a path, got DataFrame; a table in memory goes to "):
        enrich.run(paths[0], pl.DataFrame({"name": ["Basel"]}))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^config: expected a path, got DataFrame; a table in memory goes to "):
        enrich.run(pl.DataFrame({"name": ["Basel"]}), paths[0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"limit": "1"}, id="limit"),
        pytest.param({"limit": 1, "budget": " $0.50 "}, id="budget"),
        pytest.param({"sample": "1.0", "settle_s": "2", "deadline_s": "60.5"}, id="seconds"),
    ],
)
def test_numbers_may_be_texts_of_digits(
    paths: tuple[str, str], environ: dict[str, str], options: dict[str, object]
) -> None:
    report = enrich.run(*paths, environ=environ, **options)
    assert (report.receipt.runs_paid, report.receipt.rows["skipped"]) in ((1, 1), (1, 2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"limit": 0}, "limit: expected a number of rows, 1 or more, got 0", id="limit"),
        pytest.param({"limit": 1, "sample": 1}, "limit= and sample=: give one of them, the first rows or", id="two"),
        pytest.param({"settle_s": -1}, "settle_s: expected 0 seconds or more, got -1", id="settle"),
        pytest.param({"deadline_s": 0}, "deadline_s: expected more than 0 seconds, got 0", id="deadline"),
        pytest.param({"facts": "f"}, "facts: is for the sandbox; add sandbox=True", id="facts"),
        pytest.param({"processor": "cor"}, "processor: there is no processor 'cor'; did you mean \"core\"?", id="name"),
        pytest.param({"where": "river = 1"}, "where: river = 1: the table has no column", id="where"),
        pytest.param(
            {"ledger": "."}, ".: this is a folder; name a file with ledger=, or `ledger:` in the", id="ledger"
        ),
        pytest.param({}, "no API key: set PARALLEL_API_KEY to run against the service, or add sandbox=True", id="key"),
    ],
)
def test_errors_name_arguments(paths: tuple[str, str], options: dict[str, object], said: str) -> None:
    with pytest.raises(EnrichError) as caught:
        enrich.run(*paths, environ={}, **options)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        pytest.param("give another with -o", "give another with output=", id="short"),
        pytest.param("--retry-failed, --settle 2s", "retry_failed=True, settle_s= 2s", id="several"),
        pytest.param("run `enrich recover --ledger x`", "run `enrich recover --ledger x`", id="a-command"),
        pytest.param("the same command goes on", "the same call goes on", id="goes-on"),
        pytest.param("--limited my--limit x-o -other", "--limited my--limit x-o -other", id="others"),
    ],
)
def test_options_are_spelled_as_arguments(text: str, spelt: str) -> None:
    assert spelled(text) == spelt


MAPPING = {
    "name": "t",
    "inputs": {"place": "name"},
    "outputs": {"river": {"type": "string", "description": "Its river."}},
    "processor": "core",
}


def test_a_mapping_is_a_config_and_asks_what_the_file_asked(paths: tuple[str, str], environ: dict[str, str]) -> None:
    ledger = str(Path(paths[0]).parent / ".enrich" / "ledger.db")
    first = enrich.run(*paths, environ=environ)
    assert enrich.plan(MAPPING, paths[1], ledger=ledger, environ=environ).runs == {}
    second = enrich.run(MAPPING, paths[1], ledger=ledger, environ=environ)
    third = enrich.run({**MAPPING, "ledger": ledger}, paths[1], environ=environ)
    assert [one.receipt.runs_paid for one in (first, second, third)] == [2, 0, 0]
    assert [one.outputs_written for one in (first, second, third)] == [True, True, True]
    again = enrich.run({**MAPPING, "ledger": Path(ledger)}, paths[1], environ=environ)
    assert not again.outputs_written
    manifest = json.loads(again.manifest.read_bytes())
    assert (manifest["config"]["path"], len(manifest["config"]["sha256"])) == ("config", 64)


def test_a_mapping_says_where_the_ledger_is(paths: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(paths[0]).parent)
    for call in (enrich.run, enrich.plan):
        with pytest.raises(UsageError, match=r"^config: a mapping has no folder, .* with ledger='…/ledger.db'"):
            call(MAPPING, paths[1], environ={})
    assert enrich.run(MAPPING, paths[1], sandbox=True, environ={}).sandbox
    assert Path(".enrich/sandbox.db").exists()


def test_the_faults_of_a_mapping_name_its_keys(paths: tuple[str, str]) -> None:
    endless: dict[str, object] = {}
    endless["outputs"] = endless
    with pytest.raises(ConfigError, match=r"^config: nested more than 60 levels deep$"):
        enrich.plan(endless, paths[1])
    wrong = {
        **MAPPING,
        "inputs": {"place": "nam", 5: "name"},
        "outputs": {"a": {"type": "strin"}, "b": object()},
        "budget": float("nan"),
        "basis": {"reasoning"},
        "refresh": None,
        "api_key": "sk-0123456789abcdef0123",
    }
    with pytest.raises(ConfigError) as caught:
        enrich.run(wrong, paths[1], sandbox=True)
    kinds = "text, numbers, true and false, None, lists and mappings"
    assert str(caught.value).splitlines() == [
        "config: inputs: expected texts as keys, got a value of the type int",
        f"config: outputs.b: expected {kinds}, got a value of the type object",
        f"config: budget: expected {kinds}, got nan",
        f"config: basis: expected {kinds}, got a value of the type set",
        "config: api_key: holds what looks like a secret; a config must not hold keys: remove it, set "
        "PARALLEL_API_KEY in the environment, and replace the key if the file was shared",
        "config: refresh: expected a value, got nothing; write one, or leave the key out",
        'config: outputs.a.type: expected string, integer, number, boolean, array, object or null, got "strin"; did '
        'you mean "string"?',
    ]
    with pytest.raises(
        ConfigError, match=r'^config: inputs.place: the table has no column "nam"; did you mean "name"\?$'
    ):
        enrich.run({**MAPPING, "inputs": {"place": "nam"}}, paths[1], sandbox=True)


def test_values_of_python_stand_for_those_of_yaml(paths: tuple[str, str]) -> None:
    config = {
        **MAPPING,
        "budget": Decimal("2.50"),
        "basis": ("confidence",),
        "source_policy": {"after_date": datetime.date(2024, 1, 31)},
        "ledger": Path(paths[0]).with_name("own.db"),
    }
    loaded = load_mapping(config, {})
    assert (loaded.budget, loaded.basis, loaded.ledger) == (Decimal("2.5"), ("confidence",), config["ledger"])
    assert loaded.source_policy is not None
    assert loaded.source_policy.to_wire() == {"after_date": "2024-01-31"}
    assert loaded.file is None


def test_a_report_shows_itself(paths: tuple[str, str], environ: dict[str, str]) -> None:
    output = Path(paths[1]).with_name("<b>&.csv")
    report = enrich.run(*paths, output=output, environ=environ)
    assert repr(report).startswith("<Report DONE: 3 rows (")
    assert repr(report).endswith(f", from the sandbox, {output}>")
    assert str(report).startswith("from the sandbox: free of charge")
    assert f"  {output}" in str(report)
    html = report._repr_html_()
    assert "&lt;b&gt;&amp;.csv" in html
    assert "<b>" not in html
    assert "<td>rows in</td><td>3</td>" in html
    assert "<td>runs paid</td><td>2</td><td>$0.05, core 2</td>" in html


def test_a_plan_shows_itself(paths: tuple[str, str], environ: dict[str, str]) -> None:
    plan = enrich.plan(*paths, environ=environ)
    assert str(plan).splitlines()[:5] == [
        "rows            3",
        "distinct inputs 2",
        "answers due     2 missing",
        "                river: new question, 2 \u00d7 core",
        "runs due        2 core",
    ]
    assert "\ncost            $0.05 expected\n" in str(plan)
    assert "<td>answers due</td><td>2 missing</td>" in plan._repr_html_()
    enrich.run(*paths, environ=environ)
    assert str(enrich.plan(*paths, environ=environ)).splitlines()[2:] == [
        "answers due     none",
        "runs due        none",
    ]


def test_importing_it_loads_nothing_heavy() -> None:
    program = "import sys, enrich; print([m for m in ('polars', 'httpx', 'pydantic') if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert ended.stdout == "[]\n"


def test_a_table_in_parquet_loads_no_pandas(paths: tuple[str, str]) -> None:
    folder = Path(paths[0]).parent
    pl.DataFrame({"name": ["Basel"], "sizes": [[1]]}).write_parquet(folder / "t.parquet")
    program = f"import sys, enrich; enrich.run({paths[0]!r}, 't.parquet', sandbox=True); print('pandas' in sys.modules)"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=folder, env=environ
    )
    assert ended.stdout == "False\n"
