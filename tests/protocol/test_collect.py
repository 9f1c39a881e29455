"""What is read of a group, and when: by a service whose every answer is given."""

from collections.abc import AsyncIterator, Callable, Generator, Sequence
from copy import deepcopy
from typing import Any

import anyio
import httpx
import msgspec
import pytest

from enrich.api.errors import (
    ApiError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
)
from enrich.asking.driver import Driver
from enrich.backends.groups import Groups
from enrich.backends.parallel import Client
from enrich.ledger.recorder import open_recorder
from enrich.ledger.store import Ledger
from enrich.protocol.collect import collect, collect_extra
from enrich.protocol.effects import (
    EndVisits,
    FetchRun,
    FollowEvents,
    Now,
    PlanVisit,
    PollGroup,
    ReadRuns,
    RecordExtra,
    RecordExtraOutcome,
    RecordOutcomes,
    Reload,
    Say,
    Settled,
    Sleep,
)
from enrich.protocol.endings import is_broken
from enrich.protocol.replies import Followed, ReadRun, RunsRead
from enrich.protocol.till import Till
from enrich.protocol.visits import Visits
from enrich.protocol.waiting import Waiting
from enrich.records import OpenSubmission, Outcome, RunState, Stamp
from tests.faults.fast_loop import run_fast

LONG_S = 600.0  # a service that has answered everything is read to the end in less


def accepted(*run_ids: str, states: list[RunState] | None = None) -> OpenSubmission:
    """A submission whose runs are known; their tasks have the names of the runs."""
    return OpenSubmission(
        1, "g1", "open", False, "core", ("f",), 25_000, Stamp(0, 0, "boot"), None, frozenset(),
        tasks={run_id: n for n, run_id in enumerate(run_ids)},
        tied={run_id: n for n, run_id in enumerate(run_ids)},
        states=states or [RunState.ACCEPTED] * len(run_ids),
    )  # fmt: skip


def completed(run_id: str, task: str | None = None) -> ReadRun:
    return ReadRun(run_id, task, "completed", b"{}", has_output=True, error=None)


class Service:
    """Tells of a group by `news`, and of its runs by `runs`. Keeps what was asked of it, and what was recorded."""

    def __init__(
        self,
        news: Callable[[Any], Followed],
        runs: Callable[[str], ReadRun],
        listing: Callable[[ReadRuns], list[ReadRun]] = lambda _: [],
    ) -> None:
        self.news = news
        self.runs = runs
        self.listing = listing
        self.asked: list[Any] = []
        self.recorded: list[str] = []
        self.extras: list[str] = []
        self.said: list[str] = []
        self.now = 0.0
        self.never_ends = False  # a listing
        self.visits = Visits()
        self.kept: OpenSubmission | None = None  # by the ledger
        self.reloads = 0

    def give(self, submission: OpenSubmission, *, long_s: float = LONG_S) -> None:
        """Collect a submission from this service."""
        protocol: Generator[Any, Any, None] = collect(submission)
        self.kept = submission
        result: Any = None
        error: ApiError | None = None
        while True:
            try:
                effect = protocol.send(result) if error is None else protocol.throw(error)
            except StopIteration:
                return
            result = error = None
            try:
                result = self._answer(effect)
            except ApiError as raised:
                error = raised
            assert self.now < long_s, "nothing comes of it"

    def _answer(self, effect: Any) -> Any:
        match effect:
            case Now():
                return Stamp(self.now, self.now, "boot")
            case Say(text):
                self.said.append(text)
            case Sleep(seconds):
                self.now += seconds
            case PlanVisit(waited):
                return self.visits.plan(waited)
            case EndVisits(number, processor, age_s):
                self.visits.over(number, processor, age_s)
            case Reload():
                self.reloads += 1
                return deepcopy(self.kept)
            case RecordOutcomes(outcomes=outcomes):
                self._record(outcomes)
            case RecordExtra(run_id=run_id):
                self.extras.append(run_id)
            case FollowEvents() | PollGroup():
                self.asked.append(effect)
                return self.news(effect)
            case ReadRuns():
                self.asked.append(effect)
                return RunsRead(self.listing(effect), None, 1 if self.never_ends else None)
            case FetchRun(run_id):
                self.asked.append(effect)
                return self.runs(run_id)
        return None

    def _record(self, outcomes: Sequence[Outcome]) -> None:
        assert self.kept is not None
        for outcome in outcomes:
            self.recorded.append(outcome.run_id)
            self.kept.states[outcome.n] = RunState.COMPLETED
            self.kept.tied[outcome.run_id] = outcome.n


