"""What is drawn from a seed before its story begins: the job, the service's habits, and what befalls each command.

Every story has some kinds of trouble and not others, at rates of its own: so the rare combinations come up too, and a
failing seed is short to read.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, get_args

from enrich.protocol.submit import batch_size

Storm = Literal["5xx", "429", "outage", "401", "403", "cut", "lag"]
Fate = Literal[
    "ok",
    "lost",
    "error after",
    "error before",
    "late",
    "partial",
    "scattered",
    "truncated",
    "wrong count",
    "reordered",
    "rate",
    "refused after",
    "refused partial",
    "refused late",
    "no group",
    "unsent",
]

HOUR: Final = 3600.0
_LAG_S: Final = 20.0

# price in millionths of a dollar -> how many runs fit into the $5 of a batch
_PRICES: Final = (600_000, 1_000_000, 1_000_000, 1_600_000, 2_400_000, 6_000_000)
_BIG_PRICE: Final = 200_000
_FATES: Final[tuple[Fate, ...]] = tuple(  # all but the first, "late" with twice the chance
    fate for fate in get_args(Fate)[1:] for _ in range(2 if fate == "late" else 1)
)
_KILLS: Final = (
    *("effect", "effect", "time", "time", "commit before", "commit after"),
    *("post", "post", "post", "written", "written"),
)
_WRITTEN: Final = (
    *("RecordIntent", "RecordAccepted", "RecordUnknown", "RecordAdopted", "RecordResolved", "RecordResolved"),
    *("RecordOutcomes", "RecordNotCreated", "RecordExtra", "RecordExtraOutcome", "EndWatch"),
)
_STORMS: Final[tuple[Storm, ...]] = ("5xx", "5xx", "429", "429", "outage", "401", "403", "cut", "lag")


@dataclass(slots=True)
class Kill:
    """When a command dies: at its k-th effect, commit or POST, at a time, or once something is written down."""

    kind: Literal["effect", "time", "commit before", "commit after", "post", "written"]
    number: int = 0
    written: str = ""  # the kind of transition
    at_s: float = 0.0  # after the command's beginning
    fraction: float = 0.0  # of the time that a POST is on the wire
    power: bool = False  # the machine goes down with it


@dataclass(slots=True)
class Trouble:
    """What befalls one command."""

    kill: Kill | None = None
    stop_at: float | None = None  # the user asks for an end, seconds after the beginning
    frozen: list[tuple[float, float]] = field(default_factory=list)  # (from, for) in seconds: SIGSTOP, SIGCONT
    frozen_after_intent: int = 0  # stopped for an hour between the k-th intent and its POST
    clock: list[tuple[float, float]] = field(default_factory=list)  # (at, by): the wall clock is set
    storms: list[tuple[Storm, float, float]] = field(default_factory=list)  # (kind, from, for)
    disk_error: int = 0  # the commit that fails
    pause_s: float = 1.0  # before the next command


@dataclass(slots=True)
class Scenario:
    """One story's settings."""

    seed: int
    calm: bool
    late_beyond: bool  # POSTs may land after the settling time (case 7)
    inputs: int
    prices: tuple[int, ...]  # of the ladder's rungs
    settle_s: float
    slots: int
    few: int  # groups that are followed by their events; of more each is asked for its counts
    budget: int | None
    credit: int | None
    lag_s: float
    fates: dict[Fate, float]
    troubles: list[Trouble]
    invalid: float  # share of inputs that the service refuses
    names_invalid: bool
    fails: float  # share of runs that fail
    weak: float  # share of answers that are too weak for the first rung
    run_s: tuple[float, float]
    output_lag_s: float  # a run is completed so long before its output is there
    stale: float  # share of listings from an old replica
    cut: float  # share of listings cut with a clean end
    get_fails: float
    slow_listing: float
    stream_cut: float
    silent: bool
    events_refused: bool
    forgetful: float
    counts_told: bool
    by_change: bool
    finished_only: bool
    duplicates: bool
    foreign: bool
    nameless: bool  # the service loses the metadata of all runs
    absent: float  # share of accepted runs that nobody is shown for up to two hours
    commit_s: float
    last_moment: bool  # late POSTs land when the settling time is nearly over
    closing: bool  # every stream of events is closed at once
    strange: float  # share of runs that end in a way that nobody knows, paid for or not


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = Random(seed)
    chance, uniform = rng.random, rng.uniform
    few, crowd = _crowd(seed)
    calm = chance() < 0.06
    big = chance() < 0.03
    price = _BIG_PRICE if big else rng.choice(_PRICES)
    inputs = rng.randint(20, 60) if big else rng.randint(1, 4) if chance() < 0.4 else rng.randint(3, 10)
    if crowd:
        big, price, inputs = False, _PRICES[-1], crowd
    settle_s = rng.choice((900.0, 900.0, 300.0, 120.0, 30.0, 8.0))
    late_beyond = not calm and chance() < 0.06
    tight = not calm and chance() < 0.08  # what the rules of resolving are for, and little else
    lie = rng.choice(("old", "cut")) if tight else ""
    shortest = rng.choice((2.0, 10.0, 60.0))

    def sometimes(share: float, most: float) -> float:
        return 0.0 if calm or chance() >= share else uniform(0, most)

    fates: dict[Fate, float] = {"ok": 1.0}
    if not calm:
        fates["ok"] = uniform(0.5, 4)
        for fate in _FATES:
            if chance() < 0.3:
                fates[fate] = fates.get(fate, 0.0) + uniform(0.2, 2)
        if late_beyond:
            fates["late"] = uniform(1, 4)
        if tight:
            fates = {"ok": 1.0, "late": 3.0}
    troubles = [] if calm else [Trouble()] if tight else [_trouble(rng, settle_s) for _ in range(rng.randint(1, 4))]
    if late_beyond and chance() < 0.3:  # given up for lost, and not sent again before it lands
        troubles[0] = Trouble(kill=Kill("written", number=1, written="RecordResolved"), pause_s=25 * HOUR)
    elif late_beyond and chance() < 0.4:  # and so once more: two late runs of each task, found by one command
        troubles[0] = Trouble(kill=Kill("written", number=2, written="RecordResolved"), pause_s=25 * HOUR)
        fates, inputs = {"late": 1.0}, min(inputs, batch_size(price))
    scenario = Scenario(
        seed=seed,
        calm=calm,
        late_beyond=late_beyond,
        inputs=inputs,
        prices=(price, price * 4) if chance() < 0.12 and not big else (price,),
        settle_s=settle_s,
        slots=rng.choice((1, 2, 64)),
        few=few,
        budget=price * rng.randint(4, 3 * inputs + 4) if chance() < 0.3 else None,
        credit=price * rng.randint(0, 2 * inputs) if not calm and chance() < 0.2 else None,
        lag_s=min(0.0 if calm or chance() < 0.4 else uniform(0, _LAG_S), settle_s / 3),
        fates=fates,
        troubles=troubles,
        invalid=sometimes(0.06, 0.3),
        names_invalid=chance() < 0.5,
        fails=sometimes(0.4, 0.3),
        weak=uniform(0, 0.8),
        run_s=(shortest, shortest + 15.0) if calm else (shortest, shortest * rng.choice((1.5, 5.0, 40.0))),
        output_lag_s=sometimes(0.15, _LAG_S),
        stale=0.9 if lie == "old" else sometimes(0.5, 0.9),
        cut=0.9 if lie == "cut" else sometimes(0.4, 0.9),
        get_fails=sometimes(0.3, 0.15),
        slow_listing=sometimes(0.3, 0.3),
        stream_cut=sometimes(0.3, 0.5),
        silent=not calm and chance() < 0.08,
        events_refused=not calm and chance() < 0.06,
        forgetful=sometimes(0.15, 0.5),
        counts_told=calm or chance() < 0.85,
        by_change=chance() < 0.3,
        finished_only=chance() < 0.3,
        duplicates=not calm and chance() < 0.15,
        foreign=not calm and chance() < 0.04,
        absent=sometimes(0.06, 0.4),
        commit_s=rng.choice((0.001, 0.005, 0.05)),
        last_moment=tight or chance() < 0.5,
        nameless=not calm and chance() < 0.06,
        closing=not calm and chance() < 0.08,
        strange=sometimes(0.12, 0.4),
    )
    if len(fates) == 1 and late_beyond:
        scenario.commit_s = 0.05  # a slow disk: what two of them ask of the ledger falls together
    if scenario.absent and scenario.budget is None:  # what is not shown for long holds money that others wait for
        scenario.budget = price * rng.randint(4, inputs + 4)
    return scenario


