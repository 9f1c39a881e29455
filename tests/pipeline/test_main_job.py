"""The main job as a user has it: run, run again, change the config, change the table."""

import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest

import enrich
from enrich.errors import ConfigError, ExitCode, LedgerBusyError, MissingKeyError
from enrich.job import OutputPaths
from tests.pipeline.desk import CONFIG, Desk, usd


def test_a_run_pays_once_for_each_distinct_input_and_a_second_run_for_none(desk: Desk) -> None:
    desk.rows(40)
    with desk.table.open("a") as file:
        file.write("x,Company 1 ,company-1.example,the same company again\n,,nobody.example,no name\n")
    report = desk.run()
    assert report.exit_code is ExitCode.DONE
    bill = desk.service.bill()
    assert bill["runs"] == 40
    assert bill["doubles"] == []
    assert report.receipt.usd == usd(bill)
    assert report.receipt.rows["skipped"] == 1
    posts = desk.service.posts()
    again = desk.run()
    assert desk.service.posts() == posts
    assert again.receipt.runs_paid == 0
    assert again.receipt.rows == report.receipt.rows


@pytest.mark.parametrize(
    ("output", "stem"),
    [
        pytest.param("B.enriched.csv", "B", id="usual"),
        pytest.param("B.enriched.CSV", "B", id="capitals"),
        pytest.param("B.enriched.Csv.GZ", "B", id="compressed"),
        pytest.param("B.tab", "B", id="tab"),
        pytest.param("B.csv.parquet", "B.csv", id="two-suffixes"),
    ],
)
def test_the_other_files_have_the_tables_name_without_its_suffix(output: str, stem: str) -> None:
    files = OutputPaths.beside(Path("out") / output)
    names = (f"{stem}.review.csv", f"{stem}.report.html", f"{stem}.run.json")
    assert (files.review, files.report, files.manifest) == tuple(Path("out") / name for name in names)


def test_every_original_cell_comes_out_as_it_went_in(desk: Desk) -> None:
    desk.rows(30)
    before = list(csv.reader(io.StringIO(desk.table.read_text())))
    after = list(csv.reader(io.StringIO(desk.run().output.read_text())))
    assert [row[: len(before[0])] for row in after] == before


def test_every_answer_is_what_the_service_said_of_that_very_input(desk: Desk) -> None:
    desk.rows(60)
    report = desk.run()
    for row in desk.result(report):
        said = desk.service.get(f"/v1/tasks/runs/{row['enrich_run_id']}/input")
        assert said["input"]["company"] == row["name"]
    row = desk.result(report)[7]
    output = desk.service.get(f"/v1/tasks/runs/{row['enrich_run_id']}/result")["output"]
    basis = {entry["field"]: entry for entry in output["basis"]}
    for name in ("city", "year"):
        assert row[f"{name}_confidence"] == (basis[name]["confidence"] or "")
        assert json.loads(row[f"{name}_citations"] or "[]") == basis[name]["citations"]
        if row[f"{name}_status"] in ("accepted", "review"):
            assert row[name] == str(output["content"][name])


@pytest.mark.parametrize(
    ("old", "new", "fields_asked"),
    [
        pytest.param("processor:", "  size: {type: string, description: Size.}\nprocessor:", {"size"}, id="new field"),
        pytest.param("Year of foundation.", "Founding year.", {"year"}, id="changed description"),
        pytest.param("type: string, desc", "accept: low, type: string, desc", set(), id="changed gate"),
        pytest.param("processor: lite", "processor: lite\nbasis: [confidence]", set(), id="fewer evidence columns"),
        pytest.param("name: test", "name: renamed", set(), id="another name"),
        pytest.param("processor: lite", "processor: lite\nrefresh: 30d", set(), id="a refresh that is not due"),
        pytest.param(
            "processor: lite", "processor: lite\ninstructions: Be brief.", {"city", "year"}, id="instructions"
        ),
    ],
)
def test_a_changed_config_asks_for_what_changed_alone(desk: Desk, old: str, new: str, fields_asked: set[str]) -> None:
    desk.rows(5)
    first = desk.run()
    paid = {row["enrich_run_id"] for row in desk.result(first)}
    desk.config.write_text(CONFIG.replace(old, new, 1))
    plan = desk.plan()
    assert plan.runs == ({"lite": 5} if fields_asked else {})
    second = desk.run()
    assert second.receipt.runs_paid == (5 if fields_asked else 0)
    groups = json.loads(second.manifest.read_text())["groups"]
    asked: set[str] = set()
    for group in groups:
        for line in desk.service.read(f"/v1/tasks/groups/{group}/runs?include_output=true").splitlines():
            if line.startswith(b"data:") and b'"content"' in line:
                asked |= json.loads(line[5:])["output"]["content"].keys()
    assert asked == fields_asked
    assert paid


