"""Holds the table's inputs against the ledger: which runs are due, and why. Reads, asks nothing."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from enrich.answers.answer import Answer
from enrich.answers.choosing import set_aside
from enrich.answers.judging import Reader
from enrich.answers.results import interaction_of
from enrich.config import Config
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.planning.costs import Summary, under_way
from enrich.planning.due import Ask, ask_for
from enrich.planning.outlook import Outlook, outlooks
from enrich.planning.results import Results
from enrich.planning.rules import Rules
from enrich.records import IN_FLIGHT, Held, Question, RunState
from enrich.spec import MAX_SPEC_AND_INPUT_CHARS, Field, chars, task_spec

_ASKS_KEPT: Final = 4096
UNSETTLED: Final = IN_FLIGHT | {RunState.RELEASED}  # of which more may become known


class Comparison:
    """Compares, as often as asked, what a config wants with what the ledger has."""

    def __init__(self, config: Config, ledger: Ledger, rules: Rules) -> None:
        self._config = config
        self._ledger = ledger
        self._rules = rules
        self._reader = Reader(config.fields, {one.name: config.gate_for(one.name) for one in config.fields})
        self._results = Results(ledger)
        self._questions: dict[tuple[str, tuple[str, ...]], int] = {}
        self._spec_chars: list[int] = []
        self._alike: dict[object, Ask | None] = {}
        self._outlooks: dict[object, tuple[Outlook, ...]] = {}
        self._read: dict[tuple[int, int], Mapping[str, Answer]] = {}  # of one input, by submission and place in it
        self._has_read = False
        self._cuts = _moments(rules)

    def compare(self, worklist: Worklist, *, on_chunk: Callable[[], None] = lambda: None) -> Summary:
        """Fill the worklist's due runs anew; `on_chunk` is called now and then, and may raise to stop."""
        summary = Summary(distinct_inputs=len(worklist), ladder=self._rules.ladder, under_way=under_way(self._ledger))
        self._questions.clear()
        self._spec_chars.clear()
        worklist.clear_due()
        asks: dict[int, tuple[Ask, int]] = {}  # by identity: the ask, how often
        for chunk in worklist.chunks():
            on_chunk()
            keys = [wanted.key for wanted in chunk]
            held, decided = self._ledger.held(keys), self._ledger.decisions(keys)
            due = []
            for wanted in chunk:
                self._read.clear()
                mask = wanted.mask
                if wanted.key in decided:
                    made = decided[wanted.key]
                    summary.set_aside.update(
                        one.name for one, _ in set_aside(self._config.fields, self._rules.names, made, mask)
                    )
                    settled = self._reader.ruled(made)
                    mask &= ~sum(1 << i for i, one in enumerate(self._config.fields) if one.id in settled)
                runs_held = held.get(wanted.key, ())
                found = self._fitting(mask, runs_held, wanted.document, summary)
                summary.outlooks.update(self._outlooks_of(mask, runs_held, None if found is None else found[0]))
                if found is None:
                    continue
                ask, question = found
                _, runs = asks.get(id(ask), (ask, 0))
                asks[id(ask)] = ask, runs + 1
                due.append((question, wanted.seq, ask.generation, self._previous(ask)))
            worklist.add_due(due)
            if len(asks) > _ASKS_KEPT:
                _add_up(asks, summary)
        _add_up(asks, summary)
        return summary

    def _fitting(self, mask: int, held: Sequence[Held], document: bytes, summary: Summary) -> tuple[Ask, int] | None:
        """The run that is due for an input, and its question; None if there is none that can be asked.

        Where not all that is due fits beside a long input, what nothing is held for is asked first: the rest has
        an answer that stands meanwhile, or a failure that says why.
        """
        ask = self._ask(mask, held)
        if ask is None:
            return None
        question = self._question(ask, summary)
        if self._fits(question, document):
            return ask, question
        ask = self._ask(mask & self._unasked(held), held)
        if ask is not None and self._fits(question := self._question(ask, summary), document):
            apart = self._ask(mask & ~self._unasked(held), held)
            if apart is not None:
                summary.outlooks[Outlook("apart", apart.rung, None)] += 1
            return ask, question
        summary.too_long += 1
        return None

    def _unasked(self, held: Sequence[Held]) -> int:
        """The fields that nothing is held for."""
        asked = {field_id for run in held if run.state is not RunState.RELEASED for field_id in run.field_ids}
        return sum(1 << i for i, one in enumerate(self._config.fields) if one.id not in asked)

    def _ask(self, mask: int, held: Sequence[Held]) -> Ask | None:
        """The run that is due for an input.

        Inputs whose runs are alike get the same one, unless what the results say made a difference.
        """
        kind = self._kind(mask, held)
        if kind in self._alike:
            return self._alike[kind]
        self._has_read = False
        asked = [one for i, one in enumerate(self._config.fields) if mask >> i & 1]
        ask = ask_for(asked, held, self._answers, self._rules)
        if not self._has_read and len(self._alike) < _ASKS_KEPT:
            self._alike[kind] = ask
        return ask

    def _outlooks_of(self, mask: int, held: Sequence[Held], ask: Ask | None) -> tuple[Outlook, ...]:
        """What may be due later for an input, because of runs that are under way."""
        if not any(run.state in UNSETTLED for run in held):
            return ()
        due = None if ask is None else (ask.rung, ask.field_ids)
        kind = (due, self._kind(mask, held), *[self._sent(run) for run in held])
        if kind in self._outlooks:
            return self._outlooks[kind]
        self._has_read = False
        wanted = [one for i, one in enumerate(self._config.fields) if mask >> i & 1]
        found = tuple(outlooks(wanted, held, self._answers, self._rules, ask))
        if not self._has_read and len(self._outlooks) < _ASKS_KEPT:
            self._outlooks[kind] = found
        return found

    def _sent(self, run: Held) -> tuple[int, bool] | None:
        """Alike for unsettled runs of which the same may come."""
        if run.state not in UNSETTLED:
            return None
        sent = self._rules.sent.get(run.submission_id, 0)
        return bisect_left(self._cuts, sent), run.submission_id in self._rules.watched

    def _kind(self, mask: int, held: Sequence[Held]) -> object:
        """What makes inputs alike, as far as it can be told without reading results."""
        return (mask, *[(run.state, run.field_ids, run.processor, run.generation, self._age(run)) for run in held])

    def _age(self, run: Held) -> int | None:
        """A number that is the same for runs of which none is stale where another is not; none of this command is."""
        if run.at is None:
            return None
        return -1 if self._rules.is_own(run) else bisect_left(self._cuts, run.at)

    def _question(self, ask: Ask, summary: Summary) -> int:
        known = self._questions.get((ask.rung.processor, ask.field_ids))
        if known is not None:
            return known
        fields = [one for one in self._config.fields if one.id in ask.field_ids]
        spec = spec_of(self._config, fields)
        self._spec_chars.append(chars(spec))
        summary.questions.append(
            Question(ask.rung.processor, ask.rung.usd_micro, ask.field_ids, spec, self._config.run_settings())
        )
        number = len(summary.questions) - 1
        self._questions[ask.rung.processor, ask.field_ids] = number
        return number

    def _fits(self, question: int, document: bytes) -> bool:
        """Whether a question can be asked of an input; of the many short ones their bytes tell, which are no fewer."""
        room = MAX_SPEC_AND_INPUT_CHARS - self._spec_chars[question]
        return len(document) <= room or chars(document) <= room

    def _previous(self, ask: Ask) -> str | None:
        if ask.weaker is None or not self._config.chain:
            return None
        return interaction_of(self._results(ask.weaker))

    def _answers(self, held: Held) -> Mapping[str, Answer]:
        """The answers of a run, by field id: opened once an input, however many of its fields are compared."""
        self._has_read = True
        place = (held.submission_id, held.n)
        answers = self._read.get(place)
        if answers is None:
            answers = self._read[place] = self._reader.read(self._results(held), held.field_ids)
        return answers


