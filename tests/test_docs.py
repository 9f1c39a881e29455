"""What the documents say is so: commands, options, exit codes, tables, links, and the samples of the README."""

import csv
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import typer.main

from enrich import __version__
from enrich.api.connection import MAX_BODY_BYTES
from enrich.api.errors import MAX_RETRY_AFTER_S
from enrich.api.sse import MAX_EVENT_BYTES
from enrich.backends.listing import MAX_BYTES
from enrich.backends.parallel import MAX_PLAIN_EVENT_BYTES, MAX_RESULT_BYTES
from enrich.backends.streams import MAX_IDLE_BYTES, MAX_LISTED, MAX_REPEATS
from enrich.backends.wire import MAX_VALUES
from enrich.cli.app import COMMANDS, all_commands, make_app
from enrich.errors import ExitCode
from enrich.ledger import schema

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
        *DOCS.glob("*.md"),
        *(ROOT / "sample_data").glob("*.md"),
    ]
)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def sections(page: str) -> dict[str, str]:
    """The parts of a page below each heading of the second level."""
    parts = re.split(r"^## (.+)$", text_of(page), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


# --- commands and options


def options_of(command: str) -> set[str]:
    group = typer.main.get_command(make_app(all_commands()))
    found = group.commands[command]  # type: ignore[attr-defined]
    spelled = {spelling for option in found.params for spelling in (*option.opts, *option.secondary_opts)}
    return {spelling for spelling in spelled if spelling.startswith("-")} - {"--help", "-h"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_documented(command: str) -> None:
    section = sections("docs/commands.md")[f"enrich {command}"]
    missing = {option for option in options_of(command) if not re.search(rf"`[^`]*{option}\b[^`]*`", section)}
    assert missing == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_in_the_documents_exists(command: str) -> None:
    section = sections("docs/commands.md")[f"enrich {command}"]
    rows = re.findall(r"^\| (`-.+?) \|", section, flags=re.MULTILINE)
    named = {option for row in rows for option in re.findall(r"--?[a-z][a-z-]*", row)}
    assert named - options_of(command) == set()


def test_every_command_is_in_the_overview_in_order() -> None:
    overview = text_of("docs/commands.md").partition("## ")[0]
    assert re.findall(r"\[`enrich (\w+)`\]", overview) == list(COMMANDS)
    assert [name for name in sections("docs/commands.md") if name.startswith("enrich ")] == [
        f"enrich {command}" for command in COMMANDS
    ]


def test_options_in_the_other_documents_exist() -> None:
    known = {option for command in COMMANDS for option in options_of(command)} | {"--help", "--version"}
    any_command = "|".join(COMMANDS)
    for page in PAGES:
        shell = re.sub(r"```(?!sh|cron|ini)\w*\n.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for command in re.findall(rf"\benrich (?:{any_command})\b[^`\n|]*", shell):
            for option in re.findall(r"(?<=\s)--[a-z][a-z-]+", command):
                assert option in known, f"{page.name}: {command}"


# --- exit codes, ledger, changelog


def test_the_table_of_exit_codes_is_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text_of("docs/exit-codes.md"), flags=re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(code.value, code.name) for code in ExitCode]


def test_every_table_and_column_of_the_ledger_is_documented() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        schema.create(database)
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")]
        columns = {
            table: {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
            for table in tables
            if not table.startswith("sqlite_")
        }
    documented = {
        name: {
            column
            for cell in re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE)
            for column in re.findall(r"`(\w+)`", cell)
        }
        for name, section in sections("docs/ledger.md").items()
    }
    assert documented == columns


def test_every_query_of_the_ledger_that_is_documented_can_be_asked() -> None:
    queries = [
        query
        for block in re.findall(r"^```sql\n(.*?)^```", text_of("docs/ledger.md"), flags=re.MULTILINE | re.DOTALL)
        for query in block.split(";")
        if query.strip()
    ]
    queries += re.findall(r'^sqlite3 -readonly \S+ "(.*)"$', text_of("docs/ledger.md"), flags=re.MULTILINE)
    assert len(queries) > 5
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        schema.create(database)
        for query in queries:
            database.execute(query)


def test_the_changelog_begins_with_this_version_or_with_what_comes_after_it() -> None:
    headings = re.findall(r"^## (\S+)", text_of("CHANGELOG.md"), flags=re.MULTILINE)
    assert next(one for one in headings if one != "Unreleased") == __version__
    assert "Unreleased" not in headings[1:]


# --- links


def anchors(page: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {slug(re.sub(r"[`*]", "", heading)) for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = page if not path else (page.parent / path)
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_how_to_report_a_hole_and_what_is_trusted_are_found_from_the_readme_and_from_each_other() -> None:
    readme = text_of("README.md")
    assert "](SECURITY.md)" in readme
    assert "](docs/security.md)" in readme
    assert "](docs/security.md)" in text_of("SECURITY.md")


def test_the_bounds_in_the_documents_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \|", sections("docs/security.md")["What a service can do with bytes"], re.MULTILINE
    )
    said = {bound: value.replace(",", "") for bound, value in rows}
    assert (
        said["an answer"]
        == f"{MAX_BODY_BYTES >> 20} MB; a result that is asked for by itself {MAX_RESULT_BYTES >> 20} MB"
    )
    events = f"{MAX_PLAIN_EVENT_BYTES >> 20} MB; with a result in it {MAX_EVENT_BYTES >> 20} MB"
    assert said["an event of a stream"] == events
    assert said["values in one event"] == f"{MAX_VALUES}"
    assert said["megabytes without an event"] == f"{MAX_IDLE_BYTES >> 20} MB"
    assert said["a listing that tells nothing new"].startswith(f"{MAX_REPEATS} events")
    assert said["runs of one listing"] == f"{MAX_LISTED} and {MAX_BYTES >> 20} MB where it is held in memory"
    assert said["`Retry-After`"] == f"{MAX_RETRY_AFTER_S:.0f} s"


def test_every_document_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)", text_of("README.md")))
    assert {page.name for page in DOCS.glob("*.md")} <= linked


# --- the README's samples, as they really come


def sample(name: str) -> str:
    """What stands in the README between `<!-- sample: NAME -->` and `<!-- end -->`."""
    found = re.search(rf"<!-- sample: {name} -->\n?(.*?)\n?<!-- end -->", text_of("README.md"), flags=re.DOTALL)
    assert found is not None
    return found[1]


def rows_of(markdown: str) -> list[dict[str, str]]:
    header, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def shown(path: Path, like: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows and columns of a CSV file that a sample shows."""
    with path.open(newline="", encoding="utf-8") as file:
        by_id = {row["crm_id"]: row for row in csv.DictReader(file)}
    return [{column: by_id[row["crm_id"]][column].strip() for column in row} for row in like]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the README's Python was run, and what it printed."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("configs", "sample_data"):
        ignored = shutil.ignore_patterns(".enrich", "*.enriched.*", "*.sandbox.*")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (program,) = re.findall(r"```python\n(.*?)```", text_of("README.md"), flags=re.DOTALL)
    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        exec(program, {"print": lambda *values: printed.append(" ".join(map(str, values)))})
    return folder, "\n".join(printed)


def test_the_rows_that_go_in_are_the_samples() -> None:
    table = rows_of(sample("in"))
    assert len(table) == 3
    assert shown(ROOT / "sample_data" / "companies.csv", table) == table


def test_the_rows_that_come_out_are_those_of_the_sandbox(done: tuple[Path, str]) -> None:
    table = rows_of(sample("out"))
    assert [row["crm_id"] for row in table] == [row["crm_id"] for row in rows_of(sample("in"))]
    assert shown(done[0] / "sample_data" / "companies.sandbox.csv", table) == table


def test_the_reason_in_the_readme_is_the_one_given(done: tuple[Path, str]) -> None:
    last = rows_of(sample("out"))[-1]["crm_id"]
    like = [{"crm_id": last, "founded_year_reasoning": " ".join(sample("why").strip("*").split())}]
    assert shown(done[0] / "sample_data" / "companies.sandbox.csv", like) == like


def test_the_receipt_in_the_readme_is_the_one_printed(done: tuple[Path, str]) -> None:
    assert sample("receipt").removeprefix("```text\n").removesuffix("\n```") in done[1]
    assert "companies.sandbox.csv 0" in done[1].replace("ExitCode.DONE", "0")


def test_the_readme_begins_with_what_goes_in_and_comes_out() -> None:
    lines = text_of("README.md").splitlines()
    assert lines.index("<!-- sample: out -->") < 40


def test_the_yaml_of_the_readme_is_a_config(tmp_path: Path) -> None:
    from enrich.config import check_columns
    from enrich.config.loading import load

    (text,) = re.findall(r"```yaml\n(.*?)```", text_of("README.md"), flags=re.DOTALL)
    (tmp_path / "readme.yaml").write_text("name: readme\n" + text)
    assert check_columns(load(tmp_path / "readme.yaml"), ["name", "domain"]) == []


# --- for whoever carries on


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/design.md"])
def test_the_files_and_folders_that_are_named_exist(page: str) -> None:
    """`new` stands before the name of what somebody would add."""
    named = re.findall(r"(?<!new )`((?:enrich|tests|docs|configs)/[\w./]*)`", text_of(page))
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_folder_of_the_package_says_which_tests_to_run() -> None:
    rows = re.findall(r"^\| (`enrich/.+?) \| (.+?) \|", text_of("CONTRIBUTING.md"), flags=re.MULTILINE)
    told = {folder: tests for folders, tests in rows for folder in re.findall(r"`enrich/(\w+)`", folders)}
    folders = {path.name for path in (ROOT / "enrich").iterdir() if (path / "__init__.py").exists()} - {
        "host",
        "sandbox",
    }
    assert set(told) == folders
    run = {path for tests in told.values() for path in re.findall(r"\btests/\w+", tests)}
    assert [path for path in sorted(run) if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()] == []


def test_ci_runs_on_every_push_what_runs_here() -> None:
    assert "bash .ci/run" in text_of(".github/workflows/ci.yml")
    assert re.findall(r"entry: (\w+)", text_of(".pre-commit-config.yaml")) == ["ruff", "ruff", "mypy"]
