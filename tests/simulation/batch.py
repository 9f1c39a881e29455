"""Many seeds, on all processors."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import Final

from .mutations import MUTATIONS
from .story import Story, tell

_CHUNK: Final = 250


@dataclass(slots=True)
class Result:
    """What many stories add up to."""

    seeds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failed: list[Story] = field(default_factory=list)

    def add(self, story: Story) -> None:
        """One more story."""
        self.seeds += 1
        self.counts.update(story.counts)
        if story.violation is not None:
            self.failed.append(story)

    def merge(self, other: "Result") -> None:
        """The stories of another process."""
        self.seeds += other.seeds
        self.counts.update(other.counts)
        self.failed.extend(other.failed)

    def to_text(self, span: str) -> str:
        """What happened, and what did not hold: each kind with a seed that shows it."""
        counts = self.counts
        lines = [f"{count:12,}  {name}" for name, count in sorted(counts.items()) if count]
        kinds: defaultdict[str, list[Story]] = defaultdict(list)
        for story in self.failed:
            assert story.violation is not None
            kinds[story.violation.kind].append(story)
        twice = sum(len(stories) for kind, stories in kinds.items() if kind.startswith("I1"))
        lost = sum(len(stories) for kind, stories in kinds.items() if kind.startswith("I2"))
        lines.append(
            f"{self.seeds:,} seeds in {span}: {counts['kills']:,} kills, {counts['POSTs']:,} POSTs;"
            f" paid twice in {twice} seeds, lost in {lost}, other faults in {len(self.failed) - twice - lost}"
        )
        for kind, stories in kinds.items():
            lines.append(
                f"{kind}: {len(stories)} seeds. --seed {stories[0].seed} --trace shows: {stories[0].violation}"
            )
        return "\n".join(lines)


def run(seeds: Sequence[int], *, mutation: str | None = None) -> Result:
    """Tell the stories of these seeds, side by side."""
    total = Result()
    for result in _results(seeds, mutation):
        total.merge(result)
    return total


def tell_one(seed: int, mutation: str | None = None, *, say: Callable[[str], None] | None = None) -> Story:
    """One story, with a rule taken away or not."""
    if mutation is None:
        return tell(seed, say=say)
    taken = MUTATIONS[mutation]()
    with taken.in_force():
        return tell(seed, mutation=taken, say=say)


def first_red(seeds: Sequence[int], mutation: str) -> Story | None:
    """The first of these seeds whose story goes wrong with a rule taken away."""
    stories = (tell_one(seed, mutation) for seed in seeds)
    return next((story for story in stories if story.violation is not None), None)


def _results(seeds: Sequence[int], mutation: str | None) -> Iterator[Result]:
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    workers = min(len(chunks), os.cpu_count() or 1)
    if workers < 2:
        yield from map(partial(_tell_all, mutation=mutation), chunks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_tell_all, mutation=mutation), chunks)


def _tell_all(seeds: Sequence[int], mutation: str | None) -> Result:
    result = Result()
    for seed in seeds:
        result.add(tell_one(seed, mutation))
    return result
