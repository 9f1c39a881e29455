"""Holds the table's inputs against the ledger: which runs are due, why, and what they cost. Reads, asks nothing."""

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from enrich.answers import Answer, Reader
from enrich.api.processors import PROCESSORS
from enrich.config import Config
from enrich.ledger import Held, Ledger, RunState, Worklist, damaged
from enrich.planning import WHYS, Ask, Rules, Rung, Why, ask_for
from enrich.results import interaction_of, is_of_run
from enrich.spec import MAX_SPEC_AND_INPUT_CHARS, Field, chars, task_spec
from enrich.submit import Question, batch_size

OPEN_GROUPS: Final = 64
WEAK_SHARE: Final = Decimal("0.3")  # of answers expected to go up a rung, where the ledger can't tell yet
_ASKS_KEPT: Final = 4096
_BLOCKS_KEPT: Final = 16  # decompressed blocks held at once: 1 MB


@dataclass(slots=True)
class Summary:
    """What one comparison found. Runs are counts; dollars are Decimal."""

    rows: int = 0
    rows_left_out: int = 0
    distinct_inputs: int = 0
    too_long: int = 0
    questions: list[Question] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)  # by processor
    why: Counter[Why] = field(default_factory=Counter)  # answers by reason
    ladder: tuple[Rung, ...] = ()

    @property
    def due(self) -> int:
        """Runs that are due now."""
        return self.runs.total()

    def usd_least(self) -> Decimal:
        """If no answer has to go up a rung."""
        return sum((dollars(self._price(name)) * runs for name, runs in self.runs.items()), start=Decimal(0))

    def usd_most(self) -> Decimal:
        """If every run goes up every rung that is left."""
        return self._climbed(Decimal(1))

    def usd_expected(self) -> Decimal:
        """If a usual share of the answers goes up a rung."""
        return self._climbed(WEAK_SHARE)

    def seconds(self) -> float:
        """How long the runs that are due may take: from the processors' usual latency and the groups open at once."""
        total = 0.0
        for name, runs in self.runs.items():
            low, high = PROCESSORS[name].latency_s
            waves = -(-runs // (batch_size(self._price(name)) * OPEN_GROUPS))
            total += waves * (low + high) / 2
        return total

    def _climbed(self, share: Decimal) -> Decimal:
        usd = Decimal(0)
        for name, runs in self.runs.items():
            climbing = Decimal(runs)
            usd += dollars(self._price(name)) * climbing
            for rung in self.ladder:
                if rung.usd_micro > self._price(name):
                    climbing *= share
                    usd += dollars(rung.usd_micro) * climbing
        return usd.quantize(Decimal("0.001"))

    def _price(self, name: str) -> int:
        return price_micro(name)


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

    def __call__(self, held: Held) -> bytes:
        """The result of a completed run. Raises LedgerError where another one stands in its place."""
        assert held.block_id is not None
        assert held.slot is not None
        block = self._blocks.get(held.block_id)
        if block is None:
            ((_, block),) = self._ledger.results([held.block_id])
            self._blocks[held.block_id] = block
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        if held.slot >= len(block) or not is_of_run(block[held.slot], held.run_id or ""):
            raise damaged(self._ledger.path, f"the result of run {held.run_id} is not where it should be")
        return block[held.slot]


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
        self._has_read = False
        self._cuts = _moments(rules)

    def compare(self, worklist: Worklist, *, on_chunk: Callable[[], None] = lambda: None) -> Summary:
        """Fill the worklist's due runs anew; `on_chunk` is called now and then, and may raise to stop."""
        summary = Summary(distinct_inputs=len(worklist), ladder=self._rules.ladder)
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
                    settled = self._reader.ruled(decided[wanted.key])
                    mask &= ~sum(1 << i for i, one in enumerate(self._config.fields) if one.id in settled)
                found = self._fitting(mask, held.get(wanted.key, ()), wanted.document, summary)
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
        kind = (mask, *[(run.state, run.field_ids, run.processor, run.generation, self._age(run)) for run in held])
        if kind in self._alike:
            return self._alike[kind]
        self._has_read = False
        asked = [one for i, one in enumerate(self._config.fields) if mask >> i & 1]
        ask = ask_for(asked, held, self._answers, self._rules)
        if not self._has_read and len(self._alike) < _ASKS_KEPT:
            self._alike[kind] = ask
        return ask

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
        for why, fields in ask.why.items():
            summary.why[why] += fields * runs
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


def reasons(summary: Summary) -> list[tuple[Why, int]]:
    """Why answers are due, most usual reason first."""
    return [(why, summary.why[why]) for why in WHYS if summary.why[why]]
