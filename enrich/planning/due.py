"""What is due: the difference between the answers wanted and the answers held. Pure.

One comparison gives everything: a first run (all missing), a rerun (nothing missing), new rows, a new field, a changed
prompt (its field has another identity), a refresh (stale), the next rung of a ladder (too weak). There is no other
notion of resuming or of a cache.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import msgspec

from enrich.answers.judging import Answer, answered_fields, failure_stands, is_stale, may_be_stale
from enrich.config import Refresh
from enrich.records import FAILED, IN_FLIGHT, Held, RunState
from enrich.spec import Field, Schema

Why = Literal["missing", "changed", "stale", "too weak", "failed before"]
WHYS: Final[tuple[Why, ...]] = ("missing", "changed", "stale", "too weak", "failed before")

ReadAnswers = Callable[[Held], Mapping[str, Answer]]

_OF_PROPERTIES: Final = frozenset({"required", "additionalProperties"})  # follow from them
_WEAK: Final = Answer(None, None, "", "[]", "withhold", "", strong=False)  # what a run under way may come to


@dataclass(frozen=True, slots=True)
class Rung:
    """A processor to try, with its price in millionths of a dollar."""

    processor: str
    usd_micro: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan needs to know of a config and of the moment."""

    ladder: tuple[Rung, ...]  # weakest first
    refresh: Mapping[str, Refresh]  # by field id
    price: Callable[[str], int]  # of any processor, in millionths; 0 for one that is not known any more
    names: Mapping[str, str]  # of every field id the ledger has ever asked, to tell changed from missing
    now: int
    last_submission: int  # of the ledger, when this command began: later ones are of this very command
    retry_failed: bool = False
    schemas: Mapping[str, Schema] = field(default_factory=dict)  # of the same field ids, to tell what has changed
    sent: Mapping[int, int] = field(default_factory=dict)  # when what is not settled was sent, by submission
    watched: frozenset[int] = frozenset()  # submissions of which runs may turn up that were taken for not made

    def is_own(self, run: Held) -> bool:
        """Whether this very command asked for a run: then its outcome stands, whatever any clock says of its time."""
        return run.submission_id > self.last_submission


class Reason(NamedTuple):
    """Why the answer of a column is due; `words` are for people."""

    column: str
    why: Why
    words: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One run that is due for an input."""

    rung: Rung
    field_ids: tuple[str, ...]
    generation: int
    reasons: tuple[Reason, ...]  # one a field
    weaker: Held | None  # the newest attempt that was too weak: a stronger one may build on it

    @property
    def why(self) -> Counter[Why]:
        """Fields by reason."""
        return Counter(reason.why for reason in self.reasons)


Fate = Literal["in flight", "unresolved", "late", "apart"]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What may have to be asked for an input later in this command, beside what is due now, and from which rung on.

    `in flight`: a run that the service has. `unresolved`: one that it may have. `late`: one that was taken for not
    made. `apart`: answers that are due, and asked in a run of their own once the others are there.
    """

    fate: Fate
    again: Rung | None  # where it fails, was not made, or has grown old: its questions are asked again from here on
    weak: Rung | None  # where its answers are too weak: they go up from here on
    both: bool = False  # may come one after the other, of different questions: it turns up when they are asked again


@dataclass(slots=True)
class _Due:
    fields: list[str] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    rung: int = 0
    weaker: Held | None = None


def ask_for(wanted: Sequence[Field], held: Sequence[Held], read: ReadAnswers, rules: Rules) -> Ask | None:
    """The run that is due for one input, None if nothing is.

    Fields due on different rungs travel together on the highest: a run costs the same whatever the number of fields,
    so one strong run is cheaper than a strong and a weak one. What is in flight is waited for, not asked again.
    """
    due = _Due()
    flying = {field_id for run in held if run.state in IN_FLIGHT for field_id in run.field_ids}
    for one in wanted:
        if one.id not in flying:
            _compare(one, held, read, rules, due)
    if not due.fields:
        return None
    rung = rules.ladder[due.rung]
    asked = frozenset(due.fields)
    ended = [
        run.generation
        for run in held
        if run.processor == rung.processor and run.field_ids == asked and run.state is not RunState.RELEASED
    ]
    return Ask(rung, tuple(due.fields), max(ended, default=-1) + 1, tuple(due.reasons), due.weaker)


def _compare(one: Field, held: Sequence[Held], read: ReadAnswers, rules: Rules, due: _Due) -> None:
    refresh = rules.refresh[one.id]
    top = len(rules.ladder) - 1
    fresh: list[tuple[Held, Answer | None]] = []
    stale = False
    for run in held:
        if one.id not in answered_fields(run):
            continue
        assert run.at is not None
        rung = _rung_after(run, rules)
        may_be_old = not rules.is_own(run) and may_be_stale(run.at, refresh, rules.now)
        # The result itself is read only where its words can make a difference: they cost a decompression.
        answer = read(run).get(one.id) if rung <= top or may_be_old else None
        if answer is not None and may_be_old and is_stale(answer, run.at, refresh, rules.now):
            stale = True
        else:
            fresh.append((run, answer))
    failures = [run for run in held if run.state in FAILED and one.id in run.field_ids]
    recent = [run for run in failures if _stands(run, refresh, rules)]
    if fresh:
        if any(answer is None or answer.strong for _, answer in fresh):
            return
        weaker = max((run for run, _ in fresh), key=lambda run: (run.at or 0, run.submission_id))
        rung = max(_rung_after(run, rules) for run, _ in fresh)
        if rung <= top and not any(rules.price(run.processor) >= rules.ladder[rung].usd_micro for run in recent):
            _add(due, one, Reason(one.name, "too weak", f"too weak from {weaker.processor}"), rung, weaker)
        return
    if recent:
        return
    _add(due, one, _reason(one, held, rules, stale=stale, failed=bool(failures)), 0, None)


