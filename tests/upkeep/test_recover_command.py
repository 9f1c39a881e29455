"""`enrich recover` as it is typed: what it prints, and how it ends."""

import json
import re

import pytest
from recovery_desk import Desk

from enrich.cli import main


@pytest.fixture
def desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk as the working folder, with the service in the environment."""
    monkeypatch.chdir(desk.folder)
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    return desk


def test_a_deleted_ledger_comes_back_by_its_list(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.run()
    desk.ledger.unlink()

    code = main(["recover", "test.yaml"])

    out = capsys.readouterr().out
    assert code == 0
    assert out == (
        f"ledger      {desk.ledger}\n"
        "groups      1, 12 runs of ours\n"
        "known       0, left as they were\n"
        "recovered   12 completed, 0 failed\n"
        "paid        $0.06 for the recovered runs\n"
    )


def test_the_manifest_is_enough(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    report = desk.run()
    for path in desk.ledger.parent.iterdir():
        path.unlink()

    code = main(["recover", "--manifest", str(report.manifest), "--json"])

    assert code == 0
    assert json.loads(capsys.readouterr().out) == {
        "ledger": str(desk.ledger),
        "set_aside": None,
        "decisions": 0,
        "groups": 1,
        "runs": 12,
        "known": 0,
        "completed": 12,
        "failed": 0,
        "to_collect": 0,
        "foreign": 0,
        "untied": 0,
        "untied_groups": [],
        "usd": 0.06,
        "runs_unpriced": 0,
        "double_charges": [],
        "unknown_groups": [],
        "incomplete": [],
    }


def test_a_damaged_ledger_is_refused_by_every_command_that_names_the_way_out(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.run()
    desk.ledger.write_bytes(bytes(8192))

    assert main(["run", "test.yaml", "table.csv", "--quiet"]) == 2
    assert "`enrich recover --replace`" in capsys.readouterr().err
    assert main(["recover", "test.yaml"]) == 2
    assert "`enrich recover --replace`" in capsys.readouterr().err

    assert main(["recover", "test.yaml", "--replace"]) == 0
    assert re.match(
        r"set aside   the old ledger is now ledger\.db\.damaged-\d{8}T\d{6}\.\d{6}Z\n",
        capsys.readouterr().out,
    )


def test_facts_are_for_the_sandbox(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recover", "test.yaml", "--group", "tgrp_1", "--facts", "nope.ndjson"]) == 2
    assert capsys.readouterr().err == "Error: --facts: is for the sandbox; add --sandbox\n"
    assert main(["recover", "test.yaml", "--group", "tgrp_1", "--facts", "nope.ndjson", "--sandbox"]) == 2
    assert capsys.readouterr().err == "Error: nope.ndjson: facts file can't be read: No such file or directory\n"


def test_what_is_missing_is_said(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recover", "test.yaml"]) == 2
    assert capsys.readouterr().err == (
        f"Error: {desk.ledger}: nothing here names a group; give them with --group ID, or --manifest NAME.run.json. "
        "The service's console lists them too\n"
    )
    assert main(["recover", "test.yaml", "--group", "tgrp_0"]) == 2
    assert "unknown     tgrp_0: the service does not know it, or not for this API key\n" in capsys.readouterr().out


def test_a_table_is_never_set_aside(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, table = str(desk.run().manifest), desk.table.read_bytes()

    assert main(["recover", "--manifest", manifest, "--ledger", "table.csv", "--replace"]) == 2
    assert "table.csv: this file is no ledger, and is left as it is" in capsys.readouterr().err
    assert main(["recover", "test.yaml", "--group", "tgrp_0", "--ledger", "table.csv", "--replace"]) == 2
    assert "table.csv: this file is no ledger, and is left as it is" in capsys.readouterr().err
    assert desk.table.read_bytes() == table
    assert not (desk.folder / "table.csv.lock").exists()


def test_check_finds_a_ledger_that_is_none(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.config.write_text(desk.config.read_text() + "ledger: table.csv\n")

    assert main(["check", "test.yaml"]) == 2
    assert "test.yaml:10: ledger: " in capsys.readouterr().err
    assert main(["check", "test.yaml", "table.csv"]) == 2
