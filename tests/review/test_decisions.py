"""A person's word on a doubtful answer: into the ledger, into the table, over every later answer."""

import csv
import getpass
import io
import json
import re
from contextlib import closing
from pathlib import Path

import msgspec
import polars as pl
import pytest

from enrich.answers.join import CITATIONS
from enrich.cli import main
from enrich.errors import TableError
from enrich.ledger.store import Ledger
from tests.pipeline.desk import CONFIG, Desk


def lines(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))


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


def test_the_ledger_has_who_decided_and_the_answer_that_was_seen(desk: Desk) -> None:
    review, doubts = queue(desk, 10)
    cities = [row for row in doubts if row["field"] == "city" and row["value"]]
    (one,) = cities[:1]
    seen = one["value"].lstrip("'")
    for said in (("correct", "Bern"), ("reject", ""), ("reject", "")):
        decide(review, **{f"r{one['row']}_city": said})
        assert command(desk, review) == 0
    with closing(Ledger.reader(desk.folder / ".enrich" / "ledger.db")) as ledger:
        (key,) = ledger.inputs_of([one["run_id"]]).values()
        ((field_id, ruled),) = ledger.decisions([key])[key].items()
        first, second = ledger.decision_events(key, field_id)
    assert first.ruled is not None
    assert (first.ruled.ruling, first.ruled.value) == ("correct", b'"Bern"')
    assert (second.ruled, second.based_on) == (ruled, first.event_id)
    assert (ruled.ruling, ruled.value, ruled.run_id) == ("reject", b"null", one["run_id"])
    for event in (first, second):
        assert event.ruled is not None
        assert msgspec.json.decode(event.ruled.seen or b"null") == seen
        assert (event.who, event.origin, event.undoes) == (getpass.getuser(), "sheet", None)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("field", "town", "the config has no answer 'town'"),
        ("run_id", "trun_other", "the ledger holds no run 'trun_other'"),
    ],
)
def test_a_decision_on_nothing_we_know_is_refused_with_its_line(desk: Desk, column: str, value: str, said: str) -> None:
    from enrich.config.loading import load
    from enrich.review.decisions import read_rulings

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
        read_rulings(review, load(desk.config), ledger, who="somebody", at=0)
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


@pytest.mark.parametrize("correction", ["", " "])
def test_a_correction_that_is_missing_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str], correction: str
) -> None:
    review, doubts = queue(desk, 10)
    city = next(row for row in doubts if row["field"] == "city")
    decide(review, **{f"r{city['row']}_city": ("correct", correction)})
    assert command(desk, review) == 2
    said = r"\.review\.csv:\d+: sheet row \d+, city: correction: a correction is missing; write it, or `reject`"
    assert re.search(said, capsys.readouterr().err)
    assert desk.run().receipt.answers.get("human", 0) == 0


def test_a_correction_without_room_in_the_column_says_so_and_waits_for_another(desk: Desk) -> None:
    desk.config.write_text(CONFIG.replace("  website: domain\n", "") + "existing: fill\n")
    table = desk.folder / "typed.parquet"
    frame = pl.DataFrame({"name": ["a", "b"], "year": [None, None]}, schema_overrides={"year": pl.Int16})
    frame.write_parquet(table)
    report = desk.run(table)
    decide(report.review, r1_year=("correct", "70000"))
    assert command(desk, report.review) == 0
    posts = desk.service.posts()

    report = desk.run(table)

    row = pl.read_parquet(report.output).row(0, named=True)
    reason = "decided by a person: 70000 does not fit its column, which is Int16"
    assert (row["year"], row["year_status"]) == (None, "invalid")
    assert reason in row["enrich_detail"]
    assert {(line["row"], line["field"]): line["reason"] for line in lines(report.review)}["1", "year"] == reason

    decide(report.review, r1_year=("correct", "1970"))
    assert command(desk, report.review) == 0
    row = pl.read_parquet(desk.run(table).output).row(0, named=True)
    assert (row["year"], row["year_status"]) == (1970, "human")
    assert desk.service.posts() == posts


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


def test_what_a_person_wrote_is_kept_when_a_run_comes_before_it_was_taken(desk: Desk) -> None:
    """A review file that is open for days, and a run every night."""
    review, doubts = queue(desk)
    first, second = (row for row in doubts[:2])
    decide(review, **{f"r{first['row']}_{first['field']}": ("accept", "")})
    written = review.read_bytes()
    report = desk.run()
    kept = review.with_name("table.decided.review.csv")
    assert report.decisions_kept == kept
    assert kept.read_bytes() == written
    assert not any(row["decision"] for row in lines(review))
    decide(review, **{f"r{second['row']}_{second['field']}": ("reject", "")})
    assert desk.run().decisions_kept == review.with_name("table.decided-2.review.csv")
    assert command(desk, kept) == 0
    assert desk.run().receipt.answers["human"] == 1


