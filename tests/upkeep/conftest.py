"""A sandbox for each test, and a desk beside it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from recovery_desk import Desk, Service

from enrich.sandbox import SandboxSettings, running


@pytest.fixture
def make_service() -> Iterator[Callable[..., Service]]:
    with ExitStack() as stack:

        def start(**settings: Any) -> Service:
            options = {"latency_s": (0.0, 0.05), "group_grace_s": 0.01, **settings}
            return Service(stack.enter_context(running(SandboxSettings(**options))))

        yield start


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service()


@pytest.fixture
def desk(tmp_path: Path, service: Service) -> Desk:
    return Desk(tmp_path, service)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
