"""A ledger that is not what it was refuses, and says what to do; it never pays again for what it forgot."""

import csv
import io
import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import enrich
from enrich.errors import LedgerError
from enrich.ledger.groups import add_groups, check_groups, complete_groups, groups_file, read_groups
from enrich.ledger.store import Ledger


def deleted(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def first_page_inverted(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes(byte ^ 0xFF for byte in content[:4096]) + content[4096:])


def other_file(path: Path) -> None:
    path.write_text("a text that somebody wrote here\n" * 200)


@pytest.mark.parametrize("ruin", [deleted, emptied, zeroed, cut, first_page_inverted, other_file])
def test_a_ruined_ledger_refuses_and_names_the_way_out(desk, ruin: Callable[[Path], None]) -> None:
    desk.run()
    bill, posts = desk.service.bill(), desk.service.posts()
    ruin(desk.ledger)

    with pytest.raises(LedgerError, match="enrich recover"):
        desk.run()
    with pytest.raises(LedgerError, match="enrich recover"):
        enrich.plan(desk.config, desk.table)

    assert (desk.service.bill(), desk.service.posts()) == (bill, posts)


def test_an_old_copy_of_the_ledger_is_told_from_the_present_one(desk) -> None:
    desk.run(limit=5)
    shutil.copy(desk.ledger, desk.folder / "copy.db")
    desk.run()
    posts = desk.service.posts()
    shutil.copy(desk.folder / "copy.db", desk.ledger)

    message = r"lists 1 more of the groups it paid through, such as tgrp_.*enrich recover.*enrich adopt"
    with pytest.raises(LedgerError, match=message):
        desk.run()

    assert desk.service.posts() == posts


def test_a_new_beginning_is_possible_by_deleting_the_list_too(desk) -> None:
    desk.run()
    desk.ledger.unlink()
    groups_file(desk.ledger).unlink()
    desk.rows(3)

    assert desk.run(pay_again=True).receipt.runs_paid == 3


def without_times(output: bytes) -> list[tuple[str, ...]]:
    """All that is in an output but when runs ended: of that nothing tells what it should be."""
    header, *rows = csv.reader(io.StringIO(output.decode()))
    last = header.index("enrich_at")
    return [tuple(cell for n, cell in enumerate(row) if n != last) for row in (header, *rows)]


def test_no_page_that_is_flipped_makes_it_pay_again_or_answer_otherwise(desk, tmp_path: Path) -> None:
    desk.rows(120)
    report = desk.run()
    whole, expected = desk.ledger.read_bytes(), without_times(report.output.read_bytes())
    bill = desk.service.bill()
    dice = random.Random(11)
    refusals: list[str] = []
    for page in range(len(whole) // 4096):
        content = bytearray(whole)
        start, length = page * 4096 + dice.randrange(4096), dice.choice((1, 1, 64, 4096))
        for at in range(start, min(start + length, (page + 1) * 4096)):
            content[at] ^= dice.randrange(1, 256)
        desk.ledger.write_bytes(content)
        try:
            output = desk.run(rewrite=True).output
        except LedgerError as error:
            refusals.append(str(error))
        else:
            assert without_times(output.read_bytes()) == expected
    assert len(refusals) > 10
    assert all("enrich recover" in refusal for refusal in refusals)
    assert desk.service.bill() == bill


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE run SET slot = 1 - slot WHERE slot < 2", id="results swapped"),
        pytest.param("UPDATE run SET slot = 9999 WHERE n = 3", id="no such place"),
        pytest.param("UPDATE run SET block_id = 9999 WHERE n = 3", id="no such block"),
    ],
)
def test_a_result_in_the_place_of_another_is_noticed(desk, change: str) -> None:
    desk.run()
    with closing(sqlite3.connect(desk.ledger)) as database, database:
        database.execute(change)
    database.close()

    with pytest.raises(LedgerError, match=r"damaged .*enrich recover --replace"):
        desk.run(rewrite=True)  # outputs that still stand need no results


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE run SET state = 3 WHERE n = 2", id="a state"),
        pytest.param("DELETE FROM run WHERE n = 2", id="a run lost"),
        pytest.param("UPDATE submission SET completed = completed + 1", id="a count"),
    ],
)
def test_counts_are_held_against_the_runs_before_anything_is_sent(desk, change: str) -> None:
    desk.run(limit=6)
    posts = desk.service.posts()
    with closing(sqlite3.connect(desk.ledger)) as database, database:
        database.execute(change)
    database.close()

    with pytest.raises(LedgerError, match=r"submission 1 and its runs do not add up"):
        desk.run()

    assert desk.service.posts() == posts