def test_the_output_format_asks_for_nothing(desk: Desk) -> None:
    desk.rows(12)
    desk.run()
    posts = desk.service.posts()
    for suffix in ("parquet", "ndjson", "tsv", "csv.gz", "csv.zst"):
        report = desk.run(output=desk.folder / f"out.{suffix}")
        assert report.receipt.runs_paid == 0
    assert desk.service.posts() == posts
    frame = pl.read_parquet(desk.folder / "out.parquet")
    assert frame.schema["year"] == pl.Int64
    assert isinstance(frame.schema["city_citations"], pl.List)
    assert frame["id"].to_list() == [f"{i:05}" for i in range(12)]


def test_new_rows_cost_and_old_ones_do_not(desk: Desk) -> None:
    desk.rows(10)
    desk.run()
    desk.rows(10, start=5)
    assert desk.run().receipt.runs_paid == 5
    assert desk.service.bill()["runs"] == 15


def test_limit_and_where_leave_the_other_rows_unasked_and_in_place(desk: Desk) -> None:
    desk.rows(20)
    report = desk.run(limit=3)
    assert report.receipt.runs_paid == 3
    assert report.receipt.rows == {"skipped": 17, **{k: v for k, v in report.receipt.rows.items() if k != "skipped"}}
    rows = desk.result(report)
    assert len(rows) == 20
    assert rows[5]["enrich_detail"] == "not chosen by --limit"
    report = desk.run(where="id >= '00018'")
    assert report.receipt.runs_paid == 2
    assert [row["enrich_status"] == "skipped" for row in desk.result(report)] == [False] * 3 + [True] * 15 + [False] * 2
    assert desk.run(sample=4).receipt.runs_paid <= 4


def test_a_sample_of_a_table_is_the_same_in_every_version(desk: Desk) -> None:
    """Another sample would be paid for anew."""
    desk.rows(20)
    rows = desk.result(desk.run(sample=4))
    assert [i for i, row in enumerate(rows) if row["enrich_status"] != "skipped"] == [2, 6, 12, 14]


def test_a_budget_bounds_what_is_spent_and_the_next_run_goes_on(desk: Desk) -> None:
    desk.rows(30)
    report = desk.run(budget="0.05")
    assert report.exit_code is ExitCode.STOPPED
    assert report.receipt.runs_paid == 10
    assert report.receipt.rows["pending"] == 20
    assert "budget of $0.05 is reached" in report.stopped
    report = desk.run()
    assert report.exit_code is ExitCode.DONE
    assert desk.service.bill()["runs"] == 30


def test_a_ladder_asks_again_for_what_was_weak_alone(make_service, tmp_path) -> None:
    desk = Desk(tmp_path, make_service())
    desk.config.write_text(CONFIG.replace("processor: lite", "processor: [core, pro]\nconfidence: {missing: withhold}"))
    desk.rows(30)
    before = desk.plan()
    assert before.runs == {"core": 30}
    assert before.usd_least < before.usd_expected < before.usd_most
    report = desk.run()
    by_processor = report.receipt.runs_by_processor
    assert by_processor["core"] == 30
    assert 0 < by_processor["pro"] <= 30
    assert desk.run().receipt.runs_paid == 0
    assert desk.service.bill()["doubles"] == []


def test_parquet_in_parquet_out_with_the_same_schema(desk: Desk) -> None:
    frame = pl.DataFrame(
        {"name": ["Acme", "Beta", None], "domain": ["acme.example", None, "x.example"], "n": [1, 2, None]},
        schema_overrides={"n": pl.Int16},
    )
    table = desk.folder / "table.parquet"
    frame.write_parquet(table)
    report = desk.run(table)
    after = pl.read_parquet(report.output)
    assert report.output.name == "table.enriched.parquet"
    assert after.select(frame.columns).equals(frame)
    assert after.schema["n"] == pl.Int16
    assert after["enrich_status"].to_list()[2] == "skipped"


