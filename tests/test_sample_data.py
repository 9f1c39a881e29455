"""The samples are what they claim to be: large and messy enough, and every known answer fits its config."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest
from ruamel.yaml import YAML

from enrich.config import check_columns, warnings
from enrich.config.loading import load
from enrich.sandbox.facts import load_facts

ROOT = Path(__file__).parents[1]
OWN_KEYS = {"accept", "review", "refresh"}
CONFIDENCES = {"high", "medium", "low", None}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Sample:
    """A config with the table it reads and the facts that answer it."""

    config: Path
    table: Path
    facts: Path

    def settings(self) -> dict[str, Any]:
        return YAML(typ="safe", pure=True).load(self.config)

    def schemas(self) -> dict[str, dict[str, Any]]:
        outputs = self.settings()["outputs"]
        return {
            name: {key: value for key, value in schema.items() if key not in OWN_KEYS}
            for name, schema in outputs.items()
        }

    def rows(self) -> list[dict[str, Any]]:
        if self.table.suffix == ".parquet":
            return pl.read_parquet(self.table).to_dicts()
        with self.table.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def inputs(self) -> list[dict[str, str]]:
        """Each row as the question sends it: mapped columns and templates, trimmed, without blanks."""
        mapping = self.settings()["inputs"]
        filled = [{name: _cell(row, source) for name, source in mapping.items()} for row in self.rows()]
        return [{name: value for name, value in row.items() if value} for row in filled]

    def known(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.facts.read_text(encoding="utf-8").splitlines()]


def _cell(row: Mapping[str, Any], source: str) -> str:
    if "{" in source:
        return source.format_map({name: "" if value is None else value for name, value in row.items()}).strip()
    return "" if row[source] is None else str(row[source]).strip()


def _comparable(value: str) -> str:
    address = re.sub(r"^(https?://)?(www\.)?", "", value.strip().casefold())
    return address.rstrip("/")


def _matches(fact: Mapping[str, Any]) -> list[dict[str, str]]:
    match = fact["match"]
    return match if isinstance(match, list) else [match]


def _sample(name: str, table: str) -> Sample:
    data = ROOT / "sample_data"
    return Sample(ROOT / "configs" / f"{name}.yaml", data / table, data / f"{name}.facts.ndjson")


COMPANIES = _sample("companies", "companies.csv")
AIRPORTS = _sample("airports", "airports.parquet")
SAMPLES = [pytest.param(COMPANIES, id="companies"), pytest.param(AIRPORTS, id="airports")]
every_sample = pytest.mark.parametrize("sample", SAMPLES)


def _answers(sample: Sample) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for number, fact in enumerate(sample.known(), start=1):
        for field, answer in fact["answers"].items():
            yield f"{sample.facts.name}:{number} {field}", field, answer


@every_sample
def test_a_config_loads_without_advice_and_fits_its_table(sample: Sample) -> None:
    config = load(sample.config)

    assert list(warnings(config)) == []
    assert check_columns(config, list(sample.rows()[0])) == []
    assert [field.name for field in config.fields] == list(sample.schemas())


@every_sample
def test_the_sandbox_knows_the_answers_to_most_rows(sample: Sample) -> None:
    facts = load_facts(sample.facts)
    inputs = sample.inputs()
    assert sum(facts.find(document) is not None for document in inputs) > 0.9 * len(inputs)


@every_sample
def test_a_config_asks_for_five_answers_of_several_types(sample: Sample) -> None:
    schemas = sample.schemas()
    types = {json.dumps(schema["type"]) for schema in schemas.values()}

    assert len(schemas) >= 5
    assert len(types) >= 4
    assert all(schema["description"] for schema in schemas.values())


@every_sample
def test_a_config_names_the_schema_that_editors_check_it_by(sample: Sample) -> None:
    first = sample.config.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=./enrich.schema.json"


@every_sample
def test_every_known_value_fits_the_schema_of_its_answer(sample: Sample) -> None:
    validators = {name: jsonschema.Draft202012Validator(schema) for name, schema in sample.schemas().items()}
    wrong = [
        f"{place}: {error.message}"
        for place, field, answer in _answers(sample)
        for error in validators[field].iter_errors(answer["value"])
    ]
    assert wrong == []


@every_sample
def test_every_known_object_has_all_properties_and_no_others(sample: Sample) -> None:
    objects = {
        name: set(schema["properties"]) for name, schema in sample.schemas().items() if schema["type"] == "object"
    }
    wrong = [
        place
        for place, field, answer in _answers(sample)
        if field in objects and set(answer["value"]) != objects[field]
    ]
    assert wrong == []


@every_sample
def test_every_fact_answers_all_questions(sample: Sample) -> None:
    wanted = set(sample.schemas())
    assert [fact["match"] for fact in sample.known() if set(fact["answers"]) != wanted] == []


@every_sample
def test_every_match_hits_a_row(sample: Sample) -> None:
    rows = [{name: _comparable(value) for name, value in row.items()} for row in sample.inputs()]
    idle = [
        match
        for fact in sample.known()
        for match in _matches(fact)
        if not any(all(row.get(name) == _comparable(value) for name, value in match.items()) for row in rows)
    ]
    assert idle == []


@every_sample
def test_no_two_facts_answer_the_same_match(sample: Sample) -> None:
    counts = Counter(
        tuple(sorted((name, _comparable(value)) for name, value in match.items()))
        for fact in sample.known()
        for match in _matches(fact)
    )
    assert [match for match, count in counts.items() if count > 1] == []


@every_sample
def test_evidence_is_well_formed(sample: Sample) -> None:
    for place, _, answer in _answers(sample):
        assert set(answer) == {"value", "confidence", "reasoning", "citations"}, place
        assert answer["confidence"] in CONFIDENCES, place
        assert answer["reasoning"], place
        for citation in answer["citations"]:
            assert citation["url"].startswith("https://"), place
            assert " " not in citation["url"], place
            assert citation["url"].isascii(), place
            assert all(citation.get("excerpts", ["-"])), place


@every_sample
def test_sure_answers_have_a_citation(sample: Sample) -> None:
    bare = [
        place for place, _, answer in _answers(sample) if answer["confidence"] == "high" and not answer["citations"]
    ]
    assert bare == []


@every_sample
def test_some_answers_are_unsure_and_some_are_not_found(sample: Sample) -> None:
    answers = [answer for _, _, answer in _answers(sample)]
    counts = Counter(answer["confidence"] for answer in answers)

    assert all(counts[confidence] > 0 for confidence in CONFIDENCES)
    assert counts["high"] > 0.8 * len(answers)
    assert any(answer["value"] is None for answer in answers)


@every_sample
def test_a_stronger_processor_is_surer_of_some_answers(sample: Sample) -> None:
    ladder = sample.settings()["processor"]
    surer = [fact["processors"] for fact in sample.known() if "processors" in fact]

    assert surer
    assert all(set(by_processor) <= set(ladder[1:]) for by_processor in surer)
    assert {
        change["confidence"] for by_processor in surer for fields in by_processor.values() for change in fields.values()
    } <= {"high", "medium"}


@every_sample
def test_files_are_utf8_with_unix_line_ends(sample: Sample) -> None:
    for path in (sample.config, sample.table, sample.facts):
        if path.suffix != ".parquet":
            text = path.read_bytes().decode("utf-8")
            assert text.endswith("\n"), path
            assert not CONTROL.search(text), path


def test_companies_has_at_least_200_different_companies() -> None:
    names = {_comparable(row["company_name"]) for row in COMPANIES.inputs() if "company_name" in row}
    assert len(COMPANIES.rows()) >= 200
    assert len(names) >= 200


def test_companies_has_rows_that_share_an_input() -> None:
    counts = Counter(tuple(sorted(document.items())) for document in COMPANIES.inputs())
    assert sum(count - 1 for document, count in counts.items() if len(document) == 2) >= 15


def test_companies_has_duplicates_that_differ_in_capitals() -> None:
    spellings: dict[str, set[str]] = {}
    for row in COMPANIES.inputs():
        if "company_name" in row:
            spellings.setdefault(row["company_name"].casefold(), set()).add(row["company_name"])
    assert sum(len(same) > 1 for same in spellings.values()) >= 10


@pytest.mark.parametrize(
    ("column", "pattern", "least"),
    [
        pytest.param("name", r"^\s*$", 3, id="no name"),
        pytest.param("domain", r"^$", 10, id="no domain"),
        pytest.param("domain", r"(?i)^https?://", 5, id="an address for a domain"),
        pytest.param("name", r"^\s+\S|\S\s+$", 8, id="spaces around the name"),
        pytest.param("name", r'[",]', 2, id="quotes or commas in the name"),
        pytest.param("name", r"[^\x00-\x7f]", 8, id="letters beyond ASCII in the name"),
        pytest.param("country", r"^$", 10, id="no country"),
        pytest.param("notes", r"\n", 5, id="line breaks"),
        pytest.param("notes", r",", 20, id="commas"),
        pytest.param("notes", r'"', 5, id="quotes"),
        pytest.param("notes", r"^[=+@-]", 5, id="text that a spreadsheet takes for a formula"),
    ],
)
def test_companies_is_as_messy_as_a_crm(column: str, pattern: str, least: int) -> None:
    assert sum(bool(re.search(pattern, row[column])) for row in COMPANIES.rows()) >= least


def test_companies_has_identifiers_with_leading_zeros() -> None:
    identifiers = [row["crm_id"] for row in COMPANIES.rows()]
    assert all(re.fullmatch(r"0\d{4}", identifier) for identifier in identifiers)
    assert len(set(identifiers)) == len(identifiers)


def test_some_companies_are_left_out_of_the_facts() -> None:
    known = {
        (name, _comparable(value))
        for fact in COMPANIES.known()
        for match in _matches(fact)
        for name, value in match.items()
    }
    unknown = {
        row["company_name"]
        for row in COMPANIES.inputs()
        if "company_name" in row and not any((name, _comparable(value)) in known for name, value in row.items())
    }
    assert 8 <= len(unknown) <= 16


def test_airports_has_typed_columns() -> None:
    assert pl.read_parquet_schema(AIRPORTS.table) == {
        "iata": pl.String(),
        "icao": pl.String(),
        "name": pl.String(),
        "city": pl.String(),
        "country": pl.String(),
        "latitude": pl.Float64(),
        "longitude": pl.Float64(),
        "elevation_ft": pl.Int32(),
        "runways": pl.Int64(),
        "trips_2025": pl.Int32(),
        "tags": pl.List(pl.String()),
        "checked_on": pl.Date(),
    }


def test_airports_has_duplicates_and_rows_without_a_code() -> None:
    codes = [(row["iata"] or "").casefold() for row in AIRPORTS.rows()]
    assert 40 <= len(set(codes) - {""}) < len([code for code in codes if code])
    assert codes.count("") >= 2


def test_a_column_to_be_filled_holds_known_values_and_gaps() -> None:
    known = {fact["match"]["iata_code"]: fact["answers"]["runways"]["value"] for fact in AIRPORTS.known()}
    cells = [(row["iata"], row["runways"]) for row in AIRPORTS.rows()]
    filled = [(code, runways) for code, runways in cells if runways is not None]

    assert AIRPORTS.settings()["existing"] == "fill"
    assert 5 <= len(filled) < len(cells) - 20
    assert all(known[code.upper()] == runways for code, runways in filled)


def test_some_airports_are_left_out_of_the_facts() -> None:
    known = {match["iata_code"].casefold() for fact in AIRPORTS.known() for match in _matches(fact)}
    asked = {row["iata_code"].casefold() for row in AIRPORTS.inputs() if "iata_code" in row}
    assert 3 <= len(asked - known) <= 10


@pytest.mark.parametrize(
    ("document", "headquarters"),
    [
        pytest.param(
            {"company_name": "SIEMENS AG", "website": "https://www.siemens.com/"},
            "Munich, Germany",
            id="by its address",
        ),
        pytest.param({"company_name": "lufthansa"}, "Cologne, Germany", id="by its name alone"),
        pytest.param(
            {"company_name": "Merck", "website": "merckgroup.com"},
            "Darmstadt, Germany",
            id="one of two namesakes",
        ),
        pytest.param(
            {"company_name": "Merck", "website": "merck.com"},
            "Rahway, United States",
            id="the other namesake",
        ),
    ],
)
def test_a_company_is_known_however_it_is_written(document: dict[str, str], headquarters: str) -> None:
    fact = load_facts(COMPANIES.facts).find(document)
    assert fact is not None
    assert fact.answers["headquarters"]["value"] == headquarters
