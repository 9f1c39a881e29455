"""What the answers of a table have cost so far, whichever command asked for them. Adds up what the ledger holds."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from enrich.answers.join import Cost
from enrich.ledger.store import Ledger
from enrich.records import Held, RunState


class Costs:
    """Adds up the runs that answered some columns of some inputs, each run once, however many rows have its input.

    Earlier wordings of a column's question count too: they were asked for the same column. Memory is a bit a run.
    """

    def __init__(self, ledger: Ledger, columns: Collection[str]) -> None:
        self._ledger = ledger
        self._fields = frozenset(one for one, name in ledger.field_names().items() if name in columns)
        self._concerned: dict[frozenset[str], bool] = {}
        self._seen: Counter[int] = Counter()  # by submission: bit n for run n

    def add(self, held: Mapping[bytes, Iterable[Held]]) -> None:
        """Take note of the runs of some inputs; one that was noted before changes nothing."""
        seen, concerned = self._seen, self._concerned
        for runs in held.values():
            for run in runs:
                if run.state is not RunState.COMPLETED:
                    continue
                if run.field_ids not in concerned:
                    concerned[run.field_ids] = not self._fields.isdisjoint(run.field_ids)
                if concerned[run.field_ids]:
                    seen[run.submission_id] |= 1 << run.n

    def total(self) -> Cost:
        """All of them, double charges included; what another program paid for cost nothing."""
        prices = self._ledger.prices(self._seen)
        paid = {submission: price for submission, price in prices.items() if price}
        runs = Counter({submission: self._seen[submission].bit_count() for submission in paid})
        for submission, n in self._ledger.paid_extras():
            if submission in paid and self._seen[submission] >> n & 1:
                runs[submission] += 1
        return Cost(runs.total(), sum(number * paid[submission] for submission, number in runs.items()))
