"""Which answer stands: the best of all that are held for a field, unless a person decided otherwise. Pure.

A decision outranks every verdict as long as its question is the same, and its value fits the field.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from enrich.answers.answer import STATUS_OF, Answer, Choice, Given, Verdict
from enrich.answers.results import NO_CITATIONS
from enrich.records import Held, Ruled
from enrich.spec import Field, Json
from enrich.text.hostile import clean

_WORTH: Final[Mapping[Verdict, int]] = {"review": 3, "not_found": 2, "withhold": 1, "invalid": 0, "accept": 4}
_CUT: Final = b"[redacted]"
_LONGEST_DECISION: Final = 100  # characters of a decision that a reason repeats


def choose(
    candidates: Sequence[tuple[Held, Answer]], *, pending: bool, failed: Held | None, too_long: str | None = None
) -> Choice:
    """The answer that stands for a field: among strong ones the newest, else the best of the doubtful.

    Tonight's doubt never replaces last month's certainty: where a doubtful, failed or pending attempt is newer than
    a strong answer, that one is `kept`. `candidates` are all answers held for the field, in any order.
    """
    strong = max((pair for pair in candidates if pair[1].strong), key=_age, default=None)
    if strong is not None:
        held, answer = strong
        newer = any(_age(pair) > _age(strong) for pair in candidates)
        newer_failure = failed is not None and (failed.at or 0, failed.submission_id) > _age(strong)
        if answer.verdict == "accept" and (newer or newer_failure or pending):
            return Choice("kept", "an older accepted answer stands", answer, held)
        return as_it_is(held, answer)
    if candidates:
        return as_it_is(*max(candidates, key=lambda pair: (_WORTH[pair[1].verdict], *_age(pair))))
    if pending:
        return Choice("pending", "asked, no answer yet")
    if failed is not None:
        return Choice("failed", failed.error or "the run failed", None, failed)
    if too_long is not None:
        return Choice("failed", too_long)
    return Choice("pending", "not asked yet")


def as_it_is(held: Held, answer: Answer) -> Choice:
    """An answer as the choice of its field, by its own verdict."""
    return Choice(STATUS_OF[answer.verdict], answer.reason, answer, held)


def by_a_person(ruled: Ruled, misfit: Callable[[Json], str], answers: Sequence[Given] = ()) -> Choice | None:
    """A person's decision as the choice of a field: it outranks every verdict, and later runs.

    An answer that was accepted keeps its confidence, reasoning, citations and run, if it is among `answers`; else the
    person's note is the reasoning. None where the value no longer fits the field, of which `misfit` says why.
    """
    value = msgspec.json.decode(ruled.value)
    if value is not None and misfit(value):
        return None
    reason = f"decided by a person: {ruled.ruling}"
    held, confirmed = _confirmed(ruled, answers)
    if confirmed is not None:
        answer = msgspec.structs.replace(confirmed, verdict="accept", reason="", strong=True)
        return Choice("human", reason, answer, held)
    return Choice("human", reason, Answer(value, None, ruled.note, NO_CITATIONS, "accept", "", strong=True), None)


def _confirmed(ruled: Ruled, answers: Sequence[Given]) -> Given | tuple[None, None]:
    """The answer that a person accepted, with its run, as that gave it."""
    if ruled.ruling == "accept":
        for held, answer in answers:
            if held.run_id == ruled.run_id and _is_of(ruled.value, msgspec.json.encode(answer.value)):
                return held, answer
    return None, None


def _is_of(accepted: bytes, value: bytes) -> bool:
    """Whether a value is the one that was accepted: perhaps when an earlier version had cut a key out of it."""
    if accepted == value or _CUT not in accepted:
        return accepted == value
    return re.fullmatch(b".*".join(map(re.escape, accepted.split(_CUT))), value, re.DOTALL) is not None


def after_a_person(
    choice: Choice, ruled: Ruled, misfit: Callable[[Json], str], answers: Sequence[Given] = ()
) -> Choice:
    """What stands for a field after a person's decision: that, or why it can't.

    The answer that the person decided on does not stand either then, and waits for another decision.
    """
    made = by_a_person(ruled, misfit, answers)
    if made is not None:
        return made
    value = clean(ruled.value.decode(), _LONGEST_DECISION)
    reason = f"decided by a person: {value} {misfit(msgspec.json.decode(ruled.value))}"
    return Choice(choice.status if choice.answer is None else "invalid", reason, choice.answer, choice.held)


def set_aside(
    fields: Sequence[Field], names: Mapping[str, str], decided: Mapping[str, Ruled], mask: int
) -> Iterator[tuple[Field, Ruled]]:
    """The newest decision on an earlier question of each field that is wanted and has none on the question as it is.

    `names` are those of all fields that were ever asked, `decided` the decisions on one input, both by field id.
    """
    for i, one in enumerate(fields):
        if not mask >> i & 1 or one.id in decided:
            continue
        earlier = [ruled for field_id, ruled in decided.items() if names.get(field_id) == one.name]
        if earlier:
            yield one, max(earlier, key=lambda ruled: ruled.at)


def _age(pair: tuple[Held, Answer]) -> tuple[int, int]:
    return (pair[0].at or 0, pair[0].submission_id)
