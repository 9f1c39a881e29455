"""The ledger, the service and the output agree, or it is said what does not."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from recovery_desk import Desk, Service

from enrich.cli import main
from enrich.errors import ExitCode, LedgerError
from enrich.ledger.store import Ledger
from enrich.report import Selection
from enrich.upkeep.recover import RecoverRequest, recover
from enrich.upkeep.verify import _CELL_CHARS, OutputToCheck, Verification, VerifyRequest, _shown, verify


def check(desk: Desk, *, output: Path | None = None, **options: Any) -> Verification:
    wanted = None
    if output is not None:
        selection = Selection(**options.pop("selection", {}))
        wanted = OutputToCheck(path=output, config=desk.config, table=desk.table, selection=selection)
    request = VerifyRequest(ledger=desk.ledger, environ=desk.service.environ, output=wanted, **options)
    return anyio.run(verify, request)


def tampered(desk: Desk, *statements: str) -> None:
    database = sqlite3.connect(desk.ledger)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def until_ended(desk: Desk, group: str) -> None:
    """Return when every run of a group has ended."""
    while desk.service.get(f"/v1/tasks/groups/{group}")["status"]["is_active"]:
        pass


@pytest.fixture
def failing(desk: Desk, make_service: Callable[..., Service]) -> Desk:
    """A desk whose service lets a third of the runs fail."""
    desk.service = make_service(faults=("run-failed=0.3",))
    desk.rows(20)
    return desk


def test_after_a_run_nothing_differs(failing: Desk) -> None:
    report = failing.run()
    posts = failing.service.posts()

    found = check(failing, output=report.output)

    assert (found.exit_code, found.counts, found.double_charges) == (ExitCode.DONE, Counter(), [])
    assert (found.groups, found.runs_ledger, found.runs_service, found.waiting) == (1, 20, 20, 0)
    assert found.usd_ledger == found.usd_service == report.receipt.usd > 0
    assert (found.rows, found.cells) == (20, 20 * len(failing.result(report)[0]) + 20)
    assert failing.service.posts() == posts


def test_runs_that_have_not_ended_are_no_difference(desk: Desk, make_service: Callable[..., Service]) -> None:
    desk.service = make_service(faults=("run-stuck=@3",))
    desk.run(limit=2)
    tampered(desk, "UPDATE run SET state = 1, run_id = NULL WHERE n = 1", "UPDATE submission SET completed = 1")
    tampered(desk, "UPDATE submission SET state = 'open'")

    found = check(desk)

    assert (found.counts, found.waiting, found.exit_code) == (Counter(), 1, ExitCode.DONE)


@pytest.mark.parametrize(
    ("statements", "kinds"),
    [
        pytest.param(
            ["UPDATE run SET state = 3 WHERE n = 2", "UPDATE submission SET completed = completed - 1, failed = 1"],
            {"state": 1},
            id="a state",
        ),
        pytest.param(
            ["UPDATE run SET run_id = 'trun_elsewhere' WHERE n = 2"],
            {"run unknown to the ledger": 1, "run unknown to the service": 1},
            id="a run id",
        ),
        pytest.param(
            [
                "DELETE FROM run WHERE n = 11",
                "DELETE FROM asked WHERE n = 11",
                "UPDATE submission SET tasks = 11, completed = 11",
            ],
            {"run unknown to the ledger": 1},
            id="a run that is not here",
        ),
        pytest.param(["UPDATE run SET generation = 1 WHERE n < 3"], {"task": 3}, id="other tasks"),
        pytest.param(["UPDATE submission SET processor = 'pro'"], {"task": 12}, id="another processor"),
        pytest.param(
            ["UPDATE submission SET batch_ref = 'tgrp_elsewhere'"],
            {"group unknown to the service": 1, "run unknown to the ledger": 12},
            id="a group",
        ),
    ],
)
def test_what_differs_from_the_service_is_told(desk: Desk, statements: list[str], kinds: dict[str, int]) -> None:
    desk.run()
    tampered(desk, *statements)

    found = check(desk)

    assert (found.counts, found.exit_code) == (kinds, ExitCode.FAILED_ROWS)
    assert Counter(one.kind for one in found.differences) == kinds


@pytest.mark.parametrize("apart", [pytest.param(False, id="in one group"), pytest.param(True, id="in two groups")])
def test_a_double_charge_is_found(desk: Desk, *, apart: bool) -> None:
    report = desk.run()
    (group,) = report.outcome.groups
    runs = desk.service.runs(group)
    asked = desk.service.get(f"/v1/tasks/runs/{runs[0]['run_id']}/input")
    again = {name: asked[name] for name in ("input", "processor", "metadata", "task_spec")}
    place = desk.service.post("/v1/tasks/groups", {})["taskgroup_id"] if apart else group
    desk.service.post(f"/v1/tasks/groups/{place}/runs", {"inputs": [again]})

    found = check(desk, groups=(group, place) if apart else ())

    (charge,) = found.double_charges
    assert found.exit_code is ExitCode.DOUBLE_CHARGE
    assert (charge.task_key, str(charge.usd)) == (runs[0]["metadata"]["enrich_task"], "0.005")
    assert len(set(charge.run_ids)) == 2
    assert runs[0]["run_id"] in charge.run_ids
    assert found.counts == {"run unknown to the ledger": 1}


def asked_again(desk: Desk, group: str) -> str:
    """Another group with all runs of a group, as a service makes them that takes a request and says it did not."""
    asked = [desk.service.get(f"/v1/tasks/runs/{run['run_id']}/input") for run in desk.service.runs(group)]
    again = [{name: one[name] for name in ("input", "processor", "metadata", "task_spec")} for one in asked]
    place: str = desk.service.post("/v1/tasks/groups", {})["taskgroup_id"]
    desk.service.post(f"/v1/tasks/groups/{place}/runs", {"inputs": again})
    return place


@pytest.mark.parametrize("times", [1, 3])
def test_double_charges_are_found_in_a_group_of_which_nothing_stands(desk: Desk, times: int) -> None:
    (group,) = desk.run().outcome.groups
    places = [asked_again(desk, group) for _ in range(times)]
    for place in places:
        until_ended(desk, place)
    recovery = RecoverRequest(ledger=desk.ledger, environ=desk.service.environ, groups=[group, *places], replace=True)
    recovered = anyio.run(recover, recovery)

    found = check(desk)

    assert found.exit_code is recovered.exit_code is ExitCode.DOUBLE_CHARGE
    for charges in (found.double_charges, recovered.double_charges):
        assert Counter((charge.runs, len(charge.run_ids)) for charge in charges) == {(times, times + 1): 12}
    assert (found.counts, found.groups) == ({}, 1 + times)
    assert found.runs_ledger == found.runs_service == 12 * (1 + times)
    assert found.usd_ledger == found.usd_service
    assert sum(charge.usd for charge in found.double_charges) == Decimal("0.06") * times
    assert check(desk, groups=[group]).exit_code is ExitCode.DONE


def test_a_double_charge_that_the_service_does_not_know_is_told(desk: Desk) -> None:
    (group,) = desk.run().outcome.groups
    tampered(desk, "INSERT INTO extra_run VALUES ('trun_0', 1, 0, 0, 2, 1, NULL, NULL)")

    assert check(desk).counts == {"run unknown to the service": 1}
    assert check(desk, groups=[group]).counts == {}


def test_groups_of_the_list_are_compared_also_where_the_ledger_is_an_old_copy(desk: Desk) -> None:
    desk.run(limit=2)
    copy = desk.ledger.read_bytes()
    desk.run()
    desk.ledger.write_bytes(copy)
    for log in desk.ledger.parent.glob("ledger.db-*"):
        log.unlink()

    found = check(desk)

    assert (found.groups, found.counts) == (2, {"run unknown to the ledger": 10})


def test_a_run_that_failed_is_no_double_charge(failing: Desk) -> None:
    failing.run()
    tampered(failing, "UPDATE run SET at = at - 60")
    failing.run(retry_failed=True)

    found = check(failing)

    assert (found.double_charges, found.exit_code) == ([], ExitCode.DONE)
    assert found.runs_service > 20


def test_runs_of_another_program_are_counted(desk: Desk) -> None:
    report = desk.run()
    (group,) = report.outcome.groups
    desk.service.post(
        f"/v1/tasks/groups/{group}/runs",
        {"inputs": [{"input": "what else?", "processor": "core", "task_spec": {"output_schema": "an answer"}}]},
    )

    found = check(desk)

    assert (found.foreign, found.counts) == (1, {})


def test_a_listing_that_is_never_whole_is_told(desk: Desk, make_service: Callable[..., Service]) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    state = desk.folder / "service.ndjson"
    desk.service = make_service(state=state)
    desk.run()
    copy = desk.folder / "copy.ndjson"
    copy.write_bytes(state.read_bytes())
    desk.service = make_service(state=copy, faults=("cut-clean=3",))

    found = check(desk, sleep=sleep)

    assert found.counts == {"group could not be listed": 1}
    assert sum(waits) > 30  # it was read again, for a while


def test_a_damaged_result_is_found(desk: Desk) -> None:
    desk.run()
    tampered(desk, "UPDATE block SET crc = crc + 1")

    with pytest.raises(LedgerError, match="its checksum does not match"):
        check(desk)


# ---------------------------------------------------------------------- the output


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            lambda text: text.replace("Company 3,", "Company three,"),
            [("cell", "row 4, name", "'Company three' in the output, 'Company 3' by the ledger")],
            id="an original cell",
        ),
        pytest.param(
            lambda text: text.replace(",lite,", ",,", 1),
            [("cell", "row 1, enrich_processor", "empty in the output, 'lite' by the ledger")],
            id="an answer's evidence",
        ),
        pytest.param(
            lambda text: "".join(line for line in text.splitlines(keepends=True) if not line.startswith("00007")),
            [("number of rows", "OUT", "11 rows in the output, 12 in the table")],
            id="a row less",
        ),
        pytest.param(
            lambda text: text.replace("year_status", "state", 1),
            [("column missing in the output", "year_status", ""), ("column not of this config or table", "state", "")],
            id="a column renamed",
        ),
    ],
)
def test_what_differs_in_the_output_is_told(
    desk: Desk, change: Callable[[str], str], told: list[tuple[str, str, str]]
) -> None:
    output = desk.run().output
    output.write_text(change(output.read_text()))

    found = check(desk, output=output)

    assert [(one.kind, one.where.replace(str(output), "OUT"), one.what) for one in found.differences] == told
    assert found.exit_code is ExitCode.FAILED_ROWS


def test_swapped_rows_are_told(desk: Desk) -> None:
    output = desk.run().output
    lines = output.read_text().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    output.write_text("".join(lines))

    found = check(desk, output=output)

    assert {one.where.split(",")[0] for one in found.differences} == {"row 2", "row 3"}


def test_only_the_first_differences_are_told_one_by_one(desk: Desk) -> None:
    desk.rows(60)
    output = desk.run().output
    output.write_text(output.read_text().replace("Company", "Firm"))

    found = check(desk, output=output)

    assert (found.counts, len(found.differences)) == ({"cell": 60}, 20)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".ndjson", ".csv.gz"])
def test_every_format_is_compared(desk: Desk, suffix: str) -> None:
    report = desk.run(output=desk.folder / f"out{suffix}", limit=7)

    found = check(desk, output=report.output, selection={"limit": 7})

    assert (found.counts, found.rows) == ({}, 12)


# ---------------------------------------------------------------------- as it is typed


@pytest.fixture
def typed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk as the working folder, with the service in the environment."""
    monkeypatch.chdir(desk.folder)
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    return desk


