"""Configs and what is said of them, as text files under `faults/`, so that both are read as a user sees them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from enrich.config import Config

Loader: TypeAlias = Callable[..., Config]
Complaint: TypeAlias = Callable[..., list[str]]

FOLDER = Path(__file__).parent / "faults"


def cases(name: str) -> list[pytest.ParameterSet]:
    """The cases of a file: `## id`, the text, and a line `>> message` for each fault."""
    sections = (FOLDER / f"{name}.txt").read_text("utf-8").split("\n## ")[1:]
    found = []
    for section in sections:
        label, _, rest = section.partition("\n")
        lines = rest.rstrip("\n").split("\n")
        said = [line.removeprefix(">> ") for line in lines if line.startswith(">> ")]
        text = "\n".join(line for line in lines if not line.startswith(">> "))
        found.append(pytest.param(text + "\n", said, id=label))
    return found
