"""Where the service is: the base URL, checked so that the key can't travel in clear or to a wrong place."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from enrich.api.environment import BASE_URL_VARIABLE
from enrich.api.errors import BaseUrlError, sanitised

__all__ = ["DEFAULT_BASE_URL", "base_url_from", "checked_base_url", "is_loopback", "is_loopback_url"]

DEFAULT_BASE_URL: Final = "https://api.parallel.ai"


def base_url_from(environ: Mapping[str, str]) -> str:
    """The service's address: PARALLEL_BASE_URL if set, else the vendor's. Raises BaseUrlError."""
    text = environ.get(BASE_URL_VARIABLE, "").strip()
    if not text:
        return DEFAULT_BASE_URL
    try:
        return checked_base_url(text)
    except BaseUrlError as error:
        raise BaseUrlError(f"{BASE_URL_VARIABLE}: {error}") from None


def checked_base_url(text: str) -> str:
    """The address without its last slash. Raises BaseUrlError, whose text never shows a password.

    Neither does it show a query or fragment, where keys stand too, nor anything of an address with an `@`.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BaseUrlError("not a URL; expected something like https://api.parallel.ai") from None
    if "@" in text:
        raise BaseUrlError(
            "a name or password in the address is refused: it would end in logs; "
            "the key goes into PARALLEL_API_KEY, the address is scheme, host and perhaps port"
        )
    shown = sanitised(re.split("[?#]", text)[0], None, limit=100)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise BaseUrlError(f"{shown!r} is not an http(s) address; expected {DEFAULT_BASE_URL} or the like")
    if parts.query or parts.fragment or any(c.isspace() for c in text):
        raise BaseUrlError(f"{shown!r} has more than an address has: leave out query, fragment and blanks")
    if version := re.search(r"(?:^|/)(v[0-9]+(?:beta|alpha)?)(?:/tasks.*)?$", parts.path.rstrip("/")):
        bare = f"{parts.scheme}://{parts.netloc}{parts.path[: version.start()]}"
        raise BaseUrlError(
            f"{shown!r} names a version of the API (/{version[1]}), which is added to every call; "
            f"leave it out: {sanitised(bare, None, limit=100)}"
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise BaseUrlError(
            f"{shown!r} would send the API key unencrypted over the network; "
            "use https:// (http:// is accepted for this machine only: localhost, 127.0.0.1, [::1])"
        )
    return _joined(parts)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by its name or address alone: nothing is looked up."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(base_url: str) -> bool:
    """Whether an address leads to this machine, where a sandbox may be serving."""
    return is_loopback(urlsplit(base_url).hostname or "")


def _joined(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