def counting(ended: int) -> Callable[[Any], Followed]:
    """A group that can only be polled, and tells no more than how many of its runs have ended."""

    def news(effect: Any) -> Followed:
        if isinstance(effect, FollowEvents):
            raise NotFoundError("no events here", status=404)
        return Followed(frozenset(), None, ended, None)

    return news


def test_a_task_that_was_never_made_is_not_counted_as_one_that_was_read() -> None:
    """Of twelve runs four have outcomes here, and four were not made; the group has eight, and all have ended."""
    made = [RunState.COMPLETED] * 2 + [RunState.FAILED] * 2 + [RunState.ACCEPTED] * 4
    submission = accepted(*"abcdefgh", states=[*made, *[RunState.RELEASED] * 4])
    service = Service(counting(8), completed)
    service.give(submission)
    assert service.recorded == ["e", "f", "g", "h"]
    assert sum(isinstance(effect, PollGroup) for effect in service.asked) == 1


def test_an_end_that_was_told_is_no_news_any_more() -> None:
    """Of three runs one ends at once, and the others some time later; half of a group is not read yet."""
    submission = accepted("a", "b", "c")
    told = iter(({"a"}, {"b", "c"}))

    def news(effect: Any) -> Followed:
        return Followed(frozenset(next(told)), None, None, "e1")

    service = Service(news, completed)
    service.give(submission)
    awaited = [effect.awaited for effect in service.asked if isinstance(effect, FollowEvents)]
    assert awaited == [{"a", "b", "c"}, {"b", "c"}]
    assert service.recorded == ["a", "b", "c"]


def all_ended(effect: Any) -> Followed:
    return Followed(frozenset(), False, None, None)


@pytest.mark.parametrize("error", [NotFoundError("gone", status=404), InvalidError("expired", status=400)])
def test_a_cursor_that_the_service_refuses_is_done_without(error: ApiError) -> None:
    submission = accepted("a", "b")
    submission.runs_cursor = "c1"

    def listing(effect: ReadRuns) -> list[ReadRun]:
        if effect.cursor is not None:
            raise error
        return [completed("a"), completed("b")]

    service = Service(all_ended, completed, listing)
    service.now = 3600.0  # the group is none that was made a moment ago
    service.give(submission, long_s=7200.0)
    assert [effect.cursor for effect in service.asked if isinstance(effect, ReadRuns)] == ["c1", None]
    assert service.recorded == ["a", "b"]


def test_a_listing_that_repeats_itself_without_end_is_left_when_all_is_read() -> None:
    service = Service(all_ended, completed, lambda _: [completed("a"), completed("b")])
    service.never_ends = True
    service.give(accepted("a", "b"))
    assert service.recorded == ["a", "b"]
    assert sum(isinstance(effect, ReadRuns) for effect in service.asked) == 2


def test_what_a_dead_reader_left_is_read_together_and_not_one_by_one() -> None:
    """The cursor is behind the last run that was made, and three of ten were read before the reader died."""
    names = [f"r{n}" for n in range(100)]
    submission = accepted(*names, states=[RunState.COMPLETED] * 60 + [RunState.ACCEPTED] * 40)
    submission.runs_cursor = "c100"

    def news(effect: Any) -> Followed:
        return Followed(frozenset(), False, 100, None)

    service = Service(news, completed, lambda effect: [] if effect.cursor else [completed(name) for name in names])
    service.give(submission)
    assert service.recorded == names[60:]
    assert not any(isinstance(effect, FetchRun) for effect in service.asked)


