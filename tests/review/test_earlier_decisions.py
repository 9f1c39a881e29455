"""Decisions on a question that was changed are told before a machine's value takes their place, and can be kept."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from enrich.cli import main
from tests.pipeline.desk import CONFIG, Desk
from tests.review.test_decisions import command, decide, lines, queue

CHANGES = {
    "description": ("City of the head office.", "City of the registered office."),
    "schema": ("city: {type: string", 'city: {type: [string, "null"]'),
    "instructions": ("name: test", "name: test\ninstructions: Ask the register."),
    "sources": ("processor: lite", "processor: lite\nsource_policy: {exclude_domains: [example.com]}"),
}


def decided(desk: Desk) -> list[dict[str, str]]:
    """A corrected, an accepted and a rejected city and a corrected year, in the table."""
    review, doubts = queue(desk)
    cities = [row for row in doubts if row["field"] == "city" and row["value"]]
    year = next(row for row in doubts if row["field"] == "year")
    said = {
        f"r{cities[0]['row']}_city": ("correct", "+1 'Rome'; =x"),
        f"r{cities[1]['row']}_city": ("accept", ""),
        f"r{cities[2]['row']}_city": ("reject", ""),
        f"r{year['row']}_year": ("correct", "1901"),
    }
    decide(review, **said)
    assert command(desk, review) == 0
    desk.run()
    return cities[:3]


def change(desk: Desk, what: str) -> None:
    old, new = CHANGES[what]
    config = desk.config.read_text()
    assert old in config
    desk.config.write_text(config.replace(old, new))


def run(desk: Desk, monkeypatch: pytest.MonkeyPatch, *argv: str) -> int:
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    return main(list(argv))


@pytest.mark.parametrize(("what", "fields"), [("description", {"city": 3}), ("schema", {"city": 3})])
def test_a_plan_counts_the_decisions_that_no_longer_apply(desk: Desk, what: str, fields: dict[str, int]) -> None:
    decided(desk)
    assert desk.plan().decisions_set_aside == {}
    change(desk, what)
    assert desk.plan().decisions_set_aside == fields
    assert desk.plan(limit=1).decisions_set_aside.get("city", 0) <= 1


@pytest.mark.parametrize("what", CHANGES)
def test_plan_and_run_say_so_and_give_the_command(
    desk: Desk, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decided(desk)
    change(desk, what)
    for argv in (["plan"], ["run", "--yes"], ["run", "--yes", "--quiet"]):
        capsys.readouterr()
        assert run(desk, monkeypatch, *argv, str(desk.config), str(desk.table)) == 0
        said = capsys.readouterr().err
        number = 3 if what in ("description", "schema") else 4
        assert f"{number} decisions of people" in said
        if "--quiet" not in argv:
            assert f"enrich review {desk.config} --earlier {desk.table}" in said


def test_decisions_that_are_brought_back_stand_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corrected, accepted, rejected = decided(desk)
    change(desk, "description")
    assert run(desk, monkeypatch, "review", str(desk.config), "--earlier", str(desk.table)) == 0
    said = capsys.readouterr().out
    earlier = desk.folder / "table.earlier.review.csv"
    brought = {row["row"]: row for row in lines(earlier)}
    assert [brought[one["row"]]["decision"] for one in (corrected, accepted, rejected)] == [
        "correct",
        "correct",
        "reject",
    ]
    assert brought[corrected["row"]]["correction"] == "'+1 'Rome'; '=x"
    assert brought[corrected["row"]]["note"] == "looked it up"
    posts = desk.service.posts()

    taken = re.search(r"then: enrich (review .*)", said)
    assert taken is not None
    assert run(desk, monkeypatch, *shlex.split(taken[1])) == 0
    assert desk.plan().decisions_set_aside == {}
    rows = desk.result(desk.run())

    assert desk.service.posts() > posts  # the other rows are asked anew
    stands = [rows[int(one["row"]) - 1] for one in (corrected, accepted, rejected)]
    assert [row["city_status"] for row in stands] == ["human"] * 3
    assert [row["city"].removeprefix("'") for row in stands] == ["+1 'Rome'; '=x", accepted["value"], ""]


def test_a_line_that_is_taken_out_is_left_to_the_service(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    corrected, accepted, _ = decided(desk)
    change(desk, "description")
    review = ["review", str(desk.config), "--earlier", str(desk.table)]
    assert run(desk, monkeypatch, *review) == 0
    earlier = desk.folder / "table.earlier.review.csv"
    text = earlier.read_text("utf-8-sig").splitlines(keepends=True)
    earlier.write_text("".join(one for one in text if f",{accepted['row']},city," not in one))
    assert command(desk, earlier) == 0
    rows = desk.result(desk.run())
    assert rows[int(corrected["row"]) - 1]["city_status"] == "human"
    assert rows[int(accepted["row"]) - 1]["city_status"] != "human"
    written = earlier.read_bytes()
    assert run(desk, monkeypatch, *review) == 0  # what is there is never replaced
    assert earlier.read_bytes() == written
    assert len(lines(desk.folder / "table.earlier-2.review.csv")) == 1


def test_a_decision_taken_before_its_question_was_ever_asked_is_known_when_that_changes_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided(desk)
    change(desk, "description")
    assert run(desk, monkeypatch, "review", str(desk.config), "--earlier", str(desk.table)) == 0
    assert command(desk, desk.folder / "table.earlier.review.csv") == 0
    desk.config.write_text(desk.config.read_text().replace("registered office", "main office"))
    assert desk.plan().decisions_set_aside == {"city": 3}


def test_a_value_that_no_longer_fits_is_told_by_its_row(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    decided(desk)
    config = desk.config.read_text()
    desk.config.write_text(config.replace("city: {type: string", "city: {type: string, enum: [Oslo, Rome]"))
    assert run(desk, monkeypatch, "review", str(desk.config), "--earlier", str(desk.table)) == 0
    capsys.readouterr()
    assert command(desk, desk.folder / "table.earlier.review.csv") == 2
    assert "is none of the values that it may have" in capsys.readouterr().err
    assert desk.plan().decisions_set_aside == {"city": 3}


@pytest.mark.parametrize("argv", [[], ["r.csv", "--earlier", "t.csv"]])
def test_review_wants_a_file_or_a_table(argv: list[str], tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    assert main(["review", str(tmp_path / "c.yaml"), *argv]) == 2
    assert "give a review file to take, or --earlier TABLE" in capsys.readouterr().err


def test_nothing_to_bring_back_writes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    decided(desk)
    assert run(desk, monkeypatch, "review", str(desk.config), "--earlier", str(desk.table)) == 0
    assert "nothing to bring back" in capsys.readouterr().out
    assert [*desk.folder.glob("*.earlier*")] == []
