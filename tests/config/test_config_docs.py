"""docs/config.md documents every key and every number, and its examples load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft7Validator
from pydantic import BaseModel
from ruamel.yaml import YAML

from enrich.config import WORD_SCORES, Config, CsvOptions, Gate, Output, Refresh, SourcePolicy, json_schema
from enrich.spec.processors import PROCESSORS

if TYPE_CHECKING:
    from config_cases import Complaint, Loader

PAGE = (Path(__file__).parents[2] / "docs" / "config.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
NEEDED = {
    "name": "name: companies\n",
    "inputs": "inputs: {company_name: name}\n",
    "outputs": "outputs: {headquarters: {type: string, description: City and country.}}\n",
    "processor": "processor: core\n",
}


def completed(example: str) -> str:
    """An example with those of the four needed keys that it leaves out."""
    shown = YAML(typ="safe").load(example)
    return example + "".join(line for key, line in NEEDED.items() if key not in shown)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_loads(example: str, config_of: Loader) -> None:
    text = completed(example)
    config_of(text)
    assert Draft7Validator(json_schema()).is_valid(YAML(typ="safe").load(text.replace("2024-01-31", "'2024-01-31'")))


@pytest.mark.parametrize(
    ("model", "prefix"),
    [
        (Config, ""),
        (Gate, "confidence."),
        (Refresh, "refresh."),
        (SourcePolicy, "source_policy."),
        (CsvOptions, "csv."),
        (Output, "outputs.NAME."),
    ],
)
def test_every_key_has_a_section_and_a_section_a_key(model: type[BaseModel], prefix: str) -> None:
    sections = set(re.findall(rf"^##+ {re.escape(prefix)}([a-z_]+)$", PAGE, re.MULTILINE))
    assert sections == model.model_fields.keys() - {"value_schema"}


def test_every_key_has_an_example_and_a_row_in_the_overview() -> None:
    for key in Config.model_fields:
        assert f"| [`{key}`](#{key}) |" in PAGE
        assert re.search(rf"^{key}:", "\n".join(EXAMPLES), re.MULTILINE), key


def test_the_processors_are_the_table_of_the_code() -> None:
    rows = re.findall(
        r"^\| `([a-z0-9]+)` \| ([0-9.]+) \| ([0-9]+)\u2013([0-9]+) (s|min) \| (\d+) \|$", PAGE, re.MULTILINE
    )
    found = {}
    for name, usd, shortest, longest, unit, fields in rows:
        seconds = tuple(int(bound) * (60 if unit == "min" else 1) for bound in (shortest, longest))
        found[name] = (float(usd), seconds, int(fields))
    assert found == {
        name: (float(p.usd), p.latency_s, p.fields) for name, p in PROCESSORS.items() if not name.endswith("-fast")
    }


def test_words_and_numbers_meet_as_documented() -> None:
    said = dict(re.findall(r"`(high|medium|low)`\s+(?:counts\s+)?as\s+([0-9.]+?)[.,]?\s", PAGE))
    assert {word: float(number) for word, number in said.items()} == WORD_SCORES


def test_the_messages_shown_are_the_ones_said(complaint: Complaint) -> None:
    [block] = [text for text in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if "companies.yaml:" in text]
    text = """\
name: companies
inputs:
  website: 4
outputs: {headquarters: {type: string, description: City and country.}}
processor: core






confidance: {accept: high}
"""
    shown = block.replace("companies.yaml", "c.yaml").splitlines()
    assert [f"Error: {fault}" for fault in complaint(text)] == shown
