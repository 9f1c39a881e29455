"""Ten thousand rows, a fifth of them duplicates: the books add up and every cell is what the service said."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from enrich.errors import ExitCode
from tests.pipeline.desk import Desk, usd

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROWS, DISTINCT = 10_000, 8_000
WORDS = {"accepted", "review", "withheld", "not_found"}


def questions() -> list[tuple[str, str, str]]:
    """Rows of (id, name, domain): every fifth repeats an earlier one, with other blanks around its name."""
    rows = []
    for i in range(ROWS):
        n = i if i < DISTINCT else (i * 7) % DISTINCT
        name = f"Company {n}" if i < DISTINCT else f"  Company {n} "
        rows.append((f"{i:06}", name, f"company-{n}.example"))
    return rows


def outputs_of(desk: Desk, groups: list[str]) -> dict[str, dict[str, Any]]:
    """What the service itself says of every run, by run id."""
    found = {}
    for group in groups:
        for event in events(desk.service.read(f"/v1/tasks/groups/{group}/runs?include_output=true&include_input=true")):
            found[event["run"]["run_id"]] = {"input": event["input"]["input"], **event["output"]}
    return found


def events(stream: bytes) -> Iterator[dict[str, Any]]:
    for line in stream.split(b"\n"):
        if line.startswith(b"data:") and b'"task_run.state"' in line:
            yield json.loads(line[5:])


def cells(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        for row in rows:
            for name in ("city", "year"):
                row[f"{name}_citations"] = json.loads(row[f"{name}_citations"] or "[]")
            row["year"] = int(row["year"]) if row["year"] else None
            row["city"] = row["city"] or None
        return rows
    return pl.read_parquet(path).to_dicts()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_ten_thousand_rows(desk: Desk, suffix: str) -> None:
    rows = questions()
    frame = pl.DataFrame(rows, schema=["id", "name", "domain"], orient="row")
    table = desk.folder / f"big{suffix}"
    if suffix == ".csv":
        frame.write_csv(table)
    else:
        frame.write_parquet(table)
    report = desk.run(table)
    assert report.exit_code is ExitCode.DONE
    bill = desk.service.bill()
    assert bill["runs"] == DISTINCT == report.receipt.runs_paid
    assert bill["doubles"] == []
    assert report.receipt.usd == usd(bill)
    assert report.receipt.rows_in == ROWS == sum(report.receipt.rows.values())
    said = outputs_of(desk, json.loads(report.manifest.read_text())["groups"])
    assert len(said) == DISTINCT
    out = cells(report.output)
    assert [(row["id"], row["name"], row["domain"]) for row in out] == rows
    for row in out:
        run = said[row["enrich_run_id"]]
        assert run["input"] == {"company": row["name"].strip(), "website": row["domain"]}
        basis = {entry["field"]: entry for entry in run["basis"]}
        for name in ("city", "year"):
            assert row[f"{name}_status"] in WORDS
            shown = row[f"{name}_status"] in ("accepted", "review")
            assert row[name] == (run["content"][name] if shown else None)
            assert (row[f"{name}_confidence"] or None) == basis[name]["confidence"]
            assert [plain(cited) for cited in row[f"{name}_citations"] or []] == [
                plain(cited) for cited in basis[name]["citations"]
            ]


def plain(citation: dict[str, Any]) -> dict[str, Any]:
    return {key: citation.get(key) for key in ("url", "title", "excerpts")}
