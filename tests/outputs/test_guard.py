"""An output is never replaced by one with fewer answers without a word; what is no loss is no alarm."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import enrich
from enrich import pipeline
from enrich.cli import main
from enrich.errors import ExitCode, HeldError
from enrich.host.interruption import Interruption
from enrich.job import Options
from enrich.progress import QuietProgress
from tests.pipeline.desk import CONFIG, Desk, Service

ROWS = 6
SURE = CONFIG + "confidence: {accept: low, review: low, missing: accept}\n"


@pytest.fixture
def done(desk: Desk) -> enrich.Report:
    """A good table: every answer is there."""
    desk.config.write_text(SURE)
    desk.rows(ROWS)
    report = desk.run()
    assert report.receipt.answers == {"accepted": 2 * ROWS}
    return report


@pytest.fixture
def wrong_key(make_service: Callable[..., Service]) -> dict[str, str]:
    """The environment of somebody whose key the service does not know."""
    return make_service(faults=("unauthorized",)).environ


def edit(desk: Desk, old: str, new: str) -> None:
    text = desk.config.read_text()
    assert old in text
    desk.config.write_text(text.replace(old, new))


def ask_anew(desk: Desk) -> None:
    """A description is changed: another question, which nobody has answered."""
    edit(desk, "City of the head office.", "City and country of the head office.")


def outputs(report: enrich.Report) -> list[bytes]:
    return [path.read_bytes() for path in (report.output, report.review, report.report, report.manifest)]


def held(run: Callable[[], object]) -> HeldError:
    with pytest.raises(HeldError) as error:
        run()
    return error.value


# ---------------------------------------------------------------------- what is held


def test_a_wrong_key_leaves_the_good_table(desk: Desk, done: enrich.Report, wrong_key: dict[str, str]) -> None:
    ask_anew(desk)
    before = outputs(done)
    error = held(lambda: desk.run(environ=wrong_key))
    assert error.exit_code == ExitCode.HELD
    assert str(error).startswith(
        f"{done.output}: shows 6 answers that the new output lacks, such as city in row 1: not asked, or not answered"
        " yet. The outputs were left as they are (0 runs paid, $0.00: all in the ledger; stopped: "
    )
    assert str(error).endswith("and replace=True puts it there all the same")
    assert outputs(done) == before
    assert desk.run().receipt.answers == {"accepted": 2 * ROWS}


def test_it_is_put_there_all_the_same_where_that_is_said(
    desk: Desk, done: enrich.Report, wrong_key: dict[str, str]
) -> None:
    ask_anew(desk)
    assert desk.run(environ=wrong_key, replace=True).receipt.answers == {"accepted": ROWS, "pending": ROWS}
    # What is gone can't be lost again.
    assert desk.run(environ=wrong_key, rewrite=True).receipt.answers["pending"] == ROWS


@pytest.mark.parametrize(
    ("options", "lost", "paid"),
    [
        pytest.param({"limit": 2}, 4, 2, id="limit"),
        pytest.param({"sample": 1}, 5, 1, id="sample"),
        pytest.param({"where": "id = '00003'"}, 5, 1, id="where"),
    ],
)
def test_a_part_of_the_rows_does_not_take_the_place_of_all(
    desk: Desk, done: enrich.Report, options: dict[str, Any], lost: int, paid: int
) -> None:
    ask_anew(desk)
    before = outputs(done)
    error = held(lambda: desk.run(**options))
    assert f"shows {lost} answers" in str(error)
    assert f"({paid} run" in str(error)
    assert outputs(done) == before
    trial = desk.run(output=desk.folder / "trial.csv", **options)  # paid for already
    assert (trial.receipt.runs_paid, trial.receipt.answers["accepted"]) == (0, ROWS + paid)
    whole = desk.run()
    assert (whole.receipt.runs_paid, whole.receipt.answers) == (ROWS - paid, {"accepted": 2 * ROWS})


def test_a_budget_that_is_too_small_leaves_it_until_all_is_asked(desk: Desk, done: enrich.Report) -> None:
    ask_anew(desk)
    assert "(2 runs paid, $0.01: all in the ledger; stopped: " in str(held(lambda: desk.run(budget="0.01")))
    assert "shows 2 answers" in str(held(lambda: desk.run(budget="0.01")))
    assert desk.run(budget="0.01").receipt.answers == {"accepted": 2 * ROWS}


@pytest.mark.parametrize("name", ["out.tsv", "out.ndjson", "out.parquet", "out.csv.zst"])
def test_it_holds_in_every_format(desk: Desk, done: enrich.Report, name: str) -> None:
    output = desk.folder / name
    desk.run(output=output)
    ask_anew(desk)
    assert "shows 4 answers" in str(held(lambda: desk.run(output=output, limit=2)))


def test_rows_are_told_by_their_inputs_wherever_they_are(desk: Desk, done: enrich.Report) -> None:
    ask_anew(desk)
    header, *rows = desk.table.read_text().splitlines()
    new = [f"{i},New {i},new-{i}.example,x" for i in range(20)]
    desk.table.write_text("\n".join([header, *new, *reversed(rows)]) + "\n")
    assert "shows 6 answers that the new output lacks, such as city in row 1:" in str(held(lambda: desk.run(limit=20)))


def test_an_input_that_is_added_is_another_question_too(desk: Desk, done: enrich.Report) -> None:
    edit(desk, "  website: domain\n", "  website: domain\n  remark: note\n")
    error = held(lambda: desk.run(limit=2))
    assert "shows 8 answers" in str(error)
    assert "The same command without limit= goes on and pays nothing twice" in str(error)


def test_a_column_that_is_new_in_the_table_is_compared_by_numbers(desk: Desk, done: enrich.Report) -> None:
    lines = desk.table.read_text().splitlines()
    desk.table.write_text("\n".join(f"{line},{'town' if i == 0 else i}" for i, line in enumerate(lines)) + "\n")
    edit(desk, "  website: domain\n", "  website: domain\n  town: town\n")
    assert "shows 8 answers that the new output lacks: not asked" in str(held(lambda: desk.run(limit=2)))


class CtrlC(QuietProgress):
    """Asks for the end when runs are under way."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def start(self, total_runs: int, *, done: int = 0) -> None:
        self._interruption.request(ExitCode.INTERRUPTED)


