"""Which tests come first for a mutant: those that enter its function, and of these the ones that enter few others.

It is known from one run of the quick tests (recorded in `.mutants/tests.json`, git does not see it). It only decides
what runs first: a mutant that survives has met all of the quick tests.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .sites import Mutant
from .tree import Tree

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
        """The tests that enter its function, or its file if it is in none, nearest first."""
        if mutant.function:
            wanted = f"{mutant.file}:{mutant.function}"
            return [test for test in self.tests if wanted in test.functions]
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
    notes = json.loads(file.read_text())
    tests = [Known(name, note["seconds"], frozenset(note["functions"])) for name, note in notes.items()]
    broken = [name for name, note in notes.items() if note.get("failed")]
    chosen = [test for test in tests if test.name not in broken]
    chosen.sort(key=lambda test: (len(test.functions), test.seconds, test.name))
    return Suite(tuple(chosen), tuple(sorted(broken)))


def record(tree: Tree, file: Path, *, jobs: int) -> str:
    """Run all quick tests once and note what they enter. Gives pytest's last line."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*all_tests(), f"-n{jobs}"]
        ended = tree.run(arguments, timeout_s=RECORDING_TIMEOUT_S, watch=Path(folder))
        notes: dict[str, dict[str, object]] = defaultdict(dict)
        for part in sorted(Path(folder).iterdir()):
            for name, note in json.loads(part.read_text()).items():
                notes[name].update(note)
    if not notes:
        raise SystemExit(f"the tests do not run: {ended.output[-2000:]}")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({name: note for name, note in notes.items() if "seconds" in note}))
    return ended.output.strip().splitlines()[-1]


def all_tests(known: Suite | None = None) -> list[str]:
    """pytest's arguments for all quick tests that are asked, but for those known to be broken."""
    broken = known.broken if known else ()
    ignored = (f"--ignore=tests/{name}" for name in NOT_ASKED)
    return ["tests", *ignored, *(f"--deselect={name}" for name in broken)]
