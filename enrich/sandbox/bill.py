"""What the service charges, whatever the client believes: kept from its own runs alone.

A completed run is charged; a run under way is reserved; any other outcome is free. A task that has more
than one run charged or under way is a double: all runs of it but the first are money lost.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from enrich.sandbox.registry import Run

Json = Any


def bill(runs: Iterable[Run], now: float, *, with_tasks: bool = True) -> dict[str, Json]:
    """The bill at a time, tasks in order of creation; dollars are exact, as decimal texts."""
    statuses: Counter[str] = Counter()
    charged: Counter[str] = Counter()
    usd = reserved = Decimal(0)
    created = 0
    per_task: Counter[str] = Counter()
    costly: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        created += 1
        status = run.status(now)
        statuses[status] += 1
        per_task[run.request.task] += 1
        if status == "completed":
            charged[run.request.processor.name] += 1
            usd += run.request.processor.usd
        elif status in ("queued", "running"):
            reserved += run.request.processor.usd
        if status in ("completed", "queued", "running"):
            costly[run.request.task].append(run)
    return {
        "runs": created,
        "runs_charged": charged.total(),
        "runs_by_status": dict(statuses),
        "usd": str(usd),
        "usd_reserved": str(reserved),
        "runs_charged_by_processor": dict(sorted(charged.items())),
        "tasks": len(per_task),
        **({"runs_by_task": dict(per_task)} if with_tasks else {}),
        "doubles": [_double(task, asked) for task, asked in costly.items() if len(asked) > 1],
    }


def _double(task: str, asked: list[Run]) -> dict[str, Json]:
    lost = sum((run.request.processor.usd for run in asked[1:]), Decimal(0))
    return {"task": task, "run_ids": [run.run_id for run in asked], "usd": str(lost)}
