"""Sending a batch, effect by effect: the intent before the request, one request, and what each answer leads to."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import pytest

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
from enrich.protocol.effects import (
    AddRuns,
    AwaitTurn,
    CreateGroup,
    ListGroup,
    Now,
    RecordAccepted,
    RecordIntent,
    RecordNotCreated,
    RecordRefused,
    RecordResolved,
    RecordUnknown,
    Reload,
    Say,
    Settled,
    Sleep,
)
from enrich.protocol.replies import Added, ListedRun, Listing
from enrich.protocol.submit import batch_size, parts_of_invalid, submit, task_keys
from enrich.records import Intent, OpenSubmission, Question, Stamp, Task, TaskBatch

PRICE = 25_000
QUESTION = Question("core", PRICE, ("f2", "f1"), {})
ZERO, ONE = TASKS = tuple(Task(bytes([n]) * 16, b"%d" % n, generation=n) for n in range(2))


def render(question: Question, tasks: Sequence[Task], keys: Sequence[str]) -> bytes:
    return b"[%b]" % b",".join(task.document for task in tasks)


BODY = b"[0,1]"


def stamp(now: float) -> Stamp:
    return Stamp(now, now, "boot")


def intent(now: float, group: str = "g1") -> Intent:
    body_hash = blake2b(BODY, digest_size=16).digest()
    tasks = ((ZERO.input_key, 0), (ONE.input_key, 1))
    return Intent(3, group, "core", ("f2", "f1"), PRICE, body_hash, stamp(now), tasks)


EMPTY = Listing(0, 0, ())
UNKNOWN = OpenSubmission(7, "g1", "unknown", False, "core", (), PRICE, stamp(4), None, frozenset(), states=[])


def sent(
    answers: Iterable[Any], batch: TaskBatch | None = None, *, give_up: bool = False, listings: Iterable[Any] = ()
) -> tuple[list[Any], Any]:
    """What is done, each second one thing, and what comes of it: what is returned or raised, or that it goes on to
    resolve what became of the request, which it does when there are no more listings. Groups, POSTs and listings are
    answered in turn.
    """
    looks = iter(listings)
    script = submit(batch or TaskBatch(3, "job", QUESTION, TASKS), TASKS, render=render, give_up=give_up)
    replies = iter(answers)
    done: list[Any] = []
    result: Any = None
    while True:
        try:
            effect = script.throw(result) if isinstance(result, ApiError) else script.send(result)
        except StopIteration as end:
            return done, end.value
        except ApiError as error:
            return done, error
        result = None
        match effect:
            case Now():
                result = stamp(len(done))
                continue
            case CreateGroup() | AddRuns():
                result = next(replies)
            case RecordIntent():
                result = 7
            case Reload():
                result = UNKNOWN if isinstance(done[-1], Settled) and done[-1].why in ("rate", "credit") else "reloaded"
            case ListGroup():
                if (result := next(looks, None)) is None:
                    return done, "resolving"
        done.append(effect)
        if effect == Reload(7) and isinstance(done[-2], Say):
            result = UNKNOWN


BEFORE = [CreateGroup({"enrich_job": "job"}), RecordIntent(intent(1)), AddRuns("g1", BODY)]


def test_an_answer_that_names_every_run_is_written_down_and_settles_the_pace() -> None:
    done, result = sent(["g1", Added(("r1", "r2"), "c1")])
    assert done == [*BEFORE, RecordAccepted(7, ("r1", "r2"), "c1"), Settled(PRICE, tried=len(TASKS), why="accepted")]
    assert result == OpenSubmission.accepted(7, intent(1), task_keys(QUESTION, TASKS), ("r1", "r2"), "c1")


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        pytest.param(UnknownOutcomeError("no answer came"), "no answer came", id="no answer"),
        pytest.param(Added(("r1",), None), "the answer names 1 runs, 2 were sent", id="fewer runs"),
        pytest.param(Added(("r1", "r1"), None), "the answer names 1 runs, 2 were sent", id="one run twice"),
        pytest.param(Added(("r1", "r2", "r2"), None), "the answer names 2 runs, 2 were sent", id="one run too many"),
        pytest.param(Added(("r1", "r2", "r3"), None), "the answer names 3 runs, 2 were sent", id="more runs"),
    ],
)
def test_what_has_no_clear_answer_is_written_down_as_of_then_and_resolved(answer: Any, detail: str) -> None:
    done, result = sent(["g1", answer])
    assert done == [
        *BEFORE,
        RecordUnknown(7, stamp(3), detail),
        Settled(PRICE, tried=2, why="unknown"),
        Say(f"a request for 2 runs has no clear answer ({detail}); its group is asked what became of it"),
        Reload(7),
    ]
    assert result == "resolving"


@pytest.mark.parametrize(
    ("error", "pace"),
    [
        pytest.param(NotSentError("no connection"), {"why": "unsent"}, id="never sent"),
        pytest.param(NotFoundError("no such group", status=404), {"why": "unknown"}, id="no such group"),
    ],
)
def test_what_created_nothing_for_a_reason_that_passes_is_to_be_sent_again(
    error: ApiError, pace: dict[str, Any]
) -> None:
    done, result = sent(["g1", error])
    assert done == [
        *BEFORE,
        RecordNotCreated(7, str(error)),
        Settled(PRICE, freed=2, tried=2, said=str(error), **pace),
        Say(f"no runs could be added ({error}); trying again"),
    ]
    assert result == [TASKS]


REFUSALS = [
    pytest.param(
        RateLimitedError("slow down", status=429, retry_after_s=9.0), {"why": "rate", "retry_after_s": 9.0}, id="quota"
    ),
    pytest.param(CreditError("none left", status=402), {"why": "credit"}, id="credit"),
]


@pytest.mark.parametrize(("error", "pace"), REFUSALS)
def test_a_refusal_by_quota_or_credit_is_believed_after_two_looks(error: ApiError, pace: dict[str, Any]) -> None:
    done, result = sent(["g1", error], listings=[EMPTY, EMPTY])
    assert done == [
        *BEFORE,
        RecordUnknown(7, stamp(3), str(error), doubted=True),
        Settled(PRICE, tried=2, said=str(error), **pace),
        Reload(7),
        Sleep(30.0),
        ListGroup("g1"),
        Sleep(1.0),
        ListGroup("g1"),
        RecordResolved(7),
        Settled(PRICE, freed=2, why="believed"),
    ]
    assert result == [TASKS]


@pytest.mark.parametrize(("error", "pace"), REFUSALS)
@pytest.mark.parametrize(
    "listings",
    [
        pytest.param([Listing(1, 1, (ListedRun("r1", None),))], id="a run"),
        pytest.param([EMPTY, Listing(1, 1, (ListedRun("r1", None),))], id="a run at the second look"),
        pytest.param([Listing(1, 1, ())], id="a count"),
        pytest.param([Listing(0, 1, ())], id="a count that grows"),
        pytest.param([UnavailableError("busy", status=503)], id="no listing"),
    ],
)
def test_a_refusal_that_may_have_taken_effect_is_resolved(
    error: ApiError, pace: dict[str, Any], listings: list[Any]
) -> None:
    done, result = sent(["g1", error], listings=listings)
    assert result == "resolving"
    assert RecordResolved(7) not in done


@pytest.mark.parametrize("kind", [UnauthorizedError, ForbiddenError])
def test_a_refused_key_frees_the_money_and_ends_the_sending(kind: type[ApiError]) -> None:
    error = kind("no", status=401)
    done, result = sent(["g1", error])
    assert done == [*BEFORE, RecordNotCreated(7, "no"), Settled(PRICE, freed=2, tried=2, why="unknown", said="no")]
    assert result is error


def test_of_invalid_inputs_each_half_is_to_be_sent() -> None:
    done, result = sent(["g1", InvalidError("bad", status=422)])
    assert done == [*BEFORE, RecordNotCreated(7, "bad"), Settled(PRICE, freed=2, tried=2, why="refused", said="bad")]
    assert result == [(ZERO,), (ONE,)]


def test_what_is_given_up_is_refused_for_good() -> None:
    done, result = sent(["g1", InvalidError("bad", status=422)], give_up=True)
    assert done == [
        *BEFORE,
        RecordRefused(7, "bad"),
        Settled(PRICE, freed=2, tried=2, why="refused", said="bad"),
        Reload(7),
    ]
    assert result == "reloaded"


def test_only_what_is_invalid_can_be_given_up() -> None:
    _, result = sent(["g1", NotSentError("no connection")], give_up=True)
    assert result == [TASKS]


@pytest.mark.parametrize(
    ("error", "pace"),
    [
        pytest.param(UnavailableError("busy", status=503), {"why": "unsent", "retry_after_s": None}, id="busy"),
        pytest.param(
            RateLimitedError("slow", status=429, retry_after_s=5.0), {"why": "rate", "retry_after_s": 5.0}, id="rate"
        ),
        pytest.param(NotSentError("no connection"), {"why": "unsent"}, id="no connection"),
    ],
)
def test_a_group_is_made_again_in_its_turn(error: ApiError, pace: dict[str, Any]) -> None:
    done, _ = sent([error, "g1", Added(("r1", "r2"), None)])
    assert done[:5] == [
        CreateGroup({"enrich_job": "job"}),
        Settled(PRICE, said=str(error), **pace),
        Say(f"no group could be made ({error}); trying again"),
        AwaitTurn(0, PRICE),
        CreateGroup({"enrich_job": "job"}),
    ]
    assert isinstance(done[-1], Settled)


def test_a_group_that_is_refused_for_good_ends_the_sending() -> None:
    error = ForbiddenError("not yours", status=403)
    assert sent([error]) == ([CreateGroup({"enrich_job": "job"})], error)


@pytest.mark.parametrize(
    ("age_s", "kept"), [pytest.param(60.0, True, id="just made"), pytest.param(61.0, False, id="long known")]
)
def test_a_young_group_that_is_not_known_is_used_again(age_s: float, *, kept: bool) -> None:
    group = "g0", Stamp(-age_s, -age_s, "boot")
    batch = TaskBatch(3, "job", QUESTION, TASKS, group)
    done, _ = sent([NotFoundError("no such group", status=404)], batch)
    assert done[:2] == [RecordIntent(intent(0, "g0")), AddRuns("g0", BODY)]
    assert batch.group == (group if kept else None)


def test_a_group_is_used_once() -> None:
    batch = TaskBatch(3, "job", QUESTION, TASKS, ("g0", stamp(0)))
    sent([CreditError("none left", status=402)], batch)
    assert batch.group is None


def test_a_long_name_of_a_job_is_cut_for_the_service() -> None:
    done, _ = sent(["g1", Added(("r1", "r2"), None)], TaskBatch(3, "x" * 600, QUESTION, TASKS))
    assert done[0] == CreateGroup({"enrich_job": "x" * 512})


@pytest.mark.parametrize(
    ("usd_micro", "size"),
    [(1, 1000), (5_000, 1000), (5_001, 999), (25_000, 200), (5_000_000, 1), (5_000_001, 1), (9_000_000, 1)],
)
def test_a_batch_holds_no_more_than_five_dollars(usd_micro: int, size: int) -> None:
    assert batch_size(usd_micro) == size


def refused(*places: Any) -> InvalidError:
    return InvalidError("bad", status=422, detail=[{"loc": place} for place in places])


@pytest.mark.parametrize(
    ("detail", "parts"),
    [
        pytest.param([{"loc": ["inputs", 0]}], [(1, 2, 3, 4), (0,)], id="the first"),
        pytest.param([{"loc": ["inputs", 4]}, {"loc": ["inputs", 2]}], [(0, 1, 3), (2,), (4,)], id="two, in order"),
        pytest.param([{"loc": ["inputs", 5]}], [(0, 1), (2, 3, 4)], id="none that was sent"),
        pytest.param([{"loc": ["inputs", -1]}], [(0, 1), (2, 3, 4)], id="below the first"),
        pytest.param([{"loc": ["inputs", True]}], [(0, 1), (2, 3, 4)], id="no number"),
        pytest.param([{"loc": ["inputs"]}], [(0, 1), (2, 3, 4)], id="all of them"),
        pytest.param([{"loc": ["output", 1]}], [(0, 1), (2, 3, 4)], id="another place"),
        pytest.param([{"loc": "inputs"}, 3, None], [(0, 1), (2, 3, 4)], id="odd"),
        pytest.param({"loc": ["inputs", 0]}, [(0, 1), (2, 3, 4)], id="no list"),
        pytest.param([{"loc": ["inputs", n]} for n in range(5)], [(0, 1), (2, 3, 4)], id="every one"),
    ],
)
def test_what_is_sent_instead_of_invalid_inputs(detail: Any, parts: list[tuple[int, ...]]) -> None:
    tasks = [Task(bytes([n]) * 16, b"%d" % n) for n in range(5)]
    error = InvalidError("bad", status=422, detail=detail)
    assert parts_of_invalid(tasks, error) == [tuple(tasks[n] for n in part) for part in parts]


def test_one_that_is_invalid_by_itself_is_not_sent_again() -> None:
    assert parts_of_invalid([ZERO], refused(["inputs", 0])) == []


def test_what_builds_on_an_earlier_interaction_is_first_tried_without() -> None:
    error = refused(["inputs", 0])
    before = Task(ONE.input_key, b"1", 1, previous="i_1")
    assert parts_of_invalid([ZERO, before], error) == [(ZERO, ONE)]
    assert parts_of_invalid([before], error) == [(ONE,)]
