"""docs/sandbox.md says what there is: each fault, each call, each field of the bill."""

import re
from pathlib import Path

import pytest
from sandbox_client import Sandbox, company

from enrich.sandbox import FaultKind, describe_faults
from enrich.sandbox.app import CALLS

DOCS = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", describe_faults(), ids=lambda kind: kind.name)
def test_each_fault_is_documented_as_it_is_written(kind: FaultKind) -> None:
    usage = kind.usage.replace("|", "\\|")
    assert re.search(rf"^\| `{re.escape(usage)}` \| .+ \| {re.escape(kind.sentence)} \|$", DOCS, re.MULTILINE)


def test_no_fault_is_documented_that_is_not_there() -> None:
    table = DOCS.partition("| fault | each |")[2]
    assert re.findall(r"^\| `([a-z-]+)", table, re.MULTILINE) == [kind.name for kind in describe_faults()]


@pytest.mark.parametrize(("method", "path"), CALLS, ids=str)
def test_each_call_is_documented(method: str, path: str) -> None:
    assert f"| `{method} {path}` |" in DOCS


def test_each_field_of_the_bill_is_documented(sandbox: Sandbox) -> None:
    sandbox.group_of(company(1), company(1))
    for name in sandbox.bill():
        assert f"`{name}`" in DOCS, name
