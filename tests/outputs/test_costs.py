"""What a table has cost so far: each paid run once, by whichever command, for its inputs and columns alone."""

from decimal import Decimal

import pytest

import enrich
from enrich.ledger.store import Ledger
from tests.pipeline.desk import CONFIG, Desk

LITE = Decimal("0.005")


def cost(report: enrich.Report) -> tuple[int, Decimal]:
    assert report.receipt.usd_per_accepted == (
        report.receipt.table_usd / report.receipt.accepted if report.receipt.accepted else None
    )
    return report.receipt.table_runs_paid, report.receipt.table_usd


@pytest.fixture
def sure(desk: Desk) -> Desk:
    desk.config.write_text(CONFIG + "confidence: {accept: low, review: low, missing: accept}\n")
    return desk


def test_it_adds_up_over_commands_and_stays_what_it_is(sure: Desk) -> None:
    sure.rows(10)
    assert cost(sure.run(limit=4)) == (4, 4 * LITE)
    assert cost(sure.run()) == (10, 10 * LITE)
    again = sure.run()
    assert (again.outputs_written, again.receipt.usd) == (False, 0)
    assert cost(again) == (10, 10 * LITE)
    anew = sure.run(rewrite=True)
    assert (anew.outputs_written, anew.receipt.usd) == (True, 0)
    assert cost(anew) == (10, 10 * LITE)
    each = f"${anew.receipt.table_usd / anew.receipt.accepted:.4f} per accepted answer, 10 runs"
    assert "Cost so far (not charged)" in anew.report.read_text()
    assert each in anew.report.read_text()


def test_rows_with_the_same_input_share_its_cost(sure: Desk) -> None:
    sure.table.write_text("id,name,domain,note\n" + "1,Acme,acme.example,x\n" * 3000)
    assert cost(sure.run()) == (1, LITE)


def test_an_earlier_wording_of_the_question_was_paid_for_this_column_too(sure: Desk) -> None:
    sure.rows(5)
    sure.run()
    sure.config.write_text(sure.config.read_text().replace("Year of foundation.", "Founding year."))
    assert cost(sure.run()) == (10, 10 * LITE)


def test_other_tables_and_columns_of_the_same_ledger_are_not_counted(sure: Desk) -> None:
    sure.rows(5)
    sure.run()
    other = sure.folder / "other.csv"
    sure.rows(8, start=3)
    sure.table.rename(other)
    assert cost(sure.run(other)) == (8, 8 * LITE)
    sure.config.write_text(
        CONFIG.replace("  city: {type: string, description: City of the head office.}\n", "").replace("year", "since")
    )
    report = sure.run(other)
    assert cost(report) == (8, 8 * LITE)
    assert report.receipt.ledger_usd == (5 + 6 + 8) * LITE


def test_what_failed_cost_nothing(make_service, tmp_path) -> None:
    desk = Desk(tmp_path, make_service(faults=("run-failed=3x",)))
    desk.rows(10)
    report = desk.run()
    assert report.receipt.runs_failed == 3
    assert cost(report) == (7, 7 * LITE)


def test_a_double_charge_is_part_of_it(sure: Desk) -> None:
    sure.rows(4)
    sure.run()
    ledger = Ledger.open(sure.folder / ".enrich" / "ledger.db")
    with ledger.transaction():
        for run_id, completed in (("trun_extra", True), ("trun_failed", False)):
            ledger.record_extra(1, 0, run_id)
            ledger.record_extra_outcome(run_id, completed=completed, raw=b"{}")
    ledger.close()
    report = sure.run()
    assert cost(report) == (5, 5 * LITE)
    assert report.receipt.ledger_usd == 5 * LITE
