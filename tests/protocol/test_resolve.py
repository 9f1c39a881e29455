"""What is done, effect by effect, about a POST of unknown outcome; and about runs that turn up after it was settled."""

from collections.abc import Callable
from typing import Any

import pytest

from enrich.api.errors import ApiError, ForbiddenError, NotFoundError, UnavailableError, UnreadableAnswerError
from enrich.protocol.effects import (
    EndWatch,
    FetchRun,
    FindLiveRun,
    ListGroup,
    Now,
    RecordAdopted,
    RecordExtra,
    RecordResolved,
    RecordUnknown,
    Reload,
    Say,
    Script,
    Settled,
    Sleep,
)
from enrich.protocol.replies import ListedRun, Listing, ReadRun
from enrich.protocol.resolve import resolve, watch
from enrich.records import LiveRun, OpenSubmission, RunState, Stamp

PRICE = 25_000
DAY_S = 24 * 3600.0
TASK_INPUT = b"input of b"

SENT, ACCEPTED, FAILED, RELEASED = RunState.SENT, RunState.ACCEPTED, RunState.FAILED, RunState.RELEASED


def submission(*states: RunState, state: str = "unknown", run_ids: str = "", **tied: int) -> OpenSubmission:
    """Submission 7 at second 0, with tasks named a, b …"""
    return OpenSubmission(
        7, "g1", state, True, "core", ("f",), PRICE, Stamp(0, 0, "boot"), None, frozenset(run_ids.split()),
        tasks={task: n for n, task in zip(range(len(states)), "abcdef", strict=False)}, inputs={TASK_INPUT: 1},
        tied=tied, states=list(states),
    )  # fmt: skip


def listing(*runs: str, before: int | None = None, after: int | None = None) -> Listing:
    """A listing of runs as `run:task`, or `run` without a key."""
    found = tuple(ListedRun(run, task or None) for run, _, task in (one.partition(":") for one in runs))
    return Listing(len(runs) if before is None else before, len(runs) if after is None else after, found)


class World:
    """Answers effects: by a function of the time, by what is given, or with None. Keeps all but the questions."""

    def __init__(
        self,
        listed: Callable[[float], Listing | ApiError],
        *,
        now: float = 0.0,
        live: LiveRun | None = None,
        fetched: ReadRun | ApiError | None = None,
        price: int | None = PRICE,
        boot: Callable[[float], str] = lambda _: "boot",
    ) -> None:
        self.now = now
        self.done: list[Any] = []
        self.asked: list[float] = []  # when it was listed
        self._listed, self._live, self._fetched, self._price, self._boot = listed, live, fetched, price, boot

    def see(self, script: Script[Any]) -> list[Any]:
        """Go through a script to its end; gives what was done."""
        result: Any = None
        error: ApiError | None = None
        while True:
            try:
                effect = script.send(result) if error is None else script.throw(error)
            except StopIteration:
                return self.done
            result, error = self._answer(effect), None
            if isinstance(result, ApiError):
                result, error = None, result

    def _answer(self, effect: Any) -> Any:
        match effect:
            case Now():
                return Stamp(self.now, self.now, self._boot(self.now))
            case ListGroup():
                self.asked.append(self.now)
                return self._listed(self.now)
            case FetchRun():
                return self._fetched
            case FindLiveRun():
                self.done.append(effect)
                return self._live
            case Sleep(seconds):
                self.now += seconds
                return None
        self.done.append(effect)
        match effect:
            case RecordAdopted(runs=runs):
                return len(runs)
            case RecordExtra():
                return self._price
        return None


# ---------------------------------------------------------------------- after it was settled


@pytest.mark.parametrize(
    ("now", "shown", "done"),
    [
        pytest.param(60.0, listing(), [Reload(7)], id="nothing yet"),
        pytest.param(DAY_S, listing(), [Reload(7)], id="just a day"),
        pytest.param(DAY_S + 1, listing(), [EndWatch(7), Reload(7)], id="more than a day"),
        pytest.param(DAY_S + 1, listing(before=1, after=1), [Reload(7)], id="more than a day, but cut short"),
        pytest.param(DAY_S + 1, listing("x:c"), [EndWatch(7), Reload(7)], id="a run that is none of ours"),
    ],
)
def test_a_watch_ends_when_a_day_has_passed_and_a_complete_listing_was_seen(
    now: float, shown: Listing, done: list[Any]
) -> None:
    assert World(lambda _: shown, now=now).see(watch(submission(RELEASED, RELEASED))) == done


def test_a_listing_that_lacks_what_was_seen_before_ends_no_watch() -> None:
    known = submission(ACCEPTED, RELEASED, r1=0)
    assert World(lambda _: listing(), now=DAY_S + 1).see(watch(known)) == [Reload(7)]
    named = submission(RELEASED, run_ids="r1 r2")
    assert World(lambda _: listing("r1:x"), now=DAY_S + 1).see(watch(named)) == [Reload(7)]
    assert World(lambda _: listing("r1:x", "r2:y"), now=DAY_S + 1).see(watch(named)) == [EndWatch(7), Reload(7)]


