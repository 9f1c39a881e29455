"""What is POSTed for a batch, also where some of its inputs are invalid; and when a task whose POST has an unknown
outcome is free again: never before it is certain that nothing was made.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.api.errors import InvalidError, NotFoundError
from enrich.backends.bodies import render_body
from enrich.backends.metadata import TASK, run_metadata
from enrich.protocol.course import see_through
from enrich.protocol.effects import (
    AddRuns,
    AwaitTurn,
    CreateGroup,
    FetchRun,
    FollowEvents,
    ListGroup,
    Now,
    ReadRuns,
    RecordAdopted,
    RecordIntent,
    RecordRefused,
    RecordResolved,
    Reload,
    Settled,
    Sleep,
)
from enrich.protocol.replies import Added, Followed, ListedRun, Listing, ReadRun, RunsRead, Sightings, is_complete
from enrich.protocol.resolve import resolve
from enrich.protocol.submit import parts_of_invalid, submit, task_keys
from enrich.records import OpenSubmission, Question, RunState, Stamp, Task, TaskBatch
from enrich.spec.identity import fieldset_key, input_key

SETTLE_S = 900.0


def listing(*run_ids: str, before: int | None = None, after: int | None = None) -> Listing:
    """A listing of a group's runs; its tasks have the names of its runs."""
    counts = (len(run_ids) if count is None else count for count in (before, after))
    return Listing(*counts, tuple(ListedRun(run_id, run_id) for run_id in run_ids))


def unknown(*tasks: str) -> OpenSubmission:
    """A submission whose POST had no answer, at second 0."""
    return OpenSubmission(
        1, "g1", "unknown", False, "core", ("f",), 25_000, Stamp(0, 0, "boot"), None, frozenset(),
        tasks={task: n for n, task in enumerate(tasks)}, states=[RunState.SENT] * len(tasks),
    )  # fmt: skip


def resolve_with(
    submission: OpenSubmission, listed_at: Callable[[float], Listing], answers_after_s: Callable[[float], float]
) -> tuple[float, list[str], int]:
    """(when it was resolved, which runs were adopted, how many tasks are free again). A run itself tells its task."""
    protocol: Generator[Any, Any, Any] = resolve(submission, settle_s=SETTLE_S)
    now, adopted, freed, resolved_at, result = 0.0, list[str](), 0, 0.0, None
    while True:
        try:
            effect = protocol.send(result)
        except StopIteration:
            return resolved_at, adopted, freed
        result = None
        match effect:
            case Now():
                result = Stamp(now, now, "boot")
            case Sleep(seconds):
                now += seconds
            case ListGroup():
                result = listed_at(now)
                now += answers_after_s(now)
            case FetchRun(run_id):
                result = ReadRun(run_id, run_id, "running", b"", has_output=False, error=None)
            case RecordAdopted(runs=runs):
                adopted.extend(runs.values())
            case RecordResolved():
                resolved_at = now
            case Settled():
                freed += effect.freed


def soon(_: float) -> float:
    return 0.1


@pytest.mark.parametrize(
    ("shown", "known", "complete"),
    [
        pytest.param(listing(), 0, True, id="an empty group"),
        pytest.param(listing("a", "b"), 0, True, id="as many as were counted"),
        pytest.param(listing("a", before=2, after=2), 0, False, id="cut with a clean end"),
        pytest.param(listing("a", before=0), 0, False, id="landed between the counts"),
        pytest.param(listing("a", after=0), 0, False, id="counted by an old replica"),
        pytest.param(listing("a", "a"), 0, False, id="one run twice is one run"),
        pytest.param(listing("a"), 2, False, id="there were more before: an old replica"),
    ],
)
def test_a_listing_is_complete_only_if_every_count_says_so(shown: Listing, known: int, *, complete: bool) -> None:
    assert is_complete(shown, Sightings(most=known)) is complete


