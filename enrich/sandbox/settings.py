"""What a sandbox can be told: where its facts are, how slow it is, how it fails, what it remembers."""

from dataclasses import dataclass
from pathlib import Path


class SandboxError(Exception):
    """The sandbox can't start: a setting, the facts file or the state file is wrong. The text says which."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How many runs may be created in any so many seconds.

    An add that does not fit is refused whole, or taken `partly`: the first of its runs are made, and the answer is 429
    all the same. `counts_refused`: what is refused uses the quota up, too. `is_silent`: no Retry-After.
    """

    runs: int
    seconds: float
    partly: bool = False
    counts_refused: bool = False
    is_silent: bool = False


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Settings of one sandbox; the defaults give a quick, well-behaved service.

    `latency_s` is the range a run's duration is drawn from, by seed and task, `slow_s` another one for a share
    `slow_share` of the runs; `faults` are texts `NAME[=VALUE]` (see `enrich.sandbox.faults`); `state` is a journal that
    lets groups and runs outlive the process; `api_key` None accepts any key that is not empty; without a `quota` any
    number of runs may be created.
    """

    facts: Path | None = None
    latency_s: tuple[float, float] = (0.2, 2.0)
    slow_share: float = 0.0
    slow_s: tuple[float, float] = (0.0, 0.0)
    seed: int = 0
    faults: tuple[str, ...] = ()
    state: Path | None = None
    api_key: str | None = None
    quota: Quota | None = None
    keep_alive_s: float = 10.0
    group_grace_s: float = 0.3  # an event stream ends this long after its group became inactive

    def __post_init__(self) -> None:
        for low, high in (self.latency_s, self.slow_s):
            if not 0 <= low <= high < float("inf"):
                raise SandboxError(f"latency {low}:{high} is not MIN:MAX with 0 <= MIN <= MAX, in seconds")
        if not 0 <= self.slow_share <= 1:
            raise SandboxError(f"a share of {self.slow_share:g} of the runs is not between 0 and 1")
        if self.quota is not None and (self.quota.runs < 1 or not 0 < self.quota.seconds < float("inf")):
            given = f"{self.quota.runs}/{self.quota.seconds:g}"
            raise SandboxError(f"quota {given}: expected a run or more in some seconds")