@pytest.mark.parametrize(
    ("wall", "done"),
    [
        pytest.param(2 * DAY_S, [Reload(7)], id="the clock may be a day off"),
        pytest.param(2 * DAY_S + 1, [EndWatch(7), Reload(7)], id="surely"),
    ],
)
def test_over_a_reboot_a_watch_ends_after_two_days_by_the_clock(wall: float, done: list[Any]) -> None:
    assert World(lambda _: listing(), now=wall, boot=lambda _: "another").see(watch(submission(RELEASED))) == done


LATE = [FindLiveRun(7, 0)]


@pytest.mark.parametrize(
    ("state", "live", "price", "done"),
    [
        pytest.param(
            RELEASED, None, PRICE,
            [RecordAdopted(7, {0: "r1"}), Settled(PRICE, found=1, why="found")],
            id="its task is free: adopted",
        ),
        pytest.param(
            FAILED, None, PRICE,
            [RecordExtra(7, 0, "r1"), Settled(PRICE, found=1, why="found")],
            id="the run of this group failed",
        ),
        pytest.param(FAILED, None, None, [RecordExtra(7, 0, "r1")], id="known as a double charge"),
        pytest.param(
            RELEASED, LiveRun(9, 3, "r9", ACCEPTED), PRICE,
            [RecordExtra(9, 3, "r1"), Settled(PRICE, found=1, why="found")],
            id="sent again, and running",
        ),
        pytest.param(RELEASED, LiveRun(9, 3, "r1", ACCEPTED), PRICE, [], id="it is the one that stands"),
        pytest.param(RELEASED, LiveRun(9, 3, None, SENT), PRICE, [], id="sent again, of unknown outcome"),
    ],
)  # fmt: skip
def test_a_late_run_is_adopted_or_a_double_charge(
    state: RunState, live: LiveRun | None, price: int | None, done: list[Any]
) -> None:
    world = World(lambda _: listing("r1:a"), live=live, price=price)
    assert world.see(watch(submission(state, RELEASED))) == [*LATE, *done, Reload(7)]


def test_a_watch_goes_on_while_a_late_runs_task_is_sent_again_with_unknown_outcome() -> None:
    unsettled = World(lambda _: listing("r1:a"), now=DAY_S + 1, live=LiveRun(9, 3, None, SENT))
    assert unsettled.see(watch(submission(RELEASED))) == [*LATE, Reload(7)]
    settled = World(lambda _: listing("r1:a"), now=DAY_S + 1, live=LiveRun(9, 3, "r1", ACCEPTED))
    assert settled.see(watch(submission(RELEASED))) == [*LATE, EndWatch(7), Reload(7)]


def test_two_late_runs_of_one_task_are_seen_one_after_the_other() -> None:
    """The second is held against what the ledger says after the first."""
    world = World(lambda _: listing("r1:a", "r2:a", "r3:b"))
    assert world.see(watch(submission(RELEASED, RELEASED)))[:3] == [
        FindLiveRun(7, 0),
        RecordAdopted(7, {0: "r1"}),
        Settled(PRICE, found=1, why="found"),
    ]
    assert [effect.n for effect in world.done if isinstance(effect, FindLiveRun)] == [0, 0, 1]


def test_a_run_that_is_tied_already_is_no_news() -> None:
    known = submission(ACCEPTED, RELEASED, r1=0)
    assert World(lambda _: listing("r1:a")).see(watch(known)) == [Reload(7)]


@pytest.mark.parametrize(
    ("fetched", "n"),
    [
        pytest.param(ReadRun("r1", "a", "running", b"", False, None), 0, id="by its own key"),
        pytest.param(ReadRun("r1", None, "running", b"", False, None, TASK_INPUT), 1, id="by its input"),
    ],
)
def test_a_late_run_that_is_listed_without_its_key_is_known_by_what_it_tells(fetched: ReadRun, n: int) -> None:
    world = World(lambda _: listing("r1"), fetched=fetched)
    adopted = [RecordAdopted(7, {n: "r1"}), Settled(PRICE, found=1, why="found")]
    assert world.see(watch(submission(RELEASED, RELEASED))) == [FindLiveRun(7, n), *adopted, Reload(7)]


@pytest.mark.parametrize(
    ("fetched", "ends"),
    [
        pytest.param(ReadRun("r1", None, "running", b"", False, None, b"another's"), True, id="none of ours"),
        pytest.param(ReadRun("r1", None, "running", b"", False, None), False, id="it tells nothing"),
        pytest.param(UnavailableError("busy", status=503), False, id="it can't be asked"),
        pytest.param(NotFoundError("gone", status=404), False, id="it is not known"),
    ],
)
def test_a_watch_goes_on_while_of_a_run_it_is_not_known_what_it_was_asked(
    fetched: ReadRun | ApiError, *, ends: bool
) -> None:
    world = World(lambda _: listing("r1"), now=DAY_S + 1, fetched=fetched)
    assert world.see(watch(submission(RELEASED))) == [*([EndWatch(7)] if ends else []), Reload(7)]


