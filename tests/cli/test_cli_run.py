"""`enrich run` as a person or cron sees it: exit code, all of standard error, standard output, files."""

import csv
import json
import re
from pathlib import Path

import pytest
from command_line import CONFIG, SURE, Ended, Enrich, steady

NO_KEY = (
    "Error: no API key: set PARALLEL_API_KEY to run against the service, or add --sandbox to try the same command "
    "free of charge, with invented answers\n"
)

RECEIPT = """\
from the sandbox: free of charge, and answers without facts are invented

rows in     4    answers wanted  4    runs paid  2  $0.05
  complete  3      accepted      3      core     2  $0.05
  skipped   1      skipped       1

2 distinct inputs; 2 runs submitted, 0 failed (not billed)
"""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def sure(folder: Path) -> None:
    """Accept whatever the sandbox invents."""
    (folder / "places.yaml").write_text(CONFIG + SURE)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["nope.yaml", "places.csv"], "Error: nope.yaml: there is no such file\n", id="no-config"),
        pytest.param(["places.yaml", "nope.csv"], "Error: nope.csv: there is no such file\n", id="no-table"),
        pytest.param(["places.yaml", "places.csv", "-o", "free.csv"], NO_KEY, id="no-key"),
        pytest.param(
            ["places.yaml", "places.csv", "--limit", "0"],
            "Error: --limit: expected a number of rows, 1 or more, got 0\n",
            id="limit-0",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "--limit", "2", "--sample", "2"],
            "Error: --limit and --sample: give one of them, the first rows or a random sample\n",
            id="limit-and-sample",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "--processor", "cor"],
            "Error: --processor: there is no processor 'cor'; did you mean \"core\"?\n",
            id="processor",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "--processor", "gpt-4"],
            "Error: --processor: there is no processor 'gpt-4'; there are lite, base, core, core2x, pro, ultra, "
            "ultra2x, ultra4x, ultra8x, and each with -fast\n",
            id="no-such-processor",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "--budget", "-3"],
            "Error: --budget: expected an amount in US dollars above 0, got -3\n",
            id="budget-negative",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "--facts", "facts.ndjson"],
            "Error: --facts: is for the sandbox; add --sandbox\n",
            id="facts-without-sandbox",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "--where", "nam = 'Basel'"],
            'Error: --where: nam = \'Basel\': the table has no column "nam" (at character 1); did you mean "name"? '
            "(text values stand in single quotes)\n",
            id="where",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "-o", "places.csv"],
            "Error: places.csv: is the input itself, which is never overwritten; give another output\n",
            id="output-is-input",
        ),
        pytest.param(
            ["places.yaml", "places.review.csv", "-o", "places.parquet"],
            "Error: places.review.csv: is the input itself, which is never overwritten; give another output\n",
            id="review-file-is-input",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "-o", "linked.csv"],
            "Error: linked.run.json: is the input itself, which is never overwritten; give another output\n",
            id="manifest-is-a-link-to-the-input",
        ),
        pytest.param(
            ["schema.yaml", "places.csv", "-o", "schema.ndjson"],
            "Error: schema.ndjson: would be overwritten, and is the schema file that the config names; give another "
            "output with -o\n",
            id="output-is-schema-file",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "--sandbox", "--facts", "f.review.csv", "-o", "f.ndjson"],
            "Error: f.review.csv: would be overwritten, and is the facts file; give another output with -o\n",
            id="review-file-is-facts-file",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "-o", "."],
            "Error: .: is a folder; give the name of a file\n",
            id="output-folder",
        ),
        pytest.param(
            ["nope.yaml", "nope.csv", "--sandbox", "--facts", "nope.ndjson"],
            "Error: nope.ndjson: facts file can't be read: No such file or directory\n",
            id="no-facts-before-all-else",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "--sandbox", "--facts", "."],
            "Error: .: facts file can't be read: Is a directory\n",
            id="a-folder-for-facts",
        ),
        pytest.param(
            ["places.yaml", "places.csv", "--sandbox", "--facts", "nope.ndjson"],
            "Error: nope.ndjson: facts file can't be read: No such file or directory\n",
            id="no-facts",
        ),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_one_sentence(
    enrich: Enrich, folder: Path, argv: list[str], message: str
) -> None:
    table = (folder / "places.csv").read_bytes()
    for name in ("places.review.csv", "f.review.csv"):
        (folder / name).write_bytes(table)
    (folder / "linked.run.json").symlink_to("places.csv")
    schema = {"type": "object", "properties": {"mayor": {"type": "string", "description": "Its mayor."}}}
    (folder / "schema.ndjson").write_text(json.dumps(schema))
    (folder / "schema.yaml").write_text(f"{CONFIG.partition('outputs:')[0]}outputs: schema.ndjson\nprocessor: core\n")
    ended = enrich("run", *argv)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines(keepends=True)[-1] == message
    assert {(folder / name).read_bytes() for name in ("places.csv", "places.review.csv", "f.review.csv")} == {table}


