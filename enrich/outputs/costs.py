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
        runs = Counter({submission: self._seen[submission].bit_count() for submission in prices})
        for submission, n in self._ledger.paid_extras():
            if submission in prices and self._has_seen(submission, n):
                runs[submission] += 1
        usd_micro = sum(number * (prices[submission] or 0) for submission, number in runs.items())
        unpriced = sum(number for submission, number in runs.items() if prices[submission] is None)
        for (submission, n), cost in self._ledger.own_prices().items():
            if submission in prices and self._has_seen(submission, n):
                usd_micro += cost - (prices[submission] or 0)
                unpriced -= prices[submission] is None
        return Cost(runs.total(), usd_micro, unpriced)

    def _has_seen(self, submission: int, n: int) -> bool:
        return bool(self._seen[submission] >> n & 1)
