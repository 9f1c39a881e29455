"""The facts file: what matches, what wins, what a wrong line says."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sandbox_client import SCHEMA

from enrich.sandbox import SandboxError
from enrich.sandbox.answers import INVENTED, Answers, Question
from enrich.sandbox.facts import load_facts
from enrich.sandbox.processors import PROCESSORS

CITATION = {"url": "https://acme.example/about", "title": "About", "excerpts": ["Founded in 1990."]}
ACME = {
    "match": {"company_name": "Acme GmbH"},
    "answers": {
        "headquarters": {
            "value": "Bonn, Germany",
            "confidence": "low",
            "reasoning": "Imprint.",
            "citations": [CITATION],
        },
        "founded_year": {"value": None, "confidence": None},
    },
    "processors": {
        "pro": {"headquarters": {"confidence": "high"}},
        "core": {"headquarters": {"confidence": "medium"}},
    },
}


def written(path: Path, *lines: Any) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def ask(path: Path, document: Any, processor: str = "core") -> Any:
    question = Question(document, SCHEMA, auto=False, processor=PROCESSORS[processor], element_basis=False)
    return Answers(load_facts(path), 0).output(question)


def test_known_fields_are_answered_with_their_evidence_and_the_rest_is_invented(tmp_path: Path) -> None:
    output = ask(written(tmp_path / "facts.ndjson", ACME), {"company_name": "Acme GmbH", "country": "DE"})
    assert output["content"]["headquarters"] == "Bonn, Germany"
    assert output["content"]["founded_year"] is None
    headquarters, founded, products = output["basis"]
    assert headquarters == {
        "field": "headquarters",
        "reasoning": "Imprint.",
        "citations": [CITATION],
        "confidence": "medium",
    }
    assert (founded["confidence"], founded["citations"]) == (None, [])
    assert products["reasoning"].startswith(INVENTED)


@pytest.mark.parametrize(
    ("processor", "confidence", "excerpts"),
    [
        pytest.param("base", "low", None, id="weaker"),
        pytest.param("core", "medium", ["Founded in 1990."], id="named"),
        pytest.param("core-fast", "medium", ["Founded in 1990."], id="fast-variant"),
        pytest.param("core2x", "medium", ["Founded in 1990."], id="between"),
        pytest.param("ultra", "high", ["Founded in 1990."], id="stronger"),
    ],
)
def test_stronger_processors_can_be_surer(
    tmp_path: Path, processor: str, confidence: str, excerpts: list[str] | None
) -> None:
    path = written(tmp_path / "facts.ndjson", ACME)
    entry = ask(path, {"company_name": "Acme GmbH"}, processor)["basis"][0]
    assert (entry["confidence"], entry["citations"][0]["excerpts"]) == (confidence, excerpts)


@pytest.mark.parametrize(
    ("match", "document", "matches"),
    [
        pytest.param({"a": "Acme"}, {"a": " ACME "}, True, id="case-and-space"),
        pytest.param({"a": "straße"}, {"a": "STRASSE"}, True, id="case-folding"),
        pytest.param({"a": "acme.example"}, {"a": "https://www.Acme.example/"}, True, id="address"),
        pytest.param({"a": "http://acme.example/x"}, {"a": "acme.example/x"}, True, id="scheme"),
        pytest.param({"a": "acme.example/x"}, {"a": "acme.example/y"}, False, id="path"),
        pytest.param({"a": 2023}, {"a": "2023"}, True, id="number-as-text"),
        pytest.param({"a": "x", "b": "y"}, {"a": "x"}, False, id="field-absent"),
        pytest.param({"a": "x"}, {"a": "x", "b": "y"}, True, id="field-more"),
        pytest.param([{"a": "x"}, {"b": "y"}], {"b": "y"}, True, id="alternative"),
        pytest.param({"input": "who?"}, "Who?", True, id="text-input"),
    ],
)
def test_matching(tmp_path: Path, match: Any, document: Any, matches: bool) -> None:
    fact = {"match": match, "answers": {"headquarters": {"value": "here"}}}
    output = ask(written(tmp_path / "facts.ndjson", fact), document)
    assert (output["content"]["headquarters"] == "here") == matches


def test_the_most_specific_match_wins_then_the_earlier_line(tmp_path: Path) -> None:
    def fact(value: str, **match: str) -> Any:
        return {"match": match, "answers": {"headquarters": {"value": value}}}

    lines = [fact("by name", n="Acme"), fact("later", n="acme"), fact("by both", n="Acme", c="DE")]
    path = written(tmp_path / "facts.ndjson", *lines)
    assert ask(path, {"n": "ACME", "c": "de"})["content"]["headquarters"] == "by both"
    assert ask(path, {"n": "ACME", "c": "fr"})["content"]["headquarters"] == "by name"


@pytest.mark.parametrize("as_text", [pytest.param(True, id="json-text"), pytest.param(False, id="structs")])
def test_parquet_says_the_same(tmp_path: Path, as_text: bool) -> None:
    other = {"match": {"website": "b.example"}, "answers": {"founded_year": {"value": None}}}
    lines: Any = [ACME, other]
    if as_text:
        lines = [{key: json.dumps(value) for key, value in line.items()} for line in lines]
    pl.DataFrame(lines).write_parquet(tmp_path / "facts.parquet")
    written(tmp_path / "facts.ndjson", ACME, other)
    for document in ({"company_name": "acme gmbh"}, {"website": "www.b.example"}):
        known = ask(tmp_path / "facts.ndjson", document)
        assert ask(tmp_path / "facts.parquet", document)["content"]["headquarters"] == known["content"]["headquarters"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("{", "not JSON", id="not-json"),
        pytest.param("[]", "a fact is an object", id="not-an-object"),
        pytest.param('{"answers": {}}', "match must be an object", id="no-match"),
        pytest.param('{"match": {}, "answers": {}}', "at least one input field", id="empty-match"),
        pytest.param('{"match": {"a": 1}, "answers": []}', "answers must be an object", id="answers"),
        pytest.param('{"match": {"a": 1}, "answers": {"x": 3}}', "answers.x must be an object", id="answer"),
        pytest.param('{"match": {"a": 1}, "processors": {"gpt": {}}}', "unknown processor 'gpt'", id="processor"),
        pytest.param(
            '{"match": {"a": 1}, "answers": {"x": {"value": 1, "confidence": "sure"}}}',
            "confidence of 'x' is 'sure'",
            id="confidence",
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = written(tmp_path / "facts.ndjson", ACME)
    path.write_text(path.read_text() + "\n" + line + "\n")
    with pytest.raises(SandboxError, match=r"facts\.ndjson:3: ") as error:
        load_facts(path)
    assert words in str(error.value)


def test_a_facts_file_that_is_no_parquet_is_told_in_words_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "facts.parquet").write_bytes(b"PAR1, or so")
    with pytest.raises(SandboxError, match=r"facts\.parquet: facts file can't be read: it is no Parquet, or damaged$"):
        load_facts(tmp_path / "facts.parquet")


def test_a_facts_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"no\.ndjson"):
        load_facts(tmp_path / "no.ndjson")
