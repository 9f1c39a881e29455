"""What must hold: at every POST, when a command ends, and when a story is over.

I1: the bill shows one run per task. I2: every run's result is in the ledger, at its own task. I4: the ledger's dollars
are the bill's. I6: one more command sends nothing (in `story`). And a
command costs no more than a plan said just before it.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from enrich.api.errors import ApiError, CreditError, RateLimitedError
from enrich.backends.metadata import INPUT, TASK
from enrich.ledger.store import Ledger
from enrich.protocol.resolve import REFUSAL_S
from enrich.protocol.submit import MAX_EXPOSURE_USD_MICRO
from enrich.records import Held, RunState

from .scenario import Scenario
from .service import BODY, Post, Run, Service
from .world import World

if TYPE_CHECKING:
    from .command import Command

_FREE: Final = frozenset({RunState.RELEASED, RunState.REFUSED})


class Violation(Exception):
    """Something that must hold does not. `kind` says what, in a word or two."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text

    def __reduce__(self) -> tuple[type["Violation"], tuple[str, str]]:
        return (Violation, (self.kind, self.text))


class Checks:
    """The rules of one story. Without `strict` only outcomes count: what was paid, and what is in the ledger."""

    def __init__(
        self, ledger: Ledger, scenario: Scenario, world: World, prices: Mapping[str, int], *, strict: bool
    ) -> None:
        self._ledger = ledger
        self._scenario = scenario
        self._world = world
        self._prices = prices
        self._strict = strict
        self._paid_before = 0
        self._most = 0
        # task -> when it was last sent with an outcome that is not known, and how long that may take to show
        self._sent: dict[str, tuple[float, float]] = {}

    def begin(self, most: int) -> None:
        """A command begins, of which a plan says that it costs no more than `most` micro-dollars."""
        self._most = most
        self._paid_before = self._ledger.totals().usd_micro_paid

    def before_post(self, body: bytes) -> None:
        """A POST that costs is about to go out."""
        if not self._strict:
            return
        inputs = BODY.decode(body).inputs
        keys = [bytes.fromhex(one.metadata[INPUT]) for one in inputs]
        held = self._ledger.held(keys)
        now = self._world.now
        for key, one in zip(keys, inputs, strict=True):
            _only_one_is_live(held.get(key, []))
            sent = self._sent.get(one.metadata[TASK])
            if sent is not None and now - sent[0] < sent[1]:
                raise Violation("settling", f"a task is sent again {now - sent[0]:.1f} s after it was sent")
            self._sent[one.metadata[TASK]] = now, self._scenario.settle_s
        totals = self._ledger.totals()
        paid = totals.usd_micro_paid - self._paid_before
        at_stake = paid + totals.usd_micro_in_flight + totals.usd_micro_unresolved
        budget = self._scenario.budget
        if budget is not None and at_stake > budget:
            raise Violation("budget", f"{at_stake} micro-dollars are at stake, the budget is {budget}")
        price = self._prices[inputs[0].processor]
        if len(inputs) > 1 and len(inputs) * price > MAX_EXPOSURE_USD_MICRO:
            raise Violation("exposure", f"{len(inputs)} runs of {price} micro-dollars in one POST")

    def answered(self, post: Post) -> None:
        """The client has heard how a POST went."""
        if isinstance(post.answer, ApiError) and post.answer.created_nothing:
            for task in post.tasks:
                self._sent.pop(task, None)
        if isinstance(post.answer, CreditError | RateLimitedError):  # a refusal that may have taken effect
            for task in self._sent.keys() & set(post.tasks):
                sent_at, settle_s = self._sent[task]
                self._sent[task] = sent_at, min(settle_s, REFUSAL_S)

    def bounded(self, posts: Sequence[Post]) -> None:
        """A command that sent these has ended: the runs that were made for it, each task once, are within its bound.

        A second run of a task is a double charge, of which no plan knows.
        """
        made = {run.task: run.usd_micro for post in posts for run in post.runs}
        cost = sum(made.values())
        if self._strict and cost > self._most:
            raise Violation("at most", f"runs of {cost} micro-dollars were made, at most {self._most} were said")

    def end(self, command: "Command") -> None:
        """A command ended by itself."""
        if not self._strict or command.ending != "done":
            return
        totals = self._ledger.totals()
        gained = totals.usd_micro_paid - self._paid_before
        if gained != command.paid_micro:
            raise Violation("I4 receipt", f"the command reports {command.paid_micro}, the ledger gained {gained}")
        left = totals.usd_micro_in_flight + totals.usd_micro_unresolved
        if left != command.till.at_stake:
            raise Violation("till", f"{command.till.at_stake} reserved, {left} in the ledger")
        if self._scenario.calm and command.commits > 4 * command.batches:
            raise Violation("commits", f"{command.commits} commits for {command.batches} batches")