def test_runs_are_looked_at_where_events_and_counts_never_tell_of_an_end() -> None:
    submission = accepted("a", "b")

    def news(effect: Any) -> Followed:  # a stream that tells of what it told before, for as long as it may
        service.now += 30.0
        return Followed(frozenset(), True, 0, "e1", timed_out=True)

    service = Service(news, completed, lambda effect: [completed("a")] if service.now < 1500.0 else [completed("b")])
    service.give(submission, long_s=4000.0)
    assert service.recorded == ["a", "b"]
    assert service.now == 600.0 + 1200.0


def test_only_a_run_that_completed_and_shows_no_output_is_asked_for_it_by_id() -> None:
    shown = [
        ReadRun("a", None, "failed", b"", has_output=False, error="no"),
        ReadRun("b", None, "completed", b"{}", has_output=False, error=None),
        completed("c"),
    ]
    service = Service(all_ended, completed, lambda _: shown)
    service.give(accepted("a", "b", "c"))
    assert [effect.run_id for effect in service.asked if isinstance(effect, FetchRun)] == ["b"]
    assert service.recorded == ["a", "c", "b"]


def test_a_double_charge_is_noted_once_however_often_it_is_read() -> None:
    submission = accepted("a", "b")
    double, first, second = completed("x", "a"), completed("a", "a"), completed("b", "b")
    reads = iter([[first, double], [double, second]])
    service = Service(lambda _: Followed(frozenset("ab"), True, 2, "e1"), completed, lambda _: next(reads, []))
    service.never_ends = True
    service.give(submission)
    assert service.recorded == ["a", "b"]
    assert service.extras == ["x"]


def test_an_answer_that_names_other_runs_than_the_service_made_costs_no_answer() -> None:
    """What stands for a task is the run that carries its key, whatever the answer to the POST said."""
    submission = accepted("a", "b")
    submission.tied.clear()
    submission.run_ids = frozenset({"x", "y"})
    service = Service(all_ended, completed, lambda effect: [completed("r1", "a"), completed("r2", "b")])
    service.give(submission)
    assert service.recorded == ["r1", "r2"]
    assert service.extras == []


def event(**members: Any) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode({"event_id": "e1", **members})


def ended(run_id: str) -> bytes:
    return event(type="task_run.state", run={"run_id": run_id, "status": "completed"})