def test_tasks_are_free_after_two_listings_that_both_come_after_settling() -> None:
    resolved_at, adopted, freed = resolve_with(unknown("a", "b"), lambda now: listing(), soon)
    assert SETTLE_S + 30 <= resolved_at < SETTLE_S + 65
    assert (adopted, freed) == ([], 2)


def test_what_is_listed_is_adopted_at_once() -> None:
    resolved_at, adopted, freed = resolve_with(unknown("a", "b"), lambda now: listing("a", "b"), soon)
    assert resolved_at < 1
    assert (adopted, freed) == (["a", "b"], 0)


def test_a_run_that_is_listed_without_its_key_is_adopted_when_the_run_itself_tells_it() -> None:
    nameless = tuple(ListedRun(run_id, None) for run_id in ("a", "b", "another's"))
    resolved_at, adopted, freed = resolve_with(unknown("a", "b"), lambda now: Listing(3, 3, nameless), soon)
    assert resolved_at < 1
    assert (adopted, freed) == (["a", "b"], 0)


@pytest.mark.parametrize("old_at", [900, 930, 960])
def test_one_old_replica_frees_nothing(old_at: int) -> None:
    """It landed at the last moment, and the first listing after settling does not show it."""
    _, adopted, freed = resolve_with(
        unknown("a"), lambda now: listing("a") if now >= 899 and not old_at <= now < old_at + 25 else listing(), soon
    )
    assert (adopted, freed) == (["a"], 0)


def test_listings_cut_short_between_two_that_agree_change_nothing() -> None:
    """A service that cuts two listings of three is believed after some minutes, not never."""
    count = 0

    def listed_at(now: float) -> Listing:
        nonlocal count
        count += now > SETTLE_S
        return listing("a") if count % 3 == 1 else listing(before=1, after=1)

    resolved_at, adopted, freed = resolve_with(unknown("a", "b"), listed_at, soon)
    assert SETTLE_S + 90 <= resolved_at < SETTLE_S + 150
    assert (adopted, freed) == (["a"], 1)


def test_a_listing_cut_short_that_shows_more_than_the_complete_one_before_it_is_believed() -> None:
    landed = listing("a", "b", before=3, after=3)  # of three runs

    def listed_at(now: float) -> Listing:
        return listing("a") if now < SETTLE_S + 20 else landed if now < SETTLE_S + 50 else listing("a", "b", "c")

    _, adopted, freed = resolve_with(unknown("a", "b", "c"), listed_at, soon)
    assert (adopted, freed) == (["a", "b", "c"], 0)


def test_a_listing_that_waited_for_a_stopped_process_proves_only_what_was_when_it_was_asked_for() -> None:
    """Asked for before it landed, answered half an hour later, since the process was stopped; then one old replica."""
    stopped = range(840, 899)
    asked: list[float] = []

    def listed_at(now: float) -> Listing:
        asked.append(now)
        old = len(asked) > 1 and int(asked[-2]) in stopped
        return listing("a") if now >= 899 and not old else listing()

    _, adopted, freed = resolve_with(unknown("a"), listed_at, lambda now: 1800.0 if int(now) in stopped else 0.1)
    assert (adopted, freed) == (["a"], 0)
    assert asked[-2] > SETTLE_S


def test_a_group_never_shrinks_so_a_listing_with_less_than_was_counted_is_not_believed() -> None:
    def cut_then_old(now: float) -> Listing:
        if now < 850 or 1000 <= now < 1100:
            return listing()
        return listing(before=1, after=1) if now < 1000 else listing("a")

    _, adopted, freed = resolve_with(unknown("a"), cut_then_old, soon)
    assert (adopted, freed) == (["a"], 0)


