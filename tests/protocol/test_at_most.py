"""At most is at most: whatever the service answers, a command asks for no more than its comparison said before."""

import time
import weakref
from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

import msgspec
import pytest

from enrich.config import Config
from enrich.config.loading import parse
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.planning.comparison import Comparison
from enrich.planning.costs import Summary, ladder_of
from enrich.planning.outlook import Outlook
from enrich.planning.rules import Rules, Rung
from enrich.records import Intent, Origin, Outcome, Stamp, Task
from enrich.spec.identity import input_key
from enrich.spec.money import dollars, price_micro

HOUR, DAY = 3600, 86_400
CORE, PRO, ULTRA = Rung("core", 25_000), Rung("pro", 100_000), Rung("ultra", 300_000)
DOCUMENTS = [b'{"company":"Acme %d"}' % n for n in range(2)]
KEYS = [input_key(document) for document in DOCUMENTS]


def config(processor: Sequence[str] = ("core", "pro"), refresh: Any = "never", long: int = 0) -> Config:
    """Two answers; with `long` characters of description, they don't fit beside a long input together."""
    return _config(tuple(processor), repr(refresh), long)


@cache
def _config(processor: tuple[str, ...], refresh: str, long: int) -> Config:
    return parse(
        {
            "name": "companies",
            "inputs": {"company": "name"},
            "outputs": {
                "hq": {"type": ["string", "null"], "description": "City." + "x" * long},
                "year": {"type": ["integer", "null"], "description": "Year." + "x" * long},
            },
            "processor": list(processor),
            "refresh": literal_eval(refresh),
        }
    )


def result(run_id: str, said: dict[str, tuple[Any, str]]) -> bytes:
    """A result with a value and a confidence for each field."""
    basis = [{"field": name, "reasoning": "", "citations": [], "confidence": sure} for name, (_, sure) in said.items()]
    content = {name: value for name, (value, _) in said.items()}
    return msgspec.json.encode({"run": {"run_id": run_id}, "output": {"content": content, "basis": basis}})


@dataclass
class Story:
    """A ledger, and a service that does with what is sent whatever `draw` says."""

    draw: Any
    config: Config
    retry_failed: bool = False

    def __post_init__(self) -> None:
        self.ledger = Ledger.in_memory()
        weakref.finalize(self, self.ledger.close)
        self.now = int(time.time())
        fields = {one.id: (one.name, one.schema) for one in self.config.fields}
        self.job_id = self.ledger.start_job(name="companies", config="", source="", fields=fields)
        self.open: list[int] = []  # submissions of one run each whose outcome is to come
        self.released: list[int] = []  # that may turn up late
        self.sent: dict[int, tuple[str, ...]] = {}

    def send(self, key: bytes, processor: str, field_ids: Sequence[str], generation: int = 0, age_s: int = 0) -> int:
        stamp = Stamp(float(self.now - age_s), 0.0, "boot")
        body = self.draw([b"body", b"body", b""]) if age_s else b"body"
        origin: Origin = "asked" if body else "recovered"
        tasks = ((key, generation),)
        intent = Intent(
            self.job_id, "g", processor, tuple(field_ids), price_micro(processor), body, stamp, tasks, origin
        )
        number = self.ledger.record_intent(intent)
        self.sent[number] = tuple(field_ids)
        return number

    def accept(self, number: int) -> None:
        self.ledger.record_accepted(number, [f"trun_{number}"], None)
        self.open.append(number)

    def release(self, number: int) -> None:
        """Taken for not made, and watched for."""
        self.ledger.record_unknown(number, Stamp(float(self.now), 0.0, "boot"), "")
        self.ledger.record_resolved(number)
        self.released.append(number)

    def turn_up(self, number: int) -> None:
        self.released.remove(number)
        self.ledger.record_adopted(number, {0: f"trun_{number}"})
        self.open.append(number)

    def end(self, number: int) -> None:
        """An outcome, as good and as old as it pleases the service."""
        if number in self.open:
            self.open.remove(number)
        run_id, names = f"trun_{number}", {one.id: one.name for one in self.config.fields}
        completed = self.draw([True, True, False])
        said = {
            names[field_id]: (self.draw(["x", None]), self.draw(["low", "high"]))
            for field_id in self.sent[number]
            if field_id in names
        }
        age_s = self.draw([0, HOUR, 13 * HOUR, 8 * DAY, 40 * DAY])
        raw = result(run_id, said) if completed else b"{}"
        self.ledger.record_outcomes(number, [Outcome(0, run_id, completed, raw, at=self.now - age_s)])

    def earlier(self) -> None:
        """Something that an earlier command sent, and what became of it so far."""
        draw = self.draw
        ids = [one.id for one in self.config.fields]
        field_ids = draw([ids, ids[:1], ids[1:], ["other-id"]])
        processor = draw(["lite", "core", "pro", "ultra"])
        age_s = draw([60, 2 * HOUR, 13 * HOUR, 8 * DAY, 40 * DAY])
        key = KEYS[0]  # the others are new
        held = [run for run in self.ledger.held([key]).get(key, ()) if run.processor == processor]
        number = self.send(key, processor, field_ids, len(held), age_s)
        match draw(["sent", "in flight", "ended", "ended", "released", "refused"]):
            case "in flight":
                self.accept(number)
            case "ended":
                self.accept(number)
                self.end(number)
            case "released":
                self.release(number)
            case "refused":
                self.ledger.record_refused(number, "no")
            case _:
                self.open.append(number)

    def command(self, documents: Sequence[bytes] = DOCUMENTS) -> tuple[Summary, Decimal]:
        """What a command found at its start, and what the runs cost that the service then made for it."""
        rules = Rules(
            ladder=ladder_of(self.config),
            refresh={one.id: self.config.refresh_for(one.name) for one in self.config.fields},
            price=price_micro,
            names=self.ledger.field_names(),
            now=self.now,
            last_submission=self.ledger.last_submission(),
            retry_failed=self.retry_failed,
            sent=self.ledger.sent_at(),
            watched=self.ledger.watched(),
        )
        comparison = Comparison(self.config, self.ledger, rules)
        with Worklist() as worklist:
            worklist.add([(input_key(document), document, 0b11) for document in documents])
            before = comparison.compare(worklist)
            made: list[int] = []
            while (summary := comparison.compare(worklist)).due or self.open:
                for number, question in enumerate(summary.questions):
                    for task in list(*worklist.batches(number, 1000)) if summary.due else ():
                        made += self._ask(task, question)
                self._settle()
                assert len(made) < 100, "a command without an end"
            return before, dollars(sum(made))

    def _ask(self, task: Task, question: Any) -> list[int]:
        number = self.send(task.input_key, question.processor, question.field_ids, task.generation)
        if self.draw([False, False, False, True]):
            self.release(number)  # never made, and asked again
            self.released.remove(number)
            return []
        self.accept(number)
        return [question.usd_micro]

    def _settle(self) -> None:
        """What is under way ends, or turns out never made; what seemed never made may turn up."""
        for number in list(self.released):
            if self.ledger.live_run(number, 0) is None and self.draw([True, False]):
                self.turn_up(number)
        for number in list(self.open):
            submission = self.ledger.submission(number)
            if submission.state == "sending" and self.draw([True, False]):
                self.open.remove(number)
                self.release(number)
            else:
                if submission.state == "sending":
                    self.ledger.record_unknown(number, Stamp(float(self.now), 0.0, "boot"), "")
                    self.ledger.record_adopted(number, {0: f"trun_{number}"})
                    self.ledger.record_resolved(number)
                self.end(number)


