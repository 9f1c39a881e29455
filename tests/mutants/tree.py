"""A copy of the checkout, in which mutants are put and tests are run. The checkout itself is never written to."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .sites import Mutant

LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "results", "node_modules")
NO_TESTS = 5  # pytest's code where none was found
TEST_TIMEOUT_S = 60  # a test that takes longer fails


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of the tests ended: pytest's exit code, None if it was killed for taking too long."""

    code: int | None
    failed: tuple[str, ...]
    output: str

    @property
    def passed(self) -> bool:
        """Nothing was noticed. Tests that are there no more notice nothing either."""
        return self.code in (0, NO_TESTS)

    @property
    def reason(self) -> str:
        """What noticed the mutant, in short."""
        if self.code is None:
            return "takes too long"
        if self.failed:
            return self.failed[0]
        return f"pytest ends with {self.code}: {(self.output.strip().splitlines() or [''])[-1]}"


class Tree:
    """A copy of a checkout."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = folder / "checkout"
        self._folder = folder
        self._runs = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        shutil.copytree(root, self.root, ignore=LEFT_OUT, symlinks=True)

    @contextmanager
    def mutated(self, mutants: Sequence[Mutant]) -> Iterator[None]:
        """Put mutants that do not overlap into the copy, and take them out again."""
        before = {name: (self.root / name).read_bytes() for name in {mutant.file for mutant in mutants}}
        after = dict(before)
        for mutant in sorted(mutants, reverse=True):  # from the end, so that places stay what they are
            after[mutant.file] = mutant.applied(after[mutant.file])
        self._write(after)
        try:
            yield
        finally:
            self._write(before)

    def _write(self, sources: dict[str, bytes]) -> None:
        for name, source in sources.items():
            file = self.root / name
            file.write_bytes(source)
            # Python takes compiled code for up to date that has the same second and size.
            for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
                compiled.unlink()

    def run(
        self,
        arguments: Sequence[str],
        *,
        timeout_s: float,
        order: Sequence[str] | None = None,
        watch: Path | None = None,
    ) -> Ended:
        """Run pytest in the copy: of the tests, only those in `order`; told to `watch`, if given."""
        self._runs += 1
        notes = self._folder / f"run-{self._runs}"
        notes.mkdir()
        environ = {**os.environ, "PYTHONPATH": str(self.root), "MUTANTS_FAILED": str(notes)}
        if order is not None:
            file = notes / "order.json"
            file.write_text(json.dumps(order))
            environ["MUTANTS_ORDER"] = str(file)
        if watch is not None:
            environ["MUTANTS_WATCH"] = str(watch)
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=line", "-p", "tests.mutants.watching"]
        command += ["-p", "no:cacheprovider", f"--timeout={TEST_TIMEOUT_S}", "--hypothesis-seed=0", *arguments]
        with (notes / "output").open("w+") as output:
            code = self._in_a_session(command, environ, output.fileno(), timeout_s)
            output.seek(0)
            text = output.read()
        failed = sorted({line for file in notes.glob("*.txt") for line in file.read_text().splitlines()})
        shutil.rmtree(notes)
        return Ended(code, tuple(failed), text)

    def stop(self) -> None:
        """End the tests that run now, from another thread, and start none any more."""
        self._stopped = True
        if self._process is not None:
            _kill(self._process)

    def _in_a_session(self, command: list[str], environ: dict[str, str], output: int, timeout_s: float) -> int | None:
        """Run a command and end all that it started, also if this process is interrupted; None after `timeout_s`."""
        if self._stopped:
            raise KeyboardInterrupt
        self._process = process = subprocess.Popen(
            command,
            cwd=self.root,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _kill(process)
            process.wait()
            if self._stopped:
                raise KeyboardInterrupt


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def trees(root: Path, count: int) -> Iterator[list[Tree]]:
    """So many copies of a checkout, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        places = [Path(folder) / str(n) for n in range(count)]
        for place in places:
            place.mkdir()
        yield [Tree(root, place) for place in places]
