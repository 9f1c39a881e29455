"""Single HTTP exchanges over httpx, and what each failure proves about what was sent.

Two pools. POSTs have one of their own and a fresh connection each: a kept connection that the service has
just closed can't be told from a lost answer, and that question costs a settling time. GETs and event
streams share the other one, with kept connections. No redirects are followed and no transport retries; the
key is put on a request here and nowhere else, and no object of httpx leaves this module inside an error.

Bodies are asked for uncompressed: streams are then handed on as they come, without the delay and the CPU of
a decompressor. A body that comes as gzip all the same is unpacked, once; another encoding, or several, is not read.

Every body has a bound, which is one of what it stands for: what is asked for is small, but for results.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import anyio
import httpx

from enrich.api.address import checked_base_url, is_loopback
from enrich.api.body import TooLargeBody, UnreadableBody, pieces_of, whole_body
from enrich.api.errors import (
    ApiError,
    BaseUrlError,
    CertificateError,
    NotSentError,
    TooLargeAnswerError,
    UnavailableError,
    UnknownOutcomeError,
    UnreadableAnswerError,
    error_of_answer,
    sanitised,
)
from enrich.api.failures import FOREIGN_ERRORS, NEVER_CONNECTED, RequestProgress, caused_by, forget_locals
from enrich.api.inflating import EncodingError, inflater_of
from enrich.api.secret import Secret

__all__ = ["Connection", "Response"]

MAX_BODY_BYTES: Final = 1024 * 1024
"""Of any answer but a result: the largest, to a POST of a thousand runs, has some 60 kB."""


_STREAMS: Final = 64  # open at once, by the contract with the callers
_OTHER_GETS: Final = 32
_POSTS: Final = 16
_CONNECT_TIMEOUT_S: Final = 15.0
_POOL_TIMEOUT_S: Final = 60.0
_KEEPALIVE_S: Final = 20.0
_ERROR_BODY_TIMEOUT_S: Final = 5.0
_MAX_ERROR_BODY: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """A 2xx with its whole body."""

    status: int
    body: bytes


class _KeyAuth(httpx.Auth):
    """Puts the key on a request at the last moment, so that no dict of headers ever holds it."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["x-api-key"] = self._secret.reveal()
        yield request


