"""Why a question is asked, in words."""

import pytest

from enrich.planning.reasons import change_text

HQ = {"type": "string", "description": "City"}
LIST = {"type": "object", "properties": {"a": HQ}, "required": ["a"], "additionalProperties": False}
LONGER = {"type": "object", "properties": {"a": HQ, "b": HQ}, "required": ["a", "b"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("earlier", "schema", "words"),
    [
        pytest.param(None, HQ, "question changed", id="not known how it was"),
        pytest.param(HQ, dict(HQ), "instructions, source policy or location changed", id="the same schema"),
        pytest.param(HQ, {**HQ, "description": "Town"}, "description changed", id="description"),
        pytest.param(HQ, {**HQ, "type": "integer"}, "schema (type) changed", id="type"),
        pytest.param(HQ, {"type": "string"}, "description changed", id="no description any more"),
        pytest.param({"enum": [1]}, {"enum": [1.0]}, "schema (enum) changed", id="1 and 1.0"),
        pytest.param(HQ, {"type": "integer"}, "description and schema (type) changed", id="both"),
        pytest.param(LIST, LONGER, "schema (properties) changed", id="a property more, and what follows from it"),
        pytest.param(LIST, {**LIST, "required": []}, "schema (required) changed", id="required alone"),
        pytest.param({"a": 1, "z": 1}, {"a": 2, "z": 2}, "schema (a, z) changed", id="several, in order"),
    ],
)
def test_what_makes_a_question_another_one(
    earlier: dict[str, object] | None, schema: dict[str, object], words: str
) -> None:
    assert change_text(earlier, schema) == words
