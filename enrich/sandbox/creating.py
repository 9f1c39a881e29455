"""Creating runs, and all the ways in which an answer to that can leave the client in the dark.

Refusals come first and create nothing; then the runs are created, at once, later or in part; then comes
an answer, a false one, or none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

from starlette.requests import Request
from starlette.responses import Response

from enrich.sandbox.connection import Connection, NoAnswer
from enrich.sandbox.faults import Fault, FaultPlan
from enrich.sandbox.problems import ServiceError
from enrich.sandbox.registry import Group
from enrich.sandbox.requests import ELEMENT_BASIS_BETA, RunRequest
from enrich.sandbox.service import Service

RETRY_AFTER_S = 1
_OVER_QUOTA = "Too many requests: quota temporarily exceeded"

ABSURD_RETRY_AFTER = "99999999999999999999"

_STATUS_WORDS = {
    401: "Unauthorized: invalid or missing credentials",
    403: "Forbidden: this account may not do that",
    408: "Request timed out",
    409: "Conflict",
    422: "Unprocessable content: request validation error",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timed out",
}


def wants_elements(request: Request) -> bool:
    """Whether the caller switched on basis entries for the elements of lists."""
    return ELEMENT_BASIS_BETA in request.headers.get("parallel-beta", "")


def refuse_by_fault(plan: FaultPlan, call: str) -> None:
    """Faults that any call, or any GET that is not a live stream, can meet. Raises ServiceError."""
    if plan.take("unauthorized"):
        raise _failure(401)
    if call.startswith("GET") and not call.endswith("/events"):
        failed = plan.take("read-error")
        if failed is not None:
            raise _rate_limited("seconds") if failed.word == "429" else _failure(int(failed.word))


async def create_runs(
    service: Service,
    request: Request,
    group: Group | None,
    runs: Sequence[RunRequest],
    answer: Callable[[list[str]], bytes],
) -> Response:
    """Create `runs`, and answer by `answer` with their ids, as the faults let it."""
    plan = service.faults
    _refuse(service, request, runs)
    verdict = service.within_quota(len(runs))
    over = verdict.runs < len(runs)
    late, partial, refused = plan.take("late"), plan.take("partial"), _Refused.by(plan)
    parts = [verdict.runs] + [int(one.number) for one in (partial, refused.partial) if one is not None]
    delays = [one.number for one in (late, refused.late) if one is not None]
    run_ids = service.registry.add_runs(
        group, runs[: min(parts)], element_basis=wants_elements(request), delay_s=max(delays, default=0.0)
    )
    service.bell.ring()
    if over:
        raise ServiceError(429, _OVER_QUOTA, headers=_seconds(verdict.wait_s))
    if refused.status is not None:
        raise _credit_refused() if refused.status == 402 else _rate_limited("absent")
    if late is not None:
        return NoAnswer(Connection.of(request), "close")
    if partial is not None:
        raise _failure(500)
    lost = plan.take("response-lost")
    if lost is not None:
        return NoAnswer(Connection.of(request), lost.word)
    failed = plan.take("error-after")
    if failed is not None:
        raise _failure(int(failed.word))
    return Response(_falsified(plan, run_ids, answer), media_type="application/json")


@dataclass(frozen=True, slots=True)
class _Refused:
    """Faults by which runs are made although the answer is one that refuses them."""

    status: int | None
    partial: Fault | None
    late: Fault | None

    @classmethod
    def by(cls, plan: FaultPlan) -> "_Refused":
        whole, partial, late = plan.take("refused-after"), plan.take("refused-partial"), plan.take("refused-late")
        if whole is not None:
            return cls(int(whole.word), partial, late)
        return cls(None if partial is late is None else 429, partial, late)


def _falsified(plan: FaultPlan, run_ids: list[str], answer: Callable[[list[str]], bytes]) -> bytes:
    if plan.take("wrong-count"):
        run_ids = run_ids[:-1]
    if plan.take("shuffled-ids"):
        run_ids = run_ids[::-1]
    body = answer(run_ids)
    return body[: len(body) // 2] if plan.take("truncated-answer") else body


def _refuse(service: Service, request: Request, runs: Sequence[RunRequest]) -> None:
    plan = service.faults
    limited = plan.take("rate-limited")
    if limited is not None:
        raise _rate_limited(limited.word)
    credit = plan.take("no-credit")
    if credit is not None and _exceeds(service, runs, credit.word):
        raise _credit_refused()
    if plan.take("forbidden"):
        raise _failure(403)
    echo = plan.take("key-echo")
    if echo is not None:
        key = request.headers.get("x-api-key", "")
        message = f"{_STATUS_WORDS[int(echo.word)]} (x-api-key: {key})"
        raise ServiceError(int(echo.word), message, detail={"headers": {"x-api-key": key}})
    failed = plan.take("error-before")
    if failed is not None:
        raise _failure(int(failed.word))


def _exceeds(service: Service, runs: Sequence[RunRequest], limit: str) -> bool:
    """Whether `runs` on top of what is under way would go over `5usd` or `100runs`."""
    under_way = list(service.registry.active_runs(service.registry.now()))
    if limit.endswith("runs"):
        return len(under_way) + len(runs) > Decimal(limit.removesuffix("runs"))
    prices = [run.request.processor.usd for run in under_way] + [run.processor.usd for run in runs]
    return sum(prices, Decimal(0)) > Decimal(limit.removesuffix("usd"))


def _rate_limited(form: str) -> ServiceError:
    return ServiceError(429, _OVER_QUOTA, headers=_retry_after(form))


def _credit_refused() -> ServiceError:
    return ServiceError(402, "Payment required: insufficient credit in account")


def _seconds(wait_s: int | None) -> dict[str, str]:
    return {} if wait_s is None else {"Retry-After": str(wait_s)}


def _retry_after(form: str) -> dict[str, str]:
    soon = datetime.now(UTC) + timedelta(seconds=RETRY_AFTER_S)
    forms = {
        "seconds": {"Retry-After": str(RETRY_AFTER_S)},
        "date": {"Retry-After": format_datetime(soon, usegmt=True)},
        "absent": {},
        "absurd": {"Retry-After": ABSURD_RETRY_AFTER},
    }
    return forms[form]


def _failure(status: int) -> ServiceError:
    return ServiceError(status, _STATUS_WORDS[status], detail={"sandbox": "told to fail by --fault"})