def test_only_mapped_columns_leave_the_machine(desk: Desk) -> None:
    desk.table.write_text("name,domain,secret\nAcme,acme.example,SSN-12345\n")
    row = desk.result(desk.run())[0]
    sent = desk.service.get(f"/v1/tasks/runs/{row['enrich_run_id']}/input")
    assert sent["input"] == {"company": "Acme", "website": "acme.example"}
    assert "SSN-12345" not in json.dumps(sent)


def test_without_a_key_nothing_is_sent_and_the_sandbox_is_named(desk: Desk) -> None:
    desk.rows(2)
    with pytest.raises(MissingKeyError, match="add sandbox=True"):
        desk.run(environ={"PARALLEL_BASE_URL": desk.service.base_url})
    assert desk.service.posts() == 0


def test_a_second_instance_leaves_at_once(desk: Desk) -> None:
    from enrich.ledger.lock import InstanceLock

    desk.rows(2)
    ledger = desk.folder / ".enrich" / "ledger.db"
    ledger.parent.mkdir()
    with InstanceLock(ledger), pytest.raises(LedgerBusyError, match=r"in use by pid \d+ on"):
        desk.run()
    assert desk.service.posts() == 0


def test_answers_of_a_sandbox_and_of_the_service_are_never_mixed(desk: Desk) -> None:
    from enrich.errors import LedgerError
    from enrich.ledger.store import Ledger

    desk.rows(2)
    path = desk.folder / ".enrich" / "ledger.db"
    ledger = Ledger.open(path)
    with ledger.transaction():
        ledger.record_service("service")
    ledger.close()
    with pytest.raises(LedgerError, match="never mixed"):
        desk.run()
    assert desk.service.posts() == 0


def test_an_input_that_is_too_long_fails_alone(desk: Desk) -> None:
    desk.table.write_text(f"name,domain\nAcme,acme.example\n{'x' * 30_000},long.example\n")
    report = desk.run()
    assert report.exit_code is ExitCode.FAILED_ROWS
    row = desk.result(report)[1]
    assert row["enrich_status"] == "failed"
    assert row["enrich_detail"].startswith("the input is too long: 30,")
    assert desk.service.bill()["runs"] == 1


def test_a_row_that_is_not_chosen_is_skipped_however_long_it_is(desk: Desk) -> None:
    desk.table.write_text(f"name,domain\nAcme,acme.example\n{'x' * 30_000},long.example\n")
    report = desk.run(limit=1)
    assert report.exit_code is ExitCode.DONE
    row = desk.result(report)[1]
    assert (row["enrich_status"], row["enrich_detail"]) == ("skipped", "not chosen by --limit")


def ask_for_size_too(desk: Desk) -> None:
    """A field whose description leaves less room beside it."""
    size = f"  size: {{type: string, description: {'y' * 6_000}}}\n"
    desk.config.write_text(desk.config.read_text().replace("processor:", size + "processor:"))


def test_a_new_field_that_does_not_fit_beside_an_input_fails_alone(desk: Desk) -> None:
    desk.table.write_text(f"name,domain\nAcme,acme.example\n{'x' * 20_000},long.example\n")
    before = desk.result(desk.run())[1]
    ask_for_size_too(desk)
    for runs_paid in (1, 0):
        report = desk.run()
        assert report.exit_code is ExitCode.FAILED_ROWS
        assert report.receipt.runs_paid == runs_paid
        row = desk.result(report)[1]
        assert row["size_status"] == "failed"
        assert "size: the input is too long: 26," in row["enrich_detail"]
        assert (row["city"], row["city_status"]) == (before["city"], before["city_status"])


