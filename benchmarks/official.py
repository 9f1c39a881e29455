"""The official CLI on the same table and stub: `parallel-cli enrich run`, unchanged, by its own options."""

import json
import os
import shutil
import sys
from pathlib import Path

from benchmarks.config import FIELDS
from benchmarks.measured import Measured, measure

_TYPES = {"string": "str", "integer": "int", "array": "list[str]"}


def find() -> Path | None:
    """The `parallel-cli` of $PARALLEL_CLI, beside this Python, or on the path."""
    beside = Path(sys.executable).with_name("parallel-cli")
    named = os.environ.get("PARALLEL_CLI") or (str(beside) if beside.exists() else shutil.which("parallel-cli"))
    return Path(named) if named else None


def run(cli: Path, table: Path, folder: Path, base_url: str) -> Measured:
    """Enrich a CSV with it."""
    target = folder / "official.csv"
    target.unlink(missing_ok=True)
    given = [{"name": name, "description": f"The {name}"} for name in ("name", "domain", "country")]
    asked = [
        {"name": name, "description": description, "type": _TYPES[kind]} for name, (kind, description) in FIELDS.items()
    ]
    command = [cli, "enrich", "run", "--source-type", "csv", "--source", table, "--target", target]
    command += ["--source-columns", json.dumps(given), "--enriched-columns", json.dumps(asked), "--processor", "lite"]
    environ = {
        **os.environ,
        "PARALLEL_API_KEY": "sk-bench-4fQz7WkX2mV9tJ0cYbRrD8uHnE3sLpGa",
        "PARALLEL_API_URL": base_url,
        "PARALLEL_BASE_URL": base_url,
        "HOME": str(folder),
    }
    done = measure(command, folder, environ)
    if not target.exists():
        raise RuntimeError(f"the official CLI wrote nothing: {done.out[-500:]}")
    return done
