"""Who may import what. Each outside thing has one owner, and what decides does no I/O."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "enrich"

# The outside thing, and the only files or folders of `enrich` that may import it. The sandbox stands apart.
OWNERS = {
    "httpx": ("api", "backends"),
    "sqlite3": ("ledger",),
    "tqdm": ("progress.py",),
    "ruamel": ("config",),
    "pydantic": ("config",),
    "typer": ("cli",),
    "jsonschema_rs": ("spec/validator.py",),
    "fcntl": ("host", "ledger"),
    "polars": (
        *("dataset", "inputs/documents.py", "answers/join.py", "review", "spec/columns.py"),
        *("library/frames.py", "library/spooling.py", "library/given_back.py"),
    ),
    "starlette": (),
    "uvicorn": (),
    "requests": (),
    "unittest": (),
}

# What each file and folder of `enrich` may import of the others.
MAY_IMPORT = {
    "errors.py": "",
    "records.py": "",
    "host": "errors records",
    "sandbox": "",
    "text": "",
    "api": "errors text",
    "backends": "api errors protocol records sandbox spec text",
    "progress.py": "text",
    "report": "api errors host text",
    "spec": "errors text",
    "config": "api errors spec text",
    "answers": "config records spec text",
    "dataset": "errors host spec text",
    "inputs": "config dataset errors records spec text",
    "job.py": "api config dataset errors host inputs",
    "ledger": "errors host records spec",
    "protocol": "api records spec text",
    "planning": "answers config inputs ledger protocol records spec",
    "asking": "api backends host ledger planning progress protocol records spec text",
    "review": "answers config dataset errors host job ledger planning records spec text",
    "outputs": (
        "answers api asking config dataset errors host inputs job ledger planning records report review spec text"
    ),
    "preparing.py": "backends config dataset errors host inputs job ledger outputs spec text",
    "pipeline.py": (
        "answers asking backends config errors host inputs job ledger outputs planning preparing progress "
        "records report review spec text"
    ),
    "library": "api config dataset errors host job pipeline planning progress report text",
    "frames.py": "library",
    "__init__.py": "frames library pipeline",
    "upkeep": (
        "answers api asking backends dataset errors host job ledger outputs pipeline preparing progress "
        "protocol records report spec text"
    ),
    "cli": (
        "api backends config dataset errors host inputs job ledger library outputs pipeline planning "
        "preparing progress protocol report review sandbox spec text upkeep"
    ),
    "__main__.py": "cli",
}

# They decide: neither they nor anything that they import can reach a disk, a socket or a clock, and they open nothing.
PURE = (
    *("answers", "protocol", "records.py", "spec", "text"),
    *("backends/bodies.py", "backends/metadata.py", "planning/due.py", "planning/outlook.py"),
    *("config/starter.py", "config/subjects.py", "inputs/remarks.py", "api/sse.py", "api/retry.py"),
)
# Paths are names there: they are put together and compared, and none is looked at.
OF_THE_DISK = {
    *("absolute", "chmod", "cwd", "exists", "glob", "is_dir", "is_file", "is_symlink", "iterdir", "lstat", "mkdir"),
    *("open", "owner", "read_bytes", "read_text", "readlink", "rename", "resolve", "rglob", "rmdir", "samefile"),
    *("stat", "symlink_to", "touch", "unlink", "write_bytes", "write_text"),
}
REACHING_OUT = {
    *("anyio", "asyncio", "fcntl", "httpx", "io", "logging", "multiprocessing", "os", "pathlib", "shutil", "signal"),
    *("socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib"),
}


# Who may read this machine's clocks, beside the sandbox; everybody else is given the time, or a `Clock`.
CLOCKS = {
    "host/clock.py": "the owner",
    "progress.py": "how fast it goes, and when a line was written: for whoever looks on",
    "backends/streams.py": "how long a stream has been silent",
    "api/errors.py": "how long it is until the date of a Retry-After",
}
READING_A_CLOCK = {"time", "monotonic", "monotonic_ns", "time_ns", "perf_counter", "now", "utcnow", "today"}

# Who may write to a database, and to which: what the ledger holds is written by its transitions alone.
WRITERS = {
    "ledger/transitions.py": "the ledger's tables",
    "ledger/schema.py": "the ledger's tables, as they are made, and from one version to the next",
    "ledger/distinct.py": "a database of its own",
    "ledger/worklist.py": "a database of its own",
}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def files(*names: str) -> list[Path]:
    """The Python files of these files and folders of `enrich`; all of them without a name."""
    chosen = [PACKAGE / name for name in names] if names else [PACKAGE]
    return [file for path in chosen for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]


def running(node: ast.AST) -> Iterator[ast.AST]:
    """What is below a node, but for what stands there for the sake of types alone."""
    for inner in ast.iter_child_nodes(node):
        if not (isinstance(inner, ast.If) and is_name(inner.test, "TYPE_CHECKING")):
            yield inner
            yield from running(inner)


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, at its top or anywhere else."""
    for node in running(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or PACKAGE not in path.parents, f"{path}: imports are absolute"
            if node.module == "enrich":
                yield from (f"enrich.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def units(path: Path) -> set[str]:
    """The files and folders of `enrich` that a file imports from."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("enrich.")}


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("thing", OWNERS)
def test_each_outside_thing_has_its_owner(thing: str) -> None:
    owners = {file for name in OWNERS[thing] if (PACKAGE / name).exists() for file in files(name)}
    users = {file for file in files() if thing in tops(file)} - set(files("sandbox"))
    assert sorted(map(shown, users - owners)) == []


def test_every_part_has_a_rule() -> None:
    parts = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_each_part_imports_only_what_it_may(part: str) -> None:
    own = {part.removesuffix(".py"), "__version__"}
    allowed = {*MAY_IMPORT[part].split(), *own}
    wrong = {shown(file): units(file) - allowed for file in files(part)}
    assert {file: above for file, above in wrong.items() if above} == {}


def test_the_protocol_knows_of_the_service_only_what_a_failure_proves() -> None:
    known = {name for file in files("protocol") for name in imports(file) if name.startswith("enrich.api")}
    assert known == {"enrich.api.errors"}


def test_nobody_but_the_protocol_sends() -> None:
    """The request that costs is asked for in one place, and performed in one."""
    callers = {
        shown(file)
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call)
        and (is_name(node.func, "AddRuns") or (isinstance(node.func, ast.Attribute) and node.func.attr == "add_runs"))
    }
    assert callers - {shown(file) for file in files("sandbox")} == {
        "enrich/protocol/submit.py",
        "enrich/backends/groups.py",
    }


def test_only_the_command_and_the_service_know_the_sandbox() -> None:
    users = {shown(file) for file in files() if "sandbox" in units(file)}
    users -= {shown(file) for file in files("sandbox")}
    assert users <= {"enrich/cli/sandbox.py", "enrich/backends/opening.py"}


def module(name: str) -> Path | None:
    """The file of a module of ours; None for what is no module."""
    place = ROOT.joinpath(*name.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.exists()), None)


def closure(*names: str) -> dict[Path, Path | None]:
    """Every file of ours that importing these runs, and by which other one it comes in."""
    found: dict[Path, Path | None] = {}
    left: list[tuple[Path, Path | None]] = [(file, None) for file in files(*names)]
    while left:
        file, by = left.pop()
        if file in found:
            continue
        found[file] = by
        faces = [folder / "__init__.py" for folder in file.parents if PACKAGE in folder.parents]
        left += [(face, file) for face in faces]
        left += [(one, file) for name in imported(file) if (one := module(name)) is not None]
    return found


def imported(file: Path) -> Iterator[str]:
    """Every module of ours that a file imports, or names in one: `from enrich.spec import rules` has two."""
    for node in running(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("enrich."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "enrich":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            if node.module != "enrich":
                yield node.module or ""


@pytest.mark.parametrize("part", PURE)
def test_what_decides_reaches_nothing_outside_by_whatever_it_imports(part: str) -> None:
    for file, by in closure(part).items():
        said = f"{shown(file)}, imported by {shown(by or file)}"
        assert tops(file) & REACHING_OUT <= ({"pathlib"} if file in files("config") else set()), said
        calls = [node.func for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]
        assert not {"open", "print", "input"} & {call.id for call in calls if isinstance(call, ast.Name)}, said
        assert not OF_THE_DISK & {call.attr for call in calls if isinstance(call, ast.Attribute)}, said


def is_name(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and (not names or node.id in names)


def test_only_the_clock_reads_a_clock() -> None:
    """So a command can live at any time, and a test through fourteen nights."""
    readers = {
        file.relative_to(PACKAGE).as_posix()
        for file in set(files()) - set(files("sandbox"))
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and node.attr in READING_A_CLOCK
        if is_name(node.value, "time", "datetime", "date")
        or (isinstance(node.value, ast.Attribute) and node.value.attr in {"datetime", "date"})
    }
    readers |= {
        file.relative_to(PACKAGE).as_posix()
        for file in set(files()) - set(files("sandbox"))
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ImportFrom) and node.module == "time"
    }
    assert readers == CLOCKS.keys()


def test_what_the_ledger_holds_is_written_in_one_place() -> None:
    """A table of its own, which SQLite drops with the connection, anybody may have who asks."""
    what = r"(INSERT(\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM|DROP\s+TABLE|ALTER\s+TABLE)"
    writing = re.compile(rf"^\s*(WITH\b.*)?{what}\s+(?!temp\.)", re.DOTALL)
    writers = {
        file.relative_to(PACKAGE).as_posix()
        for file in set(files()) - set(files("sandbox"))
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and writing.search(node.value)
    }
    assert writers == WRITERS.keys()


def test_nobody_but_the_command_prints() -> None:
    printing = [
        shown(file)
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_every_exception_is_caught_once_and_in_the_outermost_frame() -> None:
    catching = [
        shown(file)
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or names(node.type) & {"Exception"})
    ]
    assert catching == ["enrich/cli/entry.py"]


def names(node: ast.expr) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def test_no_message_shows_the_number_of_an_error_of_the_disk() -> None:
    """`str` of an OSError begins with `[Errno 2]`, which says nothing to people: `strerror` is its text."""
    showing = [
        f"{shown(file)}:{part.lineno}"
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ExceptHandler) and node.type is not None and names(node.type) & DISK_ERRORS
        for part in ast.walk(node)
        if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) and part.value.id == node.name
    ]
    assert showing == []


DISK_ERRORS = {"OSError", "FileNotFoundError", "PermissionError", "IsADirectoryError", "FileExistsError"}


def test_whoever_catches_everything_passes_it_on() -> None:
    """`except BaseException` cleans up and raises again, or hands the error to whoever waits for it."""
    for file in files():
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ExceptHandler) and node.type is not None and "BaseException" in names(node.type):
                raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
                hands_on = node.name is not None and node.name in {
                    inner.id for part in node.body for inner in ast.walk(part) if isinstance(inner, ast.Name)
                }
                assert raises or hands_on, f"{shown(file)}:{node.lineno}"


def test_tests_use_no_mocks() -> None:
    for file in sorted((ROOT / "tests").rglob("*.py")):
        assert "unittest" not in tops(file), shown(file)
        assert "mock" not in tops(file), shown(file)


def test_modules_have_no_names_that_say_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "core", "base", "misc", "manager", "managers", "lib"}
    assert [shown(file) for file in files() if file.stem in vague] == []


def test_every_module_says_what_it_is() -> None:
    assert [shown(file) for file in files() if not ast.get_docstring(tree(file))] == []


MOST_LINES_OF_A_MODULE = 400
MOST_LINES_OF_A_FUNCTION = 50  # without its decorators and its docstring


def test_no_module_is_longer_than_can_be_read_in_one_go() -> None:
    long = {
        shown(file): lines for file in files() if (lines := len(file.read_text().splitlines())) > MOST_LINES_OF_A_MODULE
    }
    assert long == {}


def test_no_function_is_longer_than_a_page() -> None:
    long = {
        f"{shown(file)}:{node.name}": lines
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := lines_of(node)) > MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function from its `def` on, but for its docstring."""
    said = function.body[0] if ast.get_docstring(function) is not None else None
    docstring = 0 if said is None else (said.end_lineno or 0) - said.lineno + 1
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_nothing_is_left_to_do() -> None:
    marks = tuple(f"# {word}" for word in ("TODO", "FIXME", "XXX", "HACK"))
    assert [shown(file) for file in files() if any(mark in file.read_text() for mark in marks)] == []


def test_no_name_of_a_class_or_of_a_type_has_two_meanings() -> None:
    """The sandbox stands apart: its words are the service's."""
    places: dict[str, set[str]] = {}
    for file in set(files()) - set(files("sandbox")):
        for node in tree(file).body:
            match node:
                case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                    pass
                case ast.Assign(targets=[ast.Name(id=name)]):
                    pass
                case _:
                    continue
            if name[0].isupper() and any(letter.islower() for letter in name):
                places.setdefault(name, set()).add(shown(file))
    assert {name: sorted(found) for name, found in places.items() if len(found) > 1} == {}