def test_a_group_that_is_not_known_any_more_is_watched_for_a_day() -> None:
    gone = NotFoundError("no such group", status=404)
    with pytest.raises(NotFoundError):
        World(lambda _: gone, now=DAY_S).see(watch(submission(RELEASED)))
    assert World(lambda _: gone, now=DAY_S + 1).see(watch(submission(RELEASED))) == [EndWatch(7)]


def test_a_listing_that_can_not_be_had_now_is_left_to_the_next_look() -> None:
    busy = UnavailableError("busy", status=503)
    assert World(lambda _: busy, now=DAY_S + 1).see(watch(submission(RELEASED))) == []


def test_a_refused_key_ends_a_watch_and_a_resolving_at_once() -> None:
    refused = ForbiddenError("not yours", status=403)
    for script in (watch, resolve):
        with pytest.raises(ForbiddenError):
            World(lambda _: refused).see(script(submission(SENT)))
        with pytest.raises(ForbiddenError):
            World(lambda _: listing("r1"), fetched=refused).see(script(submission(SENT)))


# ---------------------------------------------------------------------- before


def test_what_was_sent_by_a_process_that_is_gone_is_settling_from_now() -> None:
    world = World(lambda _: listing("r1:a"), now=500.0)
    assert world.see(resolve(submission(SENT, state="sending"), settle_s=900)) == [
        RecordUnknown(7, Stamp(500, 500, "boot"), "the process ended before the answer came"),
        RecordAdopted(7, {0: "r1"}),
        RecordResolved(7),
        Settled(PRICE, why="accepted"),
        Reload(7),
    ]
    assert world.asked == [500]


def test_what_is_missing_after_two_listings_that_agree_is_free() -> None:
    world = World(lambda _: listing("r1:a"))
    assert world.see(resolve(submission(SENT, SENT, SENT), settle_s=900)) == [
        RecordAdopted(7, {0: "r1"}),
        RecordResolved(7),
        Settled(PRICE, freed=2, why="refused"),
        Reload(7),
    ]
    assert world.asked == [0, 1, 3, 7, 15, *range(31, 900, 30), 900, 930]


def test_a_second_run_of_a_task_is_a_double_charge() -> None:
    world = World(lambda _: listing("r1:a", "r2:a", "r3:b"))
    assert world.see(resolve(submission(SENT, SENT), settle_s=900)) == [
        RecordAdopted(7, {0: "r1", 1: "r3"}),
        RecordExtra(7, 0, "r2"),
        Settled(PRICE, found=1, why="found"),
        RecordResolved(7),
        Settled(PRICE, why="accepted"),
        Reload(7),
    ]


def test_a_short_settling_time_is_looked_at_in_short_steps() -> None:
    world = World(lambda _: listing())
    world.see(resolve(submission(SENT), settle_s=2))
    assert world.asked == [0, 0.5, 1.5, 2, 3, 4]


def test_after_a_reboot_settling_starts_again() -> None:
    world = World(lambda _: listing(), boot=lambda now: "boot" if now < 800 else "another")
    done = world.see(resolve(submission(SENT), settle_s=900))
    [again] = [effect for effect in done if isinstance(effect, RecordUnknown)]
    assert again.detail == "the clock was set back, or the machine rebooted"
    assert again.stamp.boot == "another"
    assert world.now >= again.stamp.wall + 900
    assert world.now < again.stamp.wall + 1000


def test_a_group_just_made_may_not_show_for_a_minute() -> None:
    world = World(lambda now: NotFoundError("no such group", status=404) if now <= 60 else listing("r1:a"))
    assert world.see(resolve(submission(SENT), settle_s=900))[-1] == Reload(7)
    world = World(lambda _: NotFoundError("no such group", status=404))
    with pytest.raises(NotFoundError):
        world.see(resolve(submission(SENT), settle_s=900))
    assert world.asked[-2:] == [31, 61]


def test_settling_takes_a_quarter_of_an_hour() -> None:
    world = World(lambda _: listing())
    world.see(resolve(submission(SENT)))
    assert world.asked[-2:] == [900, 930]


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        pytest.param(UnavailableError("busy", status=503), "group g1 can't be listed", id="not to be had"),
        pytest.param(listing("r1:a", before=2, after=3), "group g1 counts 3 runs and lists 1", id="cut short"),
        pytest.param(
            listing("r1"),
            "group g1 lists 1 runs, and it is not clear if that is all, or what they were asked",
            id="of a run that tells nothing",
        ),
    ],
)
def test_what_can_not_be_told_is_said_and_given_up_after_an_hour_and_frees_nothing(
    shown: Listing | ApiError, said: str
) -> None:
    world = World(lambda _: shown, fetched=ReadRun("r1", None, "running", b"", False, None))
    with pytest.raises(UnreadableAnswerError, match=said):
        world.see(resolve(submission(SENT, SENT), settle_s=900))
    words = [effect for effect in world.done if isinstance(effect, Say)]
    assert words == [Say(f"{said}; asking again")] * 120
    assert world.now == pytest.approx(900 + 120 * 30, abs=30)
    assert not any(isinstance(effect, Settled | RecordResolved) for effect in world.done)
