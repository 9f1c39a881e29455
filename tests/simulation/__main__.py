"""Run many seeds, or tell one: python -m tests.simulation --help"""

import argparse
import sys
import time
from collections.abc import Sequence

from . import batch
from .mutations import MUTATIONS


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all that must hold did."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=sys.modules[__package__].__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds (default: %(default)s)")
    parser.add_argument("--start", type=int, default=0, help="the first of them (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: tell it step by step")
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help="take one of the protocol's rules away")
    options = parser.parse_args(argv)
    if options.seed is not None:
        return _tell(options.seed, options.mutation, trace=options.trace)
    begun = time.monotonic()
    result = batch.run(range(options.start, options.start + options.seeds), mutation=options.mutation)
    print(result.to_text(f"{time.monotonic() - begun:.0f} s"))
    return 1 if result.failed else 0


def _tell(seed: int, mutation: str | None, *, trace: bool) -> int:
    story = batch.tell_one(seed, mutation, say=print if trace else None)
    print(f"seed {seed}: {story.violation or 'all holds'}")
    return 0 if story.violation is None else 1


if __name__ == "__main__":
    raise SystemExit(main())
