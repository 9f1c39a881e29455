"""A launcher of commands for all tests of the folder."""

from collections.abc import Iterator

import pytest

from tests.processes.commands import Commands, launching


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Starts commands as processes of their own."""
    with launching(tmp_path_factory.mktemp("commands")) as started:
        yield started
