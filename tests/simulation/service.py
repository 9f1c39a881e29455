"""The simulated service: groups, runs, what its replicas show of them, and a bill of its own.

Nothing here knows what the client believes. What a view shows is a function of time: a run has a moment in which it is
made, others from which counts and listings show it, one in which it ends, one from which its output can be had.
"""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec

from enrich.api.errors import (
    ApiError,
    CreditError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
    UnknownOutcomeError,
)
from enrich.backends.metadata import INPUT, TASK
from enrich.protocol.replies import Added
from enrich.protocol.resolve import REFUSAL_S

from .scenario import HOUR, Fate, Scenario, Storm
from .world import World

POST_DEADLINE_S: Final = 60.0
EVENT_LAG_S: Final = 0.5
_BEYOND_S: Final = 4 * HOUR


class _Input(msgspec.Struct):
    processor: str
    metadata: dict[str, str]


class _Body(msgspec.Struct):
    inputs: list[_Input]


BODY: Final = msgspec.json.Decoder(_Body)


@dataclass(slots=True)
class Run:
    """A run at the service. Times are true time."""

    id: str
    task: str | None  # None: somebody else's
    input_key: bytes
    processor: str
    usd_micro: int
    born: float
    counted_at: float
    listed_at: float
    ends_at: float
    status: str  # once it has ended
    output_at: float
    strong: bool
    strange: bool = False  # it ends with a status of its own, and what it brings has to tell whether it was paid for

    @property
    def told_at(self) -> float:
        """When the group's events say that it has ended."""
        return max(self.ends_at, self.listed_at) + EVENT_LAG_S

    @property
    def completed(self) -> bool:
        """Whether it is billed, in the end."""
        return self.status == "completed"

    def raw(self) -> bytes:
        """Its result as the service gives it, when it is whole."""
        return b'{"run":"%b","task":"%b","input":"%b","status":"%b","strong":%b}' % (
            self.id.encode(),
            (self.task or "").encode(),
            self.input_key.hex().encode(),
            self.status.encode(),
            b"true" if self.strong else b"false",
        )


@dataclass(slots=True)
class Group:
    id: str
    shown_at: float
    runs: list[Run] = field(default_factory=list)
    was_stale: bool = False  # the last listing came from an old replica


@dataclass(slots=True)
class Post:
    """One POST of runs as the service saw it, and what the client gets to know of it, and when."""

    number: int
    sent_at: float
    tasks: list[str]
    answer_s: float
    answer: Added | ApiError
    runs: list[Run] = field(default_factory=list)

    def shown_last(self) -> float:
        """When the last of its runs can be seen by everybody."""
        return max((max(run.counted_at, run.listed_at) for run in self.runs), default=0.0)


