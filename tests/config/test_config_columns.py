"""The columns a run adds, and a config held against a table."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.config import check_columns, evidence_columns
from enrich.config.loading import parse
from enrich.errors import ConfigError
from enrich.spec import Json

if TYPE_CHECKING:
    from config_cases import Loader

CONFIG = """\
name: companies
inputs:
  company_name: name
  place: "{city}, {country}"
outputs:
  a: {type: string, description: A}
  b: {type: string, description: B}
processor: core
"""


def test_columns_come_in_a_fixed_order_whatever_the_order_of_basis(config_of: Loader) -> None:
    row = ("enrich_status", "enrich_detail", "enrich_run_id", "enrich_processor", "enrich_at")
    assert evidence_columns(config_of(CONFIG)) == (
        *("a", "a_confidence", "a_reasoning", "a_citations", "a_status"),
        *("b", "b_confidence", "b_reasoning", "b_citations", "b_status"),
        *row,
    )
    assert evidence_columns(config_of(CONFIG + "basis: [citations, confidence]\n")) == (
        *("a", "a_confidence", "a_citations", "a_status"),
        *("b", "b_confidence", "b_citations", "b_status"),
        *row,
    )
    assert evidence_columns(config_of(CONFIG + "basis: []\n")) == ("a", "a_status", "b", "b_status", *row)


@pytest.mark.parametrize(
    ("added", "columns", "said"),
    [
        pytest.param("", ["name", "city", "country", "other"], [], id="fits"),
        pytest.param(
            "",
            ["Name", "city", "country"],
            ['c.yaml:3: inputs.company_name: the table has no column "name"; did you mean "Name"?'],
            id="misspelt",
        ),
        pytest.param(
            "",
            ["x", "y"],
            [
                'c.yaml:3: inputs.company_name: the table has no column "name"; its columns are x, y',
                'c.yaml:4: inputs.place: the table has no column "city"; its columns are x, y',
                'c.yaml:4: inputs.place: the table has no column "country"; its columns are x, y',
            ],
            id="none",
        ),
        pytest.param(
            "",
            ["city", "country", *"klmnopqrstuv"],
            [
                'c.yaml:3: inputs.company_name: the table has no column "name"; '
                "its columns are city, country, k, l, m, n, o, p, q, r and 4 more"
            ],
            id="many",
        ),
        pytest.param(
            "",
            ["name", "city", "country", "a"],
            [
                'c.yaml:6: outputs.a: the table already has a column "a"; '
                "existing: fill asks for its empty cells only, existing: replace for all"
            ],
            id="answer-there",
        ),
        pytest.param("existing: fill\n", ["name", "city", "country", "a"], [], id="fill"),
        pytest.param("existing: replace\n", ["name", "city", "country", "a", "b"], [], id="replace"),
        pytest.param(
            "existing: fill\n",
            ["name", "city", "country", "a_status"],
            [
                'c.yaml:6: outputs.a: the table already has the evidence column "a_status"; '
                "rename it, or give the untouched table as input"
            ],
            id="evidence-there",
        ),
        pytest.param("basis: []\n", ["name", "city", "country", "a_confidence"], [], id="evidence-not-wanted"),
        pytest.param(
            "",
            ["name", "city", "country", "enrich_at"],
            [
                'c.yaml: the table already has the column "enrich_at"; '
                "is the input the output of an earlier run? Give the untouched table as input"
            ],
            id="output-as-input",
        ),
        pytest.param(
            "",
            ["name", "city", "country", "a", "a_status", "enrich_status", "enrich_detail"],
            [
                "c.yaml: the table is an output of enrich: it has a, a_status, enrich_status, enrich_detail; "
                "give the original table (its answers are in the ledger, and not asked again), "
                "or remove these columns"
            ],
            id="whole-output-as-input",
        ),
        pytest.param(
            "",
            ["name\0001", "city", "country", "name\0004", "\0005", "a\0006", "a\0007", "a\0008"],
            [
                'c.yaml:3: inputs.company_name: 2 columns of the table are called "name": 1 and 4; '
                "rename all but one of them in the table",
                'c.yaml:6: outputs.a: 3 columns of the table are called "a": 6, 7 and 8; '
                "rename all but one of them in the table",
            ],
            id="shared-names",
        ),
    ],
)
def test_a_table_that_does_not_fit(added: str, columns: list[str], said: list[str], config_of: Loader) -> None:
    config = config_of(CONFIG + added)
    faults = check_columns(config, columns)
    assert str(ConfigError(str(config.path), faults)).splitlines() == said


@given(
    st.lists(st.sampled_from(["a", "a_status", "a_b", "a_confidence", "enrich", "status", "citations"]), unique=True),
    st.sets(st.sampled_from(["confidence", "citations", "reasoning"])),
)
def test_a_config_that_loads_adds_no_column_twice(names: list[str], basis: set[str]) -> None:
    outputs: Json = {name: {"type": "string"} for name in names}
    raw: dict[str, Json] = {"name": "a", "inputs": {"a": "b"}, "processor": "core"}
    with contextlib.suppress(ConfigError):
        columns = evidence_columns(parse({**raw, "outputs": outputs, "basis": [*basis]}))
        assert len(columns) == len({*columns})


def test_names_of_a_table_reach_no_terminal_as_they_are(config_of: Loader) -> None:
    [fault] = check_columns(config_of(CONFIG), ["city", "country", "\x1b[2J\u202e"])
    assert fault.hint == r"its columns are city, country, \x1b[2J\u202e"


def test_a_missing_column_may_stand_below_a_title(config_of: Loader) -> None:
    config = config_of(CONFIG)

    said = [fault.hint for fault in check_columns(config, ["Export"], title="is line 1 a title?")]

    assert said == ["is line 1 a title?"] * 3