ACTIVE = event(type="task_group_status", status={"num_task_runs": 3, "is_active": True})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "told", "broken"),
    [
        pytest.param(ACTIVE + ended("b"), {"b"}, False, id="news"),
        pytest.param(ACTIVE + ended("a") + ended("b"), {"b"}, False, id="news among what was known"),
        pytest.param(ACTIVE + ended("a"), set(), True, id="what was known, once more"),
        pytest.param(ACTIVE, set(), True, id="nothing"),
    ],
)
async def test_a_stream_that_ends_by_itself_without_news_is_a_broken_one(
    ledger_in_memory: Ledger, body: bytes, told: set[str], *, broken: bool
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    transport = httpx.MockTransport(answer)
    async with (
        Client(base_url="https://api.example", api_key=None, transport=transport) as client,
        open_recorder(ledger_in_memory) as recorder,
    ):
        driver = Driver(Groups(client), recorder, Till())
        news = await driver.run(followed(FollowEvents("g1", "e0", 30.0, frozenset({"b", "c"}))))
    assert news == Followed(frozenset(told), True, None, "e1")
    assert is_broken(news) is broken
    assert driver.counts.ended == len(told)


def followed(effect: FollowEvents) -> Generator[Any, Any, Followed]:
    news: Followed = yield effect
    return news


class Open(httpx.AsyncByteStream):
    """A listing that stays open when it has shown all its runs, and goes on telling of the group."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield event(type="task_run.state", run={"run_id": "a", "status": "completed"}, output={"content": {}})
        while True:
            await anyio.sleep(2)
            yield ACTIVE


def test_a_listing_that_stays_open_is_taken_for_read_when_it_brings_no_more(ledger_in_memory: Ledger) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Open())

    def read() -> Generator[Any, Any, list[tuple[list[str], bool]]]:
        chunks, reader = [], None
        while True:
            chunk = yield ReadRuns("g1", None, reader)
            reader = chunk.reader
            chunks.append(([run.run_id for run in chunk.runs], reader is None))
            if reader is None:
                return chunks

    async def drive() -> list[tuple[list[str], bool]]:
        transport = httpx.MockTransport(answer)
        async with (
            Client(base_url="https://api.example", api_key=None, transport=transport) as client,
            open_recorder(ledger_in_memory) as recorder,
        ):
            return await Driver(Groups(client), recorder, Till()).run(read())

    assert run_fast(drive, 50.0) == [(["a"], False), ([], True)]


def planned(steps: Generator[Any, Any, None], effect: Any) -> Any:
    """The first effect that is no question for the time or the plan."""
    while isinstance(effect, Now | PlanVisit | EndVisits):
        match effect:
            case Now():
                effect = steps.send(Stamp(0, 0, "boot"))
            case PlanVisit(waited):
                effect = steps.send(Visits().plan(waited))
            case _:
                effect = steps.send(None)
    return effect


def until_events(steps: Generator[Any, Any, None]) -> None:
    """Go on to the first look at the group."""
    assert isinstance(planned(steps, next(steps)), FollowEvents)


def test_a_refused_key_ends_the_watching_at_once() -> None:
    steps = collect(accepted("a"))
    until_events(steps)
    with pytest.raises(UnauthorizedError):
        planned(steps, steps.throw(UnauthorizedError("no such key", status=401)))


def test_a_group_that_is_polled_for_long_is_polled_more_and_more_seldom() -> None:
    steps = collect(accepted("a"))
    until_events(steps)
    effect = planned(steps, steps.throw(NotFoundError("no events here", status=404)))
    waits: list[float] = []
    while len(waits) < 8:
        match effect:
            case Sleep(seconds):
                waits.append(seconds)
                effect = steps.send(None)
            case _:
                assert isinstance(effect, PollGroup)
                effect = planned(steps, steps.send(Followed(frozenset(), True, 0, None)))
    assert waits == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]


def until_polled(steps: Generator[Any, Any, None]) -> None:
    """Go on to the first poll of a group whose events are refused."""
    until_events(steps)
    assert isinstance(planned(steps, steps.throw(NotFoundError("no events here", status=404))), Sleep)
    assert isinstance(steps.send(None), PollGroup)


def test_a_poll_that_fails_for_a_time_is_made_again() -> None:
    steps = collect(accepted("a"))
    until_polled(steps)
    assert planned(steps, steps.throw(UnavailableError("busy", status=503))) == Sleep(4.0)
    assert isinstance(steps.send(None), PollGroup)


def test_a_poll_that_is_refused_for_good_ends_the_watching() -> None:
    steps = collect(accepted("a"))
    until_polled(steps)
    with pytest.raises(ForbiddenError):
        planned(steps, steps.throw(ForbiddenError("not yours", status=403)))


def test_an_end_that_was_told_and_cannot_be_read_yet_is_read_more_and_more_seldom() -> None:
    pauses: list[float] = []

    def news(effect: Any) -> Followed:
        pauses.append(service.now)
        return Followed(frozenset({"a"}), True, None, "e1")

    def run(run_id: str) -> ReadRun:
        return completed(run_id) if service.now > 60.0 else ReadRun(run_id, None, "running", b"{}", False, None)

    service = Service(news, run)
    service.give(accepted("a"))
    assert service.recorded == ["a"]
    assert pauses == [0.0, 2.0, 6.0, 14.0, 30.0, 60.0, 90.0]


def until_fetched(steps: Generator[Any, Any, None]) -> None:
    assert next(steps) == FetchRun("x")


def test_a_double_charge_is_asked_about_until_it_has_ended() -> None:
    steps = collect_extra("x")
    until_fetched(steps)
    assert steps.throw(UnavailableError("busy", status=503)) == Sleep(2.0)
    assert steps.send(None) == FetchRun("x")
    assert steps.send(ReadRun("x", None, "running", b"{}", False, None)) == Sleep(4.0)
    assert steps.send(None) == FetchRun("x")
    effect = steps.send(completed("x"))
    assert isinstance(effect, RecordExtraOutcome)
    assert effect.completed
    assert steps.send(("core", 25_000)) == Settled(25_000, paid=1)
    with pytest.raises(StopIteration):
        next(steps)


def test_a_double_charge_without_its_output_is_asked_for_it_a_while_longer() -> None:
    steps = collect_extra("x")
    until_fetched(steps)
    assert steps.send(ReadRun("x", None, "completed", b"{}", False, None)) == Now()
    assert steps.send(Stamp(0, 0, "boot")) == Sleep(2.0)


def test_a_double_charge_that_may_not_be_asked_about_ends_the_asking() -> None:
    steps = collect_extra("x")
    until_fetched(steps)
    with pytest.raises(ForbiddenError):
        steps.throw(ForbiddenError("not yours", status=403))


@pytest.mark.parametrize(
    ("said", "at"),
    [
        pytest.param("2026-01-01T02:00:00+02:00", 1_767_225_600, id="another zone"),
        pytest.param("2026-01-01T00:00:00Z", 1_767_225_600, id="UTC"),
        pytest.param("2026-01-01T00:00:00", 1_767_225_600, id="no zone"),
        pytest.param("yesterday", None, id="no moment"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_the_age_of_an_answer_is_counted_from_when_the_service_says_it_ended(said: str | None, at: int | None) -> None:
    assert ReadRun("r", None, "completed", b"{}", has_output=True, error=None, modified_at=said).at == at


def of_a_crowd(service: Service) -> Service:
    service.visits = Visits(few=0)
    return service


def test_of_what_waits_among_many_the_tasks_are_loaded_when_something_is_read() -> None:
    """Ten runs end at 20 s, their group is asked from time to time, and read once."""
    names = [f"r{n}" for n in range(10)]
    asked_at: list[float] = []

    def news(effect: Any) -> Followed:
        assert isinstance(effect, PollGroup)
        asked_at.append(service.now)
        ended = 10 if service.now >= 20.0 else 0
        return Followed(frozenset(), ended < 10, ended, None)

    service = of_a_crowd(Service(news, completed, lambda _: [completed(name) for name in names]))
    service.give(accepted(*names))
    assert service.recorded == names
    assert service.reloads == 1
    assert [type(effect) for effect in service.asked if not isinstance(effect, PollGroup)] == [ReadRuns]
    assert asked_at[0] == 1.0
    assert asked_at[-1] <= 20.0 * 1.1


def test_a_group_without_its_tasks_is_let_go() -> None:
    waiting = Waiting.of(accepted("a", "b"))
    assert (waiting.count_left(), waiting.is_over()) == (2, False)
    waiting.put_away()
    assert (waiting.open, waiting.run_of, waiting.is_put_away) == (set(), {}, True)
    assert (waiting.count_left(), waiting.count_tasks(), waiting.is_over()) == (2, 2, False)
    with pytest.raises(AssertionError):
        waiting.unread()


def test_stragglers_of_one_among_many_come_by_their_ids() -> None:
    """Of 40 runs 38 end at 10 s and are read when nothing came for a while; the two others end a minute later."""
    names = [f"r{n:02d}" for n in range(40)]
    slow = set(names[-2:])

    def news(effect: Any) -> Followed:
        ended = 0 if service.now < 10.0 else 38 if service.now < 70.0 else 40
        return Followed(frozenset(), ended < 40, ended, None)

    def shown(name: str) -> ReadRun:
        over = service.now >= (70.0 if name in slow else 10.0)
        return completed(name) if over else ReadRun(name, None, "running", b"", False, None)

    service = of_a_crowd(Service(news, shown, lambda _: [shown(name) for name in names]))
    service.give(accepted(*names))
    assert service.recorded == names
    assert sum(isinstance(effect, ReadRuns) for effect in service.asked) == 2  # the second tells that no more came
    assert {effect.run_id for effect in service.asked if isinstance(effect, FetchRun)} == slow
    assert service.now <= 70.0 * 1.1
