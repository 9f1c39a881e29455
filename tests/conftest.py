"""What holds for every test: asyncio as the event loop, no key and no address of a real service."""

import csv
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, settings

from enrich.ledger.store import Ledger

# How long an example takes is the machine's affair, and that of those who share it.
settings.register_profile("enrich", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("enrich")


def pytest_configure() -> None:
    """Tests and the commands that they start heed signals, also under nohup or behind a script's `&`."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long runs when it is asked for by its mark, so that the rest takes minutes."""
    if not config.option.markexpr:
        long = [item for item in items if item.get_closest_marker("slow") or item.get_closest_marker("nightly")]
        chosen = set(items) - set(long)
        items[:] = [item for item in items if item in chosen]
        config.hook.pytest_deselected(items=long)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _large_cells() -> Iterator[None]:
    """Let the tests' own readers take the cells that hostile answers are made of; `enrich` needs no such help."""
    before = csv.field_size_limit(64 << 20)
    yield
    csv.field_size_limit(before)


@pytest.fixture
def ledger_in_memory() -> Iterator[Ledger]:
    with closing(Ledger.in_memory()) as ledger:
        yield ledger


@pytest.fixture(autouse=True)
def _no_real_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that forgets to name its service fails for want of a key; it never spends one from the environment."""
    monkeypatch.delenv("PARALLEL_API_KEY", raising=False)
    monkeypatch.delenv("PARALLEL_BASE_URL", raising=False)
