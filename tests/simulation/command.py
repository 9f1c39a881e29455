"""One simulated command: the steps of `enrich.protocol.course`, its scripts side by side, driven effect by effect.

The counterpart of `enrich.asking.driver.Driver` and `enrich.ledger.recorder.Recorder`: the same effects, the same till,
one transaction for all that waits while another is being synced. It takes no decision either, and it can die between
any two steps.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from enrich.api.errors import ApiError
from enrich.asking.asking import GRACE_S
from enrich.ledger.store import Ledger
from enrich.protocol import course as rules
from enrich.protocol.course import Compare, Course, Due, GiveUp, InTurn, Together, settle_failure
from enrich.protocol.effects import (
    AddRuns,
    AwaitTurn,
    CreateGroup,
    EndVisits,
    EndWatch,
    Entrust,
    FetchRun,
    FindLiveRun,
    FollowEvents,
    ListGroup,
    Now,
    PlanVisit,
    PollGroup,
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
    Say,
    Settled,
    Sleep,
    SpendingStopped,
    StopRequested,
)
from enrich.protocol.replies import Added
from enrich.protocol.till import LONGEST_RATE_PAUSE_S, Stop, Till
from enrich.protocol.visits import Visit, Visits

from .checks import Checks, Violation
from .disk import Disk
from .network import Network
from .scenario import HOUR, Scenario, Trouble
from .service import Post, Service
from .trace import said, shown
from .world import World

_PENDING: Final = object()  # the effect's result comes later
_QUESTIONS: Final = (FindLiveRun, Reload)
_TRANSITIONS: Final = (
    *(RecordIntent, RecordAccepted, RecordNotCreated, RecordRefused, RecordUnknown, RecordAdopted, RecordResolved),
    *(RecordOutcomes, RecordExtra, RecordExtraOutcome, EndWatch, *_QUESTIONS),
)
_REQUESTS: Final = (ListGroup, PollGroup, ReadRuns, FetchRun)
_ERRORS: Final = (StopRequested, SpendingStopped, ApiError)  # what a script may be told, and may end by
_MOST_STREAMS: Final = 100
_MOST_STEPS: Final = 200_000
_LONGEST_S: Final = 48 * HOUR

Script = Generator[Any, Any, Any]


@dataclass(slots=True, kw_only=True)
class Setting:
    """What a command finds when it begins."""

    world: World
    disk: Disk
    service: Service
    scenario: Scenario
    trouble: Trouble
    rng: Random
    counts: Counter[str]
    checks: Checks
    till: Till
    settle_s: float
    job_id: int
    compare: Callable[[], Due]


class Process:
    """One script under way. A result that arrives with another `token` is not waited for any more."""

    __slots__ = ("interruptible", "name", "script", "token", "when_done")

    def __init__(self, name: str, script: Script, when_done: Callable[[], None]) -> None:
        self.name = name
        self.script = script
        self.when_done = when_done
        self.token = 0
        self.interruptible = False


class Command:
    """From its first step to its end: by itself, by a request, or by a kill."""

    def __init__(self, setting: Setting) -> None:
        self.world, self.disk, self.service, self.till = setting.world, setting.disk, setting.service, setting.till
        self.job_id = setting.job_id
        self.ending: str | None = None  # "done", or what ended it
        self.posts = 0
        self.commits = 0  # that changed something
        self.batches = 0
        self.paid_micro = 0
        self._setting = setting
        self._kill = setting.trouble.kill
        self._network = Network(setting.world, setting.service, setting.scenario, setting.rng)
        self._course: Course | None = None
        self._completed: Counter[str] = Counter()  # runs by processor
        self._running: list[Process] = []
        self._held: list[tuple[Process, AwaitTurn]] = []  # who waits for something to settle
        self._waiting: list[tuple[Process, Any]] = []  # transitions for the next transaction
        self._committing = False
        self._stopped = False
        self._frozen_until = 0.0
        self._visits = Visits(few=setting.scenario.few)
        self._beside: Callable[[Script], None] | None = None
        self._opened: dict[str, deque[float]] = {}  # by group, when its events were asked for
        self._steps = 0
        self._commit_number = 0
        self._written = 0
        self._intents = 0
        self._kill_at_step = self._kill.number if self._kill and self._kill.kind == "effect" else 0
        self._perform: dict[type[Any], Callable[[Process, Any], Any]] = {
            Now: lambda process, effect: self.world.stamp(),
            Say: lambda process, effect: None,
            Sleep: self._sleep,
            AwaitTurn: self._turn,
            Settled: self._settle,
            Entrust: self._entrust,
            PlanVisit: lambda process, effect: self._plan(effect),
            EndVisits: lambda process, effect: self._visits.over(effect.submission_id, effect.processor, effect.age_s),
            CreateGroup: self._create_group,
            AddRuns: self._add_runs,
            FollowEvents: self._follow,
            **dict.fromkeys(_REQUESTS, self._request),
            **dict.fromkeys(_TRANSITIONS, self._record),
        }

    # ------------------------------------------------------------------ life and death

    def live(self, course: Course) -> str:
        """Go through a course; gives how it ended."""
        world, trouble, begun = self.world, self._setting.trouble, self.world.now
        self._course = course
        if self._kill is not None and self._kill.kind == "time":
            world.at(begun + self._kill.at_s, self._die, "killed")
        for at, seconds in trouble.frozen:
            world.at(begun + at, self._freeze, seconds)
        for at, by_s in trouble.clock:
            world.at(begun + at, self._set_clock, by_s)
        for kind, at, seconds in trouble.storms:
            self.service.add_storm(kind, begun + at, begun + at + seconds)
        if trouble.stop_at is not None:
            world.at(begun + trouble.stop_at, self._request_stop)
        self._next_step(None)
        while self.ending is None:
            if not world.step():
                raise Violation("progress", "everybody waits, and nothing is to come")
            if world.now > begun + _LONGEST_S:
                raise Violation("progress", f"a command takes more than {_LONGEST_S:.0f} s")
        world.forget()
        return self.ending

    def ended(self) -> bool:
        """Whether nothing more may be started."""
        return self._stopped or self.till.stopped is not None

    def _die(self, ending: str) -> None:
        """Gone, between two steps. What is on the wire lands or not; nobody hears of it."""
        if self.ending is not None:
            return
        self.ending = ending
        self._setting.counts["kills"] += ending == "killed"
        self.world.say(f"the command ends: {ending}")
        for process in self._running:
            process.script.close()

    def _freeze(self, seconds: float) -> None:
        self._frozen_until = self.world.now + seconds
        self._setting.counts["stops for an hour"] += 1
        self.world.say(f"SIGSTOP for {seconds:.0f} s")

    def _set_clock(self, by_s: float) -> None:
        self.world.set_wall_clock(by_s)
        self._setting.counts["clock jumps"] += 1

    def _request_stop(self) -> None:
        self.world.say("the user asks for an end")
        self._setting.counts["requests to stop"] += 1
        self._stopped = True
        self._held.clear()
        self.world.at(self.world.now + GRACE_S, self._die, "interrupted")
        for process in list(self._running):
            if process.interruptible and self.ending is None:
                process.token += 1
                process.interruptible = False
                self._resume(process, None, StopRequested())

    # ------------------------------------------------------------------ the course

    def _next_step(self, given: Due | Counter[str] | None) -> None:
        assert self._course is not None
        while self.ending is None:
            try:
                step = self._course.send(given)
            except StopIteration:
                stop = self.till.stopped
                self._die("interrupted" if self._stopped else "done" if stop is None else stop.why)
                return
            given = None
            match step:
                case Compare():
                    given = self._setting.compare()
                case GiveUp(reason):
                    self.till.stop("unreachable", reason)
                case InTurn() | Together():
                    self._attend_to(step)
                    return

    def _attend_to(self, step: InTurn | Together) -> None:
        slots, completed = self._setting.scenario.slots, self._completed.copy()
        roster = rules.Roster(step, slots=slots, ended=self.ended, stopping=lambda: self._stopped)
        left = 1  # this very function

        def start() -> None:
            for script in roster.starting():
                beside(script)

        def beside(script: Script) -> None:
            nonlocal left
            left += 1
            self._start(script, lambda: over(script))

        def over(script: Script) -> None:
            roster.over(script)
            start()
            done()

        def done() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._next_step(self._completed - completed if isinstance(step, Together) else None)

        self._beside = beside
        start()
        done()

    def _start(self, script: Script, when_done: Callable[[], None]) -> None:
        name = script.gi_code.co_name.strip("_")
        if name == "see_through":
            self.batches += 1
            name = f"batch {self.batches}"
            if sum(process.name.startswith("batch") for process in self._running) >= self._setting.scenario.slots:
                raise Violation("slots", f"{name} is sent while there is no slot for it")
        process = Process(name, script, when_done)
        self._running.append(process)
        self._later(process, 0.0, lambda: None)

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
        """Give a script the result of its effect, and perform the next ones until there is one to wait for."""
        if self.world.now < self._frozen_until:
            token = process.token = process.token + 1
            self.world.at(self._frozen_until, self._thaw, process, token, value, error)
            return
        script, perform = process.script, self._perform
        while True:
            self._steps += 1
            if self._steps == self._kill_at_step:
                self._die("killed")
                return
            if self._steps > _MOST_STEPS:
                raise Violation("progress", f"a command takes more than {_MOST_STEPS} steps")
            try:
                effect = script.send(value) if error is None else script.throw(error)
            except StopIteration:
                self._end(process, None)
                return
            except _ERRORS as raised:
                self._end(process, raised)
                return
            value, error = None, None
            try:
                value = perform[type(effect)](process, effect)
            except _ERRORS as raised:
                error = raised
            if self.world.tracing:
                self._say(process, said(effect))
                self._say(process, "" if value is _PENDING else shown(error or value))
            if value is _PENDING:
                return

    def _later(self, process: Process, seconds: float, evaluate: Callable[[], Any]) -> Any:
        self.world.at(self.world.now + seconds, self._arrive, process, process.token, evaluate)
        return _PENDING

    def _arrive(self, process: Process, token: int, evaluate: Callable[[], Any]) -> None:
        """What was waited for is here, unless nobody waits for it any more."""
        if self.ending is not None or token != process.token:
            return
        if self.world.now < self._frozen_until:
            self.world.at(self._frozen_until, self._arrive, process, token, evaluate)
            return
        process.token += 1
        process.interruptible = False
        value, error = None, None
        try:
            value = evaluate()
        except _ERRORS as raised:
            error = raised
        if value is not _PENDING:
            if self.world.tracing:
                self._say(process, shown(error or value))
            self._resume(process, value, error)

    def _thaw(self, process: Process, token: int, value: Any, error: Exception | None) -> None:
        if self.ending is None and token == process.token:
            self._resume(process, value, error)

    def _say(self, process: Process, text: str) -> None:
        if text:
            self.world.say(f"{process.name}: {text}")

    # ------------------------------------------------------------------ waiting

    def _interruptibly(self, process: Process) -> None:
        if self._stopped:
            raise StopRequested
        process.interruptible = True

    def _sleep(self, process: Process, effect: Sleep) -> Any:
        self._interruptibly(process)
        self._check_wait(effect.seconds)
        return self._later(process, effect.seconds, lambda: None)

    def _turn(self, process: Process, turn: AwaitTurn) -> Any:
        """As `Driver._turn`: wait for the till's leave; when all wait for something to settle, it is the end."""
        while True:
            self._interruptibly(process)
            answer = self.till.reserve(turn, self.world.stamp().mono)
            if isinstance(answer, Stop):
                raise SpendingStopped
            if isinstance(answer, int):
                process.interruptible = False
                return answer
            if answer.seconds is not None:
                self._check_wait(answer.seconds)
                return self._later(process, max(answer.seconds, 0.001), lambda: self._turn(process, turn))
            if not rules.is_stalled(len(self._held) + 1, len(self._running)):
                self._held.append((process, turn))
                return _PENDING
            self.till.stalled(turn)
            self._wake()

    def _entrust(self, process: Process, effect: Entrust) -> None:
        assert self._beside is not None
        self._beside(effect.script)

    def _plan(self, effect: PlanVisit) -> Visit:
        visit = self._visits.plan(effect.waited)
        self._setting.counts["visits by counts"] += not visit.follow
        return visit

    def _wake(self) -> None:
        held, self._held = self._held, []
        for process, turn in held:
            self._later(process, 0.0, partial(self._turn, process, turn))

    def _settle(self, process: Process, event: Settled) -> None:
        self.till.settled(event, self.world.stamp().mono)
        self.paid_micro += event.paid * event.usd_micro
        self._wake()

    def _check_wait(self, seconds: float) -> None:
        if seconds > LONGEST_RATE_PAUSE_S + 1e-6:
            raise Violation("waits", f"a wait of {seconds:.0f} s")

    def _check_pace(self, group_id: str) -> None:
        """A stream that brings nothing is not opened again and again."""
        opened = self._opened.setdefault(group_id, deque(maxlen=_MOST_STREAMS))
        if len(opened) == _MOST_STREAMS and self.world.now - opened[0] < 60.0:
            raise Violation("pace", f"the events of {group_id} are asked for {_MOST_STREAMS} times in a minute")
        opened.append(self.world.now)

    # ------------------------------------------------------------------ the service

    def _request(self, process: Process, effect: Any) -> Any:
        return self._later(process, *self._network.request(effect))

    def _follow(self, process: Process, effect: FollowEvents) -> Any:
        self._interruptibly(process)
        self._check_pace(effect.group_id)
        return self._request(process, effect)

    def _create_group(self, process: Process, effect: CreateGroup) -> Any:
        seconds, create = self._network.request(effect)
        return self._later(process, seconds, lambda: self._record(process, _GroupMade(create())))

    def _add_runs(self, process: Process, effect: AddRuns) -> Any:
        self.posts += 1
        self._setting.checks.before_post(effect.body)
        post = self.service.add(effect.group_id, effect.body)
        kill = self._kill
        if kill is not None and kill.kind == "post" and kill.number == self.posts:
            self.world.at(self.world.now + kill.fraction * post.answer_s, self._die, "killed")
        return self._later(process, post.answer_s, lambda: self._answer(process, effect, post))

    def _answer(self, process: Process, effect: AddRuns, post: Post) -> Added:
        self._setting.checks.answered(post)
        if isinstance(post.answer, ApiError):
            raise post.answer
        return post.answer

    # ------------------------------------------------------------------ the ledger

    def _record(self, process: Process, transition: Any) -> Any:
        self._waiting.append((process, transition))
        if not self._committing:
            self._commit_soon()
        return _PENDING

    def _commit_soon(self) -> None:
        self._committing = True
        self.world.at(self.world.now + self._setting.scenario.commit_s, self._commit)

    def _commit(self) -> None:
        """One transaction for all that waits; then those who waited go on."""
        if self.ending is not None:
            return
        if self.world.now < self._frozen_until:
            self.world.at(self._frozen_until, self._commit)
            return
        self._commit_number += 1
        if self._commit_number == self._setting.trouble.disk_error:
            self._setting.counts["disk errors"] += 1
            self._die("disk error")
            return
        if self._dies_now("commit before"):
            return
        slots, self._waiting = self._waiting, []
        transitions = [transition for _, transition in slots]
        results = self._apply(transitions)
        if self._dies_now("commit after") or self._dies_of(transitions):
            return
        for (process, _), result in zip(slots, results, strict=True):
            if self.ending is None:
                if self.world.tracing:
                    self._say(process, shown(result))
                self._resume(process, result)
        self._committing = False
        if self._waiting:
            self._commit_soon()

    def _dies_now(self, kind: str) -> bool:
        kill = self._kill
        if kill is not None and kill.kind == kind and kill.number == self._commit_number:
            self._die("killed")
        return self.ending is not None

    def _dies_of(self, transitions: list[Any]) -> bool:
        kill = self._kill
        if kill is not None and kill.kind == "written":
            self._written += sum(type(one).__name__ == kill.written for one in transitions)
            if self._written >= kill.number:
                self._die("killed")
        return self.ending is not None

    def _apply(self, transitions: list[Any]) -> list[Any]:
        known = self.disk.ledger.service() is not None  # then RecordService changes nothing
        results = self.disk.commit([transition.apply for transition in transitions])
        self.commits += any(
            not isinstance(one, _QUESTIONS) and not (known and isinstance(one, _GroupMade)) for one in transitions
        )
        for transition in transitions:
            self._count(transition)
        return results

    def _count(self, transition: Any) -> None:
        counts = self._setting.counts
        match transition:
            case RecordIntent():
                self._intents += 1
                if self._intents == self._setting.trouble.frozen_after_intent:
                    self._freeze(HOUR)
            case RecordUnknown():
                counts["unknown outcomes"] += 1
            case RecordAdopted(runs=runs):
                counts["runs adopted"] += len(runs)
            case RecordOutcomes(processor=processor, outcomes=outcomes):
                self._completed[processor] += sum(outcome.completed for outcome in outcomes)
            case RecordResolved():
                counts["submissions resolved"] += 1
            case RecordExtra():
                counts["second runs seen"] += 1
            case _:
                pass


class _GroupMade:
    """As in `Driver._create_group`: the service's kind is in the ledger before its group is used."""

    __slots__ = ("group_id",)

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id

    def apply(self, ledger: Ledger) -> str:
        RecordService("sandbox").apply(ledger)
        return self.group_id
