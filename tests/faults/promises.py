"""A service, a table, and what is promised of the two whatever goes wrong between them.

`Scene` runs the same command until it is done, and `check` holds the result against the invariants:

I1  the service was asked each question once;
I2  every run that the service completed is in the output, beside the row that it answers;
I3  the output has every row and column, and the answers of a run without faults;
I4  the ledger's dollars are the service's bill, to the cent;
I5  the key is in no file;
I6  the same command, given again, asks for nothing.
"""

import csv
import json
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import enrich
from enrich.ledger.store import Ledger
from enrich.records import LedgerTotals, RunState
from enrich.sandbox import SandboxSettings, running
from tests.faults.fast_loop import run_fast

KEY = "pk-canary-7f3a9c51e2"  # planted: it may be found nowhere
CONFIG = """\
name: faults
inputs:
  company: name
  website: domain
require: [company]
outputs:
  city: {type: string, description: City of the head office.}
  year: {type: [integer, "null"], description: Year of foundation.}
processor: PROCESSOR
basis: [confidence, citations, reasoning]
"""
BATCH = 16  # runs of `ultra` that travel together: five dollars' worth
POST = "POST /v1/tasks/groups/{taskgroup_id}/runs"
PASSING = ("enrich_run_id", "enrich_at")  # columns that two runs of the same questions differ in

Row = dict[str, str]


class Service:
    """What the sandbox says of itself, behind the back of its faults."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.environ = {"PARALLEL_BASE_URL": base_url, "PARALLEL_API_KEY": KEY}

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.base_url + path, headers={"x-api-key": KEY})
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def bill(self) -> dict[str, Any]:
        """What it charges."""
        return self.get("/sandbox/bill")

    def runs(self) -> list[dict[str, Any]]:
        """Every run that it has."""
        return self.get("/sandbox/runs")

    def posts(self) -> int:
        """How many requests came that create runs."""
        return self.get("/sandbox/requests").get(POST, 0)

    def requests(self) -> int:
        """How many requests came in all."""
        return sum(self.get("/sandbox/requests").values())


@contextmanager
def serving(*faults: str, port: int = 0, **settings: Any) -> Iterator[Service]:
    """A quick sandbox with faults."""
    options = {"latency_s": (0.0, 0.05), "group_grace_s": 0.01, "faults": faults, **settings}
    with running(SandboxSettings(**options), port=port) as base_url:
        yield Service(base_url)


@dataclass
class Scene:
    """A folder with a config and a table of `rows` companies, and the service that is asked about them."""

    folder: Path
    service: Service
    rows: int = 40
    processor: str = "ultra"
    settle_s: float = 0.6
    speed: float = 10.0
    reports: list[enrich.Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config.write_text(CONFIG.replace("PROCESSOR", self.processor))
        write_table(self.table, self.rows)

    @property
    def config(self) -> Path:
        return self.folder / "faults.yaml"

    @property
    def table(self) -> Path:
        return self.folder / "table.csv"

    @property
    def is_ladder(self) -> bool:
        return self.processor.startswith("[")

    @property
    def ledger(self) -> Path:
        return self.folder / ".enrich" / "ledger.db"

    @property
    def output(self) -> Path:
        return self.folder / "table.enriched.csv"

    def run(self, **options: Any) -> enrich.Report:
        """The command, once."""
        given = {"environ": self.service.environ, "settle_s": self.settle_s, **options}
        report = run_fast(partial(enrich.run_async, self.config, self.table, **given), self.speed)
        self.reports.append(report)
        return report

    def finish(self, *, most: int = 6, **options: Any) -> enrich.Report:
        """The command again and again, until nothing is pending."""
        for _ in range(most):
            report = self.run(**options)
            if not report.stopped and not report.receipt.rows["pending"]:
                return report
        raise AssertionError(f"not done after {most} commands: {report.stopped}, {dict(report.receipt.rows)}")


def write_table(path: Path, rows: int) -> None:
    """Companies 0 to `rows`, with cells that a careless reader or writer would change."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "name", "domain", "note"])
        for i in range(rows):
            writer.writerow([f"{i:05}", f"Company {i}", f"company-{i}.example", f'a "note", {i}\nin two lines'])