def test_an_interrupted_run_leaves_it_and_ends_with_its_own_code(desk: Desk, done: enrich.Report) -> None:
    ask_anew(desk)
    before, stop = outputs(done), Interruption()
    options = Options(environ=desk.service.environ, settle_s=0.5)
    run = partial(pipeline.run, desk.config, desk.table, options, progress=CtrlC(stop), interruption=stop)
    error = held(lambda: anyio.run(run))
    assert error.exit_code == ExitCode.INTERRUPTED
    assert "stopped: interrupted" in str(error)
    assert outputs(done) == before


def test_the_command_says_so_and_its_ending_is_written_down(
    desk: Desk, done: enrich.Report, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ask_anew(desk)
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    argv = ["run", str(desk.config), str(desk.table), "--limit", "2", "--yes"]
    assert main(argv) == 8
    out, err = capfd.readouterr()
    assert out == ""
    assert f"Error: {done.output}: shows 4 answers" in err
    with closing(sqlite3.connect(desk.folder / ".enrich" / "ledger.db")) as ledger:
        endings = [ending for (ending,) in ledger.execute("SELECT ending FROM job ORDER BY job_id")]
    assert endings[1].startswith("held: ")


# ---------------------------------------------------------------------- what is no loss


def test_rows_that_are_gone_and_rows_that_are_new_are_no_loss(desk: Desk, done: enrich.Report) -> None:
    desk.rows(40, start=4)  # two of the six stay
    report = desk.run(limit=5)
    assert (report.outputs_written, report.receipt.answers["skipped"]) == (True, 2 * 35)


YEAR = '  year: {type: [integer, "null"], description: Year of foundation.}\n'
MAYOR = "  mayor: {type: string, description: Its mayor.}\n"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda desk: edit(desk, YEAR, ""), id="an answer less"),
        pytest.param(lambda desk: edit(desk, YEAR, YEAR + MAYOR), id="an answer more"),
        pytest.param(lambda desk: edit(desk, "accept: low, review: low", "accept: 1.0, review: 1.0"), id="gates"),
        pytest.param(
            lambda desk: edit(desk, "processor: lite\n", "processor: lite\nrefresh: 1s\n"), id="stale answers"
        ),
    ],
)
def test_what_the_config_says_otherwise_is_no_loss(
    desk: Desk, done: enrich.Report, wrong_key: dict[str, str], change: Callable[[Desk], None]
) -> None:
    change(desk)
    assert desk.run(environ=wrong_key, rewrite=True).outputs_written


def test_what_was_asked_and_failed_is_no_loss(
    desk: Desk, done: enrich.Report, make_service: Callable[..., Service]
) -> None:
    ask_anew(desk)
    report = desk.run(environ=make_service(faults=("run-failed",)).environ)
    assert (report.exit_code, report.receipt.answers["failed"]) == (ExitCode.FAILED_ROWS, ROWS)


def test_a_table_that_goes_on_night_after_night_is_never_held(desk: Desk) -> None:
    desk.config.write_text(SURE)
    desk.rows(ROWS)
    for night in range(1, 4):
        report = desk.run(budget="0.01")
        assert report.outputs_written
        assert report.receipt.answers["accepted"] == 2 * min(ROWS, 2 * night)


def test_an_output_that_cannot_be_read_is_nothing_to_lose(desk: Desk, done: enrich.Report) -> None:
    ask_anew(desk)
    Path(done.output).write_bytes(b"\x00\xff\n\n,,\n")
    assert desk.run(limit=2).outputs_written


def test_cells_that_were_filled_in_the_table_are_no_loss(desk: Desk) -> None:
    desk.config.write_text(SURE + "existing: fill\n")
    desk.table.write_text("name,domain,city\nAcme,acme.example,\nBeta,beta.example,Bonn\n")
    desk.run()
    desk.table.write_text("name,domain,city\nAcme,acme.example,Rome\nBeta,beta.example,Bonn\n")
    report = desk.run()
    assert (report.outputs_written, report.receipt.answers["skipped"]) == (True, 2)
