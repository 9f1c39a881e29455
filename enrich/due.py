"""Holds the table's inputs against the ledger: which runs are due, why, and what they cost. Reads, asks nothing."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from enrich.answers import Answer, Reader, interaction_of, is_of_run
from enrich.api.processors import PROCESSORS
from enrich.config import Config
from enrich.ledger import Held, Ledger, Worklist, damaged
from enrich.planning import WHYS, Ask, Rules, Rung, Why, ask_for
from enrich.spec import MAX_SPEC_AND_INPUT_CHARS, Field, chars, task_spec
from enrich.submit import Question, batch_size

OPEN_GROUPS: Final = 64
WEAK_SHARE: Final = Decimal("0.3")  # of answers expected to go up a rung, where the ledger can't tell yet
_BLOCKS_KEPT: Final = 64  # decompressed blocks held at once: 4 MB


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

    def compare(self, worklist: Worklist, *, on_chunk: Callable[[], None] = lambda: None) -> Summary:
        """Fill the worklist's due runs anew; `on_chunk` is called now and then, and may raise to stop."""
        summary = Summary(distinct_inputs=len(worklist), ladder=self._rules.ladder)
        self._questions.clear()
        self._spec_chars.clear()
        worklist.clear_due()
        fields = self._config.fields
        for chunk in worklist.chunks():
            on_chunk()
            keys = [wanted.key for wanted in chunk]
            held, decided = self._ledger.held(keys), self._ledger.decisions(keys)
            due = []
            for wanted in chunk:
                mine = held.get(wanted.key, [])
                asked = [one for i, one in enumerate(fields) if wanted.mask >> i & 1]
                if wanted.key in decided:
                    settled = self._reader.ruled(decided[wanted.key])
                    asked = [one for one in asked if one.id not in settled]
                ask = ask_for(asked, mine, self._answers, self._rules)
                if ask is None:
                    continue
                question = self._question(ask, summary)
                if chars(wanted.document) + self._spec_chars[question] > MAX_SPEC_AND_INPUT_CHARS:
                    summary.too_long += 1
                    continue
                due.append((question, wanted.seq, ask.generation, self._previous(ask)))
                summary.runs[ask.rung.processor] += 1
                summary.why.update(ask.why)
            worklist.add_due(due)
        return summary

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

    def _previous(self, ask: Ask) -> str | None:
        if ask.weaker is None or not self._config.chain:
            return None
        return interaction_of(self._results(ask.weaker))

    def _answers(self, held: Held) -> Mapping[str, Answer]:
        return self._reader.read(self._results(held), held.field_ids)


def spec_of(config: Config, fields: list[Field] | tuple[Field, ...]) -> Mapping[str, Any]:
    """The task spec that asks for some of a config's fields."""
    return task_spec(fields, instructions=config.instructions)


def too_long_text(config: Config) -> Callable[[bytes], str | None]:
    """A function that says of an input document why it can't be asked, None when it can."""
    spec = chars(spec_of(config, config.fields))

    def check(document: bytes) -> str | None:
        total = spec + chars(document)
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
