"""`enrich` as a function, and whatever it says."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from enrich.cli import main


class Ended(NamedTuple):
    """How a command ended, and the bytes of its two streams."""

    code: int
    out: bytes
    err: bytes

    @property
    def said(self) -> str:
        return (self.out + self.err).decode()


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Ended]:
    """Runs a command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> Ended:
        capfdbinary.readouterr()
        return Ended(main(argv), *capfdbinary.readouterr())

    return run
