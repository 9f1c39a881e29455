"""What may be due later in a command, because of runs whose outcome is not known yet. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from enrich.answers.answer import Answer
from enrich.planning.due import Ask, ReadAnswers, ask_for
from enrich.planning.freshness import failure_stands, may_be_stale
from enrich.planning.rules import Rules, Rung
from enrich.records import IN_FLIGHT, Held, RunState
from enrich.spec import Field

_WEAK: Final = Answer(None, None, "", "[]", "withhold", "", strong=False)  # what a run under way may come to

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
