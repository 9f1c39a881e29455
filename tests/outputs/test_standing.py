"""Outputs that still stand are left alone; whatever changes, they are written anew."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import enrich
from enrich.cli import main
from enrich.dataset.where import looks_at_the_clock
from enrich.errors import ExitCode, OutputError
from enrich.host.clock import SYSTEM
from enrich.job import Options
from enrich.ledger.store import Ledger
from enrich.outputs.standing import find_standing, origin_of
from enrich.preparing import prepare
from enrich.records import Outcome
from tests.pipeline.desk import CONFIG, Desk
from tests.review.test_decisions import decide, lines

ROWS = 12
OUTPUTS = ("output", "review", "report")


@pytest.fixture
def done(desk: Desk) -> enrich.Report:
    """A first run, with something accepted and something in doubt."""
    desk.config.write_text(CONFIG + "confidence: {missing: withhold}\n")
    desk.rows(ROWS)
    report = desk.run()
    assert report.outputs_written
    assert report.doubtful
    return report


def states(report: enrich.Report) -> list[tuple[int, int, int]]:
    statuses = [getattr(report, name).stat() for name in OUTPUTS]
    return [(status.st_ino, status.st_mtime_ns, status.st_ctime_ns) for status in statuses]


def contents(report: enrich.Report) -> list[bytes]:
    """Table and review file; the report tells of its own command."""
    return [report.output.read_bytes(), report.review.read_bytes()]


def stored(report: enrich.Report) -> dict[str, Any]:
    return json.loads(report.manifest.read_text())


# ---------------------------------------------------------------------- what stands


def test_an_untouched_rerun_leaves_the_outputs_and_tells_of_itself(desk: Desk, done: enrich.Report) -> None:
    before, old, posts = states(done), stored(done), desk.service.posts()
    for _ in range(2):  # the record is handed on
        again = desk.run()
        assert not again.outputs_written
        assert states(again) == before
        assert desk.service.posts() == posts
        assert (again.exit_code, again.doubtful) == (done.exit_code, done.doubtful)
        assert (again.receipt.rows, again.receipt.answers) == (done.receipt.rows, done.receipt.answers)
        assert (again.receipt.distinct_inputs, again.receipt.rows_in) == (ROWS, ROWS)
        assert (again.receipt.runs_paid, again.receipt.usd, again.receipt.ledger_runs_paid) == (0, 0, ROWS)
        new = stored(again)
        assert new["outputs"] == {**old["outputs"], "written": False}
        assert new["receipt"]["runs_paid"] == 0
        assert new["receipt"]["rows"] == old["receipt"]["rows"]
        assert new["groups"] == []
        assert (new["config"], new["table"], new["files"]) == (old["config"], old["table"], old["files"])


def test_failed_rows_are_told_again_by_the_exit_code(desk: Desk) -> None:
    desk.table.write_text(f"name,domain\nAcme,acme.example\n{'x' * 30_000},long.example\n")
    assert desk.run().exit_code is ExitCode.FAILED_ROWS
    again = desk.run()
    assert not again.outputs_written
    assert again.exit_code is ExitCode.FAILED_ROWS
    assert stored(again)["exit_code"] == 3


def test_a_table_that_asks_nothing_at_all_stands_too(desk: Desk) -> None:
    desk.table.write_text("name,domain\n,nobody.example\n")
    assert desk.run().outputs_written
    again = desk.run()
    assert not again.outputs_written
    assert again.receipt.rows["skipped"] == 1


def test_what_stands_is_seen_from_anywhere(desk: Desk, done: enrich.Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    again = enrich.run(desk.config.name, desk.table.name, environ=desk.service.environ)
    assert not again.outputs_written


def test_verify_compares_what_stands(desk: Desk, done: enrich.Report, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run()
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    assert main(["verify", str(done.output)]) == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda desk: desk.config.write_text(desk.config.read_text() + "# said\n"), id="a comment"),
        pytest.param(lambda desk: os.utime(desk.config), id="a touched config"),
        pytest.param(lambda desk: desk.plan(), id="a plan"),
    ],
)
def test_what_makes_no_difference_changes_nothing(
    desk: Desk, done: enrich.Report, change: Callable[[Desk], object]
) -> None:
    change(desk)
    assert not desk.run().outputs_written


# ---------------------------------------------------------------------- what is made of something else


def edit_table(desk: Desk) -> None:
    """Same inode, size and time of modification: only the time of its change tells."""
    status = desk.table.stat()
    with desk.table.open("r+b") as file:
        content = file.read()
        file.seek(content.index(b'""note') + 2)
        file.write(b"N")
    os.utime(desk.table, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert desk.table.stat().st_size == status.st_size


def replace_table(desk: Desk) -> None:
    status = desk.table.stat()
    copy = desk.table.with_suffix(".new")
    copy.write_bytes(desk.table.read_bytes().replace(b"note", b"NOTE"))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(desk.table)


def change_config(old: str, new: str) -> Callable[[Desk], None]:
    def change(desk: Desk) -> None:
        text = desk.config.read_text()
        assert old in text
        desk.config.write_text(text.replace(old, new, 1))

    return change


def ask_elsewhere(desk: Desk) -> None:
    """Another config collects an answer that has nothing to do with this one."""
    other = desk.folder / "other.yaml"
    other.write_text(CONFIG.replace("year:", "staff:").replace("Year of foundation.", "Number of employees."))
    table = desk.folder / "other.csv"
    table.write_text("name,domain\nOther,other.example\n")
    report = enrich.run(other, table, environ=desk.service.environ, settle_s=0.5)
    assert report.receipt.runs_paid == 1


def import_decision(desk: Desk) -> None:
    review = desk.folder / "copy.csv"
    shutil.copy(desk.folder / "table.review.csv", review)
    row = lines(review)[0]
    decide(review, **{f"r{row['row']}_{row['field']}": ("reject", "")})
    assert main(["review", str(desk.config), str(review)]) == 0


def record_by_hand(desk: Desk) -> None:
    """An outcome that comes late: the smallest change that a ledger can have."""
    with closing(Ledger.open(desk.folder / ".enrich" / "ledger.db")) as ledger:
        revision = ledger.revision()
        with ledger.transaction():
            ledger.end_watch(1)
        assert ledger.revision() != revision


def forget_revision(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.folder / ".enrich" / "ledger.db")) as database:
        database.execute("DELETE FROM meta WHERE key = 'revision'")
        database.commit()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(edit_table, id="the table edited, its time set back"),
        pytest.param(replace_table, id="the table replaced by one of its size and time"),
        pytest.param(lambda desk: os.utime(desk.table), id="the table touched"),
        pytest.param(change_config("withhold", "review"), id="a gate"),
        pytest.param(change_config("name: test", "name: other"), id="the name"),
        pytest.param(change_config("lite\n", "lite\nbasis: [confidence]\n"), id="fewer columns"),
        pytest.param(change_config("lite\n", "lite\nrefresh: 300d\n"), id="a refresh that is not due"),
        pytest.param(change_config("lite\n", "lite\ncsv: {formulas: keep}\n"), id="formulas are kept"),
        pytest.param(import_decision, id="a decision"),
        pytest.param(ask_elsewhere, id="an answer to another question"),
        pytest.param(record_by_hand, id="an event in the ledger"),
        pytest.param(forget_revision, id="a ledger from before there were revisions"),
    ],
)
def test_what_they_are_made_of_changed(desk: Desk, done: enrich.Report, change: Callable[[Desk], None]) -> None:
    change(desk)
    again = desk.run()
    assert again.outputs_written
    assert again.receipt.runs_paid == 0
    anew = desk.run(output=desk.folder / "elsewhere.csv")
    assert contents(again) == contents(anew)
    assert not desk.run().outputs_written


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"limit": 3}, id="a limit"),
        pytest.param({"limit": ROWS}, id="a limit that leaves nobody out"),
        pytest.param({"sample": 3}, id="a sample"),
        pytest.param({"where": "id > '00003'"}, id="a condition"),
        pytest.param({"budget": "7"}, id="a budget"),
        pytest.param({"rewrite": True}, id="on demand"),
    ],
)
def test_another_command_writes_anew(desk: Desk, done: enrich.Report, options: dict[str, Any]) -> None:
    assert desk.run(**options).outputs_written
    assert desk.run(**options).outputs_written is ("rewrite" in options)
    assert desk.run().outputs_written is ("rewrite" not in options)


def test_what_another_version_wrote_does_not_stand(desk: Desk, done: enrich.Report) -> None:
    job = prepare(desk.config, desk.table, Options(environ=desk.service.environ))
    with closing(Ledger.reader(job.ledger_path)) as ledger:
        assert find_standing(origin_of(job, ledger), job.outputs) is not None
        assert find_standing(origin_of(job, ledger, version="99.0"), job.outputs) is None


def test_a_ledger_elsewhere_writes_anew(desk: Desk, done: enrich.Report) -> None:
    shutil.copytree(desk.folder / ".enrich", desk.folder / "copy")
    assert desk.run(ledger=desk.folder / "copy" / "ledger.db").outputs_written


def test_an_older_copy_of_the_ledger_writes_anew(desk: Desk, done: enrich.Report) -> None:
    ledger, copy = desk.folder / ".enrich" / "ledger.db", desk.folder / "copy.db"
    shutil.copy(ledger, copy)
    first = contents(done)
    import_decision(desk)
    assert contents(desk.run()) != first
    shutil.copy(copy, ledger)
    again = desk.run()
    assert again.outputs_written
    assert contents(again) == first


@pytest.mark.parametrize(
    ("where", "asks"),
    [
        pytest.param("day < CURRENT_DATE", True, id="today"),
        pytest.param("day < now()", True, id="now"),
        pytest.param("localtimestamp > day", True, id="local"),
        pytest.param("day < '2026-01-01'", False, id="a fixed day"),
        pytest.param("snow = 'known'", False, id="a word with now in it"),
    ],
)
def test_a_condition_that_asks_for_the_time_is_known(where: str, asks: bool) -> None:
    assert looks_at_the_clock(where) is asks


def test_a_condition_that_asks_for_the_time_never_stands(desk: Desk, done: enrich.Report) -> None:
    for _ in range(2):
        report = desk.run(where="id < CAST(CURRENT_DATE AS VARCHAR)")
        assert report.outputs_written
        assert stored(report)["outputs"]["fingerprint"] is None


def test_a_run_that_was_stopped_leaves_nothing_that_stands(desk: Desk) -> None:
    desk.rows(ROWS)
    report = desk.run(budget="0.03")
    assert report.exit_code is ExitCode.STOPPED
    assert stored(report)["outputs"]["fingerprint"] is None


# ---------------------------------------------------------------------- what stands there is not what was written


def same_size_and_time(path: Path) -> None:
    """A copy with a letter changed, made to look alike: only inode and time of change tell."""
    status, content = path.stat(), path.read_bytes()
    copy = path.with_name("copy")
    copy.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(path)


def restored(path: Path) -> None:
    """Its own bytes, as a backup brings them back."""
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.replace(path)


def edited(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def truncated(path: Path) -> None:
    status = path.stat()
    os.truncate(path, status.st_size // 2)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("damage", [Path.unlink, os.utime, edited, truncated, same_size_and_time, restored])
def test_an_output_that_was_touched_is_written_anew(
    desk: Desk, done: enrich.Report, damage: Callable[[Path], object], name: str
) -> None:
    before, page = contents(done), done.report.stat().st_size
    damage(getattr(done, name))
    again = desk.run()
    assert again.outputs_written
    assert contents(again) == before
    assert again.report.stat().st_size > page // 2
    assert not desk.run().outputs_written


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return rewrite


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(Path.unlink, id="removed"),
        pytest.param(rewritten(lambda run: run.update(schema="enrich.run/2")), id="another form"),
        pytest.param(rewritten(lambda run: run.pop("outputs")), id="from before it told of outputs"),
        pytest.param(rewritten(lambda run: run["outputs"].update(doubtful=0)), id="another number of doubts"),
        pytest.param(rewritten(lambda run: run["receipt"]["rows"].update(complete=0)), id="other sums"),
        pytest.param(rewritten(lambda run: run["outputs"].update(fingerprint=None)), id="no fingerprint"),
    ],
)
def test_without_its_manifest_nothing_stands(desk: Desk, done: enrich.Report, change: Callable[[Path], object]) -> None:
    change(done.manifest)
    again = desk.run()
    assert again.outputs_written
    assert again.receipt.rows == done.receipt.rows


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": "theirs/1"}'], ids=["no JSON", "no manifest", "another's"])
def test_what_is_no_manifest_is_replaced_when_it_is_said_so(desk: Desk, done: enrich.Report, content: str) -> None:
    done.manifest.write_text(content)
    with pytest.raises(OutputError, match=r"table\.run\.json: is not a manifest of enrich.*replace=True"):
        desk.run()
    assert done.manifest.read_text() == content
    again = desk.run(replace=True)
    assert again.outputs_written
    assert again.receipt.rows == done.receipt.rows


# ---------------------------------------------------------------------- the ledger's revision


def test_every_ledger_begins_with_a_revision_of_its_own() -> None:
    with closing(Ledger.in_memory()) as one, closing(Ledger.in_memory()) as other:
        assert one.revision()
        assert one.revision() != other.revision()


def test_a_change_renews_the_revision_and_a_job_does_not(desk: Desk, done: enrich.Report) -> None:
    with closing(Ledger.open(desk.folder / ".enrich" / "ledger.db")) as ledger:
        seen = [ledger.revision()]
        with ledger.transaction(keeps_answers=True):
            ledger.end_job(ledger.start_job(name="", config="", source="", fields={}), "done")
        with ledger.transaction():
            pass  # nothing changes
        assert [ledger.revision()] == seen
        for change in (
            lambda: ledger.record_unknown(1, SYSTEM.stamp(), ""),
            lambda: ledger.record_resolved(1),
            lambda: ledger.record_outcomes(1, [Outcome(0, "run", completed=False, raw=b"{}")]),
            lambda: ledger.record_extra(1, 0, "extra"),
        ):
            with ledger.transaction():
                change()
            assert ledger.revision() not in seen
            seen.append(ledger.revision())


def test_what_is_rolled_back_keeps_the_revision(desk: Desk, done: enrich.Report) -> None:
    with closing(Ledger.open(desk.folder / ".enrich" / "ledger.db")) as ledger:
        before = ledger.revision()
        with suppress(KeyboardInterrupt), ledger.transaction():
            ledger.end_watch(1)
            raise KeyboardInterrupt
        assert ledger.revision() == before