@pytest.mark.parametrize("path", [".", "./", "..", "/", ""])
@pytest.mark.parametrize(
    "argv",
    [
        pytest.param("run places.yaml places.csv --sandbox -o", id="run -o"),
        pytest.param("run places.yaml places.csv --sandbox --ledger", id="run --ledger"),
        pytest.param("run places.yaml places.csv --sandbox --facts", id="run --facts"),
        pytest.param("run places.yaml", id="table of run"),
        pytest.param("run", id="config of run"),
        pytest.param("plan places.yaml", id="table of plan"),
        pytest.param("plan places.yaml places.csv --ledger", id="plan --ledger"),
        pytest.param("check places.yaml", id="table of check"),
        pytest.param("check", id="config of check"),
        pytest.param("init", id="table of init"),
        pytest.param("init places.csv -o", id="init -o"),
        pytest.param("status", id="config of status"),
        pytest.param("status --ledger", id="status --ledger"),
        pytest.param("review places.yaml", id="review file"),
        pytest.param("verify", id="output of verify"),
        pytest.param("verify places.csv --config places.yaml --table", id="verify --table"),
        pytest.param("verify places.csv --table places.csv --config", id="verify --config"),
        pytest.param("adopt tgrp_0 places.yaml", id="table of adopt"),
        pytest.param("adopt tgrp_0 places.yaml places.csv --sandbox -o", id="adopt -o"),
        pytest.param("recover --group tgrp_0 --ledger", id="recover --ledger"),
        pytest.param("recover --manifest", id="recover --manifest"),
    ],
)
def test_a_folder_where_a_file_is_meant_is_said(enrich: Enrich, folder: Path, argv: str, path: str) -> None:
    before = sorted(folder.iterdir())
    ended = enrich(*argv.split(), path)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    assert "nothing is lost" not in ended.err
    assert [one for one in sorted(folder.iterdir()) if one.name != ".enrich"] == before


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param("plan places.yaml loop.csv", id="table"),
        pytest.param("plan loop.yaml places.csv", id="config"),
        pytest.param("init loop.csv -o new.yaml", id="init"),
        pytest.param("status --ledger loop.db", id="status"),
        pytest.param("run places.yaml places.csv --sandbox -o loop.csv", id="output"),
        pytest.param("verify loop.csv --config places.yaml --table places.csv --sandbox", id="verify"),
        pytest.param("recover --manifest loop.json", id="manifest"),
        pytest.param("sandbox --facts loop.ndjson", id="facts"),
    ],
)
def test_links_that_lead_in_a_circle_are_no_fault_of_ours(enrich: Enrich, folder: Path, argv: str) -> None:
    for name in ("loop.csv", "loop.yaml", "loop.db", "loop.json", "loop.ndjson"):
        (folder / name).symlink_to(name)
    ended = enrich(*argv.split())
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    assert "loop." in ended.err


