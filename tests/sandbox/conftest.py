"""Sandboxes for one test, each on a port of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from sandbox_client import Sandbox

from enrich.sandbox import SandboxSettings, running


@pytest.fixture
def serve_with() -> Iterator[Callable[..., Sandbox]]:
    """Start a sandbox with settings; without latency unless one is given."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Sandbox:
            settings = {"latency_s": (0.0, 0.0), "group_grace_s": 0.05, **settings}
            base_url = stack.enter_context(running(SandboxSettings(**settings)))
            http = httpx.Client(
                base_url=base_url, headers={"x-api-key": "key"}, timeout=10, trust_env=False, verify=False
            )
            return Sandbox(base_url, stack.enter_context(http))

        yield start


@pytest.fixture
def sandbox(serve_with: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox without latency and without faults."""
    return serve_with()
