"""What is due: the difference between the answers wanted and the answers held. Pure.

One comparison gives everything: a first run (all missing), a rerun (nothing missing), new rows, a new field, a changed
prompt (its field has another identity), a refresh (stale), the next rung of a ladder (too weak). There is no other
notion of resuming or of a cache.

Each field that is wanted of an input takes three steps:

1. `attempts_of`: the runs that were made for it, and what each came to;
2. `finding_of`: what they come to together;
3. `due_of`: what is to be asked because of that, and why.

What is due of the fields of one input then travels in one run: `ask_for`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from enrich.answers.answer import Answer
from enrich.planning.freshness import failure_stands, is_stale, may_be_stale
from enrich.planning.reasons import Reason, Why, missing_reason
from enrich.planning.rules import Rules, Rung
from enrich.records import FAILED, IN_FLIGHT, Held, RunState
from enrich.spec import Field

ReadAnswers = Callable[[Held], Mapping[str, Answer]]  # the answers of a completed run, by field id

_ENDED: Final = FAILED | {RunState.COMPLETED}

# ---------------------------------------------------------------------- 1. what each run came to

Worth = Literal["stands", "weak", "stale", "failed", "failed before"]


class Attempt(NamedTuple):
    """A run that was made for a field, and has ended.

    Its answer `stands` where it is strong, and where no rung of the ladder is stronger; else it is `weak`. It is
    `stale` where it is older than the field's refresh. A run that `failed` did so too recently to be tried again, one
    that `failed before` did not.
    """

    run: Held
    worth: Worth
    usd_micro: int  # the price of its processor: how strong it is


def attempts_of(field: Field, held: Sequence[Held], read: ReadAnswers, rules: Rules) -> list[Attempt]:
    """The runs that were made for a field and have ended, each with what it came to."""
    return [
        Attempt(run, _worth(field, run, read, rules), rules.price(run.processor))
        for run in held
        if run.state in _ENDED and field.id in run.field_ids
    ]


def _worth(field: Field, run: Held, read: ReadAnswers, rules: Rules) -> Worth:
    assert run.at is not None
    refresh, is_own = rules.refresh[field.id], rules.is_own(run)
    if run.state in FAILED:
        stands = is_own or (not rules.retry_failed and failure_stands(run.at, refresh, rules.now))
        return "failed" if stands else "failed before"
    can_be_stale = not is_own and may_be_stale(run.at, refresh, rules.now)
    can_be_bettered = stronger_than(rules.price(run.processor), rules.ladder) is not None
    # The result itself is read only where its words can make a difference: they cost a decompression.
    if not can_be_stale and not can_be_bettered:
        return "stands"
    answer = read(run)[field.id]
    if can_be_stale and is_stale(answer, run.at, refresh, rules.now):
        return "stale"
    return "weak" if can_be_bettered and not answer.strong else "stands"


def stronger_than(usd_micro: int, ladder: Sequence[Rung]) -> Rung | None:
    """The first rung that is stronger than a processor: by price, so that a ladder may be changed."""
    return next((rung for rung in ladder if rung.usd_micro > usd_micro), None)


# ---------------------------------------------------------------------- 2. what they come to together


@dataclass(frozen=True, slots=True)
class Stands:
    """There is an answer that stands, or a failure that is not tried again yet."""


@dataclass(frozen=True, slots=True)
class TooWeak:
    """There are answers, all of them doubtful, and a stronger rung is left."""

    weaker: Held  # the newest of them
    stronger: Rung  # than all of them


@dataclass(frozen=True, slots=True)
class Stale:
    """All answers are older than the field's refresh."""


@dataclass(frozen=True, slots=True)
class FailedBefore:
    """No run has answered, and the failures are to be tried again."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing has been tried."""


Finding = Stands | TooWeak | Stale | FailedBefore | Missing


