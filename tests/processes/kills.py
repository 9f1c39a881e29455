"""A command that is killed again and again until it is done, and the tally of many such stories."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from tests.faults.promises import Scene, check, serving
from tests.processes.commands import Command, Commands, Kill

SETTLE = "1s"
LADDER = "[core, ultra]\nconfidence: {missing: withhold}"  # what core is not sure of is asked of ultra
A_STORY = 24  # kills at most: each leaves something to look after, and a command that dies early gets nowhere
MOST_COMMANDS = 10  # that nobody kills, before a story counts as stuck


@dataclass(frozen=True)
class Moment:
    """SIGKILL so many seconds after the start."""

    after_s: float


@dataclass
class Tally:
    """What came of it. `points` says which commits were met: "before record_intent …"."""

    stories: int = 0
    commands: int = 0
    kills: int = 0
    posts: int = 0
    tasks: int = 0
    paid_twice: int = 0
    lost: int = 0
    seconds: float = 0.0
    points: Counter[str] = field(default_factory=Counter)
    unmet: Kill | None = None  # of the last story: the kill that came too late, since the command was done

    def __iadd__(self, other: "Tally") -> "Tally":
        for name in ("stories", "commands", "kills", "posts", "tasks", "paid_twice", "lost", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.points += other.points
        self.unmet = other.unmet
        return self

    def to_text(self) -> str:
        """The tally in words, the commits that were met last."""
        lines = [
            f"{self.kills:,} kills in {self.commands:,} commands over {self.stories:,} tables: "
            f"{self.tasks:,} questions, {self.posts:,} POSTs, {self.paid_twice} paid twice, {self.lost} lost, "
            f"{self.seconds:,.0f} s",
            *(f"{count:6} {point}" for point, count in sorted(self.points.items())),
        ]
        return "\n".join(lines)


def story(
    commands: Commands,
    kills: Iterable[Kill | Moment],
    *,
    rows: int = 300,
    processor: str = "ultra",
    faults: tuple[str, ...] = (),
    seed: int = 0,
    latency_s: tuple[float, float] = (0.0, 0.4),
) -> Tally:
    """One table, one command after the other with a kill for each, then without until it is done; holds the promises.

    A kill that comes too late meets a command that has ended. Raises AssertionError where a promise is broken.
    """
    since = time.monotonic()
    tally = Tally(stories=1)
    with ExitStack() as stack:
        service = stack.enter_context(serving(*faults, latency_s=latency_s, seed=seed))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="kills-")))
        scene = Scene(folder, service, rows=rows, processor=processor)
        log = folder / "kills.log"
        argv = ["run", str(scene.config), str(scene.table), "--settle", SETTLE, "--quiet", "--yes"]

        def start(kill: Kill | None = None) -> Command:
            tally.commands += 1
            return commands.start(argv, folder=folder, environ=service.environ, kill=kill, kills=log)

        status = -1
        for kill in kills:
            command = start(kill if isinstance(kill, Kill) else None)
            if isinstance(kill, Moment):
                time.sleep(kill.after_s)
                command.kill()
            status = command.wait()
            tally.kills += status == -9
            assert status in (-9, 0, 4), command.said()
            if status == 0:
                tally.unmet = kill if isinstance(kill, Kill) else None
                break
        while not (tally.commands and status == 0):
            assert tally.commands < tally.kills + MOST_COMMANDS, "it does not come to an end"
            status = (last := start()).wait()
            assert status in (0, 4), last.said()
        check(scene, same_content=not faults and not seed, receipts=False)
        bill = service.bill()
        tally.posts = service.posts()
        tally.paid_twice = len(bill["doubles"])
        tally.tasks = bill["tasks"]
        tally.lost = bill["tasks"] - bill["runs_charged"] + tally.paid_twice
        if log.exists():
            tally.points.update(log.read_text().splitlines())
    tally.seconds = time.monotonic() - since
    return tally


def each_commit(first: int) -> Iterator[Kill]:
    """Before and after every commit from the `first` on."""
    for number in count(first):
        for when in _WHEN:
            yield Kill(number, when)


_WHEN: tuple[Literal["before", "after"], ...] = ("before", "after")


def drawn(rng: random.Random, *, longest_s: float) -> Iterator[Kill | Moment]:
    """Kills without end: one half at random moments, the other at random commits, early ones more often."""
    while True:
        if rng.random() < 0.5:
            yield Moment(rng.uniform(0.02, longest_s))
        else:
            yield Kill(1 + int(rng.expovariate(1 / 6)), rng.choice(_WHEN))


def enumerated_stories(commands: Commands, *, first: int = 1, rows: int = 300) -> Iterator[Tally]:
    """Kill before and after each commit from the `first` on, until a whole run has fewer.

    A story goes on from commit to commit as long as it has them; the next one begins where it ended.
    """
    kills = each_commit(first)
    unmet: Kill | None = None
    while True:
        waiting = kills if unmet is None else chain([unmet], kills)
        tally = story(commands, islice(waiting, A_STORY), rows=rows)
        yield tally
        if not tally.kills:
            return
        unmet = tally.unmet


def drawn_stories(
    commands: Commands,
    kills: int,
    *,
    seed: int,
    a_story: int = A_STORY,
    rows: int = 300,
    processors: tuple[str, ...] = ("ultra", LADDER),
    longest_s: float = 0.6,
) -> Iterator[Tally]:
    """Stories until so many kills have struck; three of ten on a faulty network."""
    rng = random.Random(seed)
    struck = 0
    while struck < kills:
        faults = ("response-lost=close,20%", "partial=5,10%", "listing-lag=200ms") if rng.random() < 0.3 else ()
        some = islice(drawn(rng, longest_s=longest_s), min(a_story, kills - struck))
        tally = story(
            commands,
            some,
            rows=rows,
            processor=rng.choice(processors),
            faults=faults,
            seed=rng.randrange(1000) if faults else 0,
        )
        struck += tally.kills
        yield tally
