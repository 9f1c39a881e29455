"""Results of a group that another program made are matched by their inputs, joined, and not asked again."""

import json
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import anyio
import pytest
from recovery_desk import Desk, Service

from enrich.cli import main
from enrich.errors import ExitCode, LedgerError
from enrich.job import Options
from enrich.pipeline import Report
from enrich.upkeep.adopt import Adoption, NothingAdoptedError, adopt, documents_of
from enrich.upkeep.verify import VerifyRequest, verify

CITY = {"type": "string", "description": "Where it is."}
YEAR = {"type": ["integer", "null"], "description": "Since when it is."}


def company(i: int) -> dict[str, Any]:
    return {"company": f"Company {i}", "website": f"company-{i}.example"}


def foreign_group(desk: Desk, inputs: list[Any], *, processor: str = "core", **properties: Any) -> str:
    """A group as another program makes it: without metadata, by a schema of its own."""
    fields = properties or {"city": CITY, "year": YEAR}
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    group = desk.service.post("/v1/tasks/groups", {})["taskgroup_id"]
    body = {
        "default_task_spec": {"output_schema": {"type": "json", "json_schema": schema}},
        "inputs": [{"input": one, "processor": processor} for one in inputs],
    }
    desk.service.post(f"/v1/tasks/groups/{group}/runs", body)
    while desk.service.get(f"/v1/tasks/groups/{group}")["status"]["is_active"]:
        pass
    return str(group)


def take_over(desk: Desk, group: str, **options: Any) -> tuple[Adoption, Report]:
    async def act() -> tuple[Adoption, Report]:
        return await adopt(group, desk.config, desk.table, Options(environ=desk.service.environ, **options))

    return anyio.run(act)


def counted(found: Adoption) -> dict[str, int]:
    names = ("runs", "adopted", "known", "own", "unmatched", "unfit", "not_completed")
    return {name: number for name in names if (number := getattr(found, name))}


def test_what_another_program_asked_is_joined_and_not_asked_again(desk: Desk) -> None:
    group = foreign_group(desk, [company(i) for i in range(12)])
    bill, posts = desk.service.bill(), desk.service.posts()

    found, report = take_over(desk, group)
    rows = desk.result(report)
    again = desk.run()

    assert counted(found) == {"runs": 12, "adopted": 12}
    ids = {run["run_id"] for run in desk.service.runs(group)}
    assert {row["enrich_run_id"] for row in rows} == ids
    assert {row["enrich_processor"] for row in rows} == {"core"}
    assert all(row["city"] or row["city_status"] in ("withheld", "not_found") for row in rows)
    assert desk.result(again) == rows
    assert (desk.service.bill(), desk.service.posts()) == (bill, posts)


def test_each_row_gets_the_answer_to_its_own_input(desk: Desk) -> None:
    group = foreign_group(desk, [company(i) for i in reversed(range(12))])
    asked = {
        run["run_id"]: desk.service.get(f"/v1/tasks/runs/{run['run_id']}/input")["input"]["company"]
        for run in desk.service.runs(group)
    }

    _, report = take_over(desk, group)

    for row in desk.result(report):
        assert asked[row["enrich_run_id"]] == row["name"]
        (value,) = _values(desk, row["enrich_run_id"], "city")
        assert row["city"] in (value, "")


def _values(desk: Desk, run_id: str, *fields: str) -> list[Any]:
    content = desk.service.get(f"/v1/tasks/runs/{run_id}/result")["output"]["content"]
    return [content[field] for field in fields]