def read_table(path: Path) -> list[Row]:
    """The rows of a CSV."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def lasting(row: Row) -> Row:
    """A row without what differs between two runs of the same question."""
    return {name: cell for name, cell in row.items() if name not in PASSING}


@cache
def fault_free(rows: int, processor: str = "ultra") -> list[Row]:
    """The output of a run in which nothing goes wrong."""
    with TemporaryDirectory() as folder, serving() as service:
        scene = Scene(Path(folder), service, rows=rows, processor=processor)
        scene.finish()
        return read_table(scene.output)


def check(scene: Scene, *, doubles: int = 0, same_content: bool = True, receipts: bool = True) -> list[Row]:
    """Hold a scene that is done against all that is promised; gives the rows of its output.

    A command that was killed has no receipt, so there they do not add up (`receipts` False).
    """
    posts = scene.service.posts()
    again = scene.run()
    assert scene.service.posts() == posts, "I6: the next command sent a POST"
    assert again.receipt.runs_paid == 0
    rows = read_table(scene.output)
    bill = scene.service.bill()
    with closing(Ledger.reader(scene.ledger)) as ledger:
        kept = {extra.run_id for extra in ledger.extra_runs()}
        if scene.is_ladder:  # what a stronger answer outranks stays in the ledger
            found = ledger.connection.execute("SELECT run_id FROM run WHERE state = ?", (RunState.COMPLETED,))
            kept |= {row[0] for row in found}
    check_paid_once(bill, doubles=doubles)
    check_nothing_lost(scene.service.runs(), rows, kept)
    check_columns(rows, scene.table)
    if same_content:
        expected = [lasting(row) for row in fault_free(scene.rows, scene.processor)]
        assert [lasting(row) for row in rows] == expected, "I3: not what a run without faults gives"
    check_cost(again.ledger, bill)
    reported = sum((one.receipt.usd for one in scene.reports), start=Decimal(0))
    assert reported == Decimal(bill["usd"]) or not receipts, "I4: the receipts do not add up to the bill"
    check_no_secret(scene.folder)
    return rows


def check_paid_once(bill: Mapping[str, Any], *, doubles: int = 0) -> None:
    """I1: one run a task, but for so many doubles."""
    assert len(bill["doubles"]) == doubles, f"I1: paid twice, {bill['runs']} runs for {bill['tasks']} questions"
    often = [task for task, count in bill["runs_by_task"].items() if count > 1]
    assert len(often) == doubles, f"I1: {len(often)} questions asked twice"
    assert Decimal(bill["usd_reserved"]) == 0, "runs are under way still"


def check_nothing_lost(runs: list[dict[str, Any]], rows: list[Row], kept: set[str]) -> None:
    """I2: each completed run stands beside the row that it answers, or is kept: outranked, or a double charge."""
    asked = {run["run_id"]: run["input"]["company"] for run in runs}
    shown = {run_id: row["name"] for row in rows for run_id in row["enrich_run_id"].split(", ") if run_id}
    assert shown.items() <= asked.items(), "I3: a row has the answer of another"
    completed = {run["run_id"] for run in runs if run["status"] == "completed"}
    assert completed <= shown.keys() | kept, f"I2: lost: {completed - shown.keys() - kept}"


def check_columns(rows: list[Row], table: Path) -> None:
    """I3: every row and column of the table, in order and unchanged."""
    before = read_table(table)
    assert [{name: row[name] for name in before[0]} for row in rows] == before


def check_cost(totals: LedgerTotals, bill: Mapping[str, Any]) -> None:
    """I4: what the ledger says was paid is what the service charges."""
    assert Decimal(totals.usd_micro_paid) / 1_000_000 == Decimal(bill["usd"]), "I4: the ledger is not the bill"
    assert totals.runs_completed == bill["runs_charged"]
    assert (totals.runs_in_flight, totals.runs_unresolved) == (0, 0)


def check_no_secret(folder: Path) -> None:
    """I5: the key is in none of the files, nor in any result that is kept compressed in one."""
    for path in folder.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), f"I5: the key is in {path.name}"
            if path.name == "ledger.db":
                with closing(Ledger.reader(path)) as ledger:
                    blocks = [row[0] for row in ledger.connection.execute("SELECT block_id FROM block")]
                    assert not any(KEY.encode() in result for _, block in ledger.results(blocks) for result in block)
