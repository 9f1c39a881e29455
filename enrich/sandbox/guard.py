"""Keeps other pages and other users of this machine away from a server on loopback.

A page in a browser can send requests to any address of this machine, and a name of its own can be made to lead there:
so the `Host` must be one of this machine, and an `Origin`, where there is one, the server's own. Every request needs
the key, whatever it asks for. A body has a bound, and what is beyond it is not read.

It is ASGI middleware and knows nothing of what it guards, so that other servers of this machine can have it too. It
stands here because the sandbox shares no code with its client.
"""

import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEY_HEADER = "x-api-key"

_OF_THIS_MACHINE = re.compile(r"(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE | re.ASCII)
_FROM_ELSEWHERE = frozenset({"cross-site", "same-site"})


class Guard:
    """Middleware: `is_key` says of a key, or None where there is none, whether it may come in."""

    def __init__(self, app: ASGIApp, *, is_key: Callable[[str | None], bool], max_body_bytes: int) -> None:
        self._app = app
        self._is_key = is_key
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what may not come in; hand on the rest."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope))
        if refusal is None:
            await self._app(scope, self._bounded(receive), send)
        else:
            await _refuse(send, *refusal)

    def _refusal(self, headers: Headers) -> tuple[int, str] | None:
        """Status and reason; None for what may come in."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not _OF_THIS_MACHINE.fullmatch(hosts[0]):
            return 403, "Forbidden: the Host is none of this machine; ask by 127.0.0.1"
        origins = headers.getlist("origin")
        if any(not _is_own(origin, hosts[0]) for origin in origins) or headers.get("sec-fetch-site") in _FROM_ELSEWHERE:
            return 403, "Forbidden: asked by a page of somebody else"
        if not self._is_key(headers.get(KEY_HEADER)):
            return 401, "Unauthorized: invalid or missing credentials"
        length = headers.get("content-length", "0")
        if len(length) > 18 or (length.isdecimal() and int(length) > self._max_body_bytes):
            return 413, self._too_large()
        return None

    def _bounded(self, receive: Receive) -> Receive:
        """The body as it comes, up to its bound: a length need not be told before."""
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_body_bytes:
                raise HTTPException(413, self._too_large(), {"connection": "close"})
            return message

        return bounded

    def _too_large(self) -> str:
        return f"Payload too large: a body has at most {self._max_body_bytes >> 20} MB"


def _is_own(origin: str, host: str) -> bool:
    """Whether an origin is that of the server that was asked; `null`, which any page can have, is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.netloc.lower() == host.lower()


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"type": "error", "error": {"ref_id": None, "message": message, "detail": None}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what is left of the request is not read
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
