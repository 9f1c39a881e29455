"""The service's refusals: a status, and an error body in one of its two shapes."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

Json = Any

INVALID = "Unprocessable content: request validation error"


class ServiceError(Exception):
    """A request that is refused: `{"type": "error", "error": {ref_id, message, detail}}`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        detail: Mapping[str, Json] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.detail = detail
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The body of the answer."""
        return msgspec.json.encode({"type": "error", "error": error_body(self.message, self.detail)})


class BadRequestError(ServiceError):
    """A request of the wrong shape: 422 with `{"detail": [{loc, msg, type}, …]}`, all faults at once."""

    def __init__(self, faults: Iterable[dict[str, Json]]) -> None:
        super().__init__(422, INVALID)
        self.faults = list(faults)

    def body(self) -> bytes:
        """The body of the answer."""
        return msgspec.json.encode({"detail": self.faults})


def fault(loc: Sequence[str | int], message: str, kind: str) -> dict[str, Json]:
    """One entry of a validation error: where, what, and the kind of fault."""
    return {"loc": list(loc), "msg": message, "type": kind}


def error_body(message: str, detail: Mapping[str, Json] | None = None) -> dict[str, Json]:
    """The inner error object, with a reference id of its own."""
    return {"ref_id": str(uuid.uuid4()), "message": message, "detail": detail}


def invalid(message: str, *, at: str) -> ServiceError:
    """A well-formed request that breaks a rule of the service; `at` is the place in the request."""
    return ServiceError(422, f"{INVALID}: {message}", detail={"path": at})