def _moments(rules: Rules) -> list[float]:
    """The moments that outcomes are held against: a run is stale by a limit when it ended at or before one of them."""
    limits = {
        limit.total_seconds()
        for refresh in rules.refresh.values()
        for limit in (refresh.answers, refresh.not_found, refresh.failed)
        if limit is not None
    }
    return sorted(rules.now - limit for limit in limits)


def _add_up(asks: dict[int, tuple[Ask, int]], summary: Summary) -> None:
    for ask, runs in asks.values():
        summary.runs[ask.rung.processor] += runs
        for reason in ask.reasons:
            summary.due_answers[reason, ask.rung.processor] += runs
    asks.clear()


def spec_of(config: Config, fields: list[Field] | tuple[Field, ...]) -> Mapping[str, Any]:
    """The task spec that asks for some of a config's fields."""
    return task_spec(fields, instructions=config.instructions)


def too_long_text(config: Config) -> Callable[[bytes, int], str | None]:
    """A function that says why an input document can't be asked for some fields, by their mask; None when it can."""

    @lru_cache
    def spec_chars(mask: int) -> int:
        return chars(spec_of(config, [one for i, one in enumerate(config.fields) if mask >> i & 1]))

    def check(document: bytes, mask: int) -> str | None:
        total = spec_chars(mask) + chars(document)
        if total <= MAX_SPEC_AND_INPUT_CHARS:
            return None
        return (
            f"the input is too long: {total:,} characters with the spec, "
            f"at most {MAX_SPEC_AND_INPUT_CHARS:,} can be asked"
        )

    return check
