"""Mutants against the tests: the nearest first, one mutant at a time; in the end the survivors against all the rest."""

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .choice import Suite, all_tests, within
from .sites import Mutant
from .tree import Ended, Tree

NEAR_S = (10.0, 60.0)  # so much of the nearest tests first, and so much of them if it survives
STARTING_S = 60.0  # what pytest may take until the first test runs, on a busy machine
SLOWER = 5  # than without a mutant, and the run is ended
ALL_TIMEOUT_S = 2400.0
MOST_SUSPECTS = 200  # of the tests that fail for a group of mutants, so many are asked for each of them

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a mutant: a test or what else noticed it, None for a survivor."""

    mutant: Mutant
    killed_by: str | None


def try_out(mutants: Sequence[Mutant], tests: Suite, places: Sequence[Tree], say: Say) -> Iterator[Tried]:
    """Try each mutant in one of the trees, as many at once as there are. Survivors come last."""
    _control(mutants, tests, places[0])
    survivors = []
    near = _side_by_side(mutants, places, lambda mutant, tree: _killed_nearby(mutant, tests, tree))
    for n, tried in enumerate(near, start=1):
        say(f"[{n}/{len(mutants)}] {shown(tried)}")
        if tried.killed_by is None:
            survivors.append(tried.mutant)
        else:
            yield tried
    for group in apart(survivors):
        yield from _try_together(group, tests, places, say)


def _side_by_side(
    mutants: Sequence[Mutant], places: Sequence[Tree], killed_by: Callable[[Mutant, Tree], str | None]
) -> Iterator[Tried]:
    """Ask for each mutant, in any tree that is free, what kills it. In the order of the mutants."""
    free: queue.SimpleQueue[Tree] = queue.SimpleQueue()
    for tree in places:
        free.put(tree)

    def ask(mutant: Mutant) -> Tried:
        tree = free.get()
        try:
            return Tried(mutant, killed_by(mutant, tree))
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(places)) as pool:
        try:
            yield from pool.map(ask, mutants)
        except BaseException:
            for tree in places:
                tree.stop()
            pool.shutdown(cancel_futures=True)
            raise


def shown(tried: Tried) -> str:
    """Two lines for people."""
    mutant, by = tried.mutant, tried.killed_by
    end = "not noticed" if by is None else f"killed by {by}"
    return f"{mutant.file}:{mutant.line} {mutant.operator}: {end}\n    {mutant.before}  →  {mutant.after}"


def apart(mutants: Iterable[Mutant]) -> list[list[Mutant]]:
    """Groups of mutants that can be in one tree: none changes what another one changes."""
    groups: list[list[Mutant]] = []
    for mutant in mutants:
        for group in groups:
            if not any(one.file == mutant.file and _overlap(one, mutant) for one in group):
                group.append(mutant)
                break
        else:
            groups.append([mutant])
    return groups


def _overlap(one: Mutant, other: Mutant) -> bool:
    return one.start <= other.end and other.start <= one.end


def _control(mutants: Sequence[Mutant], tests: Suite, tree: Tree) -> None:
    """Without a mutant the tests must pass, or all that follows says nothing."""
    for mutant in mutants:
        chosen = within(tests.of(mutant), NEAR_S[0])
        if chosen:
            ended = _run(tree, [test.name for test in chosen], STARTING_S + NEAR_S[0] * SLOWER)
            if ended.code != 0:
                raise SystemExit(f"without any mutant the tests fail ({ended.reason}):\n{ended.output[-2000:]}")
            return


def _killed_nearby(mutant: Mutant, tests: Suite, tree: Tree) -> str | None:
    covering = tests.of(mutant)
    done = 0
    with tree.mutated([mutant]):
        for seconds in NEAR_S:
            chosen = within(covering, seconds)[done:]
            if chosen:
                took = sum(test.seconds for test in chosen)
                ended = _run(tree, [test.name for test in chosen], STARTING_S + took * SLOWER)
                if not ended.passed:
                    return ended.reason
            done += len(chosen)
    return None


def _try_together(group: list[Mutant], tests: Suite, places: Sequence[Tree], say: Say) -> Iterator[Tried]:
    """All quick tests for a group at once; what fails then is asked for each mutant alone.

    One that hides another can only make it look like a survivor.
    """
    say(f"all quick tests, with {len(group)} mutants together")
    with places[0].mutated(group):
        ended = places[0].run([*all_tests(tests), f"-n{len(places)}"], timeout_s=ALL_TIMEOUT_S)
    if ended.passed:
        yield from (Tried(mutant, None) for mutant in group)
        return
    say(f"{len(ended.failed)} tests fail, {ended.reason}")
    if len(group) == 1:
        yield Tried(group[0], ended.reason)
        return
    found = []
    for tried in _side_by_side(group, places, lambda mutant, tree: _killed_by(ended.failed, mutant, tests, tree)):
        say(shown(tried))
        found.append(tried)
    if any(tried.killed_by for tried in found):
        yield from found
        return
    for half in (group[: len(group) // 2], group[len(group) // 2 :]):  # they stop all tests, or it takes two of them
        yield from _try_together(half, tests, places, say)


def _killed_by(failed: Sequence[str], mutant: Mutant, tests: Suite, tree: Tree) -> str | None:
    """Which of these tests notices this mutant by itself; first those that enter its function."""
    near = {test.name for test in tests.of(mutant)}
    suspects = sorted(failed, key=lambda name: name not in near)[:MOST_SUSPECTS]
    if not suspects:
        return None
    with tree.mutated([mutant]):
        ended = _run(tree, suspects, ALL_TIMEOUT_S)
    return None if ended.passed else ended.reason


def _run(tree: Tree, names: Sequence[str], timeout_s: float) -> Ended:
    files = list(dict.fromkeys(name.partition("::")[0] for name in names))
    return tree.run([*files, "-x"], timeout_s=timeout_s, order=names)
