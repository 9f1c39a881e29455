"""One simulated command: the course of `enrich.rounds`, its protocols side by side, driven effect by effect.

The counterpart of `enrich.drive.Driver` and `enrich.ledger.Recorder`: the same effects, the same till, one transaction
for all that waits while another is being synced. It takes no decision either, and it can die between any two steps.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from random import Random
from typing import Any, Final

from enrich.api.errors import ApiError, NotFoundError, StreamCut, UnavailableError, UnknownOutcomeError
from enrich.collect import ENDED
from enrich.effects import (
    Added,
    AddRuns,
    AwaitTurn,
    CreateGroup,
    EndWatch,
    FetchRun,
    FindLiveRun,
    Followed,
    FollowEvents,
    ListedRun,
    ListGroup,
    Listing,
    Now,
    PollGroup,
    ReadRun,
    ReadRuns,
    RecordAccepted,
    RecordAdopted,
    RecordExtra,
    RecordExtraOutcome,
    RecordIntent,
    RecordNotCreated,
    RecordOutcomes,
    RecordRefused,
    RecordResolved,
    RecordService,
    RecordUnknown,
    Reload,
    RunsRead,
    Settled,
    Sleep,
    SpendingStopped,
    StopRequested,
)
from enrich.rounds import Compare, InTurn, Plan, Step, Together, ask, settle_failure
from enrich.spend import GRACE_S
from enrich.till import LONGEST_RATE_PAUSE_S, Stop, Till, Wait

from .checks import Checks, Violation
from .disk import Disk, DiskError
from .scenario import HOUR, Scenario, Trouble
from .service import Group, Post, Run, Service
from .world import World

_PENDING: Final = object()  # the effect's result comes later
_TRANSITIONS: Final = (
    RecordIntent, RecordAccepted, RecordNotCreated, RecordRefused, RecordUnknown, RecordAdopted, RecordResolved,
    RecordOutcomes, RecordExtra, RecordExtraOutcome, EndWatch, FindLiveRun, Reload, RecordService,
)  # fmt: skip
_QUESTIONS: Final = (FindLiveRun, Reload)
_MOST_EFFECTS: Final = 200_000
_STREAM_S: Final = 30.0


class Process:
    """One protocol under way. `token` tells a result that is still waited for from one that is not."""

    __slots__ = ("interruptible", "name", "protocol", "readers", "token", "when_done")

    def __init__(self, name: str, protocol: Generator[Any, Any, Any], when_done: Callable[[], None]) -> None:
        self.name = name
        self.protocol = protocol
        self.when_done = when_done
        self.token = 0
        self.interruptible = False
        self.readers: dict[int, Iterator[list[Run]]] = {}


class Command:
    """From its first step to its end: by itself, by a request, or by a kill."""

    def __init__(
        self,
        *,
        world: World,
        disk: Disk,
        service: Service,
        scenario: Scenario,
        trouble: Trouble,
        rng: Random,
        counts: Counter[str],
        checks: Checks,
        till: Till,
        course: Generator[Step, Any, None],
        compare: Callable[[], Plan],
        settle_s: float,
        job_id: int,
    ) -> None:
        self.world, self.disk, self.service = world, disk, service
        self.scenario, self.trouble, self.rng, self.counts = scenario, trouble, rng, counts
        self.checks, self.till = checks, till
        self.ending: str | None = None  # how it ended: "done", or what ended it
        self.posts = 0
        self.commits = 0  # that changed something
        self.batches = 0
        self.paid_micro = 0
        self.job_id = job_id
        self._course = course
        self._compare = compare
        self._settle_s = settle_s
        self._running: list[Process] = []
        self._held: list[tuple[Process, AwaitTurn]] = []
        self._waiting: list[tuple[Process, Any]] = []  # transitions for the next transaction
        self._committing = False
        self._effects = 0
        self._commit_number = 0
        self._written = 0
        self._intents = 0
        self._frozen_until = 0.0
        self._stopped = False
        self._reader = 0
        kill = trouble.kill
        self._kill_at_effect = kill.number if kill and kill.kind == "effect" else 0
        self._perform: dict[type[Any], Callable[[Process, Any], Any]] = {
            Now: lambda process, effect: world.stamp(),
            Sleep: self._sleep,
            AwaitTurn: self._turn,
            Settled: self._settle,
            CreateGroup: self._create_group,
            AddRuns: self._add_runs,
            ListGroup: self._list,
            FollowEvents: self._follow,
            PollGroup: self._poll,
            ReadRuns: self._read,
            FetchRun: self._fetch,
            **dict.fromkeys(_TRANSITIONS, self._record),
        }

    # ------------------------------------------------------------------ life and death

    def run(self) -> str:
        """Live; gives how it ended."""
        world, trouble, begun = self.world, self.trouble, self.world.now
        kill = trouble.kill
        if kill is not None and kill.kind == "time":
            world.at(begun + kill.at_s, self.die, "killed")
        for at, seconds in trouble.frozen:
            world.at(begun + at, self._freeze, seconds)
        for at, by in trouble.clock:
            world.at(begun + at, self._set_clock, by)
        for kind, at, seconds in trouble.storms:
            self.service.add_storm(kind, begun + at, begun + at + seconds)
        if trouble.stop_at is not None:
            world.at(begun + trouble.stop_at, self._request_stop)
        self._next_step(None)
        while self.ending is None:
            if not world.step():
                raise Violation("progress", "everybody waits, and nothing is to come")
            if world.now > begun + self.checks.longest_command_s:
                raise Violation("progress", f"a command takes more than {self.checks.longest_command_s:.0f} s")
        world.forget()
        return self.ending

    def die(self, ending: str) -> None:
        """Gone, between two steps. What is on the wire lands or not; nobody hears of it."""
        if self.ending is None:
            self.ending = ending
            self.counts["kills"] += ending == "killed"
            self.world.say(f"the command ends: {ending}")
            for process in self._running:
                process.protocol.close()
            self._course.close()

    def _freeze(self, seconds: float) -> None:
        self._frozen_until = self.world.now + seconds
        self.counts["stops for an hour"] += 1
        self.world.say(f"SIGSTOP for {seconds:.0f} s")

    def _set_clock(self, by: float) -> None:
        self.world.set_wall_clock(by)
        self.counts["clock jumps"] += 1

    def _request_stop(self) -> None:
        self.world.say("the user asks for an end")
        self.counts["requests to stop"] += 1
        self._stopped = True
        self._held.clear()
        self.world.at(self.world.now + GRACE_S, self.die, "interrupted")
        for process in list(self._running):
            if process.interruptible and self.ending is None:
                process.token += 1
                process.interruptible = False
                self._resume(process, None, StopRequested())

    def ended(self) -> bool:
        """Whether nothing more may be started."""
        return self._stopped or self.till.stopped is not None

    # ------------------------------------------------------------------ the course

    def _next_step(self, result: Plan | None) -> None:
        while self.ending is None:
            try:
                step = self._course.send(result)
            except StopIteration:
                stop = self.till.stopped
                ending = "interrupted" if self._stopped else "done" if stop is None else stop.why
                self.die(ending)
                return
            result = None
            match step:
                case Compare():
                    result = self._compare()
                case InTurn(protocols):
                    self._in_turn(iter(protocols))
                    return
                case Together():
                    self._together(step)
                    return

    def _in_turn(self, protocols: Iterator[Generator[Any, Any, Any]]) -> None:
        protocol = None if self._stopped else next(protocols, None)
        if protocol is None:
            self._next_step(None)
        else:
            self._start("in turn", protocol, lambda: self._in_turn(protocols))

    def _together(self, step: Together) -> None:
        batches = iter(step.batches)
        left = 1  # this very function
        slots = self.scenario.slots

        def done() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._next_step(None)

        def asked() -> None:
            nonlocal slots
            slots += 1
            fill()
            done()

        def fill() -> None:
            nonlocal left, slots
            while slots and not self.ended() and self.ending is None:
                batch = next(batches, None)
                if batch is None:
                    return
                left += 1
                slots -= 1
                self.batches += 1
                self._start(f"batch {self.batches}", ask(batch, settle_s=self._settle_s), asked)

        for protocol in step.recovering:
            left += 1
            self._start("recovery", protocol, done)
        fill()
        done()

    def _start(self, name: str, protocol: Generator[Any, Any, Any], when_done: Callable[[], None]) -> None:
        if self.ending is None:
            process = Process(name, protocol, when_done)
            self._running.append(process)
            self.world.at(self.world.now, self._arrive, process, 0, None)

    def _end(self, process: Process, error: Exception | None) -> None:
        self._running.remove(process)
        if self.world.tracing:
            self.world.say(f"{process.name} ends" + (f": {error!r}" if error else ""))
        if error is not None:
            settle_failure(error, self.till)  # type: ignore[arg-type]
        self._wake()
        process.when_done()

    # ------------------------------------------------------------------ effects

    def _resume(self, process: Process, value: Any, error: Exception | None = None) -> None:
        if self.world.now < self._frozen_until:
            token = process.token = process.token + 1
            self.world.at(self._frozen_until, self._thaw, process, token, value, error)
            return
        protocol, perform = process.protocol, self._perform
        while True:
            self._effects += 1
            if self._effects == self._kill_at_effect:
                self.die("killed")
                return
            if self._effects > _MOST_EFFECTS:
                raise Violation("progress", f"a command takes more than {_MOST_EFFECTS} steps")
            try:
                effect = protocol.send(value) if error is None else protocol.throw(error)
            except StopIteration:
                self._end(process, None)
                return
            except (StopRequested, SpendingStopped, ApiError) as raised:
                self._end(process, raised)
                return
            value, error = None, None
            try:
                value = perform[type(effect)](process, effect)
            except (StopRequested, SpendingStopped, ApiError) as raised:
                error = raised
            if self.world.tracing:
                self._trace(process, effect, value, error)
            if value is _PENDING:
                return

    def _arrive(self, process: Process, token: int, evaluate: Callable[[], Any] | None) -> None:
        """What was waited for is here, unless nobody waits for it any more."""
        if self.ending is not None or token != process.token:
            return
        if self.world.now < self._frozen_until:
            self.world.at(self._frozen_until, self._arrive, process, token, evaluate)
            return
        process.token += 1
        process.interruptible = False
        try:
            value = None if evaluate is None else evaluate()
        except (StopRequested, SpendingStopped, ApiError) as error:
            self._say(process, f"  -> {error!r}")
            self._resume(process, None, error)
        else:
            if value is _PENDING:
                return
            if self.world.tracing and evaluate is not None:
                self._say(process, f"  -> {value}")
            self._resume(process, value)

    def _thaw(self, process: Process, token: int, value: Any, error: Exception | None) -> None:
        if self.ending is None and token == process.token:
            self._resume(process, value, error)

    def _later(self, process: Process, seconds: float, evaluate: Callable[[], Any] | None = None) -> Any:
        self.world.at(self.world.now + seconds, self._arrive, process, process.token, evaluate)
        return _PENDING

    def _latency(self) -> float:
        return 0.02 + 0.2 * self.rng.random()

    def _say(self, process: Process, text: str) -> None:
        if self.world.tracing:
            self.world.say(f"{process.name}: {text}")

    def _trace(self, process: Process, effect: Any, value: Any, error: Exception | None) -> None:
        if isinstance(effect, AddRuns):
            effect = f"AddRuns to {effect.group_id}"
        elif isinstance(effect, Now):
            return
        text = str(effect)
        self._say(process, text if len(text) < 400 else text[:400] + "...")
        if error is not None:
            self._say(process, f"  -> {error!r}")
        elif value is not None and value is not _PENDING:
            self._say(process, f"  -> {value}")

    # ------------------------------------------------------------------ waiting

    def _interruptibly(self, process: Process) -> None:
        if self._stopped:
            raise StopRequested
        process.interruptible = True

    def _sleep(self, process: Process, effect: Sleep) -> Any:
        self._interruptibly(process)
        if effect.seconds > LONGEST_RATE_PAUSE_S:
            raise Violation("waits", f"a wait of {effect.seconds:.0f} s")
        return self._later(process, effect.seconds)

    def _turn(self, process: Process, turn: AwaitTurn) -> Any:
        """As `Driver._turn`: wait for the till's leave; when all wait for all, it is the end."""
        while True:
            self._interruptibly(process)
            answer = self.till.ask(turn, self.world.stamp().mono)
            if isinstance(answer, Stop):
                raise SpendingStopped
            if isinstance(answer, int):
                process.interruptible = False
                return answer
            assert isinstance(answer, Wait)
            if answer.seconds is not None:
                if answer.seconds > LONGEST_RATE_PAUSE_S + 1e-6:
                    raise Violation("waits", f"a wait of {answer.seconds:.0f} s")
                return self._later(process, max(answer.seconds, 0.001), lambda: self._turn(process, turn))
            if len(self._held) + 1 < len(self._running):
                self._held.append((process, turn))
                return _PENDING
            self.till.stalled(turn)
            self._wake()

    def _wake(self) -> None:
        held, self._held = self._held, []
        for process, turn in held:
            self.world.at(
                self.world.now, self._arrive, process, process.token, lambda p=process, t=turn: self._turn_again(p, t)
            )

    def _turn_again(self, process: Process, turn: AwaitTurn) -> Any:
        return self._turn(process, turn)

    def _settle(self, process: Process, event: Settled) -> None:
        self.till.settled(event, self.world.stamp().mono)
        self.paid_micro += event.paid * event.usd_micro
        self._wake()

    # ------------------------------------------------------------------ the ledger

    def _record(self, process: Process, transition: Any) -> Any:
        self._waiting.append((process, transition))
        if not self._committing:
            self._committing = True
            self.world.at(self.world.now + self.scenario.commit_s, self._commit)
        return _PENDING

    def _commit(self) -> None:
        """One transaction for all that waits; then those who waited go on."""
        if self.ending is not None:
            return
        if self.world.now < self._frozen_until:
            self.world.at(self._frozen_until, self._commit)
            return
        self._commit_number += 1
        kill = self.trouble.kill
        due = kill is not None and kill.number == self._commit_number
        if due and kill.kind == "commit before":
            self.die("killed")
            return
        slots, self._waiting = self._waiting, []
        if self._commit_number == self.trouble.disk_error:
            self.counts["disk errors"] += 1
            self.die("disk error")
            return
        results = self._apply([transition for _, transition in slots])
        if due and kill.kind == "commit after":
            self.die("killed")
            return
        if kill is not None and kill.kind == "written":
            self._written += sum(type(one).__name__ == kill.written for _, one in slots)
            if self._written >= kill.number:
                self.die("killed")
                return
        for (process, _), result in zip(slots, results):
            if self.ending is None:
                if self.world.tracing and result is not None:
                    self._say(process, f"  -> {result}")
                self._resume(process, result)
        self._committing = bool(self._waiting)
        if self._waiting:
            self.world.at(self.world.now + self.scenario.commit_s, self._commit)

    def _apply(self, transitions: list[Any]) -> list[Any]:
        known = self.disk.ledger.service() is not None  # then it is not written again
        results = self.disk.commit([transition.apply for transition in transitions])
        self.commits += any(
            not isinstance(one, _QUESTIONS) and not (known and isinstance(one, _Valued)) for one in transitions
        )
        for transition in transitions:
            self._count(transition)
        return results

    def _count(self, transition: Any) -> None:
        counts = self.counts
        match transition:
            case RecordIntent():
                self._intents += 1
                if self._intents == self.trouble.frozen_after_intent:
                    self._freeze(HOUR)
            case RecordUnknown():
                counts["unknown outcomes"] += 1
            case RecordAdopted(runs=runs):
                counts["runs adopted"] += len(runs)
            case RecordResolved():
                counts["submissions resolved"] += 1
            case RecordExtra():
                counts["second runs seen"] += 1
            case _:
                pass

    # ------------------------------------------------------------------ the service

    def _create_group(self, process: Process, effect: CreateGroup) -> Any:
        def made() -> Any:
            group_id = self.service.create_group()
            return self._then(process, RecordService("sandbox"), group_id)

        return self._get(process, made)

    def _then(self, process: Process, transition: Any, value: Any) -> Any:
        """Write something down, then go on with a value of one's own."""
        self._record(process, _Valued(transition, value))
        return _PENDING

    def _add_runs(self, process: Process, effect: AddRuns) -> Any:
        self.posts += 1
        self.checks.before_post(effect.body, self)
        post = self.service.add(effect.group_id, effect.body)
        kill = self.trouble.kill
        if kill is not None and kill.kind == "post" and kill.number == self.posts:
            self.world.at(self.world.now + kill.fraction * post.answer_s, self.die, "killed")
        return self._later(process, post.answer_s, lambda: self._answer(process, effect, post))

    def _answer(self, process: Process, effect: AddRuns, post: Post) -> Added:
        self.checks.answered(post)
        if isinstance(post.answer, ApiError):
            raise post.answer
        return post.answer

    def _get(self, process: Process, evaluate: Callable[[], Any], *, least_s: float = 0.0) -> Any:
        """A request that is free, and is tried again for a while when it fails."""
        service, world = self.service, self.world
        if service.calm:
            return self._later(process, least_s + self._latency(), evaluate)
        storm = service.storm("401", "403")
        if storm is not None:
            raise service.refusal(storm[0])
        storm = service.storm("5xx", "429", "outage")
        if storm is not None:
            tried_s = min(storm[1] - world.now + self.rng.uniform(0.1, 30.0), self.rng.uniform(60.0, 400.0))

            def after_storm() -> Any:
                still = service.storm("5xx", "429", "outage")
                if still is not None:
                    raise service.refusal(still[0])
                return evaluate()

            return self._later(process, tried_s, after_storm)
        if self.rng.random() < self.scenario.get_fails:

            def failed() -> Any:
                raise UnavailableError("no usable answer")

            return self._later(process, self.rng.uniform(0.1, 120.0), failed)
        return self._later(process, least_s + self._latency(), evaluate)

    def _list(self, process: Process, effect: ListGroup) -> Any:
        """Count, list, count: three requests at three moments, each from the replica that is asked."""
        rng, begun = self.rng, self.world.now
        trouble = not self.service.calm
        gap_s = rng.uniform(1.0, 90.0) if trouble and rng.random() < self.scenario.slow_listing else 0.1
        first, second, third = begun + 0.01, begun + 0.01 + gap_s * rng.random(), begun + 0.01 + gap_s

        def listed() -> Listing:
            service = self.service
            group = service.group(effect.group_id, first)
            back = service.staleness_s(group)
            everywhere = back and rng.random() < 0.7
            counted_back = back if everywhere else 0.0
            if trouble and rng.random() < self.scenario.stream_cut:
                raise StreamCut("reset", last_event_id=None, events=0, bytes_read=0)
            runs = service.kept(group, service.listed(group, second - back))
            listing = Listing(
                service.count(group, first - counted_back),
                service.count(group, third - counted_back),
                tuple(ListedRun(run.id, run.task) for run in runs),
            )
            return self._listed(effect, listing)

        return self._get(process, listed, least_s=gap_s)

    def _listed(self, effect: ListGroup, listing: Listing) -> Listing:
        return listing

    def _follow(self, process: Process, effect: FollowEvents) -> Any:
        self._interruptibly(process)
        scenario, world, rng = self.scenario, self.world, self.rng
        if scenario.events_refused and not self.service.calm:
            raise NotFoundError("no events here", status=404)
        if scenario.silent and not self.service.calm:
            return self._later(process, effect.seconds, lambda: Followed(frozenset(), None, None, effect.cursor, True))
        try:
            group = self.service.group(effect.group_id, world.now)
        except NotFoundError as error:
            raise error
        seen = float(effect.cursor) if effect.cursor else float("-inf")
        now = world.now
        waiting = sorted(run.told_at for run in group.runs if run.told_at > seen)
        enough = waiting[effect.expected - 1] if len(waiting) >= effect.expected else float("inf")
        quiet = max((run.told_at for run in group.runs), default=now)
        until = min(now + effect.seconds, max(now, min(enough, quiet)))
        cut = not self.service.calm and rng.random() < scenario.stream_cut
        if cut:
            until = rng.uniform(now, until)

        def followed() -> Followed:
            at = world.now
            told = [run for run in self.service.listed(group, at) if seen < run.told_at <= at]
            if not self.service.calm:
                told = [run for run in told if rng.random() >= scenario.forgetful]
            active, ended = self._counts_of(group, at)
            last = max((run.told_at for run in told), default=seen)
            cursor = repr(last) if last > seen else effect.cursor
            return Followed(frozenset(run.id for run in told), active, ended, cursor, cut)

        return self._get(process, followed, least_s=until - now)

    def _poll(self, process: Process, effect: PollGroup) -> Any:
        def polled() -> Followed:
            group = self.service.group(effect.group_id, self.world.now)
            active, ended = self._counts_of(group, self.world.now)
            return Followed(frozenset(), active, ended, None, broken=False)

        return self._get(process, polled)

    def _counts_of(self, group: Group, at: float) -> tuple[bool, int | None]:
        shown = [run for run in group.runs if run.counted_at <= at]
        ended = sum(run.ends_at <= at for run in shown)
        return ended < len(shown), ended if self.scenario.counts_told else None

    def _read(self, process: Process, effect: ReadRuns) -> Any:
        if effect.reader is not None:
            return self._get(process, lambda: self._chunk(process, effect))
        return self._get(process, lambda: self._open_reader(process, effect))

    def _open_reader(self, process: Process, effect: ReadRuns) -> RunsRead:
        scenario, at = self.scenario, self.world.now
        group = self.service.group(effect.group_id, at)
        runs = self.service.listed(group, at)
        if scenario.finished_only:
            runs = [run for run in runs if run.ends_at <= at]
        places = [(max(run.listed_at, run.ends_at if run.ends_at <= at else 0.0) if scenario.by_change
                   else run.listed_at, run) for run in runs]  # fmt: skip
        places.sort(key=lambda place: place[0])
        after = float(effect.cursor) if effect.cursor else float("-inf")
        places = [place for place in places if place[0] > after]
        if not self.service.calm:
            if scenario.duplicates:
                places = [place for place in places for _ in range(2)]
            if places and self.rng.random() < scenario.stream_cut:
                places = places[: self.rng.randint(0, len(places) - 1)]
        size = 1000 if self.service.calm else self.rng.choice((1, 3, 1000))
        self._reader += 1
        process.readers[self._reader] = iter([places[i : i + size] for i in range(0, len(places), size)])  # type: ignore
        return self._chunk(process, ReadRuns(effect.group_id, effect.cursor, self._reader))

    def _chunk(self, process: Process, effect: ReadRuns) -> RunsRead:
        chunk: Any = next(process.readers[effect.reader], None)  # type: ignore[index]
        if chunk is None:
            return RunsRead((), effect.cursor, None)
        return RunsRead([self._as_read(run) for _, run in chunk], repr(chunk[-1][0]), effect.reader)

    def _fetch(self, process: Process, effect: FetchRun) -> Any:
        def fetched() -> ReadRun:
            run = self.service.runs.get(effect.run_id)
            if run is None or run.listed_at > self.world.now:
                raise NotFoundError("no such run", status=404)
            return self._as_read(run)

        return self._get(process, fetched)

    def _as_read(self, run: Run) -> ReadRun:
        at = self.world.now
        if run.ends_at > at:
            return ReadRun(run.id, run.task, "running", b"", False, None)
        if not run.completed:
            return ReadRun(run.id, run.task, run.status, run.raw(), False, f"the run {run.status}")
        whole = run.output_at <= at
        return ReadRun(run.id, run.task, "completed", run.raw() if whole else b'{"output":null}', whole, None)


class _Valued:
    """A transition whose asker goes on with a value of its own."""

    __slots__ = ("transition", "value")

    def __init__(self, transition: Any, value: Any) -> None:
        self.transition, self.value = transition, value

    def apply(self, ledger: Any) -> Any:
        self.transition.apply(ledger)
        return self.value
