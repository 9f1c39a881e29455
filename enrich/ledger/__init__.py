"""The durable record: what was asked, sent, accepted and answered. Nothing else touches its tables.

`Ledger` holds the tables and their transitions, of which `records` are made, `Recorder` is the one writer of a
run, `InstanceLock` keeps a second instance out, `Worklist` is the scratch table of a plan.
"""

from enrich.ledger.distinct import Distinct
from enrich.ledger.groups import check_groups, groups_file, read_groups, replace_groups
from enrich.ledger.lock import InstanceLock
from enrich.ledger.overview import JobLine, Overview, Unresolved, read_overview
from enrich.ledger.place import check_place, place_problem
from enrich.ledger.recorder import Recorder, open_recorder
from enrich.ledger.records import (
    ExtraRun,
    Held,
    Intent,
    LedgerTotals,
    LiveRun,
    OpenSubmission,
    Outcome,
    Ruled,
    RunState,
    ServiceKind,
)
from enrich.ledger.refusals import damaged, ledger_refusals
from enrich.ledger.salvage import known_groups, salvaged_decisions, set_aside
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Task, Wanted, Worklist

__all__ = [
    "Distinct",
    "ExtraRun",
    "Held",
    "InstanceLock",
    "Intent",
    "JobLine",
    "Ledger",
    "LedgerTotals",
    "LiveRun",
    "OpenSubmission",
    "Outcome",
    "Overview",
    "Recorder",
    "Ruled",
    "RunState",
    "ServiceKind",
    "Task",
    "Unresolved",
    "Wanted",
    "Worklist",
    "check_groups",
    "check_place",
    "damaged",
    "groups_file",
    "known_groups",
    "ledger_refusals",
    "open_recorder",
    "place_problem",
    "read_groups",
    "read_overview",
    "replace_groups",
    "salvaged_decisions",
    "set_aside",
]
