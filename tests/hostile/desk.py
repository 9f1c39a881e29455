"""A folder with a config and a table, where commands are run against a service."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import enrich
from enrich.sandbox import SandboxSettings, running
from tests.faults.fast_loop import run_fast

KEY = "a-key-for-a-test"


@contextmanager
def serving(*faults: str, **settings: Any) -> Iterator[str]:
    """The address of a sandbox whose runs take no time."""
    options = {"latency_s": (0.0, 0.0), "group_grace_s": 0.01, "faults": faults, **settings}
    with running(SandboxSettings(**options)) as base_url:
        yield base_url


@dataclass
class Desk:
    """`hostile.yaml` and `table.csv` in a folder."""

    folder: Path
    base_url: str
    key: str = KEY

    @property
    def config(self) -> Path:
        return self.folder / "hostile.yaml"

    @property
    def table(self) -> Path:
        return self.folder / "table.csv"

    def lay(self, config: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write config and table."""
        self.config.write_text(config)
        with self.table.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([header, *rows])

    def run(self, output: str = "", *, table: Path | None = None, speed: float = 1.0, **options: Any) -> enrich.Report:
        """The command, once; `speed` makes the client's waits shorter."""
        environ = {"PARALLEL_BASE_URL": self.base_url, "PARALLEL_API_KEY": self.key}
        given = {"environ": environ, "settle_s": 0.5, **options}
        if output:
            given["output"] = self.folder / output
        return run_fast(partial(enrich.run_async, self.config, table or self.table, **given), speed)


def read_csv(path: Path, **dialect: Any) -> list[dict[str, str]]:
    """The rows of a CSV as Python's csv module reads them."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file, strict=True, **dialect))


def write_facts(path: Path, facts: Mapping[str, Mapping[str, Any]], *, on: str = "company") -> Path:
    """A facts file of the sandbox: for each value of the input `on`, the answers by field."""
    lines = (json.dumps({"match": {on: value}, "answers": answers}) for value, answers in facts.items())
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
