"""How an error becomes an ending: one error out of task groups, SQLite's errors in words, an exit code for each."""

import json
import sqlite3
from io import StringIO
from pathlib import Path

import anyio
import pytest
from command_line import CONFIG, Enrich

from enrich.api.errors import BaseUrlError, CreditError, ForbiddenError, UnauthorizedError, UnavailableError
from enrich.backends.opening import sandbox_refusals
from enrich.cli.console import Console
from enrich.cli.entry import OUR_FAULT, explain
from enrich.errors import (
    EnrichError,
    ExitCode,
    LedgerError,
    ReceiptError,
    UsageError,
    sole_error,
    system_refusals,
    ungrouped,
)
from enrich.ledger.refusals import ledger_refusals
from enrich.ledger.store import Ledger
from enrich.library import calls as library
from enrich.sandbox import SandboxError, SandboxSettings, running


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(UsageError("x"), 2, id="UsageError"),
        pytest.param(LedgerError("x"), 2, id="LedgerError"),
        pytest.param(BaseUrlError("x"), 2, id="BaseUrlError"),
        pytest.param(SandboxError("x"), 2, id="SandboxError"),
        pytest.param(PermissionError(13, "Permission denied", "/x"), 2, id="OSError"),
        pytest.param(UnauthorizedError("x", status=401), 5, id="401"),
        pytest.param(ForbiddenError("x", status=403), 5, id="403"),
        pytest.param(CreditError("x", status=402), 4, id="402"),
        pytest.param(UnavailableError("x"), 4, id="unavailable"),
        pytest.param(ReceiptError("x"), 1, id="ReceiptError"),
        pytest.param(ValueError("x"), 1, id="ValueError"),
        pytest.param(OSError("x"), 1, id="OSError-of-no-system"),
        pytest.param(sqlite3.ProgrammingError("x"), 1, id="misuse-of-SQLite"),
    ],
)
def test_the_exit_code_of_an_error(error: Exception, code: int) -> None:
    told = StringIO()
    with pytest.raises(Exception) as raised, system_refusals(), sandbox_refusals():
        raise error
    assert isinstance(raised.value, Exception)
    assert explain(raised.value, Console(StringIO(), told, redact=str), ["run"]) == code
    assert (OUR_FAULT in told.getvalue()) is (code == 1)


def test_the_command_line_says_that_the_same_command_goes_on_where_waiting_helps() -> None:
    told = StringIO()
    explain(UnavailableError("no answer"), Console(StringIO(), told, redact=str), ["recover"])
    assert told.getvalue().endswith("no answer; the same command goes on\n")
    told = StringIO()
    explain(UnauthorizedError("no such key", status=401), Console(StringIO(), told, redact=str), ["recover"])
    assert told.getvalue().endswith("no such key\n")


def group(*errors: BaseException) -> BaseExceptionGroup:
    return BaseExceptionGroup("of a task group", errors)


def test_one_error_comes_out_of_a_task_group_as_it_was_raised() -> None:
    async def work() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 60)
            raise UsageError("the one")

    with pytest.raises(UsageError, match="the one"), ungrouped():
        anyio.run(work)


def test_of_several_errors_the_one_for_people_comes_out() -> None:
    one = UsageError("x")
    assert sole_error(group(ValueError(), group(one), OSError())) is one
    disk = OSError(28, "No space left on device")
    assert sole_error(group(ValueError(), group(disk))) is disk


def test_what_must_be_mended_is_told_before_what_passes_by_itself() -> None:
    passing, broken = UnavailableError("x"), LedgerError("y")
    assert sole_error(group(passing, group(broken))) is broken
    assert sole_error(group(ValueError(), passing)) is passing
    disk = OSError(28, "No space left on device")
    assert sole_error(group(passing, disk)) is disk


def test_several_errors_of_one_kind_are_one() -> None:
    first = sqlite3.OperationalError("x")
    assert sole_error(group(first, sqlite3.OperationalError("y"))) is first


def test_several_faults_of_ours_stay_together() -> None:
    both = group(ValueError(), KeyError())
    assert sole_error(both) is both


