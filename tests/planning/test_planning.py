"""What is due: every reason a question is asked, and every reason it is not, from one comparison."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.answers.answer import Answer
from enrich.config import Refresh
from enrich.config.loading import parse
from enrich.host.clock import SYSTEM
from enrich.ledger.store import Ledger
from enrich.ledger.worklist import Worklist
from enrich.planning.comparison import Comparison
from enrich.planning.costs import ladder_of
from enrich.planning.due import Ask, ask_for
from enrich.planning.rules import Rules, Rung
from enrich.records import Held, Intent, Outcome, RunState
from enrich.spec import Field
from enrich.spec.identity import input_key
from enrich.spec.money import price_micro

NOW = 1_800_000_000
DAY = 86_400
HQ = Field("hq", {"type": "string"}, "hq-1", nullable=False)
YEAR = Field("year", {"type": ["integer", "null"]}, "year-1", nullable=True)
CORE, PRO = Rung("core", 25_000), Rung("pro", 100_000)
PRICES = {"core": 25_000, "core-fast": 25_000, "pro": 100_000, "lite": 5_000}


def held(
    n: int = 1,
    *,
    fields: tuple[str, ...] = ("hq-1", "year-1"),
    state: RunState = RunState.COMPLETED,
    processor: str = "core",
    age_days: float = 1,
    generation: int = 0,
) -> Held:
    at = None if state in (RunState.SENT, RunState.ACCEPTED) else int(NOW - age_days * DAY)
    block = 1 if state is RunState.COMPLETED else None
    return Held(n, 0, generation, state, frozenset(fields), processor, f"trun_{n}", at, block, 0, None)


def answer(verdict: str = "accept") -> Answer:
    return Answer("x", "high", "", "[]", verdict, "", strong=verdict == "accept")


def asked(
    runs: list[Held],
    verdicts: dict[int, dict[str, str]] | None = None,
    *,
    wanted: tuple[Field, ...] = (HQ, YEAR),
    ladder: tuple[Rung, ...] = (CORE,),
    refresh: Refresh | None = None,
    retry_failed: bool = False,
    last_submission: int = 99,
) -> Ask | None:
    def read(run: Held) -> dict[str, Answer]:
        said = (verdicts or {}).get(run.submission_id, {})
        return {field_id: answer(said.get(field_id, "accept")) for field_id in run.field_ids}

    rules = Rules(
        ladder=ladder,
        refresh={"hq-1": refresh or Refresh(), "year-1": refresh or Refresh()},
        price=lambda name: PRICES.get(name, 0),
        names={"hq-1": "hq", "hq-0": "hq", "year-1": "year"},
        now=NOW,
        last_submission=last_submission,
        retry_failed=retry_failed,
    )
    return ask_for(wanted, runs, read, rules)


def said(ask: Ask | None) -> tuple[str, tuple[str, ...], int, dict[str, int]] | None:
    return None if ask is None else (ask.rung.processor, ask.field_ids, ask.generation, dict(ask.why))


MONTH = Refresh(answers=timedelta(days=30))


@pytest.mark.parametrize(
    ("runs", "verdicts", "options", "expected"),
    [
        pytest.param([], {}, {}, ("core", ("hq-1", "year-1"), 0, {"missing": 2}), id="first run: all missing"),
        pytest.param([held()], {}, {}, None, id="rerun: nothing"),
        pytest.param(
            [held(fields=("hq-1",))], {}, {}, ("core", ("year-1",), 0, {"missing": 1}), id="a field was added"
        ),
        pytest.param(
            [held(fields=("hq-0", "year-1"))], {}, {}, ("core", ("hq-1",), 0, {"changed": 1}), id="a prompt changed"
        ),
        pytest.param([held(state=RunState.SENT)], {}, {}, None, id="sent, unknown: waited for"),
        pytest.param([held(state=RunState.ACCEPTED)], {}, {}, None, id="in flight: waited for"),
        pytest.param(
            [held(state=RunState.RELEASED)],
            {},
            {},
            ("core", ("hq-1", "year-1"), 0, {"missing": 2}),
            id="released: the same task again",
        ),
        pytest.param(
            [held(age_days=31)],
            {},
            {"refresh": MONTH},
            ("core", ("hq-1", "year-1"), 1, {"stale": 2}),
            id="stale: a new generation",
        ),
        pytest.param([held(age_days=29)], {}, {"refresh": MONTH}, None, id="not stale yet"),
        pytest.param(
            [held(age_days=8)],
            {1: {"year-1": "not_found"}},
            {"refresh": MONTH},
            ("core", ("year-1",), 0, {"stale": 1}),
            id="no source said so: its own, shorter refresh",
        ),
        pytest.param([held(state=RunState.FAILED, age_days=0.1)], {}, {}, None, id="failed just now: stands"),
        pytest.param(
            [held(state=RunState.FAILED, age_days=0.6)],
            {},
            {},
            ("core", ("hq-1", "year-1"), 1, {"failed before": 2}),
            id="failed last night: asked again",
        ),
        pytest.param(
            [held(state=RunState.FAILED, age_days=999)],
            {},
            {"refresh": Refresh(failed=None)},
            None,
            id="failed, never asked again",
        ),
        pytest.param(
            [held(state=RunState.FAILED, age_days=0.1)],
            {},
            {"retry_failed": True},
            ("core", ("hq-1", "year-1"), 1, {"failed before": 2}),
            id="failed just now, asked for",
        ),
        pytest.param([held(state=RunState.REFUSED, age_days=0.1)], {}, {}, None, id="refused just now: stands"),
        pytest.param([held()], {1: {"hq-1": "review"}}, {}, None, id="weak on the only rung"),
        pytest.param(
            [held()],
            {1: {"hq-1": "review"}},
            {"ladder": (CORE, PRO)},
            ("pro", ("hq-1",), 0, {"too weak": 1}),
            id="weak: next rung, that field alone",
        ),
        pytest.param(
            [held(), held(2, fields=("hq-1",), processor="pro")],
            {1: {"hq-1": "review"}, 2: {"hq-1": "review"}},
            {"ladder": (CORE, PRO)},
            None,
            id="weak on every rung",
        ),
        pytest.param(
            [held(), held(2, fields=("hq-1",), processor="pro", state=RunState.ACCEPTED)],
            {1: {"hq-1": "review"}},
            {"ladder": (CORE, PRO)},
            None,
            id="the next rung is in flight",
        ),
        pytest.param(
            [held(), held(2, fields=("hq-1",), processor="pro", state=RunState.FAILED, age_days=0.1)],
            {1: {"hq-1": "review"}},
            {"ladder": (CORE, PRO)},
            None,
            id="the next rung just failed",
        ),
        pytest.param(
            [held(fields=("hq-1",))],
            {1: {"hq-1": "withhold"}},
            {"ladder": (CORE, PRO)},
            ("pro", ("hq-1", "year-1"), 0, {"missing": 1, "too weak": 1}),
            id="missing and weak travel together, on the higher rung",
        ),
        pytest.param(
            [held(processor="lite")],
            {1: {"hq-1": "review"}},
            {"ladder": (CORE,)},
            ("core", ("hq-1",), 0, {"too weak": 1}),
            id="another processor in the config: only the weak are asked again",
        ),
        pytest.param(
            [held(processor="core-fast")],
            {1: {"hq-1": "review"}},
            {"ladder": (CORE, PRO)},
            ("pro", ("hq-1",), 0, {"too weak": 1}),
            id="a rung of the same price counts as tried",
        ),
        pytest.param(
            [held(1, age_days=40), held(2, age_days=1)],
            {1: {}, 2: {"hq-1": "review"}},
            {"refresh": MONTH},
            None,
            id="stale certainty and fresh doubt on the only rung: not asked every night",
        ),
        pytest.param(
            [held(1, age_days=20), held(2, age_days=1)],
            {2: {"hq-1": "review"}},
            {"refresh": MONTH, "ladder": (CORE, PRO)},
            None,
            id="an older strong answer still stands: doubt is not escalated",
        ),
        pytest.param(
            [held(1, age_days=40), held(2, age_days=31)],
            {},
            {"refresh": MONTH, "last_submission": 1},
            None,
            id="an answer of this command is not stale, whatever its time",
        ),
        pytest.param(
            [held(1, age_days=31)],
            {1: {"hq-1": "review"}},
            {"refresh": MONTH, "ladder": (CORE, PRO), "last_submission": 0},
            ("pro", ("hq-1",), 0, {"too weak": 1}),
            id="nor is a weak one: it goes up a rung",
        ),
        pytest.param(
            [held(1, state=RunState.FAILED, age_days=40), held(2, state=RunState.FAILED, age_days=31)],
            {},
            {"retry_failed": True, "last_submission": 1},
            None,
            id="a failure of this command stands, whatever its time",
        ),
    ],
)
def test_a_plan_asks_for_what_is_missing_stale_or_too_weak(runs, verdicts, options, expected) -> None:
    assert said(asked(runs, verdicts, **options)) == expected


def test_results_are_not_read_where_their_words_make_no_difference() -> None:
    def never(run: Held) -> dict[str, Answer]:
        raise AssertionError("decompressed for nothing")

    rules = Rules((CORE,), {"hq-1": Refresh(), "year-1": Refresh()}, PRICES.__getitem__, {}, NOW, 99)
    assert ask_for((HQ, YEAR), [held()], never, rules) is None


def test_an_escalation_names_the_weaker_attempt() -> None:
    ask = asked([held(1)], {1: {"hq-1": "review"}}, ladder=(CORE, PRO))
    assert ask is not None
    assert ask.weaker is not None
    assert ask.weaker.submission_id == 1


# ---------------------------------------------------------------------- one command, pass after pass

ENDS = [RunState.COMPLETED, RunState.FAILED, RunState.REFUSED]
VERDICTS = ["accept", "review", "withhold", "not_found", "invalid"]
FIELDS = [("hq-1",), ("year-1",), ("hq-1", "year-1")]
AGES_DAYS = [-400, 0, 0.3, 8, 400]  # by whatever clock


@given(data=st.data(), retry_failed=st.booleans(), refresh=st.sampled_from([Refresh(), MONTH]))
def test_one_command_asks_for_an_answer_at_most_once_on_each_rung(data, retry_failed, refresh) -> None:
    known: list[Held] = []
    verdicts: dict[int, dict[str, str]] = {}

    def end(fields: tuple[str, ...], processor: str, generation: int) -> None:
        number, state, age = len(known) + 1, data.draw(st.sampled_from(ENDS)), data.draw(st.sampled_from(AGES_DAYS))
        run = held(number, fields=fields, state=state, processor=processor, age_days=age, generation=generation)
        known.append(run)
        verdicts[number] = {field_id: data.draw(st.sampled_from(VERDICTS)) for field_id in fields}

    for generation in range(data.draw(st.integers(0, 4))):
        end(data.draw(st.sampled_from(FIELDS)), data.draw(st.sampled_from([*PRICES, "gone"])), generation)
    options = {"ladder": (Rung("lite", 5_000), CORE, PRO), "refresh": refresh, "retry_failed": retry_failed}
    times: Counter[tuple[str, str]] = Counter()
    last_submission = len(known)
    while ask := asked(known, verdicts, **options, last_submission=last_submission):
        times.update((field_id, ask.rung.processor) for field_id in ask.field_ids)
        assert set(times.values()) == {1}
        end(ask.field_ids, ask.rung.processor, ask.generation)


def a_result(content: object, confidence: str | None = "high") -> Callable[[str], bytes]:
    basis = [{"field": "hq", "reasoning": "", "citations": [], "confidence": confidence}]

    def raw(run_id: str) -> bytes:
        return msgspec.json.encode({"run": {"run_id": run_id}, "output": {"content": content, "basis": basis}})

    return raw


LOOKED_UP = parse(
    {
        "name": "companies",
        "inputs": {"company": "name"},
        "outputs": {"hq": {"type": ["string", "null"], "description": "City."}},
        "processor": ["core", "pro"],
        "refresh": "12h",
    }
)


def command(
    ledger: Ledger, companies: int, result: Callable[[str], bytes] | None, *, behind_s: int, retry_failed: bool = False
) -> list[tuple[str, int]]:
    """What one command asks of a service whose clock is behind, pass after pass: processors, and runs of each.

    Without a `result` all runs fail. After nine passes the command is stopped.
    """
    now = SYSTEM.stamp()
    rules = Rules(
        ladder=ladder_of(LOOKED_UP),
        refresh={one.id: LOOKED_UP.refresh_for(one.name) for one in LOOKED_UP.fields},
        price=price_micro,
        names={},
        now=int(now.wall),
        last_submission=ledger.last_submission(),
        retry_failed=retry_failed,
    )
    comparison = Comparison(LOOKED_UP, ledger, rules)
    job_id = ledger.start_job(name="companies", config="", source="", fields={})
    documents = [b'{"company":"Acme %d"}' % n for n in range(companies)]
    passes: list[tuple[str, int]] = []
    with Worklist() as worklist:
        worklist.add([(input_key(document), document, 1) for document in documents])
        while len(passes) < 9 and (summary := comparison.compare(worklist)).due:
            (question,) = summary.questions
            (tasks,) = worklist.batches(0, companies)
            asked = tuple((task.input_key, task.generation) for task in tasks)
            passes.append((question.processor, len(asked)))
            intent = Intent(
                *(job_id, "tgrp_1", question.processor, question.field_ids, question.usd_micro, b"", now, asked),
                origin="recovered",  # only the service says when its runs ended
            )
            submission_id = ledger.record_intent(intent)
            run_ids = [f"trun_{submission_id}_{n}" for n in range(len(asked))]
            ledger.record_accepted(submission_id, run_ids, None)
            at = int(now.wall) - behind_s
            ended = (
                Outcome(n, run_id, result is not None, (result or str.encode)(run_id), at=at)
                for n, run_id in enumerate(run_ids)
            )
            ledger.record_outcomes(submission_id, list(ended))
    return passes


@pytest.mark.parametrize("behind_s", [0, DAY])
@pytest.mark.parametrize("retry_failed", [False, True])
@pytest.mark.parametrize(
    ("result", "rungs"),
    [
        pytest.param(a_result({"hq": "Oslo"}), ["core"], id="sure"),
        pytest.param(a_result({"hq": "Oslo"}, "low"), ["core", "pro"], id="unsure"),
        pytest.param(a_result({"hq": "Oslo"}, None), ["core", "pro"], id="no confidence"),
        pytest.param(a_result({"hq": "Oslo"}, "7"), ["core", "pro"], id="no such confidence"),
        pytest.param(a_result({"hq": None}), ["core"], id="surely not found"),
        pytest.param(a_result({"hq": " "}, "low"), ["core", "pro"], id="perhaps not found"),
        pytest.param(a_result({"hq": 7}), ["core", "pro"], id="does not fit its schema"),
        pytest.param(a_result({}), ["core", "pro"], id="not answered"),
        pytest.param(a_result("Oslo, I think"), ["core", "pro"], id="a text"),
        pytest.param(a_result(None), ["core", "pro"], id="no content"),
        pytest.param(lambda run_id: b'{"run": {"run_id": "%b"}}' % run_id.encode(), ["core", "pro"], id="no output"),
        pytest.param(lambda run_id: b'"%b' % run_id.encode(), ["core", "pro"], id="no JSON"),
        pytest.param(None, ["core"], id="failed"),
    ],
)
def test_whatever_is_answered_a_command_ends_at_the_top_of_the_ladder(
    ledger_in_memory: Ledger,
    result: Callable[[str], bytes] | None,
    rungs: list[str],
    behind_s: int,
    retry_failed: bool,
) -> None:
    passes = command(ledger_in_memory, 3, result, behind_s=behind_s, retry_failed=retry_failed)
    assert passes == [(processor, 3) for processor in rungs]


def test_a_failure_of_this_command_is_not_taken_for_one_before_it_of_the_same_time(ledger_in_memory: Ledger) -> None:
    ledger = ledger_in_memory
    assert command(ledger, 1, None, behind_s=DAY) == [("core", 1)]
    assert command(ledger, 2, None, behind_s=DAY) == [("core", 2)]


def test_a_stronger_run_builds_on_the_newest_answer_not_on_the_newest_submission() -> None:
    verdicts = {1: {"hq-1": "review"}, 2: {"hq-1": "review"}}
    ask = asked([held(1, age_days=1), held(2, age_days=2)], verdicts, ladder=(CORE, PRO))
    assert ask is not None
    assert ask.weaker is not None
    assert ask.weaker.submission_id == 1
