"""Configs as files of a folder of their own, named as a user would name them."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_cases import Complaint, Loader

from enrich.config import Config
from enrich.config.loading import load
from enrich.errors import ConfigError


@pytest.fixture
def config_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Writes a config (and other files by name) and loads it."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(text: str | bytes, **files: str) -> Config:
        for name, content in {"c.yaml": text, **{k.replace("_", "."): v for k, v in files.items()}}.items():
            Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(Path("c.yaml"))

    return write_and_load


@pytest.fixture
def complaint(config_of: Loader) -> Complaint:
    """The lines of the message that a wrong config is refused with."""

    def lines(text: str | bytes, **files: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            config_of(text, **files)
        return str(caught.value).splitlines()

    return lines