def _add(due: _Due, one: Field, reason: Reason, rung: int, weaker: Held | None) -> None:
    due.fields.append(one.id)
    due.reasons.append(reason)
    due.rung = max(due.rung, rung)
    due.weaker = weaker or due.weaker


def _reason(one: Field, held: Sequence[Held], rules: Rules, *, stale: bool, failed: bool) -> Reason:
    if stale:
        return Reason(one.name, "stale", "older than its refresh")
    if failed:
        return Reason(one.name, "failed before", "failed before")
    earlier = [
        field_id for run in held for field_id in sorted(answered_fields(run)) if rules.names.get(field_id) == one.name
    ]
    if earlier:
        return Reason(one.name, "changed", change_text(rules.schemas.get(earlier[-1]), one.schema))
    is_known = one.id in rules.names or one.name in rules.names.values()
    return Reason(one.name, "missing", "new input" if is_known else "new question")


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


# ---------------------------------------------------------------------- what may follow


def climb_from(rung: Rung, ladder: Sequence[Rung]) -> Iterator[Rung]:
    """The rungs that an answer may be asked on from `rung` up, this one first: each the next that is dearer."""
    step: Rung | None = rung
    while step is not None:
        yield step
        price = step.usd_micro
        step = next((one for one in ladder if one.usd_micro > price), None)


def outlooks(
    wanted: Sequence[Field], held: Sequence[Held], read: ReadAnswers, rules: Rules, due: Ask | None
) -> Iterator[Outlook]:
    """What may have to be asked later in this command because of runs whose outcome is not known yet.

    Whatever they come to, no more is asked for their fields than from `again` or from `weak` up the ladder. `due` is
    the run that is due now.
    """
    settled = [run for run in held if run.state not in IN_FLIGHT]
    for run in held:
        fields = [one for one in wanted if one.id in run.field_ids]
        fate = _fate(run, fields, rules, due)
        if fate is None or not fields:
            continue
        others = [one for one in settled if one is not run]
        may_be_free = fate != "in flight" or _may_end_old(run, fields, rules)
        again = _rungs(fields, others, read, rules) if may_be_free else {}
        weak = _rungs(fields, [*others, _completed(run, rules)], _weak_if(run, read), rules)
        if again or weak:
            both = fate != "in flight" and bool(again and weak) and again.keys() != weak.keys()
            yield Outlook(fate, _lowest(again), _lowest(weak), both)


def _rungs(fields: Sequence[Field], held: Sequence[Held], read: ReadAnswers, rules: Rules) -> dict[str, Rung]:
    """From which rung on each of these fields would be asked, by id: together, no two runs of them are on one rung."""
    asks = ((one.id, ask_for([one], held, read, rules)) for one in fields)
    return {field_id: ask.rung for field_id, ask in asks if ask is not None}


def _lowest(rungs: Mapping[str, Rung]) -> Rung | None:
    return min(rungs.values(), key=lambda rung: rung.usd_micro, default=None)


def _fate(run: Held, fields: Sequence[Field], rules: Rules, due: Ask | None) -> Fate | None:
    """What is not known of a run; None where all is known, and where it is the very one that is due now."""
    if run.state in IN_FLIGHT:
        return "in flight" if run.state is RunState.ACCEPTED else "unresolved"
    if run.state is not RunState.RELEASED or run.submission_id not in rules.watched:
        return None
    same = due is not None and due.rung.processor == run.processor and {*due.field_ids} == {one.id for one in fields}
    return None if same else "late"


def _completed(run: Held, rules: Rules) -> Held:
    return msgspec.structs.replace(run, state=RunState.COMPLETED, at=rules.now, block_id=-1)


def _weak_if(run: Held, read: ReadAnswers) -> ReadAnswers:
    """As `read`, but that the answers of one run are too weak."""

    def answers(one: Held) -> Mapping[str, Answer]:
        is_it = (one.submission_id, one.n) == (run.submission_id, run.n)
        return dict.fromkeys(one.field_ids, _WEAK) if is_it else read(one)

    return answers


def _may_end_old(run: Held, fields: Sequence[Field], rules: Rules) -> bool:
    """Whether the outcome of a run under way may not stand: it ended long ago, or failed and is to be tried again.

    No run ends before it was sent.
    """
    sent = rules.sent.get(run.submission_id, 0)
    refreshes = [rules.refresh[one.id] for one in fields]
    return rules.retry_failed or any(
        not failure_stands(sent, refresh, rules.now) or may_be_stale(sent, refresh, rules.now) for refresh in refreshes
    )


def _stands(run: Held, refresh: Refresh, rules: Rules) -> bool:
    """Whether a failure is not asked again yet; one of this very command never is."""
    assert run.at is not None
    return rules.is_own(run) or (not rules.retry_failed and failure_stands(run.at, refresh, rules.now))


def _rung_after(run: Held, rules: Rules) -> int:
    """The first rung that is stronger than the processor of a run: by price, so that a ladder may be changed."""
    price = rules.price(run.processor)
    return next((i for i, rung in enumerate(rules.ladder) if rung.usd_micro > price), len(rules.ladder))