class Refuser:
    """A service that refuses a POST with any of the `bad` inputs in it, and names up to so many of them.

    Runs of the others have ended at once. `failed` are the inputs that the ledger has as refused for good.
    """

    def __init__(self, bad: set[int], names: int = 0) -> None:
        self.posts = 0
        self.taken: list[int] = []
        self.failed: list[int] = []
        self._bad = bad
        self._names = names
        self._inputs: list[int] = []  # of the last POST
        self._runs: list[ReadRun] = []

    def ask_all(self, count: int) -> None:
        """Live through a batch of so many tasks."""
        tasks = tuple(Task(number.to_bytes(16), b"%d" % number) for number in range(count))
        protocol: Generator[Any, Any, Any] = see_through(
            TaskBatch(1, "t", Question("core", 25_000, ("f",), {}), tasks), render=render_body, settle_s=1
        )
        effect = next(protocol)
        with suppress(StopIteration):
            while True:
                try:
                    result = self._perform(effect)
                except InvalidError as error:
                    effect = protocol.throw(error)
                else:
                    effect = protocol.send(result)

    def _perform(self, effect: object) -> Any:
        match effect:
            case AwaitTurn(tasks):
                return tasks
            case Now():
                return Stamp(0, 0, "boot")
            case CreateGroup():
                return "g1"
            case RecordIntent():
                return 1
            case AddRuns(_, body):
                return self._add(msgspec.json.decode(body)["inputs"])
            case FollowEvents():
                return Followed(frozenset(), False, len(self._runs), None)
            case ReadRuns():
                return RunsRead(self._runs, None, None)
            case RecordRefused():
                self.failed += self._inputs
            case Reload():
                return replace(unknown(), state="refused")
        return None

    def _add(self, runs: list[dict[str, Any]]) -> Added:
        self.posts += 1
        self._inputs = [run["input"] for run in runs]
        bad = [i for i, number in enumerate(self._inputs) if number in self._bad]
        if bad:
            detail = [{"loc": ["body", "inputs", i], "msg": "no"} for i in bad[: self._names]]
            raise InvalidError("an input is invalid", status=422, detail=detail)
        self.taken += self._inputs
        ids = [f"run_{number}" for number in self._inputs]
        keys = [run["metadata"][TASK] for run in runs]
        self._runs = [ReadRun(*run, "completed", b"{}", True, None) for run in zip(ids, keys, strict=True)]
        return Added(tuple(ids), None)


@pytest.mark.parametrize("names", [0, 1, 5])
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({417}, id="one"),
        pytest.param(set(range(300, 320)), id="side by side"),
        pytest.param(set(range(40)), id="the first ones"),
        pytest.param(set(range(970, 1000)), id="the last ones"),
        pytest.param(set(range(0, 1000, 3)), id="every third"),
        pytest.param(set(range(900)), id="most"),
    ],
)
def test_no_good_input_fails_with_the_bad_ones(bad: set[int], names: int) -> None:
    service = Refuser(bad, names)
    service.ask_all(1000)
    assert sorted(service.failed) == sorted(bad)
    assert sorted(service.taken) == sorted(set(range(1000)) - bad)


@pytest.mark.parametrize(
    "loc",
    [
        pytest.param(["inputs", 1], id="of the body"),
        pytest.param(["body", "inputs", 1], id="of the request"),
        pytest.param(["body", "inputs", 1, "input", "name"], id="a part of it"),
    ],
)
def test_an_input_that_is_named_as_invalid_is_sent_alone(loc: list[object]) -> None:
    zero, one, two = tasks = [Task(n.to_bytes(16), b"{}") for n in range(3)]
    error = InvalidError("no", status=422, detail=[{"loc": loc, "msg": "no"}])
    assert parts_of_invalid(tasks, error) == [(zero, two), (one,)]


@pytest.mark.parametrize("count", [1, 2, 6, 7, 12, 200, 1000])
def test_a_question_that_is_invalid_itself_costs_few_requests(count: int) -> None:
    service = Refuser(set(range(count)))
    service.ask_all(count)
    assert sorted(service.failed) == list(range(count))
    assert service.posts < 30