SEEDS = 600
LADDERS = [["core"], ["core", "pro"], ["core", "pro", "ultra"], ["pro"], ["pro", "ultra"]]
REFRESHES = ["never", "30d", "12h", {"answers": "never", "not_found": "never", "failed": "never"}]


def tell(seed: int) -> tuple[Summary, Decimal]:
    """The story of a seed: what a command said at its start, and what it came to."""
    draw = Random(seed).choice
    story = Story(draw, config(draw(LADDERS), draw(REFRESHES)), draw([True, False, False]))
    for _ in range(draw([1, 1, 2, 3, 4])):
        story.earlier()
    return story.command()


def test_whatever_is_answered_no_more_is_asked_than_was_said() -> None:
    wrong = {}
    for seed in range(SEEDS):
        before, spent = tell(seed)
        if not (spent <= before.usd_most() and before.usd_least() <= before.usd_expected() <= before.usd_most()):
            wrong[seed] = (spent, before.usd_least(), before.usd_expected(), before.usd_most())
    assert wrong == {}


# ---------------------------------------------------------------------- what may follow, case by case


def ended(story: Story, number: int, sure: str, age_s: int = 0) -> None:
    said = {"hq": ("Oslo", sure), "year": (1990, sure)}
    raw = result(f"trun_{number}", said)
    story.ledger.record_outcomes(number, [Outcome(0, f"trun_{number}", True, raw, at=story.now - age_s)])


def found(
    *,
    sent: str,
    processor: str = "core",
    age_s: int = 60,
    fields: int = 0b11,
    weak_before: bool = False,
    ladder: Sequence[str] = ("core", "pro"),
    refresh: Any = "never",
    retry_failed: bool = False,
) -> Summary:
    """What a command finds for one input of which a run was sent before."""
    story = Story(lambda choices: choices[0], config(ladder, refresh), retry_failed)
    ids = [one.id for i, one in enumerate(story.config.fields) if fields >> i & 1]
    if weak_before:
        before = story.send(KEYS[0], "core", ids)
        story.ledger.record_accepted(before, [f"trun_{before}"], None)
        ended(story, before, "low")
    number = story.send(KEYS[0], processor, ids, age_s=age_s)
    match sent:
        case "in flight":
            story.ledger.record_accepted(number, [f"trun_{number}"], None)
        case "late":
            story.release(number)
    return compared(story)


