"""What is due: every reason a question is asked, and every reason it is not, from one comparison."""

from datetime import timedelta

import pytest

from enrich.answers import Answer
from enrich.config import Refresh
from enrich.ledger import Held, RunState
from enrich.planning import Ask, Rules, Rung, ask_for
from enrich.spec import Field

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
    ],
)
def test_a_plan_asks_for_what_is_missing_stale_or_too_weak(runs, verdicts, options, expected) -> None:
    assert said(asked(runs, verdicts, **options)) == expected


def test_results_are_not_read_where_their_words_make_no_difference() -> None:
    def never(run: Held) -> dict[str, Answer]:
        raise AssertionError("decompressed for nothing")

    rules = Rules((CORE,), {"hq-1": Refresh(), "year-1": Refresh()}, PRICES.__getitem__, {}, NOW)
    assert ask_for((HQ, YEAR), [held()], never, rules) is None


def test_an_escalation_names_the_weaker_attempt() -> None:
    ask = asked([held(1)], {1: {"hq-1": "review"}}, ladder=(CORE, PRO))
    assert ask is not None
    assert ask.weaker is not None
    assert ask.weaker.submission_id == 1
