"""The cases: what is run, and the figures that come of it. Every first run's output is checked."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import official
from benchmarks.config import write_config
from benchmarks.measured import Measured, measure

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured line: what, by which program, on what, and its numbers."""

    case: str
    program: str
    table: str
    rows: int
    duplicates: float
    values: dict[str, float | None] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str, int, float]:
        """What makes two figures repetitions of the same measurement."""
        return (self.case, self.program, self.table, self.rows, self.duplicates)


@dataclass(slots=True)
class Stub:
    """A running stub."""

    url: str
    process: "subprocess.Popen[str]"

    def counts(self) -> dict[str, int]:
        """What it was asked for, and what it sent, since it began."""
        with urllib.request.urlopen(self.url + "/stub/counts") as answer:
            return dict(json.load(answer))


@contextmanager
def running_stub() -> Iterator[Stub]:
    """A stub in a process of its own, fresh, ready to serve."""
    command = [sys.executable, "-m", "benchmarks.stub"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": _ROOT})
    try:
        assert process.stdout is not None
        yield Stub(process.stdout.readline().strip(), process)
    finally:
        process.terminate()
        process.wait()


_ROOT = str(Path(__file__).resolve().parent.parent)


def ceiling(folder: Path, rows: int) -> Iterator[Figure]:
    """What the stub can serve, to a client that does nothing with it."""
    with running_stub() as stub:
        done = _child(folder, "benchmarks.ceiling", stub.url, str(rows))
        told = json.loads(done.out)
    yield Figure(
        "stub's ceiling", "sockets", "", rows, 0.0, {"rows_s": told["rows_s"], "cpu_us_row": done.cpu_s / rows * 1e6}
    )


def road(folder: Path, suffix: str, rows: int, duplicates: float, cli: Path | None) -> Iterator[Figure]:
    """The whole road on one table: first run, nothing due, all written anew, all in doubt; the official CLI on it."""
    table = _table(folder, suffix, rows, duplicates)
    config = write_config(folder / "bench.yaml")
    doubting = write_config(folder / "doubting.yaml", accept="0.95")
    ledger = folder / "ledger.db"
    for old in folder.glob("ledger.db*"):
        old.unlink()
    of = (suffix.removeprefix("."), rows, duplicates)
    output = folder / f"out{suffix}"
    with running_stub() as stub:
        done, told = _enrich(folder, stub, config, table, output, ledger)
        counts = stub.counts()
        _child(folder, "benchmarks.check", str(table), str(output))
        yield Figure("end to end", "enrich", *of, _first_run(done, told, counts, rows, ledger))
        yield from _phases(told, of, rows, ("plan", "ask", "write"))
        yield Figure("look-up", "enrich", *of, json.loads(_child(folder, "benchmarks.lookup", str(ledger)).out))
        again, told = _enrich(folder, stub, config, table, output, ledger)
        assert stub.counts() == counts, "nothing was due, and yet it asked"
        assert not told["outputs_written"], "nothing had changed, and yet it wrote"
        yield Figure("rerun, nothing due", "enrich", *of, _basic(again, rows))
        yield from _phases(told, of, rows, ("plan",), " (rerun)")
        anew, told = _enrich(folder, stub, config, table, output, ledger, "--rewrite")
        assert told["outputs_written"], told
        yield Figure("rerun, outputs written anew", "enrich", *of, _basic(anew, rows))
        yield from _phases(told, of, rows, ("write",), " (rerun)")
        doubted, told = _enrich(folder, stub, doubting, table, output, ledger)
        assert told["doubtful"] > rows * (1 - duplicates), told
        assert told["runs_paid"] == 0, told
        yield Figure("rerun, all to review", "enrich", *of, _basic(doubted, rows))
    if cli is not None and suffix == ".csv":
        with running_stub() as stub:
            yield Figure("end to end", "official", *of, _basic(official.run(cli, table, folder, stub.url), rows))


def planning(folder: Path, suffix: str, rows: int) -> Iterator[Figure]:
    """A plan alone, with an empty ledger: everything is due."""
    table = _table(folder, suffix, rows, 0.0)
    config = write_config(folder / "bench.yaml")
    done = _child(folder, "benchmarks.child", "plan", str(config), str(table), str(folder / "nothing" / "ledger.db"))
    assert _told(done)["distinct"] == rows
    yield Figure("plan alone", "enrich", suffix.removeprefix("."), rows, 0.0, _basic(done, rows))


def _table(folder: Path, suffix: str, rows: int, duplicates: float) -> Path:
    path = folder / f"{rows}-{round(duplicates * 100)}{suffix}"
    _child(folder, "benchmarks.tables", str(path), str(rows), str(duplicates))
    return path


def _enrich(
    folder: Path, stub: Stub, config: Path, table: Path, output: Path, ledger: Path, *options: str
) -> tuple[Measured, dict[str, Any]]:
    environ = {
        "PARALLEL_API_KEY": "sk-bench-4fQz7WkX2mV9tJ0cYbRrD8uHnE3sLpGa",
        "PARALLEL_BASE_URL": stub.url,
        "ENRICH_RUNS_PER_MINUTE": "100000000",
    }
    paths = map(str, (config, table, output, ledger))
    done = _child(folder, "benchmarks.child", "run", *paths, *options, environ=environ)
    told = _told(done)
    assert told["exit_code"] == 0, told
    return done, told


def _told(done: Measured) -> dict[str, Any]:
    """What a child says of itself, in its last line."""
    return dict(json.loads(done.out.splitlines()[-1]))


def _child(folder: Path, module: str, *arguments: str, environ: Mapping[str, str] | None = None) -> Measured:
    """All that needs memory happens in children: the kernel counts their parent's as theirs."""
    command = [sys.executable, "-m", module, *arguments]
    return measure(command, folder, {**os.environ, "PYTHONPATH": _ROOT, **(environ or {})})


def _basic(done: Measured, rows: int) -> dict[str, float | None]:
    return {
        "wall_s": done.wall_s,
        "rows_s": rows / done.wall_s,
        "cpu_us_row": done.cpu_s / rows * 1e6,
        "peak_mb": done.peak_mb,
        "written_mb": done.written_mb,
        "fsyncs": done.fsyncs,
    }


def _first_run(
    done: Measured, told: Mapping[str, Any], counts: Mapping[str, int], rows: int, ledger: Path
) -> dict[str, float | None]:
    sent = sum(size for kind, size in counts.items() if kind.startswith("bytes "))
    at_rest = sum(path.stat().st_size for path in ledger.parent.glob(ledger.name + "*"))
    assert counts["runs"] == told["runs_paid"], (counts, told)
    return {
        **_basic(done, rows),
        "runs": told["runs_paid"],
        "fsyncs_batch": None if done.fsyncs is None else done.fsyncs / counts["posts"],
        "read_over_results": sent / told["result_bytes"],
        "ledger_mb": at_rest / 1e6,
        "ledger_over_results": at_rest / told["result_bytes"],
        "output_mb": told["output_bytes"] / 1e6,
    }


def _phases(
    told: Mapping[str, Any], of: tuple[str, int, float], rows: int, names: tuple[str, ...], note: str = ""
) -> Iterator[Figure]:
    """The steps of one run, told by itself: its plan, its asking and collecting, its join and outputs."""
    words = {"plan": "of it: plan", "ask": "of it: ask, collect", "write": "of it: join, write"}
    for name in names:
        if (spent := told["phases"].get(name)) is not None:
            wall_s, cpu_s = spent["wall_s"], spent["cpu_s"]
            values = {
                "wall_s": wall_s,
                "rows_s": rows / wall_s,
                "cpu_us_row": cpu_s / rows * 1e6,
                "peak_mb": spent["peak_mb"],
            }
            yield Figure(words[name] + note, "enrich", *of, dict(values))