def compared(story: Story, document: bytes = DOCUMENTS[0]) -> Summary:
    rules = Rules(
        ladder=ladder_of(story.config),
        refresh={one.id: story.config.refresh_for(one.name) for one in story.config.fields},
        price=price_micro,
        names={},
        now=story.now,
        last_submission=story.ledger.last_submission(),
        retry_failed=story.retry_failed,
        sent=story.ledger.sent_at(),
        watched=story.ledger.watched(),
    )
    with Worklist() as worklist:
        worklist.add([(input_key(document), document, 0b11)])
        return Comparison(story.config, story.ledger, rules).compare(worklist)


@pytest.mark.parametrize(
    ("case", "outlook", "least", "expected", "most"),
    [
        pytest.param(
            {"sent": "in flight", "processor": "pro"}, None, "0", "0", "0", id="in flight at the top: nothing"
        ),
        pytest.param(
            {"sent": "in flight"}, Outlook("in flight", None, PRO), "0", "0.03", "0.1", id="in flight: it may go up"
        ),
        pytest.param(
            {"sent": "in flight", "ladder": ("core", "pro", "ultra")},
            Outlook("in flight", None, PRO),
            "0",
            "0.057",
            "0.4",
            id="in flight: up every rung",
        ),
        pytest.param(
            {"sent": "in flight", "age_s": 13 * HOUR},
            Outlook("in flight", CORE, PRO),
            "0",
            "0.03",
            "0.125",
            id="in flight for long: it may have failed so long ago that it is tried again",
        ),
        pytest.param(
            {"sent": "in flight", "retry_failed": True},
            Outlook("in flight", CORE, PRO),
            "0",
            "0.03",
            "0.125",
            id="in flight, and what fails is tried again",
        ),
        pytest.param(
            {"sent": "in flight", "processor": "pro", "weak_before": True, "age_s": 13 * HOUR},
            Outlook("in flight", PRO, None),
            "0",
            "0",
            "0.1",
            id="in flight on the second rung, after a weak answer",
        ),
        pytest.param(
            {"sent": "in flight", "refresh": "30s", "processor": "pro"},
            Outlook("in flight", CORE, None),
            "0",
            "0",
            "0.125",
            id="in flight for longer than an answer stands",
        ),
        pytest.param(
            {"sent": "unresolved"},
            Outlook("unresolved", CORE, PRO),
            "0",
            "0.055",
            "0.125",
            id="unresolved: asked again if it was not made",
        ),
        pytest.param({"sent": "late"}, None, "0.025", "0.055", "0.125", id="late: the very run that is due"),
        pytest.param(
            {"sent": "late", "fields": 0b01},
            Outlook("late", CORE, PRO),
            "0.025",
            "0.055",
            "0.25",
            id="late: some of what is due, the rest is asked without it",
        ),
    ],
)
def test_what_was_sent_before_may_cost_more(
    case: dict[str, Any], outlook: Outlook | None, least: str, expected: str, most: str
) -> None:
    summary = found(**case)
    assert dict(summary.outlooks) == ({} if outlook is None else {outlook: 1})
    usd = [summary.usd_least(), summary.usd_expected(), summary.usd_most()]
    assert usd == [Decimal(least), Decimal(expected), Decimal(most)]


def test_what_is_due_and_does_not_fit_beside_is_counted_too() -> None:
    story = Story(lambda choices: choices[0], config(refresh="30d", long=5_000))
    document = msgspec.json.encode({"company": "y" * 16_000})
    story_key = input_key(document)
    hq, _ = [one.id for one in story.config.fields]
    number = story.send(story_key, "core", [hq], age_s=40 * DAY)
    story.ledger.record_accepted(number, [f"trun_{number}"], None)
    ended(story, number, "high", age_s=40 * DAY)
    summary = compared(story, document)
    assert dict(summary.runs) == {"core": 1}
    assert dict(summary.outlooks) == {Outlook("apart", CORE, None): 1}
    assert summary.usd_most() == 2 * (CORE.usd_micro + PRO.usd_micro) * Decimal("1e-6")


def test_time_counts_every_rung_that_may_be_climbed() -> None:
    one_rung = compared(Story(lambda choices: choices[0], config(["core"])))
    ladder = compared(Story(lambda choices: choices[0], config(["core", "pro", "ultra"])))
    assert (one_rung.seconds(), ladder.seconds()) == (180, 180 + 360 + 900)


def test_no_run_ends_before_it_was_sent() -> None:
    story = Story(lambda choices: choices[0], config())
    number = story.send(KEYS[0], "core", [one.id for one in story.config.fields], age_s=60)
    story.ledger.record_accepted(number, [f"trun_{number}"], None)
    ended(story, number, "high", age_s=40 * DAY)
    ((run,),) = story.ledger.held([KEYS[0]]).values()
    assert run.at == story.now - 60


def test_of_what_recovery_found_the_service_says_when_it_ended() -> None:
    story = Story(lambda choices: choices[-1], config())  # the body of such a submission is not known
    number = story.send(KEYS[0], "core", [one.id for one in story.config.fields], age_s=60)
    story.ledger.record_accepted(number, [f"trun_{number}"], None)
    ended(story, number, "high", age_s=40 * DAY)
    ((run,),) = story.ledger.held([KEYS[0]]).values()
    assert run.at == story.now - 40 * DAY
