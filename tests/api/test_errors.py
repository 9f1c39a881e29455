"""What an answer proves, and that its words are harmless."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from enrich.api.errors import (
    ApiError,
    CreditError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    RateLimitedError,
    StatusError,
    UnauthorizedError,
    UnavailableError,
    UnknownOutcomeError,
    error_of_answer,
    retry_after_s,
)
from enrich.api.secret import Secret

KEY = Secret("pk-0123456789abcdefXYZ")
VENDOR_BODY = b'{"type": "error", "error": {"ref_id": "ref-1", "message": "No such thing", "detail": {"a": 1}}}'


def error_of(status: int, body: bytes = b"", *, costs: bool = True, headers: dict[str, str] | None = None) -> ApiError:
    return error_of_answer("POST groups", costs=costs, status=status, headers=headers or {}, body=body, secret=KEY)


# status: error of the POST that costs, error of a free request
OUTCOMES: dict[int, tuple[type[ApiError], type[ApiError]]] = {
    204: (UnknownOutcomeError, StatusError),
    301: (UnknownOutcomeError, StatusError),
    302: (UnknownOutcomeError, StatusError),
    307: (UnknownOutcomeError, StatusError),
    400: (InvalidError, InvalidError),
    401: (UnauthorizedError, UnauthorizedError),
    402: (CreditError, CreditError),
    403: (ForbiddenError, ForbiddenError),
    404: (NotFoundError, NotFoundError),
    405: (UnknownOutcomeError, StatusError),
    408: (UnknownOutcomeError, UnavailableError),
    409: (UnknownOutcomeError, UnavailableError),
    413: (InvalidError, InvalidError),
    418: (UnknownOutcomeError, StatusError),
    422: (InvalidError, InvalidError),
    425: (UnknownOutcomeError, UnavailableError),
    429: (RateLimitedError, RateLimitedError),
    499: (UnknownOutcomeError, StatusError),
    500: (UnknownOutcomeError, UnavailableError),
    502: (UnknownOutcomeError, UnavailableError),
    503: (UnknownOutcomeError, UnavailableError),
    504: (UnknownOutcomeError, UnavailableError),
    529: (UnknownOutcomeError, UnavailableError),
}


@pytest.mark.parametrize("status", OUTCOMES)
def test_each_status_proves_one_thing(status: int) -> None:
    assert (type(error_of(status)), type(error_of(status, costs=False))) == OUTCOMES[status]


@pytest.mark.parametrize("status", OUTCOMES)
def test_only_a_refusal_proves_that_nothing_was_created(status: int) -> None:
    refused = status in (400, 401, 402, 403, 404, 413, 422, 429)
    error = error_of(status)
    # By quota or credit it may be refused only in part, or a little too late.
    assert error.created_nothing is (refused and status not in (402, 429))
    assert error.retryable is (status == 429)


def test_the_vendors_words_come_with_reference_and_detail() -> None:
    error = error_of(402, VENDOR_BODY)
    assert isinstance(error, CreditError)
    assert str(error) == (
        "POST groups: the service answered 402: No such thing (reference ref-1); add credit to the account"
    )
    assert (error.status, error.detail, error.ref_id) == (402, {"a": 1}, "ref-1")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"", "", id="empty"),
        pytest.param(b"upstream connect error", "upstream connect error", id="text"),
        pytest.param(b"<html><head><title>502 Bad Gateway</title>", "502 Bad Gateway", id="HTML"),
        pytest.param(b"<!doctype html>\n<HTML lang=en>", "an HTML page", id="HTML without title"),
        pytest.param(b'{"error": "no credit"}', "no credit", id="error as text"),
        pytest.param(b'{"message": "m"}', "m", id="message on top"),
        pytest.param(b'{"detail": "Not Found"}', "Not Found", id="detail as text"),
        pytest.param(
            b'{"detail": [{"loc": ["body", "inputs", 0, "processor"], "msg": "Field required"}, '
            b'{"loc": [], "msg": "too long"}]}',
            "body.inputs.0.processor: Field required; too long",
            id="validation faults",
        ),
        pytest.param(
            json.dumps({"detail": [{"loc": [n], "msg": "x"} for n in range(7)]}).encode(),
            "0: x; 1: x; 2: x; 3: x; 4: x; and 2 more",
            id="many faults",
        ),
        pytest.param(b'{"error": {"message": 7}}', "", id="message of a wrong type"),
        pytest.param(b"[1, 2]", "", id="a list"),
        pytest.param(b'"x"', "", id="a string"),
        pytest.param(b"\xff\xfe\x00", "��", id="no text at all"),
        pytest.param(b"[" * 100_000, "[" * 499 + "…", id="nested too deep"),
    ],
)
def test_any_body_gives_words(body: bytes, words: str) -> None:
    assert str(error_of(500, body)) == "POST groups: the service answered 500" + (f": {words}" if words else "")


def test_hostile_words_are_made_harmless() -> None:
    body = json.dumps({"error": {"message": "\x1b[31mred\x07 \u202eabc" + "x" * 1000, "detail": ["\x1b]0;t\x07a"]}})
    error = error_of(422, body.encode())
    assert isinstance(error, InvalidError)
    assert "red abcxxx" in str(error)
    assert not any(c in str(error) for c in "\x1b\x07\u202e")
    assert len(str(error)) < 600
    assert error.detail == ["a"]


@pytest.mark.parametrize(
    "echo",
    [
        pytest.param(KEY.reveal(), id="whole"),
        pytest.param(KEY.reveal()[4:], id="its end"),
        pytest.param(KEY.reveal()[:10] + " and " + KEY.reveal()[10:], id="in parts"),
        pytest.param("".join(f"%{ord(c):02X}" if c == "-" else c for c in KEY.reveal()), id="URL-encoded"),
        pytest.param(KEY.reveal().upper(), id="upper case"),
        pytest.param(KEY.reveal()[:9] + "\x1b[0m" + KEY.reveal()[9:], id="with an escape sequence inside"),
    ],
)
def test_the_key_is_redacted_from_everything(echo: str) -> None:
    for body in (json.dumps({"error": {"message": echo, "ref_id": echo, "detail": {echo: [echo]}}}), echo):
        error = error_of(401, body.encode())
        assert isinstance(error, UnauthorizedError)
        shown = repr((str(error), error.detail, error.ref_id, error)).lower()
        key = KEY.reveal().lower()
        assert not [key[at : at + 8] for at in range(len(key) - 7) if key[at : at + 8] in shown]


NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param(None, None, id="absent"),
        pytest.param("", None, id="empty"),
        pytest.param("0", 0.0, id="zero"),
        pytest.param(" 7 ", 7.0, id="seconds"),
        pytest.param("1.5", 1.5, id="fraction"),
        pytest.param("301", 300.0, id="longer than we wait"),
        pytest.param("999999999", None, id="absurd"),
        pytest.param("-1", None, id="negative"),
        pytest.param("nan", None, id="not a number"),
        pytest.param("inf", None, id="for ever"),
        pytest.param("soon", None, id="words"),
        pytest.param("Thu, 01 Jan 2026 12:00:30 GMT", 30.0, id="date"),
        pytest.param("Thu, 01 Jan 2026 13:00:00 GMT", 300.0, id="date in an hour"),
        pytest.param("Thu, 01 Jan 2026 12:00:30 -0000", 30.0, id="date without a zone"),
        pytest.param("Thu, 01 Jan 2026 11:59:00 GMT", None, id="date that has passed"),
        pytest.param("Thu, 99 Jan 2026 11:59:00 GMT", None, id="no date"),
        pytest.param("Thu, 01 Jan 9999 12:00:30 GMT", None, id="date in 8000 years"),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, now=lambda: NOW) == seconds


def test_the_wait_stands_on_the_error() -> None:
    assert error_of(429, headers={"retry-after": "7"}).retry_after_s == 7.0
    assert error_of(503, headers={"retry-after": "7"}).retry_after_s == 7.0
    assert error_of(429).retry_after_s is None


def test_a_redirect_is_told_from_other_answers() -> None:
    error = error_of_answer("GET x", costs=False, status=307, headers={}, body=b"", secret=None)
    assert str(error) == (
        "GET x: the service answered 307; a redirect is never followed; "
        "set PARALLEL_BASE_URL to the address that answers itself"
    )
