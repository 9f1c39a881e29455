"""What a comparison found, and what it may cost and take.

What a command may cost is bounded here: by what is due now, by what may follow from runs that are under way, and by
every rung that is left for both. Whatever the service answers, the runs that it makes for a command cost no more than
`usd_most` said before, but for double charges, which no plan can foresee.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from typing import Final

from enrich.config import Config
from enrich.ledger.store import Ledger
from enrich.planning.outlook import Outlook, climb_from
from enrich.planning.reasons import WHYS, Reason, Why
from enrich.planning.rules import Rung
from enrich.records import Question
from enrich.spec.money import dollars, price_micro
from enrich.spec.processors import PROCESSORS

WEAK_SHARE: Final = Decimal("0.3")  # of answers expected to go up a rung, where the ledger can't tell yet


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
        """How long it may take, rung after rung: from the processors' usual latency, with all of a rung in flight."""
        return sum(_latency_s(rung) for rung in {rung for rung, runs in self._expected_runs() if runs > 0})

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


def ladder_of(config: Config, processor: str | None = None) -> tuple[Rung, ...]:
    """The config's ladder, or the one processor that is to take its place."""
    names = config.processor if processor is None else (processor,)
    return tuple(Rung(name, price_micro(name)) for name in names)


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