def test_a_folder_is_no_table(enrich: Enrich, folder: Path) -> None:
    (folder / "d").mkdir()
    assert enrich("plan", "places.yaml", "d").err == "Error: d: is a folder, expected a file\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(
            ["run"],
            "Error: CONFIG: is missing; expected enrich run CONFIG TABLE; `enrich run --help` says more\n",
            id="nothing",
        ),
        pytest.param(
            ["run", "places.yaml"],
            "Error: TABLE: is missing; expected enrich run CONFIG TABLE; `enrich run --help` says more\n",
            id="no-table",
        ),
        pytest.param(
            ["fun"],
            'Error: fun: there is no such command; did you mean "run"?; `enrich --help` says more\n',
            id="command",
        ),
        pytest.param(
            ["run", "places.yaml", "places.csv", "--limit", "x"],
            "Error: --limit: expected a whole number of rows, got 'x'; `enrich run --help` says more\n",
            id="limit",
        ),
        pytest.param(
            ["plan", "places.yaml", "places.csv", "--show", "-1"],
            "Error: --show: expected a whole number of runs, got '-1'; `enrich plan --help` says more\n",
            id="show",
        ),
        pytest.param(
            ["sandbox", "--port", "70000"],
            "Error: --port: expected a port from 0 to 65535, got '70000'; `enrich sandbox --help` says more\n",
            id="port",
        ),
        pytest.param(
            ["run", "places.yaml", "places.csv", "--limt", "3"],
            'Error: --limt: there is no such option here; did you mean "--limit"?; `enrich run --help` says more\n',
            id="option",
        ),
        pytest.param(
            ["run", "places.yaml", "places.csv", "--limit"],
            "Error: --limit: expected a value after it; `enrich run --help` says more\n",
            id="no-value",
        ),
        pytest.param(
            ["run", "places.yaml", "places.csv", "--yes=1"],
            "Error: --yes: takes no value; `enrich run --help` says more\n",
            id="a-value",
        ),
        pytest.param(
            ["schema", "x"],
            "Error: too many arguments; expected enrich schema; `enrich schema --help` says more\n",
            id="more",
        ),
        pytest.param(
            ["run", "places.yaml", "places.csv", "--budget", "much"],
            "Error: --budget: expected US dollars such as 25 or 2.50, got 'much'; `enrich run --help` says more\n",
            id="budget",
        ),
        pytest.param(
            ["run", "places.yaml", "places.csv", "--settle", "15"],
            "Error: --settle: expected a duration such as 30s, 15m or 2h, got '15'; `enrich run --help` says more\n",
            id="settle",
        ),
        pytest.param(
            ["run", "places.yaml", "places.csv", "--log-format", "xml"],
            "Error: --log-format: expected text or json, got 'xml'; `enrich run --help` says more\n",
            id="log-format",
        ),
        pytest.param(
            ["sandbox", "--latency", "5:1"],
            "Error: --latency: expected MIN:MAX in seconds such as 0.2:2, or with a share of slow runs 10:30,1%:300, "
            "got '5:1'; `enrich sandbox --help` "
            "says more\n",
            id="latency",
        ),
    ],
)
def test_a_misspelt_command_line_ends_with_2_and_names_the_option(
    enrich: Enrich, argv: list[str], message: str
) -> None:
    ended = enrich(*argv)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == message


def test_a_run_prints_its_receipt_and_writes_four_files(enrich: Enrich, folder: Path, service: str) -> None:
    sure(folder)
    ended = enrich("run", "places.yaml", "places.csv", "--yes")
    assert ended.code == 0
    assert ended.out.startswith(RECEIPT)
    progress = "0 of 2 runs, $0.00 spent\n2 of 2 runs, $0.05 spent\n"
    assert steady(ended.err) == f"2 runs due: $0.05, about 3 min 00 s\n{progress}"
    assert sorted(path.name for path in folder.iterdir()) == [
        ".enrich",
        "places.csv",
        "places.enriched.csv",
        "places.report.html",
        "places.review.csv",
        "places.run.json",
        "places.yaml",
    ]
    for name in ("places.enriched.csv", "places.report.html", "places.review.csv", "places.run.json"):
        assert f"  {name}" in ended.out
    rows = rows_of(folder / "places.enriched.csv")
    assert [(row["name"], row["note"], row["enrich_status"]) for row in rows] == [
        ("Basel", "a", "complete"),
        ("Cologne", "", "complete"),
        ("Basel", "b", "complete"),
        ("", "nothing", "skipped"),
    ]
    assert rows[0]["river"] == rows[2]["river"] != ""


