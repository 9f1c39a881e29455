"""One tree of errors: whoever catches EnrichError catches all that a public call can raise, with its exit code."""

import ast
import importlib
import pkgutil
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import enrich
from enrich.errors import EnrichError, ExitCode, FaultsError, ReceiptError, SystemRefusedError
from enrich.frames import IncompleteWarning
from enrich.library.arguments import in_python

CONFIG = "name: t\ninputs: {place: name}\noutputs:\n  river: {type: string, description: Its river.}\nprocessor: core\n"

# They go from one function of ours to another, and are caught there; the sandbox's become UsageError when it is opened.
INSIDE = {
    *(
        "api.body.TooLargeBody",
        "api.body.UnreadableBody",
        "api.inflating.EncodingError",
        "api.sse.EventTooLargeError",
    ),
    *("api.reading.UnreadableError", "config.tree.UnreadableMappingError", "dataset.condition.nodes.ConditionError"),
    *("protocol.effects.SpendingStopped", "protocol.effects.StopRequested", "text.jsontext._NoNumberError"),
    *("ledger.asked.WrongLookupError", "ledger.blocks.CorruptBlockError", "text.templates.TemplateError"),
    *("sandbox.problems.ServiceError", "sandbox.problems.BadRequestError", "sandbox.settings.SandboxError"),
}
# The parent of each is a library's error, and is what is caught.
CAUGHT_AS = {
    "UnreadableBody": "FOREIGN_ERRORS",
    "TooLargeBody": "FOREIGN_ERRORS",
    "BadRequestError": "ServiceError",
    "EncodingError": "ValueError",
    "CorruptBlockError": "ValueError",
}


def exception_classes() -> Iterator[type[BaseException]]:
    """Every one that a module of the package defines."""
    for module in pkgutil.walk_packages(enrich.__path__, "enrich."):
        if module.name == "enrich.__main__":
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == module.name:
                yield value


def title(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("enrich.")


CLASSES = sorted(set(exception_classes()) - {IncompleteWarning}, key=title)
OF_PEOPLE = [kind for kind in CLASSES if title(kind) not in INSIDE]


@cache
def nodes() -> tuple[ast.AST, ...]:
    sources = (path.read_text(encoding="utf-8") for path in Path(enrich.__path__[0]).rglob("*.py"))
    return tuple(node for source in sources for node in ast.walk(ast.parse(source)))


def names(nodes: Iterable[ast.AST | None]) -> set[str]:
    """Names, and those of attributes, in these parts."""
    parts = [part for node in nodes if node is not None for part in ast.walk(node)]
    return {part.id for part in parts if isinstance(part, ast.Name)} | {
        part.attr for part in parts if isinstance(part, ast.Attribute)
    }


@pytest.mark.parametrize("kind", OF_PEOPLE, ids=title)
def test_what_a_call_can_raise_is_caught_as_one_kind_with_an_exit_code(kind: type[BaseException]) -> None:
    assert issubclass(kind, EnrichError)
    ours = kind in (EnrichError, ReceiptError)  # faults of ours alone end with a traceback
    assert (kind.exit_code is ExitCode.INTERNAL) is ours


def test_no_other_error_of_ours_can_leave_it() -> None:
    """Each that is no EnrichError is caught somewhere in the package."""
    caught = names(node.type for node in nodes() if isinstance(node, ast.ExceptHandler))
    inside = {kind.__name__ for kind in CLASSES if title(kind) in INSIDE}
    assert {title(kind) for kind in CLASSES} >= INSIDE
    assert {name for name in inside if CAUGHT_AS.get(name, name) not in caught} == set()


def test_no_error_is_kept_that_nothing_raises() -> None:
    calls = [node for node in nodes() if isinstance(node, ast.Call)]
    made = names(part for call in calls for part in (call.func, *call.args))
    made |= names(node.exc for node in nodes() if isinstance(node, ast.Raise))
    made |= names(value for node in nodes() if isinstance(node, ast.Dict) for value in node.values)
    bases = {base for kind in CLASSES for base in kind.__bases__}
    assert {title(kind) for kind in CLASSES if kind not in bases and kind.__name__ not in made} == set()


@pytest.mark.parametrize(
    ("environ", "options", "said"),
    [
        pytest.param({"PARALLEL_BASE_URL": "ftp://x"}, {}, "PARALLEL_BASE_URL: 'ftp://x' is not", id="address"),
        pytest.param({}, {"sandbox": True, "facts": "wrong.ndjson"}, "wrong.ndjson:1: not JSON", id="facts"),
        pytest.param({}, {"sandbox": True, "facts": "absent.ndjson"}, "absent.ndjson: facts file", id="no-facts"),
        pytest.param({}, {"where": "name ="}, "where: ", id="condition"),
    ],
)
def test_a_wrong_setting_is_caught_as_one_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], options: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.yaml").write_text(CONFIG)
    Path("t.csv").write_text("name\nBasel\n")
    Path("wrong.ndjson").write_text("{\n")
    with pytest.raises(EnrichError) as caught:
        enrich.run("t.yaml", "t.csv", environ={"PARALLEL_API_KEY": "any-word-will-do", **environ}, **options)
    assert str(caught.value).startswith(said)
    assert caught.value.exit_code is ExitCode.USAGE


def test_what_the_operating_system_refuses_is_caught_as_one_kind() -> None:
    with pytest.raises(SystemRefusedError) as caught, in_python():
        raise OSError(24, "Too many open files", "/some/file")
    assert str(caught.value) == (
        "/some/file: Too many open files; nothing more was sent; mend that, and the same call goes on"
    )
    assert caught.value.exit_code is ExitCode.USAGE
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("call", [enrich.enrich, enrich.plan])
def test_a_machine_without_a_folder_for_temporary_files_is_told_as_one_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any
) -> None:
    (tmp_path / "t.yaml").write_text(CONFIG)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(SystemRefusedError, match="absent"):
        call(pl.DataFrame({"name": ["Basel"]}), tmp_path / "t.yaml", sandbox=True, environ={})


def test_all_faults_are_still_there_for_who_catches_them(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(CONFIG.replace("core", "cores"))
    (tmp_path / "t.csv").write_text("name\nBasel\n")
    with pytest.raises(FaultsError) as caught:
        enrich.plan(tmp_path / "t.yaml", tmp_path / "t.csv", environ={})
    assert len(caught.value.faults) == 1
