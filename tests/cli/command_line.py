"""What the tests of the command line share: a small table and config, and how a command ended."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CONFIG = """\
name: places
inputs: {place: name}
require: [place]
outputs:
  river:
    type: string
    description: The river on which it lies.
processor: core
"""
SURE = "confidence: {accept: low, review: low}\n"  # accepts whatever the sandbox invents
TABLE = "name,note\nBasel,a\nCologne,\nBasel,b\n,nothing\n"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Enrich = Callable[..., Ended]


def steady(text: str) -> str:
    """A text without what differs from run to run: rates, and time left."""
    return re.sub(r", [\d.]+ runs/(s|min)(, [\w ]+ left)?", "", text)


def child_environment(**extra: str) -> dict[str, str]:
    """The environment of a process of its own that imports this checkout."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "80", **extra}
