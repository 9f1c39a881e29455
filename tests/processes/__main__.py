"""`python -m tests.processes --kills 3000`: kill the command that often, in story after story, and print the tally."""

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.processes.commands import Commands, launching
from tests.processes.kills import LADDER, Tally, drawn_stories, enumerated_stories


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes", description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="how many kills must strike")
    parser.add_argument("--rows", type=int, default=300, help="rows of each table")
    parser.add_argument("--a-story", type=int, default=24, help="kills of one table at most")
    parser.add_argument("--processor", help="instead of ultra, and of a ladder with it")
    parser.add_argument("--longest", type=float, default=0.6, help="seconds within which a random kill comes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0, help="end after so long (0: when the kills have struck)")
    arguments = parser.parse_args()
    until = time.monotonic() + arguments.minutes * 60 if arguments.minutes else float("inf")
    tally = Tally()
    with TemporaryDirectory() as folder, launching(Path(folder)) as commands:
        enumerated = () if arguments.processor else enumerated_stories(commands, rows=arguments.rows)
        for one in chain(enumerated, _drawn_until(commands, tally, arguments)):
            tally += one
            print(f"{tally.kills} kills, {tally.posts} POSTs, {tally.paid_twice} paid twice", flush=True)
            if time.monotonic() > until:
                break
    print(tally.to_text())
    return 1 if tally.paid_twice or tally.lost else 0


def _drawn_until(commands: Commands, tally: Tally, arguments: argparse.Namespace) -> Iterator[Tally]:
    """What is missing after the enumerated kills, of which some came too late; `tally` is read when that is known."""
    yield from drawn_stories(
        commands,
        arguments.kills - tally.kills,
        seed=arguments.seed,
        a_story=arguments.a_story,
        rows=arguments.rows,
        processors=(arguments.processor,) if arguments.processor else ("ultra", LADDER),
        longest_s=arguments.longest,
    )


if __name__ == "__main__":
    sys.exit(main())