def test_a_second_run_sends_nothing_and_leaves_what_stands(enrich: Enrich, folder: Path, service: str) -> None:
    sure(folder)
    enrich("run", "places.yaml", "places.csv", "--yes")
    before = (folder / "places.enriched.csv").read_bytes()
    again = enrich("run", "places.yaml", "places.csv", "--yes")
    assert again.code == 0
    assert "runs paid  0  $0.00" in again.out
    assert re.fullmatch(
        r"the outputs still stand: nothing has changed since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC; "
        r"they were left as they are\n",
        again.err,
    )
    assert (folder / "places.enriched.csv").read_bytes() == before


def test_what_stands_is_written_anew_on_demand(enrich: Enrich, folder: Path, service: str) -> None:
    sure(folder)
    enrich("run", "places.yaml", "places.csv", "--yes")
    before = (folder / "places.enriched.csv").read_bytes()
    again = enrich("run", "places.yaml", "places.csv", "--yes", "--rewrite", "--json")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out)["outputs"]["written"] is True
    assert (folder / "places.enriched.csv").read_bytes() == before


def test_quiet_says_nothing_of_what_stands(enrich: Enrich, folder: Path, service: str) -> None:
    sure(folder)
    enrich("run", "places.yaml", "places.csv", "--yes")
    again = enrich("run", "places.yaml", "places.csv", "--yes", "--quiet", "--json")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out)["outputs"]["written"] is False


def test_the_sandbox_needs_no_key_and_has_a_ledger_of_its_own(enrich: Enrich, folder: Path) -> None:
    ended = enrich("run", "places.yaml", "places.csv", "--sandbox", "--limit", "1")
    assert ended.code == 0
    assert sorted(path.name for path in (folder / ".enrich").glob("*.db")) == ["sandbox.db"]
    assert json.loads((folder / "places.sandbox.run.json").read_text())["sandbox"] is True


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        pytest.param(["--limit", "1"], ["Basel", "Basel"], id="limit"),
        pytest.param(["--where", "note = 'b'"], ["Basel", "Basel"], id="where"),
        pytest.param(["--where", "name LIKE 'C%'"], ["Cologne"], id="where-like"),
        pytest.param(["--sample", "3"], ["Basel", "Cologne", "Basel"], id="sample-of-all"),
    ],
)
def test_what_is_not_chosen_is_not_asked_and_still_comes_out(
    enrich: Enrich, folder: Path, service: str, options: list[str], asked: list[str]
) -> None:
    sure(folder)
    assert enrich("run", "places.yaml", "places.csv", "--yes", *options).code == 0
    rows = rows_of(folder / "places.enriched.csv")
    assert len(rows) == 4
    assert [row["name"] for row in rows if row["river"]] == asked


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".ndjson", ".parquet"])
def test_the_suffix_of_o_is_the_format(enrich: Enrich, folder: Path, service: str, suffix: str) -> None:
    from enrich.dataset import open_table

    ended = enrich("run", "places.yaml", "places.csv", "--yes", "-o", f"out{suffix}")
    assert ended.code == 0
    table = open_table(folder / f"out{suffix}")
    assert (table.height, table.columns[:3]) == (4, ("name", "note", "river"))


def test_quiet_prints_nothing(enrich: Enrich, folder: Path, service: str) -> None:
    assert enrich("run", "places.yaml", "places.csv", "--yes", "--quiet") == Ended(0, "", "")
    assert (folder / "places.enriched.csv").exists()


def test_quiet_still_says_why_it_stopped(enrich: Enrich, service: str) -> None:
    ended = enrich("run", "places.yaml", "places.csv", "--quiet", "--budget", "0.03")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err == (
        "stopped: the budget of $0.03 is reached: $0.025 spent, and the next run costs $0.025\n"
        "`enrich run places.yaml places.csv --budget 0.03` goes on with 1 pending row; nothing is paid for twice\n"
    )


