"""What lies between a command and the service: how long a free request takes, how it fails, what its answer shows.

Every request is answered by a `Reply`: so many seconds, and a function that gives the answer, or raises its error, when
they have passed. The POST that costs is not here: see `Command`.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from enrich.api.errors import NotFoundError, StreamCut, UnavailableError
from enrich.protocol import endings
from enrich.protocol.effects import CreateGroup, FetchRun, FollowEvents, ListGroup, PollGroup, ReadRuns
from enrich.protocol.replies import Followed, ListedRun, Listing, ReadRun, RunsRead

from .scenario import Scenario
from .service import Group, Run, Service
from .world import World

_EVER: Final = float("inf")


class Reply(NamedTuple):
    """The answer to a request, so many seconds after it was made."""

    seconds: float
    evaluate: Callable[[], Any]


class Network:
    """The requests of one command."""

    def __init__(self, world: World, service: Service, scenario: Scenario, rng: Random) -> None:
        self._world, self._service, self._scenario, self._rng = world, service, scenario, rng
        self._readers: list[Iterator[list[tuple[float, Run]]]] = []
        self._methods: dict[type[Any], Callable[[Any], Reply]] = {
            CreateGroup: self._create_group,
            ListGroup: self._list,
            FollowEvents: self._follow,
            PollGroup: self._poll,
            ReadRuns: self._read,
            FetchRun: self._fetch,
        }

    def request(self, effect: Any) -> Reply:
        """A request goes out now."""
        return self._methods[type(effect)](effect)

    def _get(self, evaluate: Callable[[], Any], *, least_s: float = 0.0) -> Reply:
        """A request that is free, and that the client tries again for a while before it gives up."""
        service, rng = self._service, self._rng
        latency_s = 0.02 + 0.2 * rng.random()
        if service.calm:
            return Reply(least_s + latency_s, evaluate)
        refused = service.storm("401", "403")
        if refused is not None:
            return Reply(latency_s, _raising(service.refusal(refused[0])))
        storm = service.storm("5xx", "429", "outage")
        if storm is not None:
            patience_s = rng.uniform(60.0, 400.0)
            return Reply(
                min(storm[1] - self._world.now + rng.uniform(0.1, 30.0), patience_s), lambda: self._in_storm(evaluate)
            )
        if rng.random() < self._scenario.get_fails:
            return Reply(rng.uniform(0.1, 120.0), _raising(UnavailableError("no usable answer")))
        return Reply(least_s + latency_s, evaluate)

    def _in_storm(self, evaluate: Callable[[], Any]) -> Any:
        storm = self._service.storm("5xx", "429", "outage")
        if storm is not None:
            raise self._service.refusal(storm[0])
        return evaluate()

    def _lies(self, share: float) -> bool:
        return not self._service.calm and self._rng.random() < share

    # ------------------------------------------------------------------ groups

    def _create_group(self, effect: CreateGroup) -> Reply:
        return self._get(self._service.create_group)

    def _list(self, effect: ListGroup) -> Reply:
        """Count, list, count: three requests at three moments, each from the replica that is asked."""
        rng = self._rng
        gap_s = rng.uniform(1.0, 90.0) if self._lies(self._scenario.slow_listing) else 0.1
        first = self._world.now + 0.01
        moments = (first, first + gap_s * rng.random(), first + gap_s)
        return self._get(lambda: self._listing(effect.group_id, *moments), least_s=gap_s)

    def _listing(self, group_id: str, first: float, second: float, third: float) -> Listing:
        service = self._service
        group = service.group(group_id, first)
        if self._lies(self._scenario.stream_cut):
            raise StreamCut("reset", last_event_id=None, events=0, bytes_read=0)
        old_s = service.staleness_s(group)
        counts_old_s = old_s if self._rng.random() < 0.7 else 0.0
        runs = service.kept(group, service.listed(group, second - old_s))
        return Listing(
            service.count(group, first - counts_old_s),
            service.count(group, third - counts_old_s),
            tuple(ListedRun(run.id, self._named(run)) for run in runs),
        )

    # ------------------------------------------------------------------ what has ended

    def _follow(self, effect: FollowEvents) -> Reply:
        scenario, service, now = self._scenario, self._service, self._world.now
        if scenario.events_refused and not service.calm:
            return Reply(0.1, _raising(NotFoundError("no events here", status=404)))
        if scenario.closing and not service.calm:
            closed = Followed(frozenset(), None, None, effect.cursor, told=False)
            return self._get(lambda: closed)
        if scenario.silent and not service.calm:
            nothing = Followed(frozenset(), None, None, effect.cursor, told=False, timed_out=True)
            return Reply(effect.seconds, lambda: nothing)
        try:
            group = service.group(effect.group_id, now)
        except NotFoundError as error:
            return Reply(0.1, _raising(error))
        seen = float(effect.cursor) if effect.cursor else -_EVER
        told_at = [run.told_at for run in group.runs]
        awaited = [run for run in group.runs if run.id in effect.awaited and not run.strange]
        news = [run.told_at for run in awaited if run.told_at > seen]
        enough = max(news, default=now) if len(news) == len(effect.awaited) else _EVER
        all_ended = max(told_at, default=now)
        until = min(now + effect.seconds, max(now, min(enough, all_ended)))
        cut = self._lies(scenario.stream_cut)
        if cut:
            until = self._rng.uniform(now, until)
        timed_out = until == now + effect.seconds
        return self._get(lambda: self._followed(group, seen, effect, cut=cut, timed_out=timed_out), least_s=until - now)

    def _followed(self, group: Group, seen: float, effect: FollowEvents, *, cut: bool, timed_out: bool) -> Followed:
        at = self._world.now
        told = [run for run in self._service.listed(group, at) if seen < run.told_at <= at]
        told = [run for run in told if not self._lies(self._scenario.forgetful)]
        active, ended = self._counts(group, at)
        last = max((run.told_at for run in told), default=seen)
        news = effect.awaited.intersection(run.id for run in told if not run.strange)
        cursor = repr(last) if last > seen else effect.cursor
        return Followed(news, active, ended, cursor, failed=cut, timed_out=timed_out)

    def _poll(self, effect: PollGroup) -> Reply:
        def polled() -> Followed:
            at = self._world.now
            active, ended = self._counts(self._service.group(effect.group_id, at), at)
            return Followed(frozenset(), active, ended, None)

        return self._get(polled)

    def _counts(self, group: Group, at: float) -> tuple[bool, int | None]:
        """Whether a group is active, and how many of its runs have ended, by its own count."""
        shown = [run for run in group.runs if run.counted_at <= at]
        ended = [run for run in shown if run.ends_at <= at]
        known = sum(not run.strange for run in ended)
        return len(ended) < len(shown), known if self._scenario.counts_told else None

    # ------------------------------------------------------------------ results

    def _read(self, effect: ReadRuns) -> Reply:
        if effect.reader is None:
            return self._get(lambda: self._open_reader(effect))
        number = effect.reader
        return self._get(lambda: self._chunk(number, effect.cursor))

    def _open_reader(self, effect: ReadRuns) -> RunsRead:
        scenario, at = self._scenario, self._world.now
        runs = self._service.listed(self._service.group(effect.group_id, at), at)
        if scenario.finished_only:
            runs = [run for run in runs if run.ends_at <= at]
        after = float(effect.cursor) if effect.cursor else -_EVER
        found = sorted((self._place(run, at), run.id) for run in runs)
        places = [(place, self._service.any_run(run_id)) for place, run_id in found if place > after]
        if not self._service.calm:
            if scenario.duplicates:
                places = [place for place in places for _ in range(2)]
            if places and self._lies(scenario.stream_cut):
                places = places[: self._rng.randint(0, len(places) - 1)]
        size = 1000 if self._service.calm else self._rng.choice((1, 3, 1000))
        self._readers.append(iter([places[i : i + size] for i in range(0, len(places), size)]))
        return self._chunk(len(self._readers) - 1, effect.cursor)

    def _place(self, run: Run, at: float) -> float:
        """Where a run stands in its group's listing: by creation, or by last change."""
        if self._scenario.by_change and run.ends_at <= at:
            return max(run.listed_at, run.ends_at)
        return run.listed_at

    def _chunk(self, number: int, cursor: str | None) -> RunsRead:
        chunk = next(self._readers[number], None)
        if chunk is None:
            return RunsRead((), cursor, None)
        return RunsRead([self._shown(run) for _, run in chunk], repr(chunk[-1][0]), number)

    def _fetch(self, effect: FetchRun) -> Reply:
        def fetched() -> ReadRun:
            run = self._service.any_run(effect.run_id)
            if run.listed_at > self._world.now:
                raise NotFoundError("no such run", status=404)
            shown = self._shown(run, fetched=True)
            return shown if shown.task is not None else replace(shown, input_key=run.input_key)

        return self._get(fetched)

    def _named(self, run: Run) -> str | None:
        """The task that a run's metadata tells."""
        return None if self._scenario.nameless else run.task

    def _shown(self, run: Run, *, fetched: bool = False) -> ReadRun:
        at, task = self._world.now, self._named(run)
        if run.ends_at > at:
            return ReadRun(run.id, task, "running", b"", has_output=False, error=None)
        if run.strange:
            paid = run.completed
            status = endings.settled_status("expired", active=False, has_output=paid, fetched=fetched)
            raw = run.raw() if status in endings.ENDED else b""
            return ReadRun(run.id, task, status, raw, has_output=paid, error=None if paid else "the run expired")
        if not run.completed:
            return ReadRun(run.id, task, run.status, run.raw(), has_output=False, error=f"the run {run.status}")
        whole = run.output_at <= at
        raw = run.raw() if whole else b'{"output":null}'
        return ReadRun(run.id, task, "completed", raw, has_output=whole, error=None)


def _raising(error: Exception) -> Callable[[], Any]:
    def evaluate() -> Any:
        raise error

    return evaluate
