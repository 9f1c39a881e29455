"""Invented values fit their schema, whatever it is; they are the same every time, and say what they are."""

from collections import Counter
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st
from sandbox_client import SCHEMA

from enrich.sandbox.answers import INVENTED, Answers, Question
from enrich.sandbox.dice import Dice
from enrich.sandbox.facts import Facts
from enrich.sandbox.invent import invent
from enrich.sandbox.processors import PROCESSORS
from enrich.sandbox.schema_rules import check_output_schema

NAMES = st.sampled_from(["ceo", "founded_year", "website", "email", "tags", "größe", "a b"])
SCALARS = st.sampled_from(["string", "integer", "number", "boolean"])
LEAVES = st.one_of(
    st.builds(lambda kind: {"type": kind}, SCALARS),
    st.builds(lambda kind: {"type": [kind, "null"]}, SCALARS),
    st.builds(lambda values: {"enum": values}, st.lists(st.text() | st.integers(), min_size=1, max_size=4)),
    st.builds(lambda value: {"const": value}, st.text()),
    st.builds(lambda kind: {"anyOf": [{"type": kind}, {"type": "null"}]}, SCALARS),
    st.just({"$ref": "#/$defs/shared"}),
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(NAMES, inner, min_size=1, max_size=4).map(
        lambda properties: {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    )


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda items: {"type": ["array", "null"], "items": items}, inner),
        st.builds(lambda one: {"oneOf": [one, {"type": "null"}]}, st.builds(lambda k: {"type": k}, SCALARS)),
        st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, objects(inner)),
        objects(inner),
    )


SHARED = {
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
    "additionalProperties": False,
}
ROOTS = objects(st.recursive(LEAVES, larger, max_leaves=8)).map(lambda root: {**root, "$defs": {"shared": SHARED}})


@given(schema=ROOTS, seed=st.integers(min_value=0, max_value=2**32), name=st.binary(max_size=20))
def test_an_invented_value_fits_its_schema(schema: dict[str, Any], seed: int, name: bytes) -> None:
    value = invent(schema, Dice(seed, name), name="root", root=schema)
    jsonschema.Draft202012Validator(schema).validate(value)
    assert value == invent(schema, Dice(seed, name), name="root", root=schema)


def test_parts_of_an_all_of_are_put_together() -> None:
    part = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    schema = {"allOf": [part, {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}]}
    value = invent(schema, Dice(1, b"x"), name="x", root=schema)
    jsonschema.Draft202012Validator(schema).validate(value)
    assert set(value) == {"a", "b"}


def question(number: int, processor: str = "core", schema: Any = SCHEMA) -> Question:
    assert schema is None or not check_output_schema(schema).errors
    return Question(
        document={"company_name": f"Company {number}"},
        schema=schema,
        auto=False,
        processor=PROCESSORS[processor],
        element_basis=False,
    )


def test_an_answer_depends_on_the_seed_the_input_and_the_field_alone() -> None:
    outputs = [Answers(Facts(), seed).output(question(number)) for seed in (0, 1) for number in (0, 1)]
    again = [Answers(Facts(), seed).output(question(number)) for seed in (0, 1) for number in (0, 1)]
    assert outputs == again
    headquarters = {output["content"]["headquarters"] for output in outputs}
    assert len(headquarters) == 4
    stronger = Answers(Facts(), 0).output(question(0, "ultra"))
    assert stronger["content"] == outputs[0]["content"]


def test_the_order_of_an_inputs_keys_does_not_matter() -> None:
    first = Question({"a": 1, "b": 2}, SCHEMA, auto=False, processor=PROCESSORS["core"], element_basis=False)
    second = Question({"b": 2, "a": 1}, SCHEMA, auto=False, processor=PROCESSORS["core"], element_basis=False)
    answers = Answers(Facts(), 7)
    assert answers.output(first) == answers.output(second)


def test_what_is_invented_says_so_in_its_basis() -> None:
    for number in range(50):
        output = Answers(Facts(), 3).output(question(number))
        assert [entry["field"] for entry in output["basis"]] == list(output["content"])
        for entry in output["basis"]:
            assert entry["reasoning"].startswith(INVENTED)
            hosts = [citation["url"].split("/")[2] for citation in entry["citations"]]
            assert all(host.endswith(".sandbox.invalid") for host in hosts)
            assert bool(hosts) == (output["content"][entry["field"]] is not None)


def test_confidences_are_spread_and_stronger_processors_are_surer() -> None:
    def spread(processor: str) -> Counter[str | None]:
        outputs = [Answers(Facts(), 0).output(question(number, processor)) for number in range(300)]
        return Counter(entry["confidence"] for output in outputs for entry in output["basis"])

    core, ultra = spread("core"), spread("ultra")
    assert set(core) == {"high", "medium", "low", None}
    assert all(core[level] > 20 for level in core)
    assert ultra["high"] > core["high"] > spread("lite")["high"]


def test_a_value_that_may_be_null_is_sometimes_null() -> None:
    years = [Answers(Facts(), 0).output(question(n))["content"]["founded_year"] for n in range(300)]
    assert 10 < years.count(None) < 100
    assert all(year is None or 1950 <= year < 2025 for year in years)


def test_weak_processors_give_no_excerpts() -> None:
    for name, processor in PROCESSORS.items():
        outputs = [Answers(Facts(), 0).output(question(number, name)) for number in range(3)]
        citations = [cited for output in outputs for entry in output["basis"] for cited in entry["citations"]]
        assert {bool(cited["excerpts"]) for cited in citations} == {processor.strength >= 2}, name


def test_a_text_answer_has_one_basis_entry() -> None:
    output = Answers(Facts(), 0).output(question(1, schema=None))
    assert output["type"] == "text"
    assert isinstance(output["content"], str)
    assert [entry["field"] for entry in output["basis"]] == ["output"]
