"""What can follow a command: complete commands, which a shell takes as they stand, in receipt, report and manifest."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest

import enrich
from enrich.cli import main
from tests.pipeline.desk import CONFIG, Desk
from tests.report.parsed_page import parse
from tests.review.test_decisions import decide, lines

STEP = re.compile(r"`([^`]*)`")


def commands(steps: tuple[str, ...] | list[str]) -> list[list[str]]:
    return [shlex.split(command) for step in steps for command in STEP.findall(step)]


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config and a table whose names a shell would take apart."""
    monkeypatch.chdir(tmp_path)
    Path("my config.yaml").write_text(CONFIG + "confidence: {missing: withhold}\n")
    Path("-it's.csv").write_text("id,name,domain,note\n" + "".join(f"{n % 6},Co {n % 6},,\n" for n in range(12)))
    return tmp_path


def test_every_command_is_complete_and_runs_as_it_stands(rehearsal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--output", "out put.csv", "--limit", "8", "--ledger", "l 1.db", "--sandbox"]
    assert main(["run", "my config.yaml", "./-it's.csv", *options, "--quiet", "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    lines = manifest["outputs"]["doubtful"]
    answers = manifest["receipt"]["answers"]
    assert 0 < lines < answers["review"] + answers["withheld"] + answers["invalid"]  # rows with the same input
    first, *_ = manifest["next"]
    assert first.startswith(f"{lines} lines of out put.review.csv wait for a decision, for ")
    with Path("out put.review.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == lines
    run = ["enrich", "run", "my config.yaml", "./-it's.csv"]
    assert commands(manifest["next"]) == [
        ["enrich", "review", "my config.yaml", "out put.review.csv", "--ledger", "l 1.db", "--sandbox"],
        [*run, *options],
        [*run, "--output", "out put.csv", "--ledger", "l 1.db", "--sandbox"],
        ["enrich", "plan", "my config.yaml", "./-it's.csv"],
    ]
    for command in commands(manifest["next"]):
        assert main(command[1:]) == 0, command
    capsys.readouterr()


def test_the_report_says_the_same_as_the_receipt(rehearsal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "my config.yaml", "./-it's.csv", "--sandbox"]) == 0
    printed = capsys.readouterr().out
    manifest = json.loads(Path("-it's.sandbox.run.json").read_text())
    page = "".join(parse(Path("-it's.sandbox.report.html").read_text()).texts)
    assert manifest["next"]
    for step in manifest["next"]:
        assert f"  {step}\n" in printed
        assert step.replace("`", "") in page
    waiting = f"{manifest['outputs']['doubtful']}lines of the review file"
    assert waiting in page


def test_what_failed_can_be_asked_again(make_service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path, make_service(faults=("run-failed=2x",)))
    desk.rows(3)
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    assert main(["run", str(desk.config), str(desk.table), "--yes", "--quiet", "--processor", "base"]) == 3
    steps = json.loads((desk.folder / "table.run.json").read_text())["next"]
    retry = ["enrich", "run", str(desk.config), str(desk.table), "--processor", "base", "--retry-failed"]
    assert retry in commands(steps)


def test_from_python_the_same_call_goes_on(desk: Desk) -> None:
    desk.config.write_text(CONFIG + "confidence: {missing: withhold}\n")
    desk.rows(6)
    report = desk.run(limit=4, budget="0.01")
    assert report.steps[0].startswith("stopped: the budget of $0.01 is reached")
    assert report.steps[1] == "the same call goes on with 2 pending rows; nothing is paid for twice"
    report = desk.run(limit=4)
    review = ["enrich", "review", str(desk.config), str(report.review)]
    assert commands(report.steps) == [review]
    assert report.steps[-1] == "the same call without limit asks about the rows that were not chosen"


def test_a_config_that_is_a_mapping_has_no_file_to_name(desk: Desk) -> None:
    desk.rows(3)
    config = {
        "name": "test",
        "inputs": {"company": "name"},
        "outputs": {"city": {"type": "string", "description": "City of the head office."}},
        "processor": "lite",
        "ledger": str(desk.folder / "ledger.db"),
    }
    report = enrich.run(config, desk.table, environ=desk.service.environ)
    assert report.doubtful
    assert commands(report.steps) == [["enrich", "review", "CONFIG", str(report.review)]]


def test_decisions_that_were_kept_aside_are_taken_by_a_command_of_their_own(desk: Desk) -> None:
    desk.config.write_text(CONFIG + "confidence: {missing: withhold}\n")
    desk.rows(6)
    first = desk.run()
    decided = [line for line in lines(first.review) if line["field"] == "city"][:1]
    decide(first.review, **{f"r{decided[0]['row']}_city": ("accept", "")})
    report = desk.run()
    assert report.decisions_kept is not None
    assert commands(report.steps)[0] == ["enrich", "review", str(desk.config), str(report.decisions_kept)]