@pytest.mark.parametrize(
    ("known_after_s", "groups"),
    [
        pytest.param(0.0, ["g1"], id="at once"),
        pytest.param(3.0, ["g1"], id="after some seconds"),
        pytest.param(300.0, ["g1", "g2"], id="not in a minute"),
    ],
)
def test_a_group_that_is_not_known_yet_is_tried_again_before_another_is_made(
    known_after_s: float, groups: list[str]
) -> None:
    """Each attempt takes ten seconds; a group that is always a new one would always be too young."""
    task = Task(bytes(16), b"0")
    batch = TaskBatch(1, "t", Question("core", 25_000, ("f",), {}), (task,))
    now, made, effect = 0.0, dict[str, float](), None
    for _ in range(9):
        protocol: Generator[Any, Any, Any] = submit(batch, [task], render=render_body)
        result: Any = None
        error: NotFoundError | None = None
        with suppress(StopIteration):
            while True:
                effect = protocol.send(result) if error is None else protocol.throw(error)
                result = error = None
                match effect:
                    case Now():
                        result = Stamp(now, now, "boot")
                    case CreateGroup():
                        result = f"g{len(made) + 1}"
                        made[result] = now
                    case RecordIntent():
                        result = 1
                    case AddRuns(group_id):
                        now += 10.0
                        if now - 10.0 - made[group_id] < known_after_s and group_id == "g1":
                            error = NotFoundError("no such group", status=404)
                        else:
                            result = Added(("r1",), None)
        if isinstance(effect, Settled) and effect.why == "accepted":
            break
    assert isinstance(effect, Settled)
    assert (effect.why, list(made)) == ("accepted", groups)


TEXTS = st.text(max_size=8) | st.sampled_from(["%b", "\0", '"', "\\u0000", "100%", "é\u2028"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
TASKS = st.builds(
    Task,
    input_key=st.binary(min_size=16, max_size=16),
    document=JSON.map(msgspec.json.encode) | st.just(b'{ "as" : "it stands\\u0000" }'),
    generation=st.integers(0, 12),
    previous=st.none() | TEXTS,
)
QUESTIONS = st.builds(
    Question,
    processor=TEXTS,
    usd_micro=st.just(25_000),
    field_ids=st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), min_size=1, max_size=40).map(tuple),
    spec=st.dictionaries(TEXTS, JSON, max_size=3),
    settings=st.dictionaries(st.sampled_from(["source_policy", "advanced_settings", "%"]), JSON),
)


def rendered_run_by_run(question: Question, tasks: list[Task], keys: list[str]) -> bytes:
    """The body of a POST, written for reading and not for speed."""
    inputs = []
    for task, key in zip(tasks, keys, strict=True):
        run_input = {
            "processor": question.processor,
            "input": msgspec.Raw(task.document),
            "metadata": run_metadata(key, task.input_key, question.field_ids, task.generation),
            **question.settings,
        }
        if task.previous is not None:
            run_input["previous_interaction_id"] = task.previous
        inputs.append(run_input)
    return msgspec.json.encode({"default_task_spec": question.spec, "inputs": inputs})


@given(question=QUESTIONS, tasks=st.lists(TASKS, max_size=5))
def test_a_body_says_the_same_as_each_of_its_runs_written_out(question: Question, tasks: list[Task]) -> None:
    keys = task_keys(question, tasks)
    assert render_body(question, tasks, keys) == rendered_run_by_run(question, tasks, keys)


@given(question=QUESTIONS, tasks=st.lists(TASKS, max_size=5))
def test_keys_stay_what_they_are_in_ledgers_and_in_paid_runs(question: Question, tasks: list[Task]) -> None:
    fieldset = fieldset_key(question.field_ids)
    for task, key in zip(tasks, task_keys(question, tasks), strict=True):
        assert input_key(task.document) == blake2b(task.document, digest_size=16, person=b"enrich.input").digest()
        text = b"\n".join((task.input_key, fieldset, question.processor.encode(), b"%d" % task.generation))
        assert key == blake2b(text, digest_size=16, person=b"enrich.task").hexdigest()
