"""Asks the service what is due, and brings in what was paid for. The only step that can spend money."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio

from enrich.asking.driver import Driver
from enrich.asking.rounds import Rounds
from enrich.backends.opening import open_service
from enrich.job import Interruption, Job
from enrich.ledger.recorder import open_recorder
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.planning.comparison import Comparison
from enrich.planning.costs import Summary
from enrich.progress import Progress
from enrich.protocol.submit import SETTLE_S
from enrich.protocol.till import Till
from enrich.spec.money import micro

SANDBOX_SETTLE_S: Final = 2.0
GRACE_S: Final = 8.0  # asked to end, a command lets what is on the wire end for so long


@dataclass(slots=True)
class Outcome:
    """What asking came to; runs are counts, money is in millionths of a dollar."""

    job_id: int | None = None
    submitted: int = 0
    completed: int = 0
    failed: int = 0
    usd_micro: int = 0
    paid_by_processor: dict[str, int] = field(default_factory=dict)  # runs
    usd_micro_by_processor: dict[str, int] = field(default_factory=dict)  # as the ledger has it
    groups: tuple[str, ...] = ()
    stopped: str = ""
    refused: bool = False
    bytes_read: int = 0
    result_bytes: int = 0
    commits: int = 0


async def ask(
    job: Job,
    ledger: Ledger,
    comparison: Comparison,
    worklist: Worklist,
    summary: Summary,
    *,
    job_id: int,
    progress: Progress,
    interruption: Interruption,
    ends_at: float | None = None,
) -> Outcome:
    """Ask everything that is due and bring in everything that was paid for, as far as this command may.

    At `ends_at`, on the event loop's clock, it ends in good order with what is there.
    """
    options = job.options
    totals, paid_before = ledger.totals(), ledger.paid_by_processor()
    till = Till(
        budget=None if job.budget is None else micro(job.budget),
        in_flight=totals.usd_micro_in_flight + totals.usd_micro_unresolved,
    )
    settle_s = options.settle_s if options.settle_s is not None else SANDBOX_SETTLE_S if options.sandbox else SETTLE_S
    async with (
        open_service(options.environ, ledger=job.ledger_path, sandbox=options.sandbox, facts=job.facts) as client,
        open_recorder(ledger) as recorder,
    ):
        driver = Driver(client, recorder, till)
        rounds = Rounds(driver, ledger, progress, job_id=job_id, job=job.config.name, settle_s=settle_s)
        with anyio.CancelScope() as scope:
            interruption.then(driver.stop.set)
            interruption.then(lambda: _cancel_later(scope))
            async with anyio.create_task_group() as tasks:
                if ends_at is not None:
                    tasks.start_soon(_end_at, ends_at, driver, scope)
                await rounds.ask_all(comparison, worklist, summary)
                tasks.cancel_scope.cancel()
        return _outcome(driver, job_id, ledger.paid_by_processor() - paid_before)


async def _end_at(ends_at: float, driver: Driver, scope: anyio.CancelScope) -> None:
    await anyio.sleep_until(ends_at)
    driver.till.stop("deadline", "the deadline is reached")
    driver.stop.set()
    _cancel_later(scope)


def _cancel_later(scope: anyio.CancelScope) -> None:
    scope.deadline = anyio.current_time() + GRACE_S


def _outcome(driver: Driver, job_id: int, usd_micro_by_processor: Mapping[str, int]) -> Outcome:
    stop = driver.till.stopped
    return Outcome(
        job_id=job_id,
        submitted=driver.submitted,
        completed=driver.done - driver.failed + driver.extras_paid,
        failed=driver.failed,
        usd_micro=driver.paid_micro,
        paid_by_processor=dict(driver.paid),
        usd_micro_by_processor=dict(usd_micro_by_processor),
        groups=tuple(driver.groups),
        stopped="" if stop is None else stop.text,
        refused=stop is not None and stop.why == "refused",
        bytes_read=driver.bytes_read,
        result_bytes=driver.result_bytes,
        commits=driver.recorder.commits,
    )
