"""Why an answer is due, in words for people."""

import json
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from enrich.planning.rules import Rules
from enrich.records import Held, RunState
from enrich.spec import Field, Schema

Why = Literal["missing", "changed", "stale", "too weak", "failed before"]
WHYS: Final[tuple[Why, ...]] = ("missing", "changed", "stale", "too weak", "failed before")

_OF_PROPERTIES: Final = frozenset({"required", "additionalProperties"})  # follow from them


class Reason(NamedTuple):
    """Why the answer of a column is due; `words` are for people."""

    column: str
    why: Why
    words: str


def missing_reason(field: Field, held: Sequence[Held], rules: Rules) -> Reason:
    """Why there is no answer to a question: the input is new, or the question is, or it was another one."""
    answered = [run for run in held if run.state is RunState.COMPLETED]
    earlier = [
        field_id for run in answered for field_id in sorted(run.field_ids) if rules.names.get(field_id) == field.name
    ]
    if earlier:
        return Reason(field.name, "changed", change_text(rules.schemas.get(earlier[-1]), field.schema))
    is_known = field.id in rules.names or field.name in rules.names.values()
    return Reason(field.name, "missing", "new input" if is_known else "new question")


def change_text(earlier: Schema | None, schema: Schema) -> str:
    """What makes a question another one than it was, by its schema then and now."""
    if earlier is None:
        return "question changed"
    changed = {key for key in {*earlier, *schema} if _said(earlier, key) != _said(schema, key)}
    if not changed:
        return "instructions, source policy or location changed"
    keys = changed - {"description"} - (_OF_PROPERTIES if "properties" in changed else set())
    parts = ["description"] if "description" in changed else []
    if keys:
        parts.append(f"schema ({', '.join(sorted(keys))})")
    return f"{' and '.join(parts)} changed"


def _said(schema: Schema, key: str) -> str:
    """As in the identity of a field, where 1 and 1.0 differ, and the order of keys is nothing."""
    return json.dumps(schema[key], sort_keys=True) if key in schema else ""
