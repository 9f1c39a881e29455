"""One seed, one story: commands until one of them ends by itself and nothing is left, then the reckoning."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from random import Random
from typing import Any, Final

from enrich.answers.answer import Answer
from enrich.answers.results import NO_CITATIONS
from enrich.backends.bodies import render_body
from enrich.config import Refresh
from enrich.planning.due import ask_for
from enrich.planning.outlook import climb_from, outlooks
from enrich.planning.rules import Rules, Rung
from enrich.protocol.course import Due, course
from enrich.protocol.submit import batch_size
from enrich.protocol.till import Till
from enrich.records import Held, Question, Task, TaskBatch
from enrich.spec import Field
from enrich.spec.identity import input_key

from .checks import Checks, Violation, check_story
from .command import Command, Setting
from .disk import Disk
from .mutations import Mutation
from .scenario import Scenario, Trouble, draw
from .service import Service
from .world import World

MOST_COMMANDS: Final = 60

_FIELD: Final = Field("answer", {"type": "string"}, "0123456789abcdef", nullable=False)
_SPEC: Final = {"output_schema": "an answer"}
_REFRESH: Final = Refresh()
_NOW: Final = 0  # of every comparison: nothing is stale, and what has failed is not asked again


@dataclass(frozen=True, slots=True)
class Story:
    """How a seed ended: what happened, and what did not hold."""

    seed: int
    counts: Counter[str]
    violation: Violation | None


def tell(seed: int, *, mutation: Mutation | None = None, say: Callable[[str], None] | None = None) -> Story:
    """Run the story of a seed. With a mutation only outcomes are judged, not the rules that lead to them."""
    scenario = draw(seed)
    teller = _Teller(scenario, mutation or Mutation(), strict=mutation is None, say=say)
    try:
        teller.tell()
    except Violation as violation:
        teller.world.say(f"VIOLATION {violation}")
        return Story(seed, teller.counts, violation)
    return Story(seed, teller.counts, None)


class _Teller:
    def __init__(
        self, scenario: Scenario, mutation: Mutation, *, strict: bool, say: Callable[[str], None] | None
    ) -> None:
        self.scenario = scenario
        self.counts: Counter[str] = Counter()
        self.world = World(say)
        self._mutation = mutation
        self._rng = Random(scenario.seed + 1_000_000_007)
        self._disk = Disk()
        self._ladder = tuple(Rung(f"rung {i}", price) for i, price in enumerate(scenario.prices))
        self._prices = {rung.processor: rung.usd_micro for rung in self._ladder}
        self._service = Service(self.world, scenario, self._rng, self.counts, self._prices)
        self._checks = Checks(self._disk.ledger, scenario, self.world, self._prices, strict=strict)
        self._documents = {
            input_key(document): document
            for document in (b'{"name":"%d-%d"}' % (scenario.seed, i) for i in range(scenario.inputs))
        }
        self._rules = Rules(
            ladder=self._ladder,
            refresh={_FIELD.id: _REFRESH},
            price=lambda name: self._prices.get(name, 0),
            names={},
            now=_NOW,
            last_submission=0,
        )
        self._started: Counter[bytes] = Counter()

    def tell(self) -> None:
        self._commands_until_done()
        self._commands_after_late_posts()
        posts = len(self._service.posts)
        last = self._command(Trouble())
        if len(self._service.posts) > posts:
            raise Violation("I6", f"one more command sent {len(self._service.posts) - posts} POSTs")
        if last.ending != "done" or last.paid_micro:
            raise Violation("I6", f"one more command ends {last.ending}, and pays {last.paid_micro}")
        if any(extra.job_id == last.job_id for extra in self._disk.ledger.extra_runs()):
            raise Violation("I6", "a double charge is reported twice")
        self.counts["double charges found"] += check_story(self._disk.ledger, self._service, self.scenario)

    def _commands_until_done(self) -> None:
        troubles = iter(self.scenario.troubles)
        for _ in range(MOST_COMMANDS):
            trouble = next(troubles, None)
            if trouble is None:
                self._calm_down()
            something_is_hidden = self._late_s() > 0.0
            command = self._command(trouble or Trouble(pause_s=1.0))
            if trouble is None and command.ending == "done":
                return
            if trouble is None and command.ending == "unreachable" and something_is_hidden:
                # It could not wait for what is counted, and not shown for hours.
                self.world.now += max(0.0, self._late_s()) + 1.0
            elif trouble is None and command.ending not in ("done", "budget"):
                raise Violation("progress", f"without any trouble a command ends: {command.ending}")
        raise Violation("progress", f"not done after {MOST_COMMANDS} commands")

    def _commands_after_late_posts(self) -> None:
        """What was under way for longer than any settling time has landed, and the next command finds it."""
        ending = "done"
        while self._late_s() > 0.0:
            self.world.now += self._late_s() + 1.0
            ending = self._ending()
        if self._is_under_way():  # a run that was taken, and not shown for so long that no command waited for it
            ending = self._ending()
            if self._is_under_way():
                raise Violation("progress", "what has ended and is shown has not been collected")
        for _ in range(MOST_COMMANDS):
            if ending != "budget":  # what came so late was due on the next rung, at more than one command's budget
                break
            ending = self._ending()

    def _ending(self) -> str | None:
        """How one more command ends."""
        return self._command(Trouble()).ending

    def _late_s(self) -> float:
        return max((post.shown_last() for post in self._service.posts), default=0.0) - self.world.now

    def _is_under_way(self) -> bool:
        return any(submission.state != "done" for submission in self._disk.ledger.open_groups())

    def _calm_down(self) -> None:
        """The network is well again, and there is credit."""
        if not self._service.calm:
            self.world.say("from here on, no more trouble")
        self._service.calm = True
        self._service.credit = None

    def _command(self, trouble: Trouble) -> Command:
        self.counts["commands"] += 1
        number = self.counts["commands"]
        self.world.say(f"---- command {number}: {trouble}")
        ledger, posts = self._disk.ledger, len(self._service.posts)
        self._checks.begin(self._most())
        totals = ledger.totals()
        till = Till(
            budget=self.scenario.budget,
            in_flight=totals.usd_micro_in_flight + totals.usd_micro_unresolved,
            random_=self._rng.random,
        )
        settle_s = self._mutation.settle_s(self.scenario.settle_s)
        job_id = self._disk.commit([lambda held: held.start_job(name="story", config="c", source="s", fields={})])[0]

        def compare() -> Due:
            return self._due(job_id)

        setting = Setting(
            world=self.world,
            disk=self._disk,
            service=self._service,
            scenario=self.scenario,
            trouble=trouble,
            rng=self._rng,
            counts=self.counts,
            checks=self._checks,
            till=till,
            settle_s=settle_s,
            job_id=job_id,
            compare=compare,
        )
        command = self._mutation.command(setting)
        ending = command.live(course(ledger, compare(), render=render_body, settle_s=settle_s, ended=command.ended))
        self.counts[f"ended: {ending}"] += 1
        self.counts["POSTs"] += command.posts
        self._checks.end(command)
        self._checks.bounded(self._service.posts[posts:])
        if ending not in ("killed", "disk error"):
            self._disk.commit([lambda held: held.end_job(job_id, ending)])
        if ending == "killed" and trouble.kill is not None and trouble.kill.power:
            self.counts["power cuts"] += 1
            self._disk.cut_power()
            self.world.reboot()
        self.world.now += trouble.pause_s
        return command

    # ------------------------------------------------------------------ what is due

    def _due(self, job_id: int) -> Due:
        ledger = self._disk.ledger
        held = ledger.held(list(self._documents))
        due: dict[str, list[Task]] = {}
        for key, document in self._documents.items():
            ask = ask_for([_FIELD], held.get(key, []), self._answers, self._rules)
            if ask is not None:
                due.setdefault(ask.rung.processor, []).append(Task(key, document, ask.generation))
        runs = {processor: len(tasks) for processor, tasks in due.items()}
        return Due(runs, self._ladder[-1].processor, self._batches(job_id, due))

    def _most(self) -> int:
        """What a command can cost at most that begins now, in micro-dollars, as a plan says it."""
        ledger, most = self._disk.ledger, 0
        held = ledger.held(list(self._documents))
        rules = replace(self._rules, sent=ledger.sent_at(), watched=ledger.watched())
        for key in self._documents:
            runs = held.get(key, [])
            ask = ask_for([_FIELD], runs, self._answers, rules)
            most += 0 if ask is None else self._up_from(ask.rung)
            for outlook in outlooks([_FIELD], runs, self._answers, rules, ask):
                rungs = [rung for rung in (outlook.again, outlook.weak) if rung is not None]
                most += max(map(self._up_from, rungs))
        return most

    def _up_from(self, rung: Rung) -> int:
        return sum(step.usd_micro for step in climb_from(rung, self._ladder))

    def _batches(self, job_id: int, due: Mapping[str, Sequence[Task]]) -> Iterator[TaskBatch]:
        for processor, tasks in due.items():
            price = self._prices[processor]
            question = Question(processor, price, (_FIELD.id,), _SPEC)
            size = batch_size(price)
            for start in range(0, len(tasks), size):
                yield TaskBatch(job_id, "story", question, tuple(tasks[start : start + size]))

    def _answers(self, held: Held) -> Mapping[str, Answer]:
        assert held.block_id is not None
        assert held.slot is not None
        ((_, results),) = self._disk.ledger.results([held.block_id])
        strong = b'"strong":true' in results[held.slot]
        verdict: Any = "accept" if strong else "review"
        return {_FIELD.id: Answer("x", None, "", NO_CITATIONS, verdict, "", strong)}


def digest(seed: int) -> str:
    """A hash of the whole trace of a seed: the same for the same seed, anywhere."""
    text = blake2b(digest_size=8)
    tell(seed, say=lambda line: text.update(line.encode()))
    return text.hexdigest()