def finding_of(attempts: Sequence[Attempt], ladder: Sequence[Rung]) -> Finding:
    """What the attempts at a field come to together."""
    worths = {one.worth for one in attempts}
    if "stands" in worths:
        return Stands()
    if "weak" in worths:
        return _escalation(attempts, ladder)
    if "failed" in worths:
        return Stands()
    if "stale" in worths:
        return Stale()
    return FailedBefore() if "failed before" in worths else Missing()


def _escalation(attempts: Sequence[Attempt], ladder: Sequence[Rung]) -> TooWeak | Stands:
    """One rung up from the strongest of the weak, unless a run as strong as that has just failed."""
    weak = [one for one in attempts if one.worth == "weak"]
    newest = max((one.run for one in weak), key=lambda run: (run.at or 0, run.submission_id))
    rung = stronger_than(max(one.usd_micro for one in weak), ladder)
    assert rung is not None, "an answer that can't be bettered stands"
    just_failed = any(one.worth == "failed" and one.usd_micro >= rung.usd_micro for one in attempts)
    return Stands() if just_failed else TooWeak(newest, rung)


# ---------------------------------------------------------------------- 3. what is to be asked because of that


class DueField(NamedTuple):
    """A field that is due: from which rung on, why, and after which weaker attempt."""

    field: Field
    rung: Rung
    reason: Reason
    weaker: Held | None = None


def due_of(field: Field, held: Sequence[Held], read: ReadAnswers, rules: Rules) -> DueField | None:
    """What is to be asked of a field; None where what is held for it stands."""
    first = rules.ladder[0]
    match finding_of(attempts_of(field, held, read, rules), rules.ladder):
        case Stands():
            return None
        case TooWeak(weaker, stronger):
            reason = Reason(field.name, "too weak", f"too weak from {weaker.processor}")
            return DueField(field, stronger, reason, weaker)
        case Stale():
            return DueField(field, first, Reason(field.name, "stale", "older than its refresh"))
        case FailedBefore():
            return DueField(field, first, Reason(field.name, "failed before", "failed before"))
        case Missing():
            return DueField(field, first, missing_reason(field, held, rules))


# ---------------------------------------------------------------------- one run for all that is due


@dataclass(frozen=True, slots=True)
class Ask:
    """One run that is due for an input."""

    rung: Rung
    field_ids: tuple[str, ...]
    generation: int
    reasons: tuple[Reason, ...]  # one a field
    weaker: Held | None  # an attempt that was too weak, the newest of its field: a stronger one may build on it

    @property
    def why(self) -> Counter[Why]:
        """Fields by reason."""
        return Counter(reason.why for reason in self.reasons)


def ask_for(wanted: Sequence[Field], held: Sequence[Held], read: ReadAnswers, rules: Rules) -> Ask | None:
    """The run that is due for one input, None if nothing is.

    Fields due on different rungs travel together on the highest: a run costs the same whatever the number of fields,
    so one strong run is cheaper than a strong and a weak one. What is in flight is waited for, not asked again.
    """
    flying = {field_id for run in held if run.state in IN_FLIGHT for field_id in run.field_ids}
    found = (due_of(field, held, read, rules) for field in wanted if field.id not in flying)
    due = [one for one in found if one is not None]
    if not due:
        return None
    rung = max((one.rung for one in due), key=lambda rung: rung.usd_micro)
    field_ids = tuple(one.field.id for one in due)
    weaker = [one.weaker for one in due if one.weaker is not None]
    return Ask(
        rung=rung,
        field_ids=field_ids,
        generation=_generation(rung, frozenset(field_ids), held),
        reasons=tuple(one.reason for one in due),
        weaker=weaker[-1] if weaker else None,
    )


def _generation(rung: Rung, field_ids: frozenset[str], held: Sequence[Held]) -> int:
    """The number of a run among those of the same question that were made: from 0."""
    made = [
        run.generation
        for run in held
        if run.processor == rung.processor and run.field_ids == field_ids and run.state is not RunState.RELEASED
    ]
    return max(made, default=-1) + 1
