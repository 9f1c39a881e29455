"""A sandbox on a port of its own, its bill, and tables made for a test."""

import csv
import json
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import enrich
from enrich.sandbox import SandboxSettings, running

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


class Service:
    """A sandbox that is running, and what it says of what was asked."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.environ = {"PARALLEL_BASE_URL": base_url, "PARALLEL_API_KEY": "test-key-0123456789"}

    def read(self, path: str) -> bytes:
        request = urllib.request.Request(self.base_url + path, headers={"x-api-key": "the test's own look"})
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def get(self, path: str) -> Any:
        return json.loads(self.read(path))

    def bill(self) -> dict[str, Any]:
        return self.get("/sandbox/bill")

    def posts(self) -> int:
        """Requests that create runs."""
        counts = self.get("/sandbox/requests")
        return sum(count for route, count in _flat(counts) if "POST" in route and "runs" in route)


def _flat(counts: Any, prefix: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(counts, int):
        yield prefix, counts
    elif isinstance(counts, dict):
        for key, value in counts.items():
            yield from _flat(value, f"{prefix} {key}")


@pytest.fixture
def make_service() -> Iterator[Callable[..., Service]]:
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(**settings: Any) -> Service:
            options = {"latency_s": (0.0, 0.05), "group_grace_s": 0.01, **settings}
            return Service(stack.enter_context(running(SandboxSettings(**options))))

        yield start


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service()


class Desk:
    """A folder with a config and a table, where commands are run."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.folder = folder
        self.service = service
        self.config = folder / "test.yaml"
        self.table = folder / "table.csv"
        self.config.write_text(CONFIG)

    def rows(self, count: int, *, start: int = 0) -> None:
        with self.table.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "name", "domain", "note"])
            for i in range(start, start + count):
                writer.writerow([f"{i:05}", f"Company {i}", f"company-{i}.example", f'a "note", {i}'])

    def run(self, table: Path | None = None, **options: Any) -> enrich.Report:
        given = {"environ": self.service.environ, "settle_s": 0.5, **options}
        return enrich.run(self.config, table or self.table, **given)

    def plan(self, **options: Any) -> enrich.Plan:
        return enrich.plan(self.config, self.table, environ=self.service.environ, **options)

    def result(self, report: enrich.Report) -> list[dict[str, str]]:
        with report.output.open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def desk(tmp_path: Path, service: Service) -> Desk:
    return Desk(tmp_path, service)


def usd(bill: dict[str, Any]) -> Decimal:
    return Decimal(str(bill["usd"]))
