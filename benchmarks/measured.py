"""Runs a command and measures it from outside: wall, CPU, peak memory, bytes to disk, fsyncs."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measured:
    """One process from start to end. `fsyncs` is None where they could not be counted."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    written_mb: float
    fsyncs: int | None
    out: str


class FailedError(Exception):
    """A measured command that did not end well."""


def measure(command: Sequence[str | Path], folder: Path, environ: Mapping[str, str]) -> Measured:
    """Run a command in `folder` and measure it. Raises FailedError with the end of what it said."""
    counted = folder / "fsyncs.txt"
    counted.unlink(missing_ok=True)
    counter = _fsync_counter()
    preload = {} if counter is None else {"LD_PRELOAD": str(counter), "BENCH_FSYNCS": str(counted)}
    with (folder / "out.txt").open("w+") as out, (folder / "err.txt").open("w+") as err:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], cwd=folder, env={**environ, **preload}, stdout=out, stderr=err
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said, complained = out.read(), err.read()
    if process.returncode != 0:
        raise FailedError(f"{command[0]} ended with {process.returncode}:\n{said[-2000:]}\n{complained[-4000:]}")
    return Measured(
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / 1024,
        written_mb=usage.ru_oublock * 512 / 1e6,
        fsyncs=int(counted.read_text()) if counted.exists() else None,
        out=said,
    )


@cache
def _fsync_counter() -> Path | None:
    """A library that counts fsyncs when it is loaded before the others; None without a C compiler on Linux."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    cache_folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "enrich-benchmarks"
    cache_folder.mkdir(parents=True, exist_ok=True)
    library = cache_folder / "fsyncs.so"
    source = Path(__file__).with_name("fsyncs.c")
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library