def _crowd(seed: int) -> tuple[int, int]:
    """How many groups are followed, and how many are in flight in a story of many small ones; 0 in the others.

    Drawn apart, so that the other stories stay the ones they were.
    """
    rng = Random(f"crowd {seed}")
    few = rng.choice((0, 1, 16))
    return few, round(_sometime(rng, 250.0, least=20.0)) if rng.random() < 0.015 else 0


def _trouble(rng: Random, settle_s: float) -> Trouble:
    chance = rng.random
    trouble = Trouble(pause_s=rng.choice((1.0, 20.0, settle_s, HOUR, 25 * HOUR)))
    if chance() < 0.75:
        trouble.kill = _kill(rng, settle_s)
    elif chance() < 0.4:
        trouble.stop_at = _sometime(rng, 2 * settle_s)
    elif chance() < 0.1:
        trouble.disk_error = rng.randint(1, 20)
    if chance() < 0.12:
        trouble.frozen.append((_sometime(rng, settle_s), HOUR))
    if chance() < 0.08:
        trouble.frozen_after_intent = rng.randint(1, 3)
    if chance() < 0.12:
        trouble.clock.append((_sometime(rng, settle_s), rng.choice((-24, -1, 1, 24)) * HOUR))
    for _ in range(2):
        if chance() < 0.15:
            start = 0.0 if chance() < 0.3 else _sometime(rng, settle_s)
            trouble.storms.append((rng.choice(_STORMS), start, _sometime(rng, 2400.0)))
    return trouble


def _kill(rng: Random, settle_s: float) -> Kill:
    power = rng.random() < 0.35
    match rng.choice(_KILLS):
        case "effect":
            return Kill("effect", number=round(_sometime(rng, 300.0, least=1.0)), power=power)
        case "time":
            return Kill("time", at_s=_sometime(rng, 2 * settle_s), power=power)
        case "post":
            return Kill("post", number=rng.choice((1, 1, 1, 2, 2, 3, 4)), fraction=rng.random(), power=power)
        case "written":
            return Kill("written", number=rng.choice((1, 1, 2)), written=rng.choice(_WRITTEN), power=power)
        case kind:
            return Kill(kind, number=round(_sometime(rng, 40.0, least=1.0)), power=power)


def _sometime(rng: Random, most: float, *, least: float = 0.05) -> float:
    """As likely within the first second as within the last hour: what matters happens at all scales."""
    return float(least * (max(most, 2 * least) / least) ** rng.random())
