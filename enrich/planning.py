"""What is due: the difference between the answers wanted and the answers held. Pure.

One comparison gives everything: a first run (all missing), a rerun (nothing missing), new rows, a new field, a changed
prompt (its field has another identity), a refresh (stale), the next rung of a ladder (too weak). There is no other
notion of resuming or of a cache.

The module is not called `plan`, since `enrich.plan` is the library's function.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from enrich.answers import Answer, answered_fields, failure_stands, is_stale, may_be_stale
from enrich.config import Refresh
from enrich.ledger import Held, RunState
from enrich.spec import Field

Why = Literal["missing", "changed", "stale", "too weak", "failed before"]
WHYS: Final[tuple[Why, ...]] = ("missing", "changed", "stale", "too weak", "failed before")
IN_FLIGHT: Final = frozenset({RunState.SENT, RunState.ACCEPTED})
FAILED: Final = frozenset({RunState.FAILED, RunState.REFUSED})

ReadAnswers = Callable[[Held], Mapping[str, Answer]]


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

    def is_own(self, run: Held) -> bool:
        """Whether this very command asked for a run: then its outcome stands, whatever any clock says of its time."""
        return run.submission_id > self.last_submission


@dataclass(frozen=True, slots=True)
class Ask:
    """One run that is due for an input."""

    rung: Rung
    field_ids: tuple[str, ...]
    generation: int
    why: Mapping[Why, int]  # fields by reason
    weaker: Held | None  # the newest attempt that was too weak: a stronger one may build on it


@dataclass(slots=True)
class _Due:
    fields: list[str] = field(default_factory=list)
    why: Counter[Why] = field(default_factory=Counter)
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
    return Ask(rung, tuple(due.fields), max(ended, default=-1) + 1, due.why, due.weaker)


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
            _add(due, one.id, "too weak", rung, weaker)
        return
    if recent:
        return
    _add(due, one.id, _why(one, held, rules, stale=stale, failed=bool(failures)), 0, None)


def _add(due: _Due, field_id: str, why: Why, rung: int, weaker: Held | None) -> None:
    due.fields.append(field_id)
    due.why[why] += 1
    due.rung = max(due.rung, rung)
    due.weaker = weaker or due.weaker


def _why(one: Field, held: Sequence[Held], rules: Rules, *, stale: bool, failed: bool) -> Why:
    if stale:
        return "stale"
    if failed:
        return "failed before"
    earlier = {rules.names.get(field_id) for run in held for field_id in answered_fields(run)}
    return "changed" if one.name in earlier else "missing"


def _stands(run: Held, refresh: Refresh, rules: Rules) -> bool:
    """Whether a failure is not asked again yet; one of this very command never is."""
    assert run.at is not None
    return rules.is_own(run) or (not rules.retry_failed and failure_stands(run.at, refresh, rules.now))


def _rung_after(run: Held, rules: Rules) -> int:
    """The first rung that is stronger than the processor of a run: by price, so that a ladder may be changed."""
    price = rules.price(run.processor)
    return next((i for i, rung in enumerate(rules.ladder) if rung.usd_micro > price), len(rules.ladder))