class Service:
    """One service through a whole story. `calm` ends all trouble but lag and what is already under way."""

    def __init__(self, world: World, scenario: Scenario, rng: Random, counts: Counter[str], prices: dict[str, int]):
        self.calm = scenario.calm
        self.credit = scenario.credit
        self.posts: list[Post] = []
        self.runs: dict[str, Run] = {}
        self._world = world
        self._scenario = scenario
        self._rng = rng
        self._counts = counts
        self._prices = prices
        self._groups: dict[str, Group] = {}
        self._storms: list[tuple[Storm, float, float]] = []
        self._fates = list(scenario.fates)
        self._weights = list(scenario.fates.values())
        self._seen: set[str] = set()
        self._beyond = 0
        self._all_runs: dict[str, Run] = {}

    # ------------------------------------------------------------------ trouble

    def add_storm(self, kind: Storm, start: float, end: float) -> None:
        self._storms.append((kind, start, end))

    def storm(self, *kinds: Storm) -> tuple[Storm, float] | None:
        """The storm of these kinds that is on, and its end."""
        now = self._world.now
        if self.calm or not self._storms:
            return None
        for kind, start, end in self._storms:
            if start <= now < end and kind in kinds:
                return kind, end
        return None

    def refusal(self, kind: Storm) -> ApiError:
        """How a request that creates no runs fails in a storm."""
        match kind:
            case "429":
                return self._rate_limited()
            case "outage":
                return NotSentError("no connection")
            case "401":
                return UnauthorizedError("the key is not known", status=401)
            case "403":
                return ForbiddenError("not allowed", status=403)
            case _:
                return UnavailableError("the service answered 503", status=503)

    def _rate_limited(self) -> RateLimitedError:
        wait_s = self._rng.choice((None, None, 1.0, 30.0, 300.0))
        return RateLimitedError("too many requests", status=429, retry_after_s=wait_s)

    # ------------------------------------------------------------------ groups and POSTs

    def create_group(self) -> str:
        lag_s = self._rng.uniform(0, self._scenario.lag_s) if self._rng.random() < 0.2 else 0.0
        group = Group(f"g{len(self._groups) + 1}", self._world.now + lag_s)
        self._groups[group.id] = group
        if self._scenario.foreign and self._rng.random() < 0.5:
            run = self._run(group, None, b"", "other", 0, self._world.now)
            run.ends_at = run.output_at = self._world.now
            group.runs.append(run)
        return group.id

    def add(self, group_id: str, body: bytes) -> Post:
        """A POST of runs goes out now. What it does and what the client hears of it are drawn apart."""
        now, rng = self._world.now, self._rng
        inputs = BODY.decode(body).inputs
        tasks = [one.metadata[TASK] for one in inputs]
        post = Post(len(self.posts) + 1, now, tasks, rng.uniform(0.05, 2.0), UnknownOutcomeError("connection lost"))
        self.posts.append(post)
        self._counts["tasks sent again"] += sum(task in self._seen for task in tasks)
        self._seen.update(tasks)
        fate = self._fate()
        refused = self._refused(fate, inputs)
        if refused is not None:
            post.answer = refused
            self._counts[f"POSTs refused {getattr(refused, 'status', 'unsent')}"] += 1
        else:
            self._take(post, self._groups[group_id], inputs, fate)
        if self._world.tracing:
            born = [f"{run.id} at +{run.born - now:.1f} s" for run in post.runs]
            self._world.say(f"service: POST {post.number} to {group_id}, {len(inputs)} runs: {fate}; makes {born}")
        return post

    def _fate(self) -> Fate:
        if self.calm:
            return "ok"
        storm = self.storm("5xx", "429", "outage", "401", "403")
        if storm is not None:
            match storm[0]:
                case "429":
                    return "rate"
                case "outage":
                    return "unsent"
                case "5xx":
                    return self._rng.choice(("error before", "error before", "error after", "late", "partial"))
        return self._rng.choices(self._fates, self._weights)[0]

    def _refused(self, fate: Fate, inputs: list[_Input]) -> ApiError | None:
        """The refusal of a POST that creates nothing."""
        storm = self.storm("401", "403")
        if storm is not None:
            return self.refusal(storm[0])
        if fate == "rate":
            return self._rate_limited()
        if fate == "no group":
            return NotFoundError("no such group", status=404)
        if fate == "unsent":
            return NotSentError("no connection")
        bad = [i for i, one in enumerate(inputs) if int(one.metadata[INPUT][:2], 16) < 256 * self._scenario.invalid]
        if bad:
            detail: Any = [{"loc": ["body", "inputs", i], "msg": "no"} for i in bad]
            return InvalidError("invalid", status=422, detail=detail if self._scenario.names_invalid else None)
        wanted = sum(self._prices[one.processor] for one in inputs)
        if self.credit is not None and self.reserved() + wanted > self.credit:
            return CreditError("out of credit", status=402)
        return None

    def exposure_beyond(self) -> int:
        """Runs of all POSTs that landed, or showed, after the settling time."""
        return self._beyond

    def reserved(self) -> int:
        """Money that runs hold or have used: all of it, from the beginning; given back when a run has failed."""
        now = self._world.now
        return sum(run.usd_micro for run in self.runs.values() if run.completed or run.ends_at > now)

    def _take(self, post: Post, group: Group, inputs: list[_Input], fate: Fate) -> None:
        rng, scenario, now = self._rng, self._scenario, self._world.now
        count = len(inputs)
        soon = now + rng.uniform(0.01, 0.9) * post.answer_s
        latest = scenario.settle_s - 1.0 - scenario.lag_s - 0.01  # shown within the settling time
        born = [soon] * count
        failing = fate not in ("ok", "reordered")
        soonest = min(REFUSAL_S, scenario.settle_s) - scenario.lag_s - 0.01  # shown before a refusal is believed
        match fate:
            case "error before":
                born = []
            case "late":
                born = [self._late(latest)] * count
            case "partial":
                born = born[: rng.randint(0, count)]
            case "refused partial":
                born = born[: rng.randint(0, count)]
            case "refused late":
                born = [now + rng.uniform(0.01, max(0.02, soonest))] * count
            case "scattered":
                born = [now + rng.uniform(0.01, latest) for _ in inputs]
            case _:
                pass
        for one, when in zip(inputs, born, strict=False):
            metadata = one.metadata
            key = bytes.fromhex(metadata[INPUT])
            run = self._run(group, metadata[TASK], key, one.processor, self._prices[one.processor], when)
            post.runs.append(run)
            self.runs[run.id] = run
        group.runs.extend(post.runs)
        if post.shown_last() > now + scenario.settle_s:
            self._beyond += count
        if failing:
            self._lose_answer(post, fate)
            return
        ids = [run.id for run in post.runs]
        if fate == "reordered":
            rng.shuffle(ids)
            self._counts["answers with ids in another order"] += 1
        for run in post.runs:
            if not self.calm and rng.random() < scenario.absent:
                run.listed_at += rng.uniform(0, 2 * HOUR)
                self._counts["runs accepted and not shown for long"] += 1
        cursor = f"{now!r}" if rng.random() < 0.5 else None
        post.answer = Added(tuple(ids), cursor)

    def _late(self, latest_s: float) -> float:
        """When a late POST lands. Beyond the settling time only in the stories of case 7."""
        rng, settle_s = self._rng, self._scenario.settle_s
        if self._scenario.late_beyond and (len(self._fates) == 1 or rng.random() < 0.6):
            self._counts["POSTs that land after the settling time"] += 1
            most = rng.choice((settle_s, _BEYOND_S, 20 * HOUR))
            return self._world.now + settle_s + rng.uniform(0, most)
        self._counts["late POSTs"] += 1
        if self._scenario.last_moment:
            return self._world.now + max(latest_s / 2, latest_s - rng.uniform(0.0, 25.0))
        return self._world.now + rng.random() ** 3 * latest_s

    def _lose_answer(self, post: Post, fate: Fate) -> None:
        """The client gets no answer that it can use."""
        rng = self._rng
        ids = [run.id for run in post.runs]
        match fate:
            case "wrong count":
                post.answer = Added(tuple([*ids[:-1], *ids[:-2]] if rng.random() < 0.5 else ids[1:]), None)
            case "truncated":
                post.answer = UnknownOutcomeError("the answer 200 can't be read", status=200)
            case "error before" | "error after":
                status = rng.choice((500, 502, 503, 504, 408, 409))
                post.answer = UnknownOutcomeError(f"the service answered {status}", status=status)
            case "refused after" | "refused partial" | "refused late":
                refused = self._rate_limited() if rng.random() < 0.7 else CreditError("no credit", status=402)
                post.answer = refused
                self._counts["POSTs refused that took effect"] += bool(post.runs)
            case _ if rng.random() < 0.3:
                post.answer = UnknownOutcomeError("no answer within the deadline")
                post.answer_s = POST_DEADLINE_S
            case _:
                post.answer_s = rng.uniform(0.05, 30.0)
        if fate == "wrong count" and len(set(post.answer.run_ids)) == len(post.tasks):  # type: ignore[union-attr]
            post.answer = UnknownOutcomeError("the answer 200 can't be read", status=200)

    def _run(
        self, group: Group, task: str | None, input_key: bytes, processor: str, usd_micro: int, born: float
    ) -> Run:
        rng, scenario = self._rng, self._scenario
        number = len(self._all_runs) + 1
        ends_at = born + rng.uniform(*scenario.run_s)
        failed = rng.random() < scenario.fails
        lag_s = scenario.lag_s
        run = Run(
            id=f"r{number}",
            task=task,
            input_key=input_key,
            processor=processor,
            usd_micro=usd_micro,
            born=born,
            counted_at=born + rng.random() * lag_s,
            listed_at=born + rng.random() * lag_s + number * 1e-7,  # no two at the same moment
            ends_at=ends_at,
            status=rng.choice(("failed", "failed", "cancelled", "action_required")) if failed else "completed",
            output_at=ends_at + rng.uniform(0, scenario.output_lag_s),
            strong=rng.random() >= scenario.weak,
        )
        if scenario.strange and rng.random() < scenario.strange:
            run.strange, run.output_at = True, ends_at
            self._counts["runs that end strangely"] += 1
        self._all_runs[run.id] = run
        return run

    # ------------------------------------------------------------------ what can be seen

    def any_run(self, run_id: str) -> Run:
        """A run, also one of somebody else's."""
        return self._all_runs[run_id]

    def group(self, group_id: str, at: float) -> Group:
        """Raises NotFoundError for a group that a replica does not show yet."""
        group = self._groups[group_id]
        if at < group.shown_at:
            raise NotFoundError("no such group", status=404)
        return group

    def count(self, group: Group, at: float) -> int:
        return sum(run.counted_at <= at for run in group.runs)

    def listed(self, group: Group, at: float) -> list[Run]:
        """What a listing shows at a time, in the order in which the runs were made."""
        return [run for run in group.runs if run.listed_at <= at]

    def staleness_s(self, group: Group) -> float:
        """How old the replica is that answers a listing; never two old ones in a row."""
        if self.calm or group.was_stale or self._rng.random() >= self._scenario.stale:
            group.was_stale = False
            return 0.0
        group.was_stale = True
        self._counts["listings from an old replica"] += 1
        return self._rng.choice((20.0, 120.0, 4000.0)) * self._rng.random()

    def kept(self, group: Group, runs: list[Run]) -> list[Run]:
        """What is left of a listing when it is cut with a clean end."""
        storm = self.storm("cut")
        if self.calm or not runs or not (storm or self._rng.random() < self._scenario.cut):
            return runs
        self._counts["listings cut with a clean end"] += 1
        return runs[: 0 if storm or self._rng.random() < 0.5 else self._rng.randint(0, len(runs) - 1)]