@pytest.fixture
def without_results(desk) -> Path:
    """A ledger whose pages of results are not what they were; opening does not read them."""
    desk.run(limit=6)
    with closing(sqlite3.connect(desk.ledger)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'block'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    content = bytearray(desk.ledger.read_bytes())
    content[(page - 1) * size : page * size] = bytes(size)
    desk.ledger.write_bytes(content)
    return desk.ledger


def test_nothing_is_sent_or_read_where_results_are_damaged(desk, without_results: Path) -> None:
    posts = desk.service.posts()

    for options in ({"rewrite": True, "limit": 6}, {}):
        with pytest.raises(LedgerError, match=r"damaged .*enrich recover --replace"):
            desk.run(**options)

    assert desk.service.posts() == posts


def test_nothing_is_written_before_all_pages_were_looked_at(without_results: Path) -> None:
    before = without_results.read_bytes()
    with closing(Ledger.open(without_results)) as ledger:
        for _ in range(2):
            with pytest.raises(LedgerError, match="damaged"), ledger.transaction():
                ledger.record_decisions([])
            with pytest.raises(LedgerError, match="damaged"):
                ledger.check_whole()

    assert without_results.read_bytes() == before


def _without_a_page(path: Path) -> None:
    path.touch()


def _without_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")


@pytest.mark.parametrize("begun", [_without_a_page, _without_a_table])
def test_a_ledger_that_was_only_begun_when_the_command_was_killed_holds_nothing(
    desk, begun: Callable[[Path], None]
) -> None:
    desk.ledger.parent.mkdir(parents=True, exist_ok=True)
    begun(desk.ledger)

    assert enrich.plan(desk.config, desk.table).runs
    with closing(Ledger.reader(desk.ledger)) as ledger:
        assert list(ledger.group_ids()) == []
    assert desk.run().exit_code == 0


def test_what_is_no_ledger_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE mine (x)")
    database.commit()
    database.close()
    before = path.read_bytes()

    with pytest.raises(LedgerError, match="not a ledger; nothing was changed in it"):
        Ledger.open(path)

    assert path.read_bytes() == before


# ---------------------------------------------------------------------- the list of groups


def test_every_group_is_listed_beside_the_ledger_for_its_owner_only(desk) -> None:
    report = desk.run()
    listed = groups_file(desk.ledger)

    assert read_groups(listed) == report.outcome.groups
    assert stat.S_IMODE(listed.stat().st_mode) == 0o600


def test_a_lost_list_is_written_again_from_the_ledger(desk) -> None:
    report = desk.run()
    groups_file(desk.ledger).unlink()

    desk.run()

    assert read_groups(groups_file(desk.ledger)) == report.outcome.groups


@pytest.mark.parametrize(
    ("content", "groups"),
    [
        pytest.param(b"", (), id="empty"),
        pytest.param(b"tgrp_1\ntgrp_2\n", ("tgrp_1", "tgrp_2"), id="two"),
        pytest.param(b"tgrp_1\ntgrp_1\n", ("tgrp_1",), id="double"),
        pytest.param(b"tgrp_1\ntgr", ("tgrp_1",), id="torn at a power cut"),
        pytest.param(b"tgrp_1\n\0\0\0\0\0\0\n\0\0tgrp_2\n", ("tgrp_1",), id="zeros at a power cut"),
        pytest.param(b"\n\n  \ntgrp_1\n", ("tgrp_1",), id="blank lines"),
    ],
)
def test_only_whole_lines_of_the_list_count(tmp_path: Path, content: bytes, groups: tuple[str, ...]) -> None:
    ledger = tmp_path / "ledger.db"
    path = groups_file(ledger)
    path.write_bytes(content)

    assert read_groups(path) == groups
    complete_groups(ledger, ["tgrp_9", *groups])
    assert read_groups(path) == (*groups, "tgrp_9")


def test_a_list_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    groups_file(ledger).mkdir()

    add_groups(groups_file(ledger), ["tgrp_1"])
    complete_groups(ledger, ["tgrp_1"])

    assert read_groups(groups_file(ledger)) == ()


def test_a_disk_that_is_full_in_the_middle_of_an_id_leaves_no_half_of_it(tmp_path, monkeypatch) -> None:
    path = tmp_path / "ledger.db.groups"
    add_groups(path, ["tgrp_1"])
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:4]))
    add_groups(path, ["tgrp_2"])
    monkeypatch.undo()
    add_groups(path, ["tgrp_3"])
    assert path.read_text().splitlines()[1:] == ["tgrp_1", "tgrp_3"]  # behind the line that says whose it is


def test_a_plan_beside_a_run_that_makes_groups_takes_none_for_lost(tmp_path) -> None:
    ledger = tmp_path / "ledger.db"
    add_groups(groups_file(ledger), ["tgrp_1"])

    def held() -> list[str]:  # what the run adds now, it had in the ledger before
        add_groups(groups_file(ledger), ["tgrp_2"])
        return ["tgrp_1"]

    check_groups(ledger, held)
