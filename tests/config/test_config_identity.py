"""What makes an answer a new question, and what does not: a change that costs money, and one that must not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from config_cases import Loader

EMPLOYEES = "employees: {type: integer, description: Full time.}"
BAND = "band: {type: string, enum: [small, large], description: Which.}"
BASE = f"""\
name: companies
inputs: {{company_name: name}}
instructions: Prefer filings.
outputs:
  headquarters:
    type: [string, "null"]
    description: City and country.
    accept: high
  size:
    type: object
    description: How large it is.
    properties:
      {EMPLOYEES}
      {BAND}
processor: core
confidence: {{accept: high, review: medium}}
source_policy: {{include_domains: [a.com, b.com], after_date: 2024-01-31}}
location: NO
"""


def ids(load: Loader, text: str) -> dict[str, str]:
    return {field.name: field.id for field in load(text).fields}


def test_identities_are_the_same_on_every_machine(config_of: Loader) -> None:
    """A changed number here means that every answer of every user would be paid for again."""
    assert ids(config_of, BASE) == {"headquarters": "ebcb07a3666e6da7", "size": "bf66c7d7c0b27219"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("name: companies\n", "name: firms\n", id="name-of-config"),
        pytest.param("{company_name: name}", "{company_name: firm, website: url}", id="inputs"),
        pytest.param("processor: core", "processor: [core, pro]\nchain: false", id="processor"),
        pytest.param("accept: high, review: medium", "accept: 0.5, review: 0.1, missing: withhold", id="gate"),
        pytest.param("    accept: high\n", "    accept: low\n    review: low\n", id="gate-of-answer"),
        pytest.param("    accept: high\n", "    refresh: 3d\n", id="refresh-of-answer"),
        pytest.param(
            "location: NO\n", "location: 'no'\nbasis: []\nrefresh: 30d\nbudget: 3\n", id="basis-refresh-budget"
        ),
        pytest.param(
            "location: NO\n", "location: NO\nexisting: fill\nledger: a.db\ncsv: {delimiter: ';'}\n", id="files"
        ),
        pytest.param("[a.com, b.com]", "[B.com, a.com]", id="order-of-domains"),
        pytest.param(
            'type: [string, "null"]\n    description: City and country.',
            'description: City and country.\n    type: [string, "null"]',
            id="order-of-keys",
        ),
        pytest.param(
            f"{EMPLOYEES}\n      {BAND}",
            f"band: {{description: Which., enum: [small, large], type: string}}\n      {EMPLOYEES}",
            id="order-of-properties",
        ),
        pytest.param(
            "    properties:",
            "    required: [band, employees]\n    additionalProperties: false\n    properties:",
            id="what-is-added-anyway",
        ),
        pytest.param("    description: How large it is.", "    description: |\n      How large it is.\n", id="folding"),
        pytest.param(
            "    description: How large it is.",
            "    description: How large it is.\n    $comment: ask Kim\n    x-owner: Kim",
            id="notes",
        ),
        pytest.param(
            "instructions: Prefer filings.", "instructions: >-\n  Prefer\n  filings.", id="folding-of-instructions"
        ),
    ],
)
def test_these_changes_cost_nothing(old: str, new: str, config_of: Loader) -> None:
    assert old in BASE
    assert ids(config_of, BASE.replace(old, new)) == ids(config_of, BASE)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        pytest.param("City and country.", "City.", {"headquarters"}, id="description"),
        pytest.param('[string, "null"]', "string", {"headquarters"}, id="type"),
        pytest.param("[small, large]", "[small, medium, large]", {"size"}, id="enum"),
        pytest.param("Full time.", "Part time too.", {"size"}, id="description-of-property"),
        pytest.param("Prefer filings.", "Prefer the web.", {"headquarters", "size"}, id="instructions"),
        pytest.param("instructions: Prefer filings.\n", "", {"headquarters", "size"}, id="no-instructions"),
        pytest.param("[a.com, b.com]", "[a.com]", {"headquarters", "size"}, id="domains"),
        pytest.param("2024-01-31", "2024-02-01", {"headquarters", "size"}, id="after-date"),
        pytest.param("location: NO", "location: SE", {"headquarters", "size"}, id="location"),
        pytest.param("location: NO\n", "", {"headquarters", "size"}, id="no-location"),
    ],
)
def test_these_changes_make_new_questions(old: str, new: str, changed: set[str], config_of: Loader) -> None:
    assert old in BASE
    before, after = ids(config_of, BASE), ids(config_of, BASE.replace(old, new))
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_name_is_part_of_the_question(config_of: Loader) -> None:
    text = BASE.replace("headquarters:", "seat:")
    assert ids(config_of, text)["seat"] != ids(config_of, BASE)["headquarters"]


def test_a_reference_is_what_it_refers_to(config_of: Loader) -> None:
    by_reference = BASE.replace(
        EMPLOYEES,
        'employees: {$ref: "#/$defs/count", description: Full time.}',
    ).replace("    properties:", "    $defs: {count: {type: integer}}\n    properties:")
    assert ids(config_of, by_reference) == ids(config_of, BASE)