def full_disk(path: Path) -> sqlite3.Connection:
    """A database that may not grow any more, as on a full disk."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE t (x BLOB)")
    connection.execute("PRAGMA max_page_count = 3")
    return connection


def test_a_full_disk_in_words(tmp_path: Path) -> None:
    connection = full_disk(tmp_path / "some.db")
    with pytest.raises(LedgerError) as raised, ledger_refusals(tmp_path / "some.db"):
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    connection.close()
    assert str(raised.value) == (
        f"{tmp_path}/some.db: the ledger can't be used: the disk is full (the ledger's, or that of temporary files, "
        "for which TMPDIR names a folder) (database or disk is full). Nothing more was sent; what was paid for is in "
        "the ledger or at the service, and the same command goes on when this is mended"
    )


def test_a_read_only_ledger_in_words(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "some.db").close()
    connection = sqlite3.connect(f"file:{tmp_path / 'some.db'}?mode=ro", uri=True, isolation_level=None)
    with pytest.raises(LedgerError, match="the ledger can't be used: it can't be written"), ledger_refusals(tmp_path):
        connection.execute("DELETE FROM meta")
    connection.close()


def test_a_misuse_of_sqlite_is_a_fault_of_ours(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError), ledger_refusals(tmp_path):
        connection.execute("SELEKT")
    connection.close()


def test_every_exit_code_of_an_error_is_documented() -> None:
    kinds = [EnrichError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.exit_code for kind in kinds} <= set(ExitCode)


def test_a_deadline_ends_a_run_in_good_order(enrich: Enrich, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(SandboxSettings(latency_s=(60, 60))) as base_url:
        monkeypatch.setenv("PARALLEL_BASE_URL", base_url)
        monkeypatch.setenv("PARALLEL_API_KEY", "any-word-will-do")
        ended = enrich("run", "places.yaml", "places.csv", "--yes", "--deadline", "2s", "--quiet")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.splitlines() == [
        "stopped: the deadline is reached",
        "`enrich run places.yaml places.csv --deadline 2s` goes on with 3 pending rows; nothing is paid for twice",
    ]
    assert (folder / "places.enriched.csv").exists()


def test_a_deadline_without_length_is_refused(enrich: Enrich) -> None:
    with pytest.raises(UsageError, match=r"deadline_s: expected more than 0 seconds, got 0"):
        library.run("places.yaml", "places.csv", deadline_s=0, sandbox=True)


TWO_FAULTS = CONFIG.replace("processor: core", "procesor: core\nbudget: -1")
RAGGED = "name,note\nBasel\nCologne,a,b\n"
PLAN = ["plan", "places.yaml", "places.csv"]
RUN_JSON = ["run", "places.yaml", "places.csv", "--sandbox", "--log-format", "json"]


@pytest.mark.parametrize(
    ("argv", "files", "begins"),
    [
        pytest.param(
            ["check", "places.yaml"], {"places.yaml": TWO_FAULTS},
            ["places.yaml:1: processor: ", "places.yaml:8: procesor: ", "places.yaml:9: budget: "],
            id="faults-of-a-config",
        ),
        pytest.param(
            PLAN, {"places.csv": RAGGED}, ["places.csv:2: ", "places.csv:3: "], id="faults-of-a-table"
        ),
        pytest.param(PLAN, {"places.csv": ""}, ["places.csv: "], id="no-line"),
        pytest.param([*PLAN, "--limit", "0"], {}, ["--limit: "], id="an-option"),
        pytest.param([*PLAN, "--limit", "x"], {}, ["--limit: "], id="an-option-of-another-kind"),
        pytest.param([*PLAN, "--where", "nam = 1"], {}, ["--where: "], id="a-condition"),
        pytest.param(
            ["run", "places.yaml", "places.csv", "--sandbox"],
            dict.fromkeys(("places.sandbox.review.csv", "places.sandbox.run.json"), "somebody's\n"),
            ["places.sandbox.run.json: ", "places.sandbox.review.csv: "],
            id="files-of-others",
        ),
        pytest.param(["run", "places.yaml", "places.csv", "--yes"], {}, ["no API key: "], id="no-place"),
    ],
)  # fmt: skip
def test_each_fault_is_a_line_of_one_form(
    enrich: Enrich,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    files: dict[str, str],
    begins: list[str],
) -> None:
    monkeypatch.delenv("PARALLEL_API_KEY", raising=False)
    for name, text in files.items():
        (folder / name).write_text(text)
    ended = enrich(*argv)
    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert [line[: len(f"Error: {start}")] for line, start in zip(lines, begins, strict=True)] == [
        f"Error: {start}" for start in begins
    ]


def test_json_logs_tell_all_faults_in_one_event(enrich: Enrich, folder: Path) -> None:
    (folder / "places.csv").write_text(RAGGED)
    lines = enrich("run", "places.yaml", "places.csv", "--sandbox").err.splitlines()
    (event,) = map(json.loads, enrich(*RUN_JSON).err.splitlines())
    assert (event["event"], event["exit_code"]) == ("error", 2)
    assert [f"Error: {fault}" for fault in event["text"].split("\n")] == lines


def test_without_a_command_the_help_is_no_fault(enrich: Enrich) -> None:
    ended = enrich()
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: enrich" in ended.err
    assert "Error" not in ended.err