def _only_one_is_live(held: list[Held]) -> None:
    """Of the runs of one input, at most the one being sent is unresolved, and no other stands for the same task."""
    if sum(run.state is RunState.SENT for run in held) > 1:
        raise Violation("unresolved", "a task of an unresolved submission is sent")
    asked = [(run, (run.generation, run.processor, run.field_ids)) for run in held if run.state not in _FREE]
    live = Counter(task for run, task in asked if run.state is not RunState.FAILED)
    failed = {task for run, task in asked if run.state is RunState.FAILED}
    if any(count > 1 for count in live.values()) or any(
        run.state is RunState.SENT and task in failed for run, task in asked
    ):
        raise Violation("I1 in the ledger", "a task that has a run is sent")


def check_story(ledger: Ledger, service: Service, scenario: Scenario) -> int:
    """Hold the service's bill against the ledger, when all is over. Gives the double charges."""
    by_task: defaultdict[str, list[Run]] = defaultdict(list)
    for run in service.runs.values():
        by_task[run.task or ""].append(run)
    extras = {extra.run_id for extra in ledger.extra_runs()}
    reported = {extra.run_id for extra in ledger.extra_runs() if extra.is_charge}
    doubles = 0
    for task, runs in by_task.items():
        ids = [run.id for run in runs]
        paid = [run.id for run in runs if run.completed]
        excess = max(0, len(paid) - 1)
        doubles += excess
        if len(ids) > 1 and not scenario.late_beyond:
            raise Violation("I1", f"task {task[:8]} was asked {len(ids)} times: {ids}")
        if excess != len(reported.intersection(ids)):
            raise Violation("I1 report", f"task {task[:8]} has paid runs {paid}, reported are {sorted(reported)}")
        if paid and extras.issuperset(paid):
            raise Violation("I2", f"task {task[:8]} was paid for with {paid}, and none of them answers it")
    if len(reported) != doubles:
        raise Violation("I1 report", f"reported are {sorted(reported)}, {doubles} were made")
    if doubles and doubles > service.exposure_beyond():
        raise Violation("I1 bound", f"{doubles} double charges, POSTs too late had {service.exposure_beyond()} runs")
    ledger.check_whole()
    _check_results(ledger, service, extras)
    _check_totals(ledger, service)
    return doubles


def _check_results(ledger: Ledger, service: Service, extras: set[str]) -> None:
    """I2: every run's result is in the ledger, whole, and at its own task."""
    keys = sorted({run.input_key for run in service.runs.values()})
    found: dict[str, tuple[bytes, Held]] = {}
    needed: set[int] = set()
    for key, held in ledger.held(keys).items():
        for one in held:
            if one.state in (RunState.COMPLETED, RunState.FAILED):
                found[one.run_id or ""] = (key, one)
                needed.add(one.block_id or 0)
            elif one.state not in _FREE:
                raise Violation("I2", f"run {one.run_id} has no outcome: {one.state.name}")
    blocks = dict(ledger.results(sorted(needed)))
    for run in service.runs.values():
        if run.id in extras:
            continue
        if run.id not in found:
            raise Violation("I2", f"run {run.id} is not in the ledger")
        key, one = found[run.id]
        if key != run.input_key:
            raise Violation("I2 mixed up", f"the result of run {run.id} stands at another input")
        if (one.state is RunState.COMPLETED) != run.completed:
            raise Violation("I2", f"run {run.id} {run.status}, the ledger says {one.state.name}")
        assert one.block_id is not None
        assert one.slot is not None
        if blocks[one.block_id][one.slot] != run.raw():
            raise Violation("I2", f"the result of run {run.id} is another: {blocks[one.block_id][one.slot]!r}")


def _check_totals(ledger: Ledger, service: Service) -> None:
    """I4: the ledger's dollars are the bill's."""
    totals = ledger.totals()
    billed = sum(run.usd_micro for run in service.runs.values() if run.completed)
    failed = sum(not run.completed for run in service.runs.values())
    if totals.usd_micro_paid != billed:
        raise Violation("I4", f"the bill is {billed} micro-dollars, the ledger says {totals.usd_micro_paid}")
    if totals.runs_failed != failed:
        raise Violation("I4", f"{failed} runs failed, the ledger says {totals.runs_failed}")
    if totals.runs_in_flight or totals.runs_unresolved:
        raise Violation("I4", f"{totals.runs_in_flight} in flight, {totals.runs_unresolved} unresolved at the end")
