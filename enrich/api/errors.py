"""What a call's failure proves: the error tree, and the one place where an answer becomes an error.

    ApiError
    ├── BaseUrlError            the address can't be used: nothing was sent
    ├── NotSentError            the connection was never made: nothing reached the service
    │   └── CertificateError    … because the service's certificate isn't trusted here
    ├── UnknownOutcomeError     a POST of runs that may have taken effect: never sent again blindly
    ├── UnavailableError        a free request without a usable answer: it can be sent again
    │   ├── StillActiveError    … 408: the run isn't finished
    │   ├── UnreadableAnswerError … a 2xx that isn't what was asked for
    │   │   └── TooLargeAnswerError … or is larger than what is read
    │   └── StreamBreakError    an event stream broke off: go on after its `last_event_id`
    │       ├── StreamCut       … by a lost connection, or bytes that are no event
    │       ├── StreamStalled   … by silence
    │       └── StreamEndless   … by us: it goes on and on, and tells nothing new
    └── StatusError             refused: nothing was created
        ├── InvalidError        400, 413, 422
        ├── UnauthorizedError   401
        ├── CreditError         402
        ├── ForbiddenError      403
        ├── NotFoundError       404
        └── RateLimitedError    429

`retryable`: sending the very same request again is right. `created_nothing`: the request provably created
no runs. Both are facts of the class, as is `exit_code`. For the POST that costs, a timeout, a reset, 408, 409,
3xx, 5xx, any status that isn't listed above, and a 2xx that can't be read are UnknownOutcomeError. For free
requests (GETs, making a group) those that may pass are UnavailableError, and the rest a plain StatusError.

The service's words are untrusted: control and bidi characters, the API key and its like are taken out, and
they are cut at 500 characters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar, Final, TypeAlias, cast

from enrich.api.reading import UnreadableError, decode_shallow
from enrich.api.secret import Secret
from enrich.errors import EnrichError, ExitCode
from enrich.text.hostile import clean

__all__ = [
    "MAX_RETRY_AFTER_S",
    "ApiError",
    "BaseUrlError",
    "CertificateError",
    "CreditError",
    "ForbiddenError",
    "InvalidError",
    "JsonValue",
    "NotFoundError",
    "NotSentError",
    "RateLimitedError",
    "StatusError",
    "StillActiveError",
    "StreamBreakError",
    "StreamCut",
    "StreamEndless",
    "StreamStalled",
    "TooLargeAnswerError",
    "UnauthorizedError",
    "UnavailableError",
    "UnknownOutcomeError",
    "UnreadableAnswerError",
    "error_of_answer",
    "retry_after_s",
    "sanitised",
]

MAX_RETRY_AFTER_S: Final = 300.0

_MAX_MESSAGE: Final = 500
_MAX_BODY: Final = 64 * 1024  # of an error body, bytes that are looked at
_MAX_FAULTS: Final = 5  # of a validation error, that a message names

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


class ApiError(EnrichError):
    """Base of every failure of a call. Its text is safe to print, to log and to store."""

    exit_code = ExitCode.STOPPED
    hint = "the same command goes on"
    retryable: ClassVar[bool] = False
    created_nothing: ClassVar[bool] = False
    retry_after_s: float | None = None
    """How long the service asks to wait; None where it says nothing usable."""


class BaseUrlError(ApiError):
    """The service's address can't be used, or the key would travel in clear. Nothing was sent."""

    exit_code = ExitCode.USAGE
    hint = ""
    created_nothing = True


class NotSentError(ApiError):
    """The connection was never made: nothing reached the service."""

    retryable = True
    created_nothing = True


class CertificateError(NotSentError):
    """The service's certificate isn't trusted on this machine. Nothing was sent; waiting doesn't help."""

    retryable = False


class UnknownOutcomeError(ApiError):
    """A POST of runs that may have taken effect: found out by listing, never by sending it again."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class UnavailableError(ApiError):
    """A free request without a usable answer: none at all, 408, 409, 5xx, or one that can't be read."""

    retryable = True
    created_nothing = True

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class StillActiveError(UnavailableError):
    """The result was asked for before the run was finished (408). When to ask again is the caller's plan."""


class UnreadableAnswerError(UnavailableError):
    """The service answered, and the answer makes no sense. Asking again may help where a proxy broke it."""


class TooLargeAnswerError(UnreadableAnswerError):
    """The answer is larger than what is read of one: it will be as large the next time."""


class StreamBreakError(UnavailableError):
    """An event stream ended in a way that shows something is missing."""

    def __init__(self, message: str, *, last_event_id: str | None, events: int, bytes_read: int) -> None:
        place = f"after {events} events and {bytes_read} bytes"
        super().__init__(f"{message}, {place}")
        self.last_event_id = last_event_id
        self.events = events
        self.bytes_read = bytes_read


class StreamCut(StreamBreakError):  # noqa: N818 (says what happened to the stream)
    """The connection broke, or sent what isn't an event. Events given out before are good."""


class StreamStalled(StreamBreakError):  # noqa: N818 (says what happened to the stream)
    """Nothing, or nothing that completes an event, came for too long. Events given out before are good."""


class StreamEndless(StreamBreakError):  # noqa: N818 (says what happened to the stream)
    """It was left: what it went on to tell was nothing new. What it told before proves nothing."""


