"""What is installed: the command, the type marker, the data files, and nothing that is only for tests."""

import tomllib
from pathlib import Path

from enrich import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_version_stands_in_both_places() -> None:
    assert PROJECT["project"]["version"] == __version__


def test_the_command_is_the_function_that_tests_call() -> None:
    import enrich.cli

    assert PROJECT["project"]["scripts"] == {"enrich": "enrich.cli:main"}
    assert callable(enrich.cli.main)


def test_types_are_part_of_the_package() -> None:
    assert (ROOT / "enrich" / "py.typed").exists()


def test_the_sdk_of_the_service_is_not_needed_at_run_time() -> None:
    names = {requirement.split(">")[0].split("[")[0] for requirement in PROJECT["project"]["dependencies"]}
    assert "parallel-web" not in names
    assert not names & {"pytest", "hypothesis", "mypy", "ruff"}


# Of what others bring along: named for their lowest version without a known hole.
FLOORS = {"certifi", "h11", "idna", "pygments"}


def test_every_dependency_is_imported_somewhere_or_a_floor() -> None:
    import re

    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "enrich").rglob("*.py")))
    modules = {"ruamel.yaml": "ruamel", "jsonschema-rs": "jsonschema_rs"}
    for requirement in PROJECT["project"]["dependencies"]:
        name = re.split(r"[>\[=<~]", requirement)[0]
        module = modules.get(name, name)
        if name in FLOORS:
            assert f'"{requirement}",  # CVE-' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
            continue
        assert re.search(rf"^\s*(from|import) {module}\b", code, flags=re.MULTILINE), name


def test_every_import_is_a_dependency() -> None:
    import ast
    import re
    import sys

    named = {re.split(r"[>\[=<~]", requirement)[0] for requirement in PROJECT["project"]["dependencies"]}
    modules = {name.replace("-", "_").split(".")[0] for name in named} | {"enrich", "pydantic_core"}
    for path in sorted((ROOT / "enrich").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                tops = {(node.module or "").split(".")[0]}
            else:
                continue
            assert tops <= modules | set(sys.stdlib_module_names), f"{path}: {tops - modules}"
