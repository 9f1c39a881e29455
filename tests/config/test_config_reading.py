"""What a right config says, and how YAML 1.2 is read."""

from __future__ import annotations

import contextlib
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from enrich.config import Config, CsvOptions, Gate, Refresh, SourcePolicy
from enrich.config.loading import load, parse
from enrich.config.tree import UnreadableMappingError, build_tree

if TYPE_CHECKING:
    from config_cases import Loader

WHOLE = """\
name: companies
inputs:
  company_name: name
  website: domain
  place: "{city} ({country}) {{x}}"
require: [company_name]
instructions: |
  Prefer the company's own site.
outputs:
  headquarters:
    type: string
    description: City and country.
  founded_year:
    type: [integer, "null"]
    description: Year of foundation.
    accept: 0.8
    refresh: never
processor: [core-fast, core2x, pro]
confidence: {accept: high, review: medium, missing: withhold}
basis: [reasoning, confidence]
refresh: {answers: 30d, failed: 1h}
budget: 25.10
existing: fill
ledger: state/ledger.db
source_policy: {include_domains: [SEC.gov, .edu], exclude_domains: [b.com, a.com], after_date: 2024-01-31}
location: NO
chain: false
csv: {encoding: latin-1, delimiter: "\\t", quote: "'", formulas: keep}
"""
SMALL = """\
name: companies
inputs: {company_name: name}
outputs: {headquarters: {type: string, description: City and country.}}
processor: core
"""


def test_every_key_is_read(config_of: Loader) -> None:
    config = config_of(WHOLE)
    assert config.path == Path("c.yaml")
    assert config.name == "companies"
    assert config.inputs == {
        "company_name": "name",
        "website": "domain",
        "place": "{city} ({country}) {{x}}",
    }
    assert [config.columns_of(field) for field in config.inputs] == [
        ("name",),
        ("domain",),
        ("city", "country"),
    ]
    assert config.require == ("company_name",)
    assert config.instructions == "Prefer the company's own site."
    assert [(f.name, f.nullable) for f in config.fields] == [("headquarters", False), ("founded_year", True)]
    assert config.fields[1].schema == {"type": ["integer", "null"], "description": "Year of foundation."}
    assert config.processor == ("core-fast", "core2x", "pro")
    assert config.confidence == Gate(accept="high", review="medium", missing="withhold")
    assert config.basis == ("reasoning", "confidence")
    assert config.refresh == Refresh(answers=timedelta(days=30), not_found=timedelta(days=7), failed=timedelta(hours=1))
    assert config.budget == Decimal("25.1")
    assert config.existing == "fill"
    assert config.ledger == Path("state/ledger.db")
    assert config.source_policy == SourcePolicy(
        include_domains=("sec.gov", ".edu"), exclude_domains=("b.com", "a.com"), after_date=date(2024, 1, 31)
    )
    assert config.location == "NO"
    assert config.chain is False
    assert config.csv == CsvOptions(encoding="iso8859-1", delimiter="\t", quote="'", formulas="keep")
    assert config.run_settings() == {
        "source_policy": {
            "include_domains": [".edu", "sec.gov"],
            "exclude_domains": ["a.com", "b.com"],
            "after_date": "2024-01-31",
        },
        "advanced_settings": {"location": "no"},
    }


def test_four_keys_are_enough(config_of: Loader) -> None:
    config = config_of(SMALL)
    assert config.require == ()
    assert config.instructions is None
    assert config.processor == ("core",)
    assert config.confidence == Gate(accept="high", review="medium", missing="review")
    assert config.basis == ("confidence", "citations", "reasoning")
    assert config.refresh == Refresh(answers=None, not_found=timedelta(days=7), failed=timedelta(hours=12))
    assert (config.budget, config.existing, config.ledger, config.chain) == (None, "error", None, True)
    assert (config.source_policy, config.location, config.csv) == (None, None, CsvOptions())
    assert config.run_settings() == {}


