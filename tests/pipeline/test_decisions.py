"""A person's word on a doubtful answer: into the ledger, into the table, over every later answer."""

import csv
import io
from pathlib import Path

import pytest

from enrich.cli import main
from enrich.errors import TableError
from tests.pipeline.conftest import CONFIG, Desk


def lines(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def decide(path: Path, **by_run_and_field: tuple[str, str]) -> None:
    """Fill in (decision, correction) for lines named `ROW_FIELD`."""
    rows = lines(path)
    for row in rows:
        row["decision"], row["correction"] = by_run_and_field.get(f"r{row['row']}_{row['field']}", ("", ""))
        row["note"] = "looked it up" if row["decision"] else ""
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(out.getvalue())


def queue(desk: Desk, rows: int = 40) -> tuple[Path, list[dict[str, str]]]:
    desk.config.write_text(CONFIG + "confidence: {missing: withhold}\nrefresh: 1d\n")
    desk.rows(rows)
    review = desk.run().review
    return review, lines(review)


def command(desk: Desk, review: Path) -> int:
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["review", str(desk.config), str(review)]))
    return int(ended.value.code or 0)


def test_decisions_come_into_the_table_and_are_never_asked_again(desk: Desk) -> None:
    review, doubts = queue(desk)
    cities = [row for row in doubts if row["field"] == "city" and row["value"]]
    years = [row for row in doubts if row["field"] == "year" and row["value"]]
    accepted, corrected, rejected = cities[0], years[0], cities[1]
    said = {
        f"r{accepted['row']}_city": ("accept", ""),
        f"r{corrected['row']}_year": ("correct", "1901"),
        f"r{rejected['row']}_city": ("Reject", ""),
    }
    decide(review, **said)
    assert command(desk, review) == 0
    posts = desk.service.posts()
    report = desk.run()
    rows = desk.result(report)
    assert desk.service.posts() == posts
    assert rows[int(accepted["row"]) - 1]["city"] == accepted["value"].lstrip("'")
    assert rows[int(corrected["row"]) - 1]["year"] == "1901"
    assert rows[int(rejected["row"]) - 1]["city"] == ""
    for row, field in ((accepted, "city"), (corrected, "year"), (rejected, "city")):
        assert rows[int(row["row"]) - 1][f"{field}_status"] == "human"
    left = {(row["row"], row["field"]) for row in lines(report.review)}
    assert (accepted["row"], "city") not in left
    assert report.receipt.answers["human"] == 3


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("field", "town", "the config has no answer 'town'"),
        ("run_id", "trun_other", "the ledger holds no run 'trun_other'"),
    ],
)
def test_a_decision_on_nothing_we_know_is_refused_with_its_line(desk: Desk, column: str, value: str, said: str) -> None:
    from enrich.config import load
    from enrich.decisions import read_rulings
    from enrich.ledger import Ledger

    review, doubts = queue(desk, 10)
    decide(review, **{f"r{doubts[0]['row']}_{doubts[0]['field']}": ("reject", "")})
    rows = lines(review)
    rows[0][column] = value
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    review.write_text(out.getvalue())
    ledger = Ledger.reader(desk.folder / ".enrich" / "ledger.db")
    with pytest.raises(TableError) as caught:
        read_rulings(review, load(desk.config), ledger)
    ledger.close()
    assert said in str(caught.value)
    assert caught.value.faults[0].line is not None


def test_a_correction_that_does_not_fit_is_refused_and_nothing_is_recorded(desk: Desk) -> None:
    review, doubts = queue(desk)
    year = next(row for row in doubts if row["field"] == "year")
    city = next(row for row in doubts if row["field"] == "city")
    decide(
        review,
        **{f"r{year['row']}_year": ("correct", "in the seventies"), f"r{city['row']}_city": ("reject", "")},
    )
    assert command(desk, review) == 2
    assert desk.run().receipt.answers.get("human", 0) == 0


def test_rows_of_one_input_that_want_different_answers_are_all_reviewed(desk: Desk) -> None:
    config = CONFIG.replace("  website: domain\n", "") + "existing: fill\nconfidence: {accept: 0.99, review: 0.0}\n"
    desk.config.write_text(config)
    desk.table.write_text("name,city,year\n" + "".join(f"C{i},Paris,\nC{i},,1900\n" for i in range(10)))
    report = desk.run()
    doubtful = {
        (str(number), field)
        for number, row in enumerate(desk.result(report), 1)
        for field in ("city", "year")
        if row[f"{field}_status"] == "review"
    }
    assert {(row["row"], row["field"]) for row in lines(report.review)} == doubtful
    assert {field for _, field in doubtful} == {"city", "year"}