class StatusError(ApiError):
    """The service refused the request with a status. `detail` is its own, sanitised."""

    created_nothing = True

    def __init__(
        self,
        message: str,
        *,
        status: int,
        detail: JsonValue = None,
        ref_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.ref_id = ref_id
        self.retry_after_s = retry_after_s


class InvalidError(StatusError):
    """400, 413, 422: the request itself is wrong, and stays so."""


class UnauthorizedError(StatusError):
    """401: the key is missing, wrong or revoked."""

    exit_code = ExitCode.REFUSED
    hint = ""


class CreditError(StatusError):
    """402: the account's credit doesn't cover what was asked for. Whether nothing was made, no document says."""

    created_nothing = False


class ForbiddenError(StatusError):
    """403: the key may not do this: a processor, a feature."""

    exit_code = ExitCode.REFUSED
    hint = ""


class NotFoundError(StatusError):
    """404: no such group or run; of a result, also that the run failed."""


class RateLimitedError(StatusError):
    """429: too many runs or requests. `retry_after_s` is None where the service names no sensible wait.

    An add that fits only in part may have been taken in part.
    """

    retryable = True
    created_nothing = False


_REFUSALS: Final[Mapping[int, type[StatusError]]] = {
    400: InvalidError,
    401: UnauthorizedError,
    402: CreditError,
    403: ForbiddenError,
    404: NotFoundError,
    413: InvalidError,
    422: InvalidError,
    429: RateLimitedError,
}
_MAY_PASS: Final = frozenset({408, 409, 425})

_ADVICE: Final[Mapping[int, str]] = {
    401: "check the API key",
    402: "add credit to the account",
    403: "the key may not do this: check the processor and the account's permissions",
}
_REDIRECTED: Final = "a redirect is never followed; set PARALLEL_BASE_URL to the address that answers itself"


def error_of_answer(
    call: str, *, costs: bool, status: int, headers: Mapping[str, str], body: bytes, secret: Secret | None
) -> ApiError:
    """The error that an answer other than a good 2xx stands for.

    `call` names the request in messages (`GET groups/tgrp_1`); `costs` says that it creates runs.
    """
    message, detail, ref_id = _account_of(body, secret)
    text = f"{call}: the service answered {status}"
    text += f": {message}" if message else ""
    text += f" (reference {ref_id})" if ref_id else ""
    advice = _REDIRECTED if 300 <= status < 400 else _ADVICE.get(status)
    text += f"; {advice}" if advice else ""
    wait_s = retry_after_s(headers.get("retry-after"))
    refusal = _REFUSALS.get(status)
    if refusal is not None:
        return refusal(text, status=status, detail=detail, ref_id=ref_id, retry_after_s=wait_s)
    if costs:
        return UnknownOutcomeError(text, status=status, retry_after_s=wait_s)
    if status in _MAY_PASS or status >= 500:
        return UnavailableError(text, status=status, retry_after_s=wait_s)
    return StatusError(text, status=status, detail=detail, ref_id=ref_id)


def retry_after_s(value: str | None, *, now: Callable[[], datetime] | None = None) -> float | None:
    """Seconds to wait by a Retry-After header, at most 300; None for one that is absent or absurd.

    Accepts seconds and an HTTP date (RFC 9110, 10.2.3); a date that has passed is absurd, for then the
    clocks disagree.
    """
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        seconds = (when - (now or _utc_now)()).total_seconds()
    if not 0 <= seconds <= _ABSURD_WAIT_S:  # also NaN
        return None
    return min(seconds, MAX_RETRY_AFTER_S)


_ABSURD_WAIT_S: Final = 24 * 3600.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


def sanitised(text: str, secret: Secret | None, *, limit: int = _MAX_MESSAGE) -> str:
    """A text of the service, fit for a terminal, a log or the ledger."""
    text = clean(text)
    if secret is not None:
        text = secret.redact(text)
    return clean(text, limit)


def _account_of(body: bytes, secret: Secret | None) -> tuple[str, JsonValue, str | None]:
    """Message, detail and reference of an error body: the service's, FastAPI's, or plain text."""
    try:
        document = decode_shallow(body, object)
    except UnreadableError:
        text = body[:_MAX_BODY].decode("utf-8", "replace")
        return (
            (_title_of(text, secret) if "<html" in text[:1000].lower() else sanitised(text, secret)),
            None,
            None,
        )
    document = _sanitised_json(cast(JsonValue, document), secret)
    if not isinstance(document, dict):
        return "", document, None
    error = document.get("error")
    source = error if isinstance(error, dict) else document
    detail = source.get("detail", document.get("detail"))
    message = source.get("message") or (error if isinstance(error, str) else "") or _faults_in(detail)
    ref_id = source.get("ref_id")
    return (
        clean(message, _MAX_MESSAGE) if isinstance(message, str) else "",
        detail,
        ref_id if isinstance(ref_id, str) else None,
    )


def _title_of(page: str, secret: Secret | None) -> str:
    """What an HTML error page of a proxy says in its title."""
    _, _, rest = page.partition("<title>")
    title, _, _ = rest.partition("</title>")
    return sanitised(title.strip(), secret, limit=100) if title else "an HTML page"


def _faults_in(detail: JsonValue) -> str:
    """FastAPI's `[{loc, msg, type}]`, or plain text, as one line."""
    if isinstance(detail, str):
        return detail
    if not isinstance(detail, list):
        return ""
    faults = [_fault(item) for item in detail[:_MAX_FAULTS] if isinstance(item, dict)]
    more = len(detail) - len(faults)
    return "; ".join(faults) + (f"; and {more} more" if more else "")


def _fault(item: dict[str, JsonValue]) -> str:
    loc, message = item.get("loc"), item.get("msg")
    place = ".".join(map(str, loc)) if isinstance(loc, list) else ""
    return f"{place}: {message}" if place else str(message)


def _sanitised_json(value: JsonValue, secret: Secret | None) -> JsonValue:
    if isinstance(value, str):
        return sanitised(value, secret)
    if isinstance(value, list):
        return [_sanitised_json(item, secret) for item in value]
    if isinstance(value, dict):
        return {sanitised(key, secret): _sanitised_json(item, secret) for key, item in value.items()}
    return value
