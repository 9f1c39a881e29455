"""The manifest says everything about a run to a script, in the documented form."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from enrich.errors import OutputError, UsageError
from enrich.report import Manifest, PastRun, read_manifest, write_manifest

DOCUMENT = Path(__file__).parents[2] / "docs" / "manifest.md"


def test_the_stored_manifest(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(tmp_path / "companies.run.json", manifest)
    assert json.loads((tmp_path / "companies.run.json").read_bytes()) == {
        "schema": "enrich.run/1",
        "name": "companies",
        "version": "0.1.0",
        "sandbox": False,
        "started_at": "2026-03-01T22:04:05Z",
        "finished_at": "2026-03-01T22:31:17Z",
        "seconds": 1632.25,
        "exit_code": 4,
        "stopped": "the budget of $45.65 is reached",
        "config": {"path": "configs/companies.yaml", "sha256": "9f" * 32},
        "table": {"path": "companies.csv"},
        "ledger": {"path": "configs/.enrich/ledger.db", "groups": ["tgrp_0", "tgrp_1"]},
        "selection": {"where": "country = 'DE'", "limit": None, "sample": None},
        "files": {
            "output": "companies.enriched.csv",
            "review": "companies.enriched.review.csv",
            "report": "companies.enriched.report.html",
        },
        "outputs": {
            "written": True,
            "written_at": "2026-03-01T22:31:17Z",
            "doubtful": 487,
            "fingerprint": None,
        },
        "processors": ["core", "pro"],
        "fields": dict(manifest.fields),
        "budget_usd": 45.65,
        "next": [],
        "groups": ["tgrp_1", "tgrp_2"],
        "receipt": manifest.receipt.to_json(),
    }


def test_it_is_readable_and_ends_with_a_line_break(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(tmp_path / "run.json", manifest)
    text = (tmp_path / "run.json").read_text("utf-8")
    assert text.startswith('{\n  "schema": "enrich.run/1",\n')
    assert text.endswith("}\n")


def test_what_is_absent_is_null(manifest: Manifest) -> None:
    stored = replace(manifest, stopped="", review="", budget_usd=None).to_json()
    assert (stored["stopped"], stored["budget_usd"]) == (None, None)
    assert stored["files"] == {
        "output": manifest.output,
        "review": None,
        "report": manifest.report,
    }


def test_a_file_name_that_is_not_utf8_can_be_stored(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(tmp_path / "run.json", replace(manifest, table="caf\udce9.csv"))
    assert json.loads((tmp_path / "run.json").read_bytes())["table"] == {"path": "caf?.csv"}


def test_a_later_command_reads_what_it_needs(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(tmp_path / "run.json", manifest)
    run = read_manifest(tmp_path / "run.json")
    assert (run.config.path, run.table.path, run.ledger.path, run.files.output) == (
        manifest.config,
        manifest.table,
        manifest.ledger,
        manifest.output,
    )
    assert (run.config.sha256, run.groups, run.selection) == ("9f" * 32, manifest.groups, manifest.selection)
    assert run.outputs is not None
    assert (run.outputs.doubtful, run.receipt.rows) == (487, manifest.receipt.rows)


def test_a_manifest_of_the_first_version_without_later_keys_is_read(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": "enrich.run/1", "groups": ["tgrp_1"], "new": 1}')
    assert read_manifest(tmp_path / "run.json") == PastRun(schema="enrich.run/1", groups=("tgrp_1",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "the manifest can't be read (No such file or directory)", id="absent"),
        pytest.param(b"", "this is no manifest of a run (it is empty)", id="empty"),
        pytest.param(b"id,name\n", "this is no manifest of a run (it is no JSON from character 1 on)", id="a table"),
        pytest.param(b'{"a": []}', "this is no manifest of a run (it is an object of another form)", id="other JSON"),
        pytest.param(b'{"schema": "x/2"}', "expected a manifest of form 'enrich.run/1', got 'x/2'", id="other form"),
    ],
)
def test_what_is_no_manifest_is_said(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(f"run.json: {message}")):
        read_manifest(tmp_path / "run.json")


def test_a_place_that_refuses_is_an_output_error(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=re.escape("absent/run.json: can't be written")):
        write_manifest(tmp_path / "absent" / "run.json", manifest)


def test_every_key_is_documented(manifest: Manifest) -> None:
    documented = set(re.findall(r"`([\w.]+)`", DOCUMENT.read_text("utf-8")))
    stored = manifest.to_json()
    receipt, outputs = manifest.receipt.to_json(), stored["outputs"]
    assert isinstance(outputs, dict)
    assert stored.keys() <= documented
    assert {f"outputs.{key}" for key in outputs} <= documented
    assert {f"receipt.{key}" for key in receipt} <= documented
