"""Which tests come first for a mutant: those that enter its function, and of these the ones that enter few others.

It is known from a run of the quick tests (recorded in `.mutants/tests.json`, git does not see it); of those in files
that changed since, from another run. It only decides what runs first: a mutant that survives has met all quick tests.
"""

import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .sites import Mutant
from .tree import NO_TESTS, Tree

# They read the source or the documents, pack it all up, or test this: what they notice is no behaviour.
NOT_ASKED = (
    "test_architecture.py",
    "test_docs.py",
    "test_docs_python.py",
    "test_packaging.py",
    "test_reliability.py",
    "mutants/",
)

RECORDING_TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True)
class Known:
    """A test: how long it takes, and the functions that it enters as `file:name`."""

    name: str
    seconds: float
    functions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Suite:
    """All quick tests that pass without a mutant, those that enter the fewest functions first."""

    tests: tuple[Known, ...]
    broken: tuple[str, ...]  # fail without any mutant: they prove nothing

    def of(self, mutant: Mutant) -> list[Known]:
        """The tests that enter its function, or its file if that is in none or not known yet, nearest first."""
        wanted = f"{mutant.file}:{mutant.function}"
        if found := [test for test in self.tests if wanted in test.functions]:
            return found
        return [test for test in self.tests if any(name.startswith(f"{mutant.file}:") for name in test.functions)]


def within(tests: Sequence[Known], seconds: float) -> list[Known]:
    """As many of the first tests as take this long together."""
    chosen = []
    for test in tests:
        seconds -= test.seconds
        if seconds < 0:
            break
        chosen.append(test)
    return chosen


def recorded(file: Path) -> Suite:
    """What was recorded in a file."""
    notes = _notes(file)["tests"]
    tests = [Known(name, note["seconds"], frozenset(note["functions"])) for name, note in notes.items()]
    broken = [name for name, note in notes.items() if note.get("failed")]
    chosen = [test for test in tests if test.name not in broken]
    chosen.sort(key=lambda test: (len(test.functions), test.seconds, test.name))
    return Suite(tuple(chosen), tuple(sorted(broken)))


def record(tree: Tree, file: Path, *, jobs: int, say: Callable[[str], None]) -> None:
    """Run the quick tests of all files that are not recorded as they are now, and note what they enter."""
    notes = _notes(file)
    digests = {name: hashlib.sha256((tree.root / name).read_bytes()).hexdigest() for name in _test_files(tree.root)}
    new = [name for name, digest in digests.items() if notes["files"].get(name) != digest]
    tests = {name: note for name, note in notes["tests"].items() if name.partition("::")[0] in {*digests} - {*new}}
    if new:
        say(f"first the tests of {len(new)} files once, to see what they enter")
        with tempfile.TemporaryDirectory() as folder:
            ended = tree.run([*new, f"-n{jobs}"], timeout_s=RECORDING_TIMEOUT_S, watch=Path(folder))
            found: dict[str, dict[str, Any]] = defaultdict(dict)
            for part in sorted(Path(folder).iterdir()):
                for name, note in json.loads(part.read_text()).items():
                    found[name].update(note)
        if not found and ended.code != NO_TESTS:
            raise SystemExit(f"the tests do not run: {ended.output[-2000:]}")
        say(ended.output.strip().splitlines()[-1])
        tests |= {name: note for name, note in found.items() if "seconds" in note}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"files": digests, "tests": tests}))


def _notes(file: Path) -> dict[str, dict[str, Any]]:
    notes: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {"files": {}, "tests": {}}
    return notes


def _test_files(root: Path) -> list[str]:
    """All files of tests that are asked."""
    names = (str(file.relative_to(root)) for file in sorted((root / "tests").rglob("test_*.py")))
    return [name for name in names if not name.removeprefix("tests/").startswith(NOT_ASKED)]


def all_tests(known: Suite | None = None) -> list[str]:
    """pytest's arguments for all quick tests that are asked, but for those known to be broken."""
    broken = known.broken if known else ()
    ignored = (f"--ignore=tests/{name}" for name in NOT_ASKED)
    return ["tests", *ignored, *(f"--deselect={name}" for name in broken)]
