"""python -m tests.simulation --seeds 20000 [--mutation NAME]; --seed N --trace for one story."""

import argparse
import time

from . import batch
from .mutations import MUTATIONS
from .story import tell


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds, from --start on")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: tell it step by step")
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help="take one of the protocol's rules away")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed, options.mutation, trace=options.trace)
    begun = time.monotonic()
    result = batch.run(range(options.start, options.start + options.seeds), mutation=options.mutation)
    for name, count in sorted(result.counts.items()):
        print(f"{count:10,}  {name}")
    print(f"{result.seeds:10,}  seeds in {time.monotonic() - begun:.1f} s, {len(result.failed)} failed")
    kinds = {}
    for story in result.failed:
        kinds.setdefault(story.violation.kind, []).append(story)
    for kind, stories in kinds.items():
        print(f"{len(stories):10,}  {kind}; the first: seed {stories[0].seed}: {stories[0].violation.text}")
    return 1 if result.failed else 0


def _one(seed: int, mutation: str | None, *, trace: bool) -> int:
    taken = MUTATIONS[mutation]() if mutation else None
    say = print if trace else None
    if taken is None:
        story = tell(seed, say=say)
    else:
        with taken.in_force():
            story = tell(seed, mutation=taken, say=say)
    print(f"seed {seed}: {story.violation or 'all holds'}")
    return 0 if story.violation is None else 1


if __name__ == "__main__":
    raise SystemExit(main())
