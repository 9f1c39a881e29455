"""Asks the service what is due, and brings in what was paid for. The only step that can spend money."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

import anyio

from enrich.asking.driver import Driver
from enrich.asking.rounds import Rounds
from enrich.backends.groups import Groups
from enrich.backends.parallel import Client
from enrich.host.clock import SYSTEM, Clock
from enrich.host.interruption import Interruption
from enrich.ledger.recorder import open_recorder
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.planning.comparison import Comparison
from enrich.planning.costs import Summary
from enrich.progress import Progress
from enrich.protocol.pace import WINDOW_S, Pace
from enrich.protocol.resolve import SETTLE_S
from enrich.protocol.till import Till
from enrich.records import Learnt
from enrich.spec.money import micro

SANDBOX_SETTLE_S: Final = 2.0
GRACE_S: Final = 8.0  # asked to end, a command lets what is on the wire end for so long


@dataclass(slots=True)
class Asked:
    """What asking came to; runs are counts, money is in millionths of a dollar."""

    job_id: int | None = None
    submitted: int = 0
    completed: int = 0
    failed: int = 0
    usd_micro: int = 0
    unpriced: int = 0  # of the completed runs, those whose price is not known
    paid_by_processor: dict[str, int] = field(default_factory=dict)  # runs
    usd_micro_by_processor: dict[str, int] = field(default_factory=dict)  # as the ledger has it
    groups: tuple[str, ...] = ()
    stopped: str = ""
    refused: bool = False
    bytes_read: int = 0
    result_bytes: int = 0
    commits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms a command asks: in whose name, for how much, and until when."""

    job_id: int
    name: str  # of the job, as the service's records show it
    budget: Decimal | None  # US dollars that may be at stake
    settle_s: float
    runs_per_minute: int  # the account's quota
    ends_at: float | None = None  # on the event loop's clock
    clock: Clock = SYSTEM


def settling_s(given: float | None, *, sandbox: bool) -> float:
    """The settling time: as given, or what the service needs."""
    if given is not None:
        return given
    return SANDBOX_SETTLE_S if sandbox else SETTLE_S


async def ask(
    client: Client,
    ledger: Ledger,
    comparison: Comparison,
    worklist: Worklist,
    summary: Summary,
    *,
    terms: Terms,
    progress: Progress,
    interruption: Interruption,
) -> Asked:
    """Ask everything that is due and bring in everything that was paid for, as far as this command may.

    When its time is over it ends in good order with what is there.
    """
    totals, paid_before = ledger.totals(), ledger.paid_by_processor()
    pace = pace_of(ledger, terms)
    before = pace.learnt
    till = Till(
        budget=None if terms.budget is None else micro(terms.budget),
        in_flight=totals.usd_micro_in_flight + totals.usd_micro_unresolved,
        pace=pace,
    )
    async with open_recorder(ledger) as recorder:
        driver = Driver(Groups(client), recorder, till, clock=terms.clock)
        rounds = Rounds(driver, ledger, progress, job_id=terms.job_id, job=terms.name, settle_s=terms.settle_s)
        with anyio.CancelScope() as scope:
            interruption.then(driver.stopping.requested.set)
            interruption.then(lambda: _cancel_later(scope))
            async with anyio.create_task_group() as tasks:
                if terms.ends_at is not None:
                    tasks.start_soon(_end_at, terms.ends_at, driver, scope)
                await rounds.go(comparison, worklist, summary)
                tasks.cancel_scope.cancel()
        asked = _asked(driver, terms.job_id, ledger.paid_by_processor() - paid_before)
        asked.unpriced = ledger.totals().runs_unpriced - totals.runs_unpriced
    if pace.learnt not in (None, before):
        _remember(ledger, pace.learnt, terms.clock)
    return asked


def pace_of(ledger: Ledger, terms: Terms) -> Pace:
    """The pace of a command: within the quota, with what earlier ones have learnt, and have created a moment ago."""
    began = _began_at(terms.clock)
    learnt = ledger.pace()
    if learnt is not None:
        learnt = replace(learnt, at=learnt.at - began)
    pace = Pace(terms.runs_per_minute, anyio.current_time(), learnt=learnt)
    since = terms.clock.wall() - WINDOW_S
    pace.seed((wall - began, runs) for wall, runs in ledger.created_since(since))
    return pace


def _remember(ledger: Ledger, learnt: Learnt, clock: Clock) -> None:
    """Keep what was learnt of the quota for the next command."""
    with ledger.transaction(keeps_answers=True):
        ledger.record_pace(replace(learnt, at=learnt.at + _began_at(clock)))


def _began_at(clock: Clock) -> float:
    """The Unix time at which the event loop's clock, which the pace goes by, was 0."""
    return clock.wall() - anyio.current_time()


async def _end_at(ends_at: float, driver: Driver, scope: anyio.CancelScope) -> None:
    await anyio.sleep_until(ends_at)
    driver.till.stop("deadline", "the deadline is reached")
    driver.stopping.requested.set()
    _cancel_later(scope)


def _cancel_later(scope: anyio.CancelScope) -> None:
    scope.deadline = anyio.current_time() + GRACE_S


def _asked(driver: Driver, job_id: int, usd_micro_by_processor: Mapping[str, int]) -> Asked:
    stop, counts = driver.till.stopped, driver.counts
    return Asked(
        job_id=job_id,
        submitted=counts.submitted,
        completed=counts.done - counts.failed + counts.extras_completed,
        failed=counts.failed,
        usd_micro=counts.usd_micro_paid,
        paid_by_processor=dict(counts.completed),
        usd_micro_by_processor=dict(usd_micro_by_processor),
        groups=tuple(counts.groups),
        stopped="" if stop is None else stop.text,
        refused=stop is not None and stop.why == "refused",
        bytes_read=counts.bytes_read,
        result_bytes=counts.result_bytes,
        commits=driver.recorder.commits,
    )
