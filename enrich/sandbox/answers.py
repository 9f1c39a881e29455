"""What a run answers: output JSON from the facts, else invented, with the basis of every field.

The bytes for one run are a function of the seed, the facts, the input, the task spec and the processor,
so a client can be checked against what the service says later. Nothing is cached: an answer is cheap to
work out and dear to keep.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from enrich.sandbox.dice import Dice
from enrich.sandbox.facts import Fact, Facts
from enrich.sandbox.invent import invent
from enrich.sandbox.processors import Processor

Json = Any

INVENTED = "Invented by the enrich sandbox; no source was consulted."
_AUTO_SCHEMA: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "summary": {"type": "string"},
        "key_points": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["summary", "key_points"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Question:
    """What a run asks: the input document, the output schema (None: text), and how hard to look."""

    document: Json
    schema: Mapping[str, Json] | None
    auto: bool
    processor: Processor
    element_basis: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers questions from `facts`, and invents the rest by `seed`."""

    facts: Facts
    seed: int

    def output(self, question: Question) -> dict[str, Json]:
        """The output object: `type`, `content`, `basis` (and `output_schema` for an auto schema)."""
        known = self.facts.find(question.document)
        asked = _Asked(question, known, name=msgspec.json.encode(question.document, order="sorted"))
        if question.auto:
            return self._json(asked, _AUTO_SCHEMA) | {"output_schema": dict(_AUTO_SCHEMA)}
        if question.schema is None:
            value, basis = self._answer(asked, "output", {"type": "string"}, root={})
            return {"type": "text", "content": value, "basis": [basis]}
        return self._json(asked, question.schema)

    def _json(self, asked: "_Asked", schema: Mapping[str, Json]) -> dict[str, Json]:
        content: dict[str, Json] = {}
        basis: list[Json] = []
        for key, inner in schema["properties"].items():
            content[key], entry = self._answer(asked, key, inner, root=schema)
            basis.append(entry)
            if asked.question.element_basis and isinstance(content[key], list):
                basis += _element_entries(entry, len(content[key]))
        return {"type": "json", "content": content, "basis": basis}

    def _answer(
        self, asked: "_Asked", key: str, schema: Mapping[str, Json], *, root: Mapping[str, Json]
    ) -> tuple[Json, dict[str, Json]]:
        """The value of one field and its basis entry."""
        processor = asked.question.processor
        known = asked.fact.known(key, processor) if asked.fact is not None else None
        if known is not None:
            citations = [_citation(one, excerpts=processor.gives_excerpts) for one in known.citations]
            return known.value, _basis(key, known.reasoning, citations, known.confidence)
        dice = Dice(self.seed, b"%b\x1f%b" % (asked.name, key.encode()))
        value = invent(schema, dice, name=key, root=root)
        confidence = _confidence(dice.below(100), processor)
        if value is None:
            return None, _basis(key, f"{INVENTED} It plays the case that nothing was found.", [], confidence)
        citations = [_citation(one, excerpts=processor.gives_excerpts) for one in _invented_citations(key, dice)]
        return value, _basis(key, INVENTED, citations, confidence)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with what is known of its input; `name` is the input's canonical JSON."""

    question: Question
    fact: Fact | None
    name: bytes


def _basis(key: str, reasoning: str, citations: list[Json], confidence: Json) -> dict[str, Json]:
    return {"field": key, "reasoning": reasoning, "citations": citations, "confidence": confidence}


def _element_entries(entry: Mapping[str, Json], count: int) -> Iterator[dict[str, Json]]:
    for number in range(count):
        yield {**entry, "field": f"{entry['field']}.{number}"}


def _citation(citation: Mapping[str, Json], *, excerpts: bool) -> dict[str, Json]:
    shown = {"url": citation.get("url", ""), "title": citation.get("title")}
    return shown | {"excerpts": citation.get("excerpts") if excerpts else None}


def _invented_citations(key: str, dice: Dice) -> Iterator[dict[str, Json]]:
    for _ in range(1 + dice.below(2)):
        number = dice.below(10_000)
        yield {
            "url": f"https://source-{number}.sandbox.invalid/{quote(key, safe='')}",
            "title": f"Invented source {number}",
            "excerpts": [f"Invented excerpt about {key.replace('_', ' ')}."],
        }


def _confidence(roll: int, processor: Processor) -> str | None:
    """Spread over high, medium, low and none; the stronger the processor, the surer."""
    surer = roll - 12 * (processor.strength - 2)
    if surer < 55:
        return "high"
    if surer < 80:
        return "medium"
    return "low" if surer < 94 else None
