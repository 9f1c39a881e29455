"""Holds the table's inputs against the ledger: which runs are due, why, and what they cost. Reads, asks nothing.

What a command may cost is bounded here: by what is due now, by what may follow from runs that are under way, and by
every rung that is left for both. Whatever the service answers, the runs that it makes for a command cost no more than
`usd_most` said before, but for double charges, which no plan can foresee.
"""

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from functools import lru_cache
from math import ceil
from typing import Any, Final

from enrich.answers import Answer, Reader, set_aside
from enrich.config import Config
from enrich.ledger.refusals import damaged
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.planning import IN_FLIGHT, WHYS, Ask, Outlook, Reason, Rules, Rung, Why, ask_for, climb_from, outlooks
from enrich.protocol.submit import Question, batch_size
from enrich.records import Held, RunState
from enrich.results import interaction_of, is_of_run
from enrich.spec import MAX_SPEC_AND_INPUT_CHARS, Field, chars, task_spec
from enrich.spec.processors import PROCESSORS

OPEN_GROUPS: Final = 64
WEAK_SHARE: Final = Decimal("0.3")  # of answers expected to go up a rung, where the ledger can't tell yet
_ASKS_KEPT: Final = 4096
UNSETTLED: Final = IN_FLIGHT | {RunState.RELEASED}  # of which more may become known
_BLOCKS_KEPT: Final = 16  # decompressed blocks held at once: 1 MB, and of larger ones no more than …
_BYTES_KEPT: Final = 2 << 20


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What earlier commands sent and did not read, whichever table asked it; runs are counts, dollars Decimal.

    It is brought in at no new cost: its money is spent, or at stake, since it was sent.
    """

    runs: int = 0  # that the service has
    usd: Decimal = Decimal(0)
    unresolved: int = 0  # that it may have
    usd_unresolved: Decimal = Decimal(0)


@dataclass(slots=True)
class Summary:
    """What one comparison found. Runs are counts; dollars are Decimal."""

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)  # rows of which nothing is asked, by why
    placeholders: Counter[tuple[str, str]] = field(default_factory=Counter)  # texts for nothing, by column and text
    distinct_inputs: int = 0
    too_long: int = 0
    questions: list[Question] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)  # due now, by processor
    due_answers: Counter[tuple[Reason, str]] = field(default_factory=Counter)  # by reason and processor
    outlooks: Counter[Outlook] = field(default_factory=Counter)  # what may be due later, by what it hangs on
    under_way: UnderWay = UnderWay()
    obstacles: list[str] = field(default_factory=list)  # what a run would be refused for, as its outputs stand now
    set_aside: Counter[str] = field(default_factory=Counter)  # people's decisions on questions as they were, by name
    ladder: tuple[Rung, ...] = ()

    @property
    def rows_left_out(self) -> int:
        """Rows of which nothing is asked."""
        return self.left_out.total()

    @property
    def due(self) -> int:
        """Runs that are due now."""
        return self.runs.total()

    @property
    def why(self) -> Counter[Why]:
        """Answers that are due now, by reason."""
        found: Counter[Why] = Counter()
        for (reason, _), number in self.due_answers.items():
            found[reason.why] += number
        return found

    def usd_least(self) -> Decimal:
        """If no answer has to go up a rung, and all that is under way answers what it was asked."""
        return sum((dollars(price_micro(name)) * runs for name, runs in self.runs.items()), start=Decimal(0))

    def usd_most(self) -> Decimal:
        """If every answer goes up every rung that is left, and of what is under way comes what costs most."""
        usd = sum((self._chain_usd(rung) * runs for rung, runs in self._due_rungs()), start=Decimal(0))
        for outlook, inputs in self.outlooks.items():
            rungs = [rung for rung in (outlook.again, outlook.weak) if rung is not None]
            costs = [self._chain_usd(rung) for rung in rungs]
            usd += (sum(costs) if outlook.both else max(costs)) * inputs
        return usd

    def usd_expected(self) -> Decimal:
        """If a usual share of the answers goes up a rung, and what is unresolved was not made."""
        usd = sum((dollars(rung.usd_micro) * runs for rung, runs in self._expected_runs()), start=Decimal(0))
        return usd.quantize(Decimal("0.001"), ROUND_UP)

    def seconds(self) -> float:
        """How long it may take, rung after rung: from the processors' usual latency and the groups open at once."""
        runs: Counter[Rung] = Counter()
        for rung, expected in self._expected_runs():
            runs[rung] += ceil(expected)
        waves = {rung: -(-number // (batch_size(rung.usd_micro) * OPEN_GROUPS)) for rung, number in runs.items()}
        return sum(_latency_s(rung) * number for rung, number in waves.items())

    def _due_rungs(self) -> Iterator[tuple[Rung, int]]:
        return ((Rung(name, price_micro(name)), runs) for name, runs in self.runs.items())

    def _expected_runs(self) -> Iterator[tuple[Rung, Decimal]]:
        for rung, runs in self._due_rungs():
            yield from self._climbing(rung, Decimal(runs))
        for outlook, inputs in self.outlooks.items():
            if outlook.fate in ("unresolved", "apart") and outlook.again is not None:
                yield from self._climbing(outlook.again, Decimal(inputs))
            elif outlook.fate in ("in flight", "unresolved") and outlook.weak is not None:
                yield from self._climbing(outlook.weak, inputs * WEAK_SHARE)

    def _climbing(self, rung: Rung, runs: Decimal) -> Iterator[tuple[Rung, Decimal]]:
        """Runs on a rung, and on each of those above it the share that goes up."""
        for step in climb_from(rung, self.ladder):
            yield step, runs
            runs *= WEAK_SHARE

    def _chain_usd(self, rung: Rung) -> Decimal:
        """What an input costs that goes up from a rung to the top."""
        return dollars(sum(step.usd_micro for step in climb_from(rung, self.ladder)))


def _latency_s(rung: Rung) -> float:
    low, high = PROCESSORS[rung.processor].latency_s
    return (low + high) / 2


def dollars(micro: int) -> Decimal:
    """Millionths of a dollar as dollars."""
    return Decimal(micro) / 1_000_000


def micro(usd: Decimal) -> int:
    """Dollars as whole millionths of a dollar."""
    return int(usd * 1_000_000)


def price_micro(processor: str) -> int:
    """Price of a run in millionths of a dollar; 0 for a processor that is not known any more."""
    known = PROCESSORS.get(processor)
    return 0 if known is None else micro(known.usd)


def ladder_of(config: Config, processor: str | None = None) -> tuple[Rung, ...]:
    """The config's ladder, or the one processor that is to take its place."""
    names = config.processor if processor is None else (processor,)
    return tuple(Rung(name, price_micro(name)) for name in names)


class Results:
    """Raw results of held runs, with some blocks kept decompressed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._blocks: OrderedDict[int, list[bytes]] = OrderedDict()
        self._bytes = 0  # of those

    def __call__(self, held: Held) -> bytes:
        """The result of a completed run. Raises LedgerError where another one stands in its place."""
        assert held.block_id is not None
        assert held.slot is not None
        block = self._blocks.get(held.block_id)
        if block is None:
            ((_, block),) = self._ledger.results([held.block_id])
            self._keep(held.block_id, block)
        if held.slot >= len(block) or not is_of_run(block[held.slot], held.run_id or ""):
            raise damaged(self._ledger.path, f"the result of run {held.run_id} is not where it should be")
        return block[held.slot]

    def _keep(self, block_id: int, block: list[bytes]) -> None:
        self._blocks[block_id] = block
        self._bytes += sum(map(len, block))
        while len(self._blocks) > 1 and (len(self._blocks) > _BLOCKS_KEPT or self._bytes > _BYTES_KEPT):
            _, oldest = self._blocks.popitem(last=False)
            self._bytes -= sum(map(len, oldest))


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
        self._has_read = True
        return self._reader.read(self._results(held), held.field_ids)


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


def under_way(ledger: Ledger) -> UnderWay:
    """What the service has, or may have, of what was sent before."""
    totals = ledger.totals()
    return UnderWay(
        totals.runs_in_flight,
        dollars(totals.usd_micro_in_flight),
        totals.runs_unresolved,
        dollars(totals.usd_micro_unresolved),
    )


def reasons(summary: Summary) -> list[tuple[Why, int]]:
    """Why answers are due, most usual reason first."""
    return [(why, summary.why[why]) for why in WHYS if summary.why[why]]