def test_decisions_that_were_taken_are_not_kept_twice(desk: Desk) -> None:
    review, doubts = queue(desk)
    one = next(row for row in doubts if row["field"] == "year")
    decide(review, **{f"r{one['row']}_year": ("correct", "1901")})
    assert command(desk, review) == 0
    decide(review, **{f"r{one['row']}_year": ("correct", "1901")})  # saved once more, as spreadsheets do
    assert desk.run().decisions_kept is None
    assert desk.run(rewrite=True).decisions_kept is None
    assert [*desk.folder.glob("*.decided*")] == []


@pytest.mark.parametrize(
    "content", [b"not a review file\n", b"row,field,run_id,decision,correction,note\n1,city,trun_other,accept,,\n"]
)
def test_a_file_in_the_place_of_the_queue_that_we_did_not_write_is_kept(desk: Desk, content: bytes) -> None:
    review, _ = queue(desk)
    review.write_bytes(content)
    report = desk.run()
    assert report.decisions_kept is not None
    assert report.decisions_kept.read_bytes() == content


def test_the_command_says_where_decisions_are_kept(desk: Desk, capsys, monkeypatch) -> None:
    review, doubts = queue(desk)
    decide(review, **{f"r{doubts[0]['row']}_{doubts[0]['field']}": ("accept", "")})
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    assert main(["run", str(desk.config), str(desk.table), "--quiet"]) == 0
    assert "table.decided.review.csv; give it to `enrich review`" in capsys.readouterr().err


def test_a_truth_value_comes_back_from_a_spreadsheet_in_capitals(desk: Desk) -> None:
    desk.config.write_text(
        CONFIG.replace("  year: ", "  listed: {type: boolean, description: Whether its shares are traded.}\n  year: ")
        + "confidence: {accept: high, review: high}\n"
    )
    desk.rows(40)
    review = desk.run().review
    one = next(row for row in lines(review) if row["field"] == "listed")
    decide(review, **{f"r{one['row']}_listed": ("correct", "FALSE")})
    assert command(desk, review) == 0
    row = desk.result(desk.run())[int(one["row"]) - 1]
    assert (row["listed"], row["listed_status"]) == ("false", "human")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("{type: string, enum: [Retail, Banking], description: Its trade.}", 'did you mean "Retail"?'),
        ("{anyOf: [{enum: [Retail]}, {type: 'null'}], description: Its trade.}", 'did you mean "Retail"?'),
        ("{type: string, enum: [A, B], description: Its trade.}", "write A or B"),
    ],
)
def test_a_value_that_is_nearly_one_of_those_that_are_allowed_is_guessed(
    desk: Desk, capsys: pytest.CaptureFixture[str], schema: str, said: str
) -> None:
    desk.config.write_text(
        CONFIG.replace("  year: ", f"  trade: {schema}\n  year: ") + "confidence: {accept: 1.0, review: 0.0}\n"
    )
    desk.rows(10)
    review = desk.run().review
    one = next(row for row in lines(review) if row["field"] == "trade")
    decide(review, **{f"r{one['row']}_trade": ("correct", "Retial")})
    assert command(desk, review) == 2
    assert f"trade: correction: 'Retial' is none of the values that it may have; {said}" in capsys.readouterr().err


def test_a_protected_value_that_is_copied_into_a_correction_loses_its_apostrophe(desk: Desk) -> None:
    review, doubts = queue(desk)
    first, second = [row for row in doubts if row["field"] == "city"][:2]
    said = {f"r{first['row']}_city": ("correct", "'+1-800"), f"r{second['row']}_city": ("correct", "a;'=1")}
    decide(review, **said)
    assert command(desk, review) == 0
    output = desk.run(output=desk.folder / "o.ndjson").output
    cities = pl.read_ndjson(output)["city"]
    assert (cities[int(first["row"]) - 1], cities[int(second["row"]) - 1]) == ("+1-800", "a;=1")


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])
def test_an_answer_that_a_person_accepts_keeps_its_evidence(desk: Desk, suffix: str) -> None:
    review, doubts = queue(desk)
    accepted, corrected = [row for row in doubts if row["field"] == "city" and row["value"]][:2]
    said = {f"r{accepted['row']}_city": ("accept", ""), f"r{corrected['row']}_city": ("correct", "Rome")}
    decide(review, **said)
    assert command(desk, review) == 0
    report = desk.run(output=desk.folder / f"o.{suffix}")
    read = {"csv": pl.read_csv, "ndjson": pl.read_ndjson, "parquet": pl.read_parquet}[suffix]
    table = read(report.output)
    row, other = (table.row(int(one["row"]) - 1, named=True) for one in (accepted, corrected))
    assert (row["city"], row["city_status"]) == (accepted["value"], "human")
    assert row["city_confidence"] == accepted["confidence"]
    assert row["city_reasoning"] == accepted["reasoning"]
    assert accepted["run_id"] in row["enrich_run_id"]
    cited = row["city_citations"]
    cited = json.loads(cited) if isinstance(cited, str) else cited
    assert [one["url"] for one in cited] == accepted["citations"].split("\n")
    if suffix == "parquet":
        assert table.schema["city_citations"] == CITATIONS
    assert (other["city"], other["city_confidence"], other["city_reasoning"]) == ("Rome", None, "looked it up")
    assert "by a person" in report.report.read_text()


