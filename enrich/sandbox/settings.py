"""What a sandbox can be told: where its facts are, how slow it is, how it fails, what it remembers."""

from dataclasses import dataclass
from pathlib import Path


class SandboxError(Exception):
    """The sandbox can't start: a setting, the facts file or the state file is wrong. The text says which."""


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Settings of one sandbox; the defaults give a quick, well-behaved service.

    `latency_s` is the range a run's duration is drawn from, by seed and task; `faults` are texts
    `NAME[=VALUE]` (see `enrich.sandbox.faults`); `state` is a journal that lets groups and runs
    outlive the process; `api_key` None accepts any key that is not empty.
    """

    facts: Path | None = None
    latency_s: tuple[float, float] = (0.2, 2.0)
    seed: int = 0
    faults: tuple[str, ...] = ()
    state: Path | None = None
    api_key: str | None = None
    posts_per_minute: int = 2_000
    keep_alive_s: float = 10.0
    group_grace_s: float = 0.3  # an event stream ends this long after its group became inactive

    def __post_init__(self) -> None:
        low, high = self.latency_s
        if not 0 <= low <= high < float("inf"):
            raise SandboxError(f"latency {low}:{high} is not MIN:MAX with 0 <= MIN <= MAX, in seconds")
        if self.posts_per_minute < 1:
            raise SandboxError(f"posts_per_minute must be at least 1, not {self.posts_per_minute}")