def test_a_new_field_is_asked_first_where_what_is_asked_again_does_not_fit_beside_it(make_service, tmp_path) -> None:
    desk = Desk(tmp_path, make_service(faults=("run-failed=1x",)))
    desk.config.write_text(CONFIG.replace("City of the head office.", "z" * 1_000))
    desk.table.write_text(f"name,domain\n{'x' * 18_300},long.example\n")
    assert desk.run().exit_code is ExitCode.FAILED_ROWS
    ask_for_size_too(desk)
    report = desk.run(retry_failed=True)
    assert report.receipt.runs_paid == 1
    assert desk.result(report)[0]["size_status"] in ("accepted", "review", "withheld")
    report = desk.run(retry_failed=True)
    assert report.exit_code is ExitCode.DONE
    assert report.receipt.runs_paid == 1


def test_fill_asks_for_empty_cells_and_leaves_the_others_alone(desk: Desk) -> None:
    desk.config.write_text(CONFIG + "existing: fill\n")
    desk.table.write_text("name,city,year\nAcme,=Paris,1900\nBeta,,1901\nGamma,,\n")
    desk.config.write_text(desk.config.read_text().replace("  website: domain\n", ""))
    report = desk.run()
    rows = desk.result(report)
    assert (rows[0]["city"], rows[0]["year"], rows[1]["year"]) == ("=Paris", "1900", "1901")
    assert list(rows[0])[:3] == ["name", "city", "year"]
    assert report.receipt.runs_paid == 2
    assert rows[0]["city_status"] == "skipped"
    for row in rows[1:]:
        if row["city_status"] in ("accepted", "review"):
            assert row["city"]


def test_fill_asks_for_what_is_not_a_number(desk: Desk) -> None:
    desk.config.write_text(CONFIG.replace("  website: domain\n", "") + "existing: fill\nconfidence: {accept: low}\n")
    names = [f"C{i}" for i in range(20)]
    table = desk.folder / "typed.parquet"
    pl.DataFrame({"name": names, "city": "Paris", "year": [19.0, *[float("nan")] * 19]}).write_parquet(table)
    after = pl.read_parquet(desk.run(table).output)
    assert after["year_status"][0] == "skipped"
    assert "skipped" not in after["year_status"][1:].to_list()
    filled = after.filter(pl.col("year_status").is_in(["accepted", "review"]))["year"]
    assert filled.is_not_nan().all()
    assert len(filled) > 0


def test_replace_keeps_the_cell_where_there_is_no_answer(desk: Desk) -> None:
    config = CONFIG.replace("  website: domain\n", "").replace("processor: lite", "processor: lite\nexisting: replace")
    desk.config.write_text(config + "confidence: {accept: high, missing: withhold}\n")
    desk.table.write_text("name,city\n" + "".join(f"C{i},old {i}\n" for i in range(20)))
    rows = desk.result(desk.run())
    for i, row in enumerate(rows):
        assert (row["city"] == f"old {i}") == (row["city_status"] not in ("accepted", "review"))


def test_a_column_that_would_be_added_twice_is_refused(desk: Desk) -> None:
    desk.table.write_text("name,domain,city,enrich_status\na,b,c,d\n")
    with pytest.raises(ConfigError) as caught:
        desk.run()
    assert len(caught.value.faults) == 2
    assert isinstance(caught.value, enrich.errors.EnrichError)


def test_fill_keeps_the_type_of_a_column_and_reviews_what_it_has_no_room_for(desk: Desk) -> None:
    desk.config.write_text(CONFIG.replace("  website: domain\n", "") + "existing: fill\n")
    names = [f"C{i}" for i in range(20)]
    frame = pl.DataFrame({"name": names, "year": [19, *[None] * 19]}, schema_overrides={"year": pl.Int8})
    table = desk.folder / "typed.parquet"
    frame.write_parquet(table)
    after = pl.read_parquet(desk.run(table).output)
    assert after.schema["year"] == pl.Int8
    assert after["year"][0] == 19
    assert "invalid" in after["year_status"].to_list()
    assert after.filter(pl.col("year_status") == "invalid")["year"].null_count() > 0


def test_a_column_that_cannot_hold_its_answers_is_refused_before_anything_is_sent(desk: Desk) -> None:
    from enrich.errors import OutputError

    desk.config.write_text(CONFIG.replace("  website: domain\n", "") + "existing: fill\n")
    table = desk.folder / "typed.parquet"
    pl.DataFrame({"name": ["a"], "year": [[1]]}).write_parquet(table)
    with pytest.raises(OutputError, match="which can't hold answers that are Int64"):
        desk.run(table)
    assert desk.service.posts() == 0
