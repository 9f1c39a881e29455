"""What a command has done so far, counted as its effects are performed."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from enrich.protocol.effects import LedgerEffect, RecordAccepted, RecordAdopted, RecordOutcomes


@dataclass(slots=True)
class Counts:
    """Runs and bytes are counts, money is in millionths of a dollar."""

    submitted: int = 0  # runs that the service has taken
    done: int = 0  # outcomes in the ledger
    failed: int = 0  # of them
    completed: Counter[str] = field(default_factory=Counter)  # runs by processor, with double charges
    extras_completed: int = 0  # of them, double charges
    usd_micro_paid: int = 0
    bytes_read: int = 0  # of listings and results
    result_bytes: int = 0  # in the ledger
    groups: list[str] = field(default_factory=list)  # ids, as they were made
    told: set[str] = field(default_factory=set)  # ids of runs that have ended, and are not in the ledger yet

    counted: dict[int, int] = field(default_factory=dict)  # by submission: runs that have ended, by its group's counts

    @property
    def ended(self) -> int:
        """Runs that have ended, as far as is known."""
        return self.done + len(self.told) + sum(self.counted.values())

    def wait(self, submission_id: int, ended: int) -> None:
        """So many runs of a submission are counted as ended, and are not in the ledger yet."""
        if ended:
            self.counted[submission_id] = ended
        else:
            self.counted.pop(submission_id, None)

    def tell(self, run_ids: Collection[str]) -> None:
        """Runs are said to have ended."""
        self.told.update(run_ids)

    def note(self, effect: LedgerEffect[Any]) -> None:
        """Something is about to be written down."""
        match effect:
            case RecordOutcomes(submission_id=submission_id, outcomes=outcomes):
                self.wait(submission_id, max(0, self.counted.get(submission_id, 0) - len(outcomes)))
                completed = sum([outcome.completed for outcome in outcomes])
                self.told.difference_update([outcome.run_id for outcome in outcomes])
                self.done += len(outcomes)
                self.failed += len(outcomes) - completed
                self.completed[effect.processor] += completed
                self.result_bytes += sum([len(outcome.raw) for outcome in outcomes])
            case RecordAccepted(run_ids=run_ids):
                self.submitted += len(run_ids)
            case RecordAdopted(runs=runs):
                self.submitted += len(runs)
            case _:
                pass

    def note_extra(self, processor: str, *, completed: bool) -> None:
        """The outcome of a double charge is in the ledger."""
        self.extras_completed += completed
        self.completed[processor] += completed
