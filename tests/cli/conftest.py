"""A folder with a small table and config, a quick service, and `enrich` as a function."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CONFIG, TABLE, Ended, Enrich

from enrich.cli import main
from enrich.sandbox import SandboxSettings, running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with `places.yaml` and `places.csv` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "places.yaml").write_text(CONFIG)
    (tmp_path / "places.csv").write_text(TABLE)
    return tmp_path


@pytest.fixture
def enrich(folder: Path, capfd: pytest.CaptureFixture[str]) -> Enrich:
    """Runs a command line in this process."""

    def run(*argv: str) -> Ended:
        capfd.readouterr()
        code = main(argv)
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return run


@pytest.fixture(scope="session")
def quick_service() -> Iterator[str]:
    """The address of a sandbox whose runs take no time."""
    with running(SandboxSettings(latency_s=(0, 0))) as base_url:
        yield base_url


@pytest.fixture
def service(quick_service: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The service that commands of this test use."""
    monkeypatch.setenv("PARALLEL_BASE_URL", quick_service)
    monkeypatch.setenv("PARALLEL_API_KEY", "any-word-will-do")
    return quick_service