class Connection:
    """The two pools, the key and the address; an async context manager."""

    def __init__(
        self,
        base_url: str,
        secret: Secret | None,
        *,
        beta: Sequence[str] = (),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base_url = checked_base_url(base_url)
        self._secret = secret
        self._stack = AsyncExitStack()
        self.is_sandbox: bool | None = None
        headers = {
            "accept": "application/json, text/event-stream",
            "accept-encoding": "identity",
            "user-agent": "enrich",
        }
        if beta:
            headers["parallel-beta"] = ",".join(beta)
        tls = _tls_context(needed=transport is None and self._base_url.startswith("https:"))
        gets = httpx.Limits(
            max_connections=_STREAMS + _OTHER_GETS,
            max_keepalive_connections=_OTHER_GETS,
            keepalive_expiry=_KEEPALIVE_S,
        )
        posts = httpx.Limits(max_connections=_POSTS, max_keepalive_connections=0)
        try:
            self._gets = self._pool(gets, headers, tls, transport)
            self._posts = self._pool(posts, headers, tls, transport)
        except (ImportError, ValueError, httpx.InvalidURL):  # its words may show a proxy's password
            raise BaseUrlError(
                "a proxy that the environment names (HTTPS_PROXY, ALL_PROXY, …) can't be used: "
                "expected http://host:port, without SOCKS"
            ) from None

    def _pool(
        self,
        limits: httpx.Limits,
        headers: Mapping[str, str],
        tls: ssl.SSLContext,
        transport: httpx.AsyncBaseTransport | None,
    ) -> httpx.AsyncClient:
        if transport is None and is_loopback(urlsplit(self._base_url).hostname or ""):
            # A transport given to httpx keeps the proxies of the environment away from this machine.
            transport = httpx.AsyncHTTPTransport(verify=tls, limits=limits)
        return httpx.AsyncClient(
            auth=None if self._secret is None else _KeyAuth(self._secret),
            headers=headers,
            verify=tls,
            limits=limits,
            transport=transport,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._gets)
        await self._stack.enter_async_context(self._posts)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def post(
        self, path: str, body: bytes, *, params: Mapping[str, str], timeout_s: float, costs: bool
    ) -> Response:
        """Exactly one HTTP request, whatever happens, with one deadline over all of it.

        Raises NotSentError, a StatusError, or UnknownOutcomeError (UnavailableError if it doesn't cost).
        """
        progress = RequestProgress()
        # Pool, connection and TLS together end before the deadline, which thus never falls into them.
        connect_s = min(_CONNECT_TIMEOUT_S, timeout_s / 4)
        request = self._posts.build_request(
            "POST",
            f"{self._base_url}/{path}",
            params=params,
            content=body,
            headers={"content-type": "application/json"},
            timeout=httpx.Timeout(timeout_s, connect=connect_s, pool=connect_s),
            extensions={"trace": progress},
        )
        call = f"POST {path}"
        try:
            with anyio.fail_after(timeout_s):
                return await self._exchange(self._posts, request, call, costs=costs)
        except FOREIGN_ERRORS as error:
            failure: ApiError
            if progress.proves_unsent(error):
                failure = self._not_sent(call, error)
            elif costs:
                failure = UnknownOutcomeError(f"{call}: {self._account(error)}; it may have taken effect")
            else:
                failure = UnavailableError(f"{call}: {self._account(error)}")
        # Outside of the handler: an error of httpx holds the request, and the request the key.
        raise failure

    async def get(
        self, path: str, *, params: Mapping[str, str], timeout_s: float, max_bytes: int = MAX_BODY_BYTES
    ) -> Response:
        """One try of a GET. Raises NotSentError, UnavailableError or a StatusError.

        An answer of more than `max_bytes` is a TooLargeAnswerError.
        """
        request = self._get_request(path, params, timeout_s=timeout_s, read_s=timeout_s)
        call = f"GET {path}"
        try:
            with anyio.fail_after(timeout_s):
                return await self._exchange(self._gets, request, call, costs=False, max_bytes=max_bytes)
        except FOREIGN_ERRORS as error:
            failure = self._unavailable(call, error)
        raise failure

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str], timeout_s: float, idle_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """One try to open a stream: the chunks of its body as they come.

        `timeout_s` bounds the time until the answer's head is there, `idle_s` each wait for more of the
        body. Raises like `get` on entry; iterating raises `FOREIGN_ERRORS`, httpx.ReadTimeout for silence.
        """
        response = await self._stream_head(path, params, timeout_s=timeout_s, idle_s=idle_s)
        try:
            async with aclosing(pieces_of(response)) as pieces:
                yield pieces
        finally:
            await response.aclose()

    async def _stream_head(
        self, path: str, params: Mapping[str, str], *, timeout_s: float, idle_s: float
    ) -> httpx.Response:
        request = self._get_request(path, params, timeout_s=timeout_s, read_s=idle_s)
        call = f"GET {path}"
        try:
            with anyio.fail_after(timeout_s):
                response = await _sent(self._gets, request)
        except FOREIGN_ERRORS as error:
            failure: ApiError = self._unavailable(call, error)
        else:
            if response.is_success:
                refused = self._no_stream(response)
                if not refused:
                    self._note(response)
                    return response
                failure = UnavailableError(f"{call}: {refused}")
                await response.aclose()
            else:
                failure = await self._refusal(response, call, costs=False)
        raise failure

    def _no_stream(self, response: httpx.Response) -> str:
        """Why a good answer can't be read as an event stream; empty where it can."""
        kind = response.headers.get("content-type", "").lower()
        if kind.startswith(("text/html", "application/json")):
            return f"expected an event stream, not {sanitised(kind, self._secret, limit=40)!r}"
        try:
            inflater_of(response.headers.get_list("content-encoding", split_commas=True))
        except EncodingError as error:
            return self._words(error)
        return ""

    def _get_request(self, path: str, params: Mapping[str, str], *, timeout_s: float, read_s: float) -> httpx.Request:
        timeout = httpx.Timeout(timeout_s, connect=_CONNECT_TIMEOUT_S, read=read_s)
        return self._gets.build_request("GET", f"{self._base_url}/{path}", params=params, timeout=timeout)

    async def _exchange(
        self,
        pool: httpx.AsyncClient,
        request: httpx.Request,
        call: str,
        *,
        costs: bool,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> Response:
        response = await _sent(pool, request)
        if not response.is_success:
            raise await self._refusal(response, call, costs=costs)
        try:
            self._note(response)
            return Response(response.status_code, await whole_body(response, limit=max_bytes))
        finally:
            await response.aclose()

    async def _refusal(self, response: httpx.Response, call: str, *, costs: bool) -> ApiError:
        """The error of an answer that isn't a 2xx; its status counts even if its body never comes."""
        body = b""
        try:
            with anyio.move_on_after(_ERROR_BODY_TIMEOUT_S):
                body = await whole_body(response, limit=_MAX_ERROR_BODY)
        except FOREIGN_ERRORS:
            pass
        finally:
            await response.aclose()
        return error_of_answer(
            call,
            costs=costs,
            status=response.status_code,
            headers=response.headers,
            body=body,
            secret=self._secret,
        )

    def _note(self, response: httpx.Response) -> None:
        """A good answer says whether a sandbox gave it (an error may come from a proxy on the way)."""
        self.is_sandbox = "x-enrich-sandbox" in response.headers

    def _not_sent(self, call: str, error: BaseException) -> NotSentError:
        if caused_by(error, ssl.SSLCertVerificationError):
            return CertificateError(
                f"{call}: the service's certificate isn't trusted here ({self._words_of(error)}); "
                "nothing was sent; check the address, the clock, and SSL_CERT_FILE if a proxy re-signs"
            )
        return NotSentError(f"{call}: no connection ({self._words_of(error)}); nothing was sent")

    def _unavailable(self, call: str, error: BaseException) -> NotSentError | UnavailableError:
        if isinstance(error, NEVER_CONNECTED):
            return self._not_sent(call, error)
        if isinstance(error, TooLargeBody):
            return TooLargeAnswerError(f"{call}: {self._words(error)}")
        if isinstance(error, UnreadableBody):
            return UnreadableAnswerError(f"{call}: {self._words(error)}")
        return UnavailableError(f"{call}: {self._account(error)}")

    def _account(self, error: BaseException) -> str:
        if isinstance(error, UnreadableBody):
            return self._words(error)
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return f"no answer in time ({type(error).__name__})"
        return f"the connection broke ({self._words_of(error)})"

    def _words_of(self, error: BaseException) -> str:
        words = self._words(error)
        return f"{type(error).__name__}: {words}" if words else type(error).__name__

    def _words(self, error: BaseException) -> str:
        return sanitised(str(error), self._secret, limit=200)


def _tls_context(*, needed: bool) -> ssl.SSLContext:
    if needed:
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, in a ms: loading certificates takes 30


async def _sent(pool: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """The head of the answer. Whatever is raised, no frame below this one keeps a header, or the bytes of one.

    An error that nobody expected goes on to whoever logs it, perhaps with the local variables of all frames.
    """
    try:
        return await pool.send(request, stream=True)
    except BaseException as error:
        forget_locals(error)
        raise