def test_the_manifest_says_what_the_output_was_made_of(typed: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    typed.run(where="id > '00004'", ledger=typed.folder / "other.db")

    assert main(["verify", "table.enriched.csv"]) == 0

    assert capsys.readouterr().out == (
        f"ledger      {typed.folder}/other.db\n"
        "groups      1\n"
        "runs        7 in the ledger, 7 at the service\n"
        "paid        $0.035 by the ledger, $0.035 by the service's list\n"
        "output      12 rows, 228 cells compared\n"
        "\nno difference\n"
    )


def test_differences_are_printed_and_end_with_3(typed: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    typed.run()
    tampered(typed, "UPDATE run SET generation = 1 WHERE n = 0")

    assert main(["verify", "--config", "test.yaml"]) == 3

    assert "\ntask: 1\n  tgrp_" in capsys.readouterr().out
    assert main(["verify", "--config", "test.yaml", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["counts"] == {"task": 1}


def test_an_output_without_a_manifest_needs_to_be_explained(typed: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    report = typed.run()
    report.manifest.unlink()

    assert main(["verify", "table.enriched.csv"]) == 2
    assert capsys.readouterr().err == (
        "Error: table.enriched.csv: there is no table.run.json beside it that says what it was made of; "
        "give --config and --table\n"
    )
    assert main(["verify", "table.enriched.csv", "--config", "test.yaml", "--table", "table.csv"]) == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param("nope.csv", "nope.csv: there is no such file; give another OUT", id="output"),
        pytest.param(
            "nope.csv --config test.yaml --table table.csv",
            "nope.csv: there is no such file; give another OUT",
            id="output, with what it was made of",
        ),
        pytest.param(
            "table.enriched.csv --table nope.csv", "nope.csv: there is no such file; give another --table", id="table"
        ),
        pytest.param(
            "table.enriched.csv --config nope.yaml",
            "nope.yaml: there is no such file",
            id="config",
        ),
    ],
)
def test_a_file_that_is_not_there_is_named(
    typed: Desk, capsys: pytest.CaptureFixture[str], argv: str, message: str
) -> None:
    typed.run()
    assert main(["verify", *argv.split()]) == 2
    assert message in capsys.readouterr().err


def test_without_a_ledger_there_is_nothing_to_verify(typed: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 2
    assert "there is no ledger here yet" in capsys.readouterr().err


def test_a_ledger_in_which_nothing_was_asked_needs_no_key(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "ledger.db").close()
    found = anyio.run(verify, VerifyRequest(ledger=tmp_path / "ledger.db", environ={}))
    assert (found.exit_code, found.counts) == (ExitCode.DONE, Counter())


def test_a_long_cell_is_shown_cut_to_one_length() -> None:
    longest = "x" * (_CELL_CHARS - 2)  # in quotes
    assert _shown(longest) == repr(longest)
    for text in (longest + "x", "x" * 500):
        assert _shown(text) == "'" + "x" * (_CELL_CHARS - 2) + "…"
