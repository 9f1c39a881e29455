"""The tool that doubts the tests, on sources of a few lines."""

import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from .__main__ import DEFAULT, ROOT, draw, files, main
from .choice import Known, Suite, record, recorded, within
from .judged import README, Judged, judged, row
from .sites import Mutant, mutants_in
from .tree import Tree
from .trying import apart

HERE = Path(__file__).parent


def after(source: str) -> set[tuple[str, str]]:
    """All mutants of a source, as operator and changed lines."""
    code = source.encode()
    return {(mutant.operator, mutant.after) for mutant in mutants_in(code, "enrich/a.py") if mutant.is_valid(code)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("a < b", {("comparison", "a <= b")}, id="boundary"),
        pytest.param("(a) not  in (b)", {("comparison", "(a) in (b)")}, id="parentheses"),
        pytest.param("a - b", {("arithmetic", "a + b")}, id="arithmetic"),
        pytest.param(
            "x = a and b",
            {("and/or", "x = a or b"), ("operand", "x = True and b"), ("operand", "x = a and True")},
            id="and",
        ),
        pytest.param("x = not a", {("not", "x = a")}, id="not"),
        pytest.param(
            "x = 1 if a else 2",
            {("condition", f"x = 1 if {test} else 2") for test in ("not (a)", "True", "False")}
            | {("constant", f"x = {one} if a else {two}") for one, two in ((0, 2), (2, 2), (1, 1), (1, 3))},
            id="condition",
        ),
        pytest.param("x = True", {("constant", "x = False")}, id="bool"),
        pytest.param("x = 2.5", {("constant", "x = 5.0")}, id="float"),
        pytest.param("x = a[:n]", {("slice", "x = a[:(n) + 1]")}, id="slice"),
        pytest.param("x = f(a=b, c=d)", {("keyword", "x = f( c=d)"), ("keyword", "x = f(a=b)")}, id="keyword"),
        pytest.param("x = f(a, b.c)", {("arguments", "x = f(b.c, a)")}, id="arguments"),
        pytest.param("x = min(a, b)", {("min/max", "x = max(a, b)")}, id="min"),
        pytest.param("self.x = a", {("statement", "pass")}, id="attribute"),
        pytest.param("x += a", {("statement", "pass"), ("arithmetic", "x -= a")}, id="augmented"),
        pytest.param(
            "async def f():\n    await g()\n    yield a",
            {("statement", "pass")},
            id="await-and-yield",
        ),
        pytest.param("def f():\n    return a", {("return", "return None")}, id="return"),
        pytest.param("raise Wrong from None", {("raise", "pass")}, id="raise"),
        pytest.param("while a: break", {("loop", "while a: continue"), *(
            ("condition", f"while {test}: break") for test in ("not (a)", "True", "False")
        )}, id="loop"),
        pytest.param(
            "try: import a\nexcept Wrong: import b",
            {("except", "except (): import b")},
            id="except",
        ),
        pytest.param(
            "try: import a\nexcept (A, B): import b",
            {("except", "except (A, A): import b"), ("except", "except (B, B): import b")},
            id="except-two",
        ),
        pytest.param("match a:\n    case B(): import b", {("case", "case B() if False: import b")}, id="case"),
        pytest.param(
            'x = "SELECT a FROM t WHERE b < ? AND c = d"',
            {
                ("SQL", 'x = "SELECT a FROM t WHERE b <= ? AND c = d"'),
                ("SQL", 'x = "SELECT a FROM t WHERE b < ? OR c = d"'),
                ("SQL", 'x = "SELECT a FROM t WHERE b < ? AND c <> d"'),
                ("SQL", 'x = "SELECT a FROM t WHERE b < ?"'),
            },
            id="sql",
        ),
        pytest.param('x = "UPDATE t SET a = ?"', set(), id="sql-sets"),
    ],
)  # fmt: skip
def test_what_is_changed(source: str, expected: set[tuple[str, str]]) -> None:
    assert after(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        pytest.param('def f():\n    """Gives 1 < 2."""', id="docstring"),
        pytest.param("x: Annotated[int, 3]", id="annotation"),
        pytest.param("def f(a: Literal[1]) -> Literal[2]: ...", id="annotations-of-a-function"),
        pytest.param("if TYPE_CHECKING:\n    x = 1", id="type-checking"),
        pytest.param('x = f"{a + 1} rows"', id="text"),
        pytest.param("assert a > 1", id="assert"),
        pytest.param("@dataclass(frozen=True)\nclass A(Base, tag=1): ...", id="decorator"),
        pytest.param("match a:\n    case _: assert_never(a)", id="never"),
    ],
)
def test_what_is_left_alone(source: str) -> None:
    assert after(source) == set()