def test_the_evidence_is_that_of_the_answer_that_was_accepted_not_of_a_later_one(desk: Desk) -> None:
    """The later run asks for another field; its result and the accepted one are held for the same input."""
    review, doubts = queue(desk)
    one = next(row for row in doubts if row["field"] == "city" and row["value"])
    decide(review, **{f"r{one['row']}_city": ("accept", "")})
    assert command(desk, review) == 0
    desk.config.write_text(desk.config.read_text().replace("year: {", "founded: {").replace("lite", "core"))
    row = desk.result(desk.run())[int(one["row"]) - 1]
    assert (row["city"], row["city_confidence"], row["city_reasoning"]) == tuple(
        one[name] for name in ("value", "confidence", "reasoning")
    )


def write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), restval="")
        writer.writeheader()
        writer.writerows(rows)


def noted(desk: Desk) -> tuple[Path, list[dict[str, str]]]:
    """A queue with a note on its first line, and two added columns, of which some lines have cells."""
    review, doubts = queue(desk)
    doubts[0]["note"] = "asked Ann\nwaiting; =1"
    for at, row in enumerate(doubts):
        row |= {"=owner": f"Zoë \u200d {at}" if at % 3 == 0 else "", "state": "open" if at < 5 else ""}
    write_lines(review, doubts)
    return review, lines(review)


def written_by(rows: list[dict[str, str]]) -> dict[tuple[str, str], tuple[str, str, str]]:
    owner = "'=owner" if "'=owner" in rows[0] else "=owner"
    return {(row["input_company"], row["field"]): (row["note"], row[owner], row["state"]) for row in rows}


def test_notes_and_added_columns_survive_any_number_of_runs(desk: Desk) -> None:
    review, doubts = noted(desk)
    expected = written_by(doubts)
    expected[doubts[0]["input_company"], doubts[0]["field"]] = ("asked Ann\nwaiting; '=1", "Zoë \u200d 0", "open")
    for _ in range(3):
        report = desk.run(rewrite=True)
        assert (report.notes_kept, report.decisions_kept) == (None, None)
        assert written_by(lines(review)) == expected
    assert [*desk.folder.glob("*.noted*")] == []


def test_they_stay_beside_their_answer_when_rows_move_and_runs_are_asked_again(desk: Desk) -> None:
    _, doubts = noted(desk)
    expected = {key: cells for key, cells in written_by(doubts).items() if any(cells)}
    header, *rows = desk.table.read_text().splitlines(keepends=True)
    desk.table.write_text("".join([header, *reversed(rows)]))
    desk.config.write_text(desk.config.read_text().replace("processor: lite", "processor: [lite, core]"))
    report = desk.run(output=desk.folder / "table.enriched.csv")
    found = written_by(lines(report.review))
    assert {row["run_id"] for row in lines(report.review)} - {row["run_id"] for row in doubts}
    kept = {key: cells[1:] for key, cells in expected.items() if key in found}
    assert kept
    assert {key: found[key][1:] for key in kept} == kept


def test_what_has_no_line_any_more_is_kept_in_a_copy_and_said(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    review, doubts = noted(desk)
    written = review.read_bytes()
    lost = next(row for row in doubts if row["'=owner" if "'=owner" in row else "=owner"])
    table = desk.table.read_text().splitlines(keepends=True)
    desk.table.write_text("".join(row for row in table if f",{lost['input_company']}," not in row))
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    assert main(["run", str(desk.config), str(desk.table), "--quiet"]) == 0
    kept = review.with_name("table.noted.review.csv")
    assert f"they are kept in {kept}" in capsys.readouterr().err
    assert kept.read_bytes() == written
    left = {key: cells for key, cells in written_by(doubts).items() if any(cells) and key[0] != lost["input_company"]}
    assert left
    assert {key: written_by(lines(review))[key][1:] for key in left} == {key: cells[1:] for key, cells in left.items()}
    assert desk.run(rewrite=True).notes_kept is None  # said once


def test_a_note_that_went_into_the_ledger_with_its_decision_needs_no_copy(desk: Desk) -> None:
    review, doubts = queue(desk)
    one = next(row for row in doubts if row["field"] == "year")
    decide(review, **{f"r{one['row']}_year": ("correct", "1901")})
    rows = lines(review)
    next(row for row in rows if not row["decision"])["note"] = "who knows"
    write_lines(review, rows)
    assert command(desk, review) == 0
    report = desk.run()
    assert (report.notes_kept, report.decisions_kept) == (None, None)
    assert [row["note"] for row in lines(review) if row["note"]] == ["who knows"]


def test_a_decision_that_was_not_taken_leaves_its_notes_in_both_files(desk: Desk) -> None:
    review, doubts = queue(desk)
    decide(review, **{f"r{doubts[0]['row']}_{doubts[0]['field']}": ("accept", "")})
    written = review.read_bytes()
    report = desk.run()
    assert report.decisions_kept is not None
    assert report.decisions_kept.read_bytes() == written
    assert [row["note"] for row in lines(review) if row["note"]] == ["looked it up"]
    assert report.notes_kept is None