def test_json_prints_the_manifest_in_place_of_the_receipt(enrich: Enrich, folder: Path, service: str) -> None:
    ended = enrich("run", "places.yaml", "places.csv", "--yes", "--json", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == json.loads((folder / "places.run.json").read_text())


def test_json_logs_are_json_lines(enrich: Enrich, service: str) -> None:
    ended = enrich("run", "places.yaml", "places.csv", "--yes", "--log-format", "json")
    events = [json.loads(line) for line in ended.err.splitlines()]
    assert [event["event"] for event in events] == ["note", "progress", "progress"]
    assert {key: events[-1][key] for key in ("done", "total", "failed", "usd")} == {
        "done": 2,
        "total": 2,
        "failed": 0,
        "usd": 0.05,
    }


def test_json_logs_say_why_a_command_ended(enrich: Enrich) -> None:
    ended = enrich("run", "places.yaml", "nope.csv", "--log-format", "json")
    (event,) = [json.loads(line) for line in ended.err.splitlines()]
    assert (event["event"], event["text"], event["exit_code"]) == ("error", "nope.csv: there is no such file", 2)


def test_a_refused_key_ends_with_5_and_is_shown_nowhere(
    enrich: Enrich, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from enrich.sandbox import SandboxSettings, running

    key = "pk-hush-0123456789-hush"
    with running(SandboxSettings(latency_s=(0, 0), faults=("key-echo=401",))) as base_url:
        monkeypatch.setenv("PARALLEL_BASE_URL", base_url)
        monkeypatch.setenv("PARALLEL_API_KEY", key)
        ended = enrich("run", "places.yaml", "places.csv", "--yes")
    assert ended.code == 5
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert all(key not in text for text in (ended.out, ended.err))
    assert all(key.encode() not in content for content in written)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        pytest.param("PARALLEL_API_KEY", "two words", "one word of printable ASCII", id="key"),
        pytest.param("PARALLEL_BASE_URL", "http://example.com", "unencrypted", id="plain-http"),
    ],
)
def test_a_wrong_environment_ends_with_2(
    enrich: Enrich, service: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    ended = enrich("run", "places.yaml", "places.csv", "--yes")
    assert ended.code == 2
    assert f"Error: {variable}: " in ended.err
    assert message in ended.err
    assert "two words" not in ended.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("PARALLEL_BASE_URL", "nowhere", id="address"),
        pytest.param("ENRICH_RUNS_PER_MINUTE", "many", id="quota"),
        pytest.param("ENRICH_REQUESTS_PER_MINUTE", "60", id="the older variable"),
    ],
)
@pytest.mark.parametrize(
    "argv",
    [
        pytest.param("run places.yaml nope.csv", id="run"),
        pytest.param("plan places.yaml nope.csv", id="plan"),
        pytest.param("check places.yaml nope.csv", id="check"),
        pytest.param("adopt tgrp_0 places.yaml nope.csv", id="adopt"),
    ],
)
def test_a_wrong_environment_is_said_before_the_table_is_read(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, name: str, value: str, argv: str
) -> None:
    monkeypatch.setenv(name, value)
    ended = enrich(*argv.split())
    assert (ended.code, ended.out) == (2, "")
    assert f"Error: {name}: " in ended.err
    assert "nope.csv" not in ended.err


def test_the_sandbox_needs_no_address(enrich: Enrich, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLEL_BASE_URL", "nowhere")
    assert enrich("plan", "places.yaml", "places.csv", "--sandbox").code == 0
    assert enrich("run", "places.yaml", "places.csv", "--sandbox").code == 0


def test_an_ill_ledger_is_named(enrich: Enrich, folder: Path, service: str) -> None:
    (folder / "some.db").write_bytes(b"this is no database, " * 100)
    ended = enrich("run", "places.yaml", "places.csv", "--yes", "--ledger", "some.db")
    assert ended.code == 2
    assert "some.db: this file is no ledger, and is left as it is" in ended.err
    assert not (folder / "some.db.lock").exists()

    (folder / "some.db.groups").write_text("tgrp_0\n")
    ended = enrich("run", "places.yaml", "places.csv", "--yes", "--ledger", "some.db")
    assert ended.code == 2
    assert "some.db: the ledger is damaged" in ended.err


def test_a_held_ledger_ends_with_75(enrich: Enrich, folder: Path, service: str) -> None:
    from enrich.ledger.lock import InstanceLock

    (folder / ".enrich").mkdir()
    with InstanceLock(folder / ".enrich" / "ledger.db"):
        ended = enrich("run", "places.yaml", "places.csv", "--yes")
    assert ended.code == 75
    assert "in use by pid" in ended.err
