"""The durable record: what was asked, sent, accepted and answered. Nothing else touches its tables.

`Ledger` holds the tables and their transitions, `Recorder` is the one writer of a run, `InstanceLock` keeps
a second instance out, `Worklist` is the scratch table of a plan.
"""

from enrich.ledger.lock import InstanceLock
from enrich.ledger.recorder import Recorder, open_recorder
from enrich.ledger.store import (
    ExtraRun,
    Held,
    Intent,
    Ledger,
    LedgerTotals,
    LiveRun,
    OpenSubmission,
    Outcome,
    RunState,
    ServiceKind,
)
from enrich.ledger.worklist import Due, Wanted, Worklist

__all__ = [
    "Due",
    "ExtraRun",
    "Held",
    "InstanceLock",
    "Intent",
    "Ledger",
    "LedgerTotals",
    "LiveRun",
    "OpenSubmission",
    "Outcome",
    "Recorder",
    "RunState",
    "ServiceKind",
    "Wanted",
    "Worklist",
    "open_recorder",
]