def test_a_mutant_says_where_it_is() -> None:
    source = (
        b"class A:\n    def b(self):\n        def c():\n            return (\n                1 +  x\n            )\n"
    )
    [mutant] = (mutant for mutant in mutants_in(source, "enrich/a.py") if mutant.operator == "arithmetic")
    assert (mutant.function, mutant.line, mutant.before, mutant.after) == ("A.b", 5, "1 + x", "1 - x")
    assert mutant.applied(source) == source.replace(b"+", b"-")


def test_a_judged_mutant_is_known_wherever_it_moves() -> None:
    source = b'def f(a):\n    return a < 1 or "`|"\n'
    mutant = next(mutant for mutant in mutants_in(source, "enrich/a.py") if mutant.operator == "comparison")
    [entry] = judged(f"| file | function | before | after | why |\n{row(mutant)}\n")
    assert entry == Judged("enrich/a.py", "f", 'return a < 1 or "`|"', 'return a <= 1 or "`|"', "why")
    moved = [mutant for mutant in mutants_in(b"import b\n\n" + source, "enrich/a.py") if entry.is_of(mutant)]
    assert [(mutant.operator, mutant.line) for mutant in moved] == [("comparison", 4)]
    assert not any(entry.is_of(mutant) for mutant in mutants_in(source.replace(b"f(", b"g("), "enrich/a.py"))


def test_every_judgement_can_be_read() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(judged(text)) == sum(line.startswith("| enrich/") for line in text.splitlines())


def test_a_judgement_without_a_reason_is_an_error() -> None:
    with pytest.raises(ValueError, match="5 cells"):
        judged("| enrich/a.py | f | `a` | `b` |  |")


def test_the_nearest_tests_come_first_and_fit_the_time() -> None:
    broad = Known("t.py::broad", 1.0, frozenset({"enrich/a.py:f", "enrich/b.py:g"}))
    near = Known("t.py::near", 3.0, frozenset({"enrich/a.py:f"}))
    other = Known("t.py::other", 1.0, frozenset({"enrich/b.py:g"}))
    tests = Suite((near, other, broad), ())
    mutant = Mutant("enrich/a.py", 0, 1, "", "not", 1, "f", "", "")
    assert tests.of(mutant) == [near, broad]
    assert within(tests.of(mutant), 3.5) == [near]


def test_mutants_that_overlap_are_tried_apart() -> None:
    one, inside, beside = mutants = [
        Mutant("enrich/a.py", start, end, "", "not", 1, "f", "", "") for start, end in ((0, 9), (3, 5), (20, 22))
    ]
    assert apart(mutants) == [[one, beside], [inside]]