@pytest.mark.parametrize(
    ("sent", "inputs", "document"),
    [
        pytest.param({"b": "2", "a": "1"}, ["a", "b"], '{"a":"1","b":"2"}', id="order of keys"),
        pytest.param({"a": "  1 \n"}, ["a"], '{"a":"1"}', id="blanks"),
        pytest.param(
            {"a": "1", "b": "", "c": None, "d": [], "e": {}, "f": "  "}, ["a"], '{"a":"1"}', id="empty values"
        ),
        pytest.param('{"b": "2",  "a": "1"}', ["a", "b"], '{"a":"1","b":"2"}', id="text that holds JSON"),
        pytest.param(' {"a":" 1"}\n', ["a"], '{"a":"1"}', id="text that holds JSON, with blanks"),
        pytest.param("Acme ", ["a"], '{"a":"Acme"}', id="the bare text of a single field"),
        pytest.param("Acme", ["a", "b"], '"Acme"', id="bare text, several fields"),
        pytest.param("[1]", ["a"], '{"a":"[1]"}', id="bare text that is other JSON"),
        pytest.param({"a": 1998}, ["a"], '{"a":1998}', id="a number stays one"),
        pytest.param({"a": 0, "b": False}, ["a"], '{"a":0,"b":false}', id="zero and false are values"),
        pytest.param({"a": {"y": " 1", "x": 2}}, ["a"], '{"a":{"x":2,"y":" 1"}}', id="nested"),
        pytest.param({"a": "Zürich \u2028"}, ["a"], '{"a":"Zürich"}', id="not ASCII"),
        pytest.param(None, ["a"], "null", id="nothing"),
        pytest.param([1, 2], ["a"], "[1,2]", id="a list"),
    ],
)
def test_inputs_are_written_alike(sent: Any, inputs: list[str], document: str) -> None:
    asked = json.dumps(sent, separators=(",", ":"), ensure_ascii=False).encode()
    assert documents_of(asked, inputs)[0].decode() == document


def test_inputs_match_in_any_spelling_and_by_what_the_config_takes_for_empty() -> None:
    asked = '{"company":"\u200bSocie\u0301te\u0301","website":"N/A"}'.encode()

    assert documents_of(asked, ["company", "website"])[0] == '{"company":"Société","website":"N/A"}'.encode()
    assert documents_of(asked, ["company", "website"], ["n/a"]) == (
        '{"company":"Société"}'.encode(),
        '{"company":"\u200bSocie\u0301te\u0301"}'.encode(),
    )


def test_inputs_match_however_they_were_written(desk: Desk) -> None:
    one, two, three, four, five = (company(i) for i in range(5))
    group = foreign_group(
        desk,
        [
            dict(reversed(one.items())),
            json.dumps(two, indent=2),
            {name: f" {value}\t" for name, value in three.items()},
            {**four, "country": "", "city": None},
            five,
        ],
    )

    found, report = take_over(desk, group)

    assert counted(found) == {"runs": 5, "adopted": 5}
    assert report.receipt.rows["pending"] == 7
    assert report.exit_code is ExitCode.STOPPED


def test_only_what_is_missing_is_asked_afterwards(desk: Desk) -> None:
    group = foreign_group(desk, [company(i) for i in range(5)])
    take_over(desk, group)

    report = desk.run()

    assert report.receipt.runs_paid == 7
    assert report.receipt.rows.get("pending", 0) == 0


def test_fields_that_fit_are_taken_and_the_others_are_asked(desk: Desk) -> None:
    group = foreign_group(desk, [company(i) for i in range(12)], city=CITY, year={"type": "string"}, mood=CITY)

    found, report = take_over(desk, group)
    adopted = desk.result(report)
    again = desk.run()

    assert counted(found) == {"runs": 12, "adopted": 12}
    assert {row["year_status"] for row in adopted} == {"pending"}
    assert "pending" not in {row["city_status"] for row in adopted}
    assert again.receipt.runs_paid == 12
    assert [row["city"] for row in desk.result(again)] == [row["city"] for row in adopted]


def test_runs_that_cannot_be_used_are_counted_by_the_reason(desk: Desk, make_service: Callable[..., Service]) -> None:
    desk.service = make_service(faults=("run-failed=1x@2",))
    own = desk.run(limit=1)
    group = foreign_group(desk, [company(1), company(2), {"company": "Nobody", "website": "x.example"}, "what else?"])
    body = desk.service.get(f"/v1/tasks/runs/{desk.service.runs(own.outcome.groups[0])[0]['run_id']}/input")
    desk.service.post(
        f"/v1/tasks/groups/{group}/runs",
        {"inputs": [{name: body[name] for name in ("input", "processor", "metadata", "task_spec")}]},
    )

    found, _ = take_over(desk, group)

    assert counted(found) == {"runs": 5, "adopted": 1, "own": 1, "unmatched": 2, "not_completed": 1}
    assert found.examples == ['{"company":"Nobody","website":"x.example"}', '"what else?"']