def test_the_ledger_is_seen_from_the_configs_folder(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(SMALL + "ledger: ../ledger.db\n")
    assert load(tmp_path / "c.yaml").ledger == tmp_path / "../ledger.db"
    (tmp_path / "c.yaml").write_text(SMALL + "ledger: /var/ledger.db\n")
    assert load(tmp_path / "c.yaml").ledger == Path("/var/ledger.db")


def test_a_mapping_is_as_good_as_a_file() -> None:
    raw = {
        "name": "companies",
        "inputs": {"company_name": "name"},
        "outputs": {"headquarters": {"type": "string"}},
        "processor": "core",
    }
    config = parse(raw, path=Path("folder/x.yaml"))
    assert (config.path, config.name) == (Path("folder/x.yaml"), "companies")


def test_a_config_is_frozen_and_other_values_make_another(config_of: Loader) -> None:
    config = config_of(SMALL)
    before = config.fields
    with pytest.raises(ValidationError):
        config.name = "other"
    other = config.replaced(budget=Decimal(3), instructions="Look twice.")
    assert (config.budget, other.budget, other.path) == (None, Decimal(3), config.path)
    assert config.fields == before
    assert other.fields[0].id != before[0].id


def test_anchors_and_merges(config_of: Loader) -> None:
    config = config_of("""\
name: companies
inputs: {company_name: name}
processor: core
outputs:
  a: &text {type: string, description: A, accept: low}
  b: {<<: *text, description: B}
  c: *text
  d: {<<: [{description: D}, *text]}
""")
    described = [(f.name, f.schema["type"], f.schema["description"]) for f in config.fields]
    assert described == [("a", "string", "A"), ("b", "string", "B"), ("c", "string", "A"), ("d", "string", "D")]
    assert [output.accept for output in config.outputs.values()] == ["low"] * 4


@pytest.mark.parametrize(
    ("written", "value"),
    [
        pytest.param("NO", "NO", id="no-is-text"),
        pytest.param("yes", "yes", id="yes-is-text"),
        pytest.param("on", "on", id="on-is-text"),
        pytest.param("2024-01-31", "2024-01-31", id="date-is-text"),
        pytest.param("12:30", "12:30", id="time-is-text"),
        pytest.param("1_000", "1_000", id="underscores-are-text"),
        pytest.param("00123", 123, id="leading-zeros"),
        pytest.param("0o17", 15, id="octal"),
        pytest.param("0xff", 255, id="hexadecimal"),
        pytest.param("-3", -3, id="negative"),
        pytest.param("1.50", 1.5, id="decimal"),
        pytest.param(".5", 0.5, id="bare-decimal"),
        pytest.param("1e3", 1000.0, id="exponent"),
        pytest.param("1e999", "1e999", id="beyond-numbers-is-text"),
        pytest.param(".nan", ".nan", id="nan-is-text"),
        pytest.param("-.inf", "-.inf", id="infinity-is-text"),
        pytest.param("9" * 500, "9" * 500, id="endless-digits-are-text"),
        pytest.param("true", True, id="true"),
        pytest.param("FALSE", False, id="false"),
        pytest.param("~", None, id="tilde"),
        pytest.param("null", None, id="null"),
        pytest.param('"null"', "null", id="quoted-null"),
        pytest.param("'3'", "3", id="quoted-number"),
        pytest.param("!!str 3", "3", id="tagged-text"),
        pytest.param(r'"\ud83d\ude00 \ud83d"', "😀 �", id="surrogates-of-json"),
        pytest.param("'it''s'", "it's", id="quote-in-quotes"),
        pytest.param("٣", "٣", id="digits-of-other-scripts-are-text"),
    ],
)
def test_plain_values_follow_the_core_schema(written: str, value: object) -> None:
    root, faults = build_tree(f"key: {written}\n")
    assert (root.plain(), faults) == ({"key": value}, [])


@settings(max_examples=60)
@given(st.text(alphabet=" \n:-[]{},&*!|>'\"#%@`?abc1\t", max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(UnreadableMappingError):
        root, _ = build_tree(text)
        assert isinstance(root.plain(), dict)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=8), _JSON, min_size=1, max_size=4), st.booleans())
def test_json_is_read_as_json(tmp_path_factory: pytest.TempPathFactory, value: object, indented: bool) -> None:
    import json

    from enrich.config.source import read_source

    path = tmp_path_factory.getbasetemp() / "value.json"
    path.write_text(json.dumps(value, indent="\t" if indented else None, ensure_ascii=indented), "utf-8")
    assert read_source(path).root.plain() == value


def test_loading_does_not_import_what_takes_long() -> None:
    import subprocess
    import sys

    code = (
        "import sys, enrich.config, enrich.spec\n"
        "heavy = {'polars', 'pyarrow', 'httpx', 'starlette', 'jsonschema_rs'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_checked_in_config_loads() -> None:
    config = load(Path(__file__).parents[2] / "configs" / "companies.yaml")
    assert isinstance(config, Config)
