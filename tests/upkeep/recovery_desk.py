"""A desk: a folder with a config, a table and a ledger, beside a sandbox that keeps its bill."""

import csv
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import enrich

CONFIG = """\
name: test
inputs:
  company: name
  website: domain
require: [company]
outputs:
  city: {type: string, description: City of the head office.}
  year: {type: [integer, "null"], description: Year of foundation.}
processor: lite
"""
KEY = "test-key-0123456789"


class Service:
    """A sandbox that is running, asked directly."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.environ = {"PARALLEL_BASE_URL": base_url, "PARALLEL_API_KEY": KEY}

    def get(self, path: str) -> Any:
        return json.loads(self._send(path, None))

    def post(self, path: str, body: Any) -> Any:
        return json.loads(self._send(path, json.dumps(body).encode()))

    def _send(self, path: str, body: bytes | None) -> bytes:
        headers = {"x-api-key": KEY, "content-type": "application/json"}
        request = urllib.request.Request(self.base_url + path, data=body, headers=headers)
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def bill(self) -> Any:
        return self.get("/sandbox/bill")

    def runs(self, group: str) -> list[Any]:
        """A group's runs as its listing shows them."""
        lines = self._send(f"/v1/tasks/groups/{group}/runs", None).decode().split("\n")
        return [json.loads(line.removeprefix("data: "))["run"] for line in lines if line.startswith("data: ")]

    def posts(self) -> int:
        """Requests that created runs, or tried to."""
        return sum(count for call, count in _flat(self.get("/sandbox/requests")) if "POST" in call and "runs" in call)


def _flat(counts: Any, prefix: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(counts, int):
        yield prefix, counts
    elif isinstance(counts, dict):
        for key, value in counts.items():
            yield from _flat(value, f"{prefix} {key}")


class Desk:
    """Where commands are run."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.folder = folder
        self.service = service
        self.config = folder / "test.yaml"
        self.table = folder / "table.csv"
        self.ledger = folder / ".enrich" / "ledger.db"
        self.config.write_text(CONFIG)
        self.rows(12)

    def rows(self, count: int) -> None:
        with self.table.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "name", "domain", "note"])
            for i in range(count):
                writer.writerow([f"{i:05}", f"Company {i}", f"company-{i}.example", f'a "note", {i}'])

    def run(self, **options: Any) -> enrich.Report:
        return enrich.run(self.config, self.table, environ=self.service.environ, settle_s=0.5, **options)

    def result(self, report: enrich.Report) -> list[dict[str, str]]:
        """The rows that came out, without the moments at which their answers arrived."""
        with report.output.open(newline="") as file:
            return [{name: cell for name, cell in row.items() if name != "enrich_at"} for row in csv.DictReader(file)]