CODE = "def negated(a):\n    return not a\n"
TESTS = "from enrich.logic import negated\ndef test_negated():\n    assert not negated(True)\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project of one file, and this tool in it."""
    root = tmp_path / "project"
    (root / "enrich").mkdir(parents=True)
    (root / "enrich" / "__init__.py").touch()
    (root / "enrich" / "logic.py").write_text(CODE)
    shutil.copytree(HERE, root / "tests" / "mutants", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tests" / "test_logic.py").write_text(TESTS)
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return root


def test_survivors_are_what_no_test_notices(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = checkout / "results.json"
    argv = ["--json", str(results), "--modules", "enrich.logic", "--jobs", "1"]
    assert main(argv, root=checkout) == 1
    found = {one["after"]: one["killed_by"] for one in json.loads(results.read_text())}
    assert found == {"return a": "tests/test_logic.py::test_negated", "return None": None}
    assert "| enrich/logic.py | 1 | 1 | 0 | 50% |" in capsys.readouterr().out
    assert (checkout / "enrich" / "logic.py").read_text() == CODE


def test_tests_are_recorded_again_when_they_change(checkout: Path, tmp_path: Path) -> None:
    tree, notes = Tree(checkout, tmp_path), tmp_path / "tests.json"
    said: list[str] = []

    def entered() -> dict[str, frozenset[str]]:
        record(tree, notes, jobs=0, say=said.append)
        return {test.name: test.functions for test in recorded(notes).tests}

    first = {"tests/test_logic.py::test_negated": frozenset({"enrich/logic.py:negated"})}
    assert entered() == first
    said.clear()
    assert entered() == first
    assert said == []
    (tree.root / "tests" / "test_logic.py").write_text(
        "def test_nothing():\n    pass\ndef test_no():\n    assert False\n"
    )
    assert entered() == {"tests/test_logic.py::test_nothing": frozenset()}
    assert recorded(notes).broken == ("tests/test_logic.py::test_no",)


def test_a_seed_draws_the_same_again(checkout: Path) -> None:
    drawn = [draw(checkout, ["enrich"], seed, 2) for seed in range(9)]
    assert drawn == [draw(checkout, ["enrich"], seed, 2) for seed in range(9)]
    assert {mutants[0].after for mutants in drawn} == {"return a", "return None"}


def test_modules_are_named_by_dots_or_by_path(checkout: Path) -> None:
    expected = [checkout / "enrich" / "logic.py"]
    assert files(checkout, "enrich.logic") == files(checkout, "enrich/logic.py") == expected
    assert files(checkout, "enrich") == [checkout / "enrich" / "__init__.py", *expected]
    with pytest.raises(SystemExit, match=r"enrich\.nothing: no such module"):
        files(checkout, "enrich.nothing")


HANGS = """\
import pathlib, subprocess, time
def test_it():
    pathlib.Path("pid").write_text(str(subprocess.Popen(["sleep", "60"]).pid))
    pathlib.Path("pid").rename("started")
    time.sleep(60)
"""


def test_what_is_drawn_from_is_there() -> None:
    assert all(files(ROOT, name) for name in DEFAULT)


def test_tests_that_take_too_long_are_ended(checkout: Path, tmp_path: Path) -> None:
    (checkout / "tests" / "test_logic.py").write_text(HANGS)
    ended = Tree(checkout, tmp_path).run(["tests"], timeout_s=1)
    assert (ended.code, ended.passed, ended.reason) == (None, False, "takes too long")


def test_an_interruption_ends_the_tests_and_all_they_started(checkout: Path, tmp_path: Path) -> None:
    (checkout / "tests" / "test_logic.py").write_text(HANGS)
    tree = Tree(checkout, tmp_path)
    started = tree.root / "started"

    def stop() -> None:
        while not started.exists():
            time.sleep(0.05)
        tree.stop()

    interruption = threading.Thread(target=stop)
    interruption.start()
    with pytest.raises(KeyboardInterrupt):
        tree.run(["tests/test_logic.py"], timeout_s=60)
    interruption.join()
    process = Path("/proc") / started.read_text() / "cmdline"
    while process.exists() and process.read_bytes():  # until the system has cleared it away
        time.sleep(0.05)
    with pytest.raises(KeyboardInterrupt):
        tree.run(["tests/test_logic.py"], timeout_s=60)
