"""docs/reliability.md names tests that exist, and every scenario of faults and processes is named in it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", TEXT)))


@pytest.mark.parametrize(("path", "name"), NAMED, ids="::".join)
def test_a_named_test_exists(path: str, name: str) -> None:
    assert (ROOT / path).exists()
    if name:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("folder", ["faults", "processes"])
def test_every_file_of_scenarios_is_named(folder: str) -> None:
    files = {f"tests/{folder}/{path.name}" for path in (ROOT / "tests" / folder).glob("test_*.py")}
    assert files <= {path for path, _ in NAMED}


def test_the_commands_of_the_page_are_there() -> None:
    for module in re.findall(r"python -m (tests\.\w+)", TEXT):
        assert (ROOT / module.replace(".", "/") / "__main__.py").exists()
