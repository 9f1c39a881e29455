"""Many seeds, on all processors."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
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

    def add(self, other: "Result") -> None:
        self.seeds += other.seeds
        self.counts.update(other.counts)
        self.failed.extend(other.failed)


def run(seeds: Sequence[int], *, mutation: str | None = None) -> Result:
    """Tell the stories of these seeds, side by side."""
    total = Result()
    for result in _results(seeds, mutation):
        total.add(result)
    return total


def first_red(seeds: Sequence[int], mutation: str) -> Story | None:
    """The first of these seeds whose story goes wrong with a rule taken away; in this process."""
    taken = MUTATIONS[mutation]()
    with taken.in_force():
        stories = (tell(seed, mutation=taken) for seed in seeds)
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
    taken = MUTATIONS[mutation]() if mutation else None
    result = Result()
    for seed in seeds:
        if taken is None:
            story = tell(seed)
        else:
            with taken.in_force():
                story = tell(seed, mutation=taken)
        result.seeds += 1
        result.counts.update(story.counts)
        if story.violation is not None:
            result.failed.append(story)
    return result