def test_with_nothing_to_join_nothing_is_written(desk: Desk) -> None:
    desk.run()
    output = desk.folder / "table.enriched.csv"
    before = output.read_bytes()
    group = foreign_group(desk, [company(100)], name=CITY)
    empty = desk.service.post("/v1/tasks/groups", {})["taskgroup_id"]
    misfit = foreign_group(desk, [company(1)], name=CITY)

    with pytest.raises(NothingAdoptedError, match=r"of 1 run 1 have an input that is in no row\. An .* theirs: {"):
        take_over(desk, group)
    with pytest.raises(NothingAdoptedError, match="nothing was written: it has no runs"):
        take_over(desk, empty)
    with pytest.raises(NothingAdoptedError, match="1 have none of the answers city, year in a form that fits"):
        take_over(desk, misfit)

    assert output.read_bytes() == before


def test_adopting_again_takes_only_what_is_new(desk: Desk) -> None:
    group = foreign_group(desk, [company(i) for i in range(6)])
    first, _ = take_over(desk, group)
    second, _ = take_over(desk, group)
    later = foreign_group(desk, [company(i) for i in range(12)])
    third, _ = take_over(desk, later)

    assert [counted(found) for found in (first, second, third)] == [
        {"runs": 6, "adopted": 6},
        {"runs": 6, "known": 6},
        {"runs": 12, "adopted": 12},
    ]


def test_two_results_of_one_input_are_both_kept(desk: Desk) -> None:
    group = foreign_group(desk, [company(0), company(0)])

    found, report = take_over(desk, group)

    assert found.adopted == 2
    assert report.receipt.double_charges == ()
    database = sqlite3.connect(desk.ledger)
    assert database.execute("SELECT generation FROM run ORDER BY 1").fetchall() == [(0,), (1,)]
    database.close()


def test_what_others_paid_is_not_in_our_books(desk: Desk) -> None:
    group = foreign_group(desk, [company(i) for i in range(12)], processor="pro")

    _, report = take_over(desk, group)

    receipt = report.receipt
    assert (receipt.runs_paid, receipt.usd, receipt.ledger_runs_paid, receipt.ledger_usd) == (0, 0, 0, Decimal(0))


def test_what_was_adopted_stands_up_to_verification(desk: Desk) -> None:
    group = foreign_group(desk, [company(i) for i in range(12)])
    take_over(desk, group)

    found = anyio.run(verify, VerifyRequest(ledger=desk.ledger, environ=desk.service.environ))

    assert (found.counts, found.foreign, found.runs_ledger, found.usd_ledger) == ({}, 0, 12, 0)


@pytest.mark.parametrize(
    "fault", ["cut-clean=4,2x", "cut-close=2,2x", "duplicates", "string-content", "listing-by-change", "heartbeats"]
)
def test_it_is_whole_however_the_service_lists(desk: Desk, make_service: Callable[..., Service], fault: str) -> None:
    desk.service = make_service(faults=(fault,))
    group = foreign_group(desk, [company(i) for i in range(12)])

    found, report = take_over(desk, group)

    assert counted(found) == {"runs": 12, "adopted": 12}
    assert report.receipt.rows.get("pending", 0) == 0


def test_results_of_the_sandbox_are_not_mixed_with_real_ones(desk: Desk) -> None:
    from enrich.ledger.store import Ledger

    ledger = Ledger.open(desk.ledger)
    with ledger.transaction():
        ledger.record_service("service")
    ledger.close()
    group = foreign_group(desk, [company(1)])

    with pytest.raises(LedgerError, match="never mixed"):
        take_over(desk, group)


def test_the_command_says_who_asks_the_rest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk.folder)
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)

    code = main(["adopt", foreign_group(desk, [company(i) for i in range(9)]), "test.yaml", "table.csv"])

    assert code == 4
    said = "`enrich run test.yaml table.csv` goes on with 3 pending rows; nothing is paid for twice\n"
    assert said in capsys.readouterr().out


def test_the_command(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(desk.folder)
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    group = foreign_group(desk, [*(company(i) for i in range(12)), company(99)])

    code = main(["adopt", group, "test.yaml", "table.csv", "-o", "out.parquet"])

    out, err = capsys.readouterr()
    assert code == 0
    assert err.endswith(
        f"group {group}: 13 runs, 12 adopted\n"
        "  1 with an input that is in no row\n"
        '    such as {"company":"Company 99","website":"company-99.example"}\n'
    )
    assert "\nrows in     12    answers wanted  24    runs paid  0" in out
    assert (desk.folder / "out.parquet").exists()
    assert main(["adopt", "tgrp_nobody", "test.yaml", "table.csv"]) == 2
    assert capsys.readouterr().err.endswith(
        "Error: group tgrp_nobody: the service does not know it, or not for this API key; check the id and the key\n"
    )
