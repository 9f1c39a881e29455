"""Raw results read tolerantly, judged strictly; and which of several answers stands."""

import json
from typing import Any

import msgspec
import pytest

from enrich.answers.answer import Answer, Choice
from enrich.answers.choosing import by_a_person, choose
from enrich.answers.judging import Reader
from enrich.answers.results import citations_of, interaction_of
from enrich.config import Gate
from enrich.records import Held, Ruled, RunState
from enrich.spec import Field

FIELD = Field("x", {"type": "string"}, "x-1", nullable=False)
CITED = [{"url": "https://example.org", "title": "T", "excerpts": ["e"]}]


def result(content: Any, basis: Any = (), **output: Any) -> bytes:
    whole = {"type": "json", "content": content, "basis": basis, **output}
    return json.dumps({"run": {"run_id": "trun_1", "interaction_id": "i_1"}, "output": whole}).encode()


def entry(confidence: Any = "high", **more: Any) -> dict[str, Any]:
    return {"field": "x", "reasoning": "because", "citations": CITED, "confidence": confidence, **more}


def read(raw: bytes, schema: dict[str, Any] | None = None, gate: Gate | None = None) -> Answer:
    field = FIELD if schema is None else Field("x", schema, "x-1", nullable=True)
    return Reader([field], {"x": gate or Gate()}).read(raw, ["x-1", "another"])["x-1"]


@pytest.mark.parametrize(
    ("raw", "value", "confidence", "verdict"),
    [
        pytest.param(result({"x": "a"}, [entry()]), "a", "high", "accept", id="high"),
        pytest.param(result({"x": "a"}, [entry("medium")]), "a", "medium", "review", id="medium"),
        pytest.param(result({"x": "a"}, [entry("low")]), "a", "low", "withhold", id="low"),
        pytest.param(result({"x": "a"}, [entry(None)]), "a", None, "review", id="no confidence"),
        pytest.param(result({"x": "a"}, [entry(0.95)]), "a", 0.95, "accept", id="numeric confidence"),
        pytest.param(result({"x": "a"}, []), "a", None, "review", id="no basis"),
        pytest.param(result({"x": "a"}, None), "a", None, "review", id="basis is null"),
        pytest.param(
            result(
                {"x": "a"},
                {"fields": {"x": {"confidence": 0.5, "source_url": "https://example.org", "snippet": "e"}}},
            ),
            "a",
            0.5,
            "withhold",
            id="the older shape of basis",
        ),
        pytest.param(result({"x": "a"}, [{"field": "x", "confidence": True}, 7]), "a", None, "review", id="odd basis"),
        pytest.param(result(json.dumps({"x": "a"}), [entry()]), "a", "high", "accept", id="content as a string"),
        pytest.param(result({"x": None}, [entry()]), None, "high", "not_found", id="null"),
        pytest.param(result({"x": "  "}, [entry()]), None, "high", "not_found", id="blank"),
        pytest.param(result({"x": 7}, [entry()]), 7, "high", "invalid", id="wrong type"),
        pytest.param(result({"y": "a"}, [entry()]), None, "high", "invalid", id="field missing"),
        pytest.param(result('```json\n{"x": "a"}\n```', [entry()]), "a", "high", "accept", id="fenced"),
        pytest.param(result('```\n{"x": "a"}```\n', [entry()]), "a", "high", "accept", id="fenced, no language"),
        pytest.param(result('``` json\r\n{"x": "a"}\r\n```', [entry()]), "a", "high", "accept", id="fenced, CRLF"),
        pytest.param(
            result('Here it is:\n\n```JSON\n{"x": "use ``` twice"}\n```\nAnything else?', [entry()]),
            "use ``` twice",
            "high",
            "accept",
            id="fenced, with words around it and a fence in it",
        ),
        pytest.param(result("```json\n[1]\n```", []), "```json\n[1]\n```", None, "invalid", id="fenced, no object"),
        pytest.param(result("no JSON", []), "no JSON", None, "invalid", id="content is no JSON"),
        pytest.param(result('{"x": "a', []), '{"x": "a', None, "invalid", id="content is cut JSON"),
        pytest.param(result([{"x": "a"}], [entry()]), '[{"x":"a"}]', "high", "invalid", id="content is a list"),
        pytest.param(result(1998, []), "1998", None, "invalid", id="content is a number"),
        pytest.param(result([10**30], []), f"[{10**30}]", None, "invalid", id="content is a list of a large number"),
        pytest.param(result(" ", []), None, None, "invalid", id="content is blank"),
        pytest.param(result(None, []), None, None, "invalid", id="content is null"),
        pytest.param(b'{"run": {}, "output": "Paris"}', "Paris", None, "invalid", id="output is a text"),
        pytest.param(b'{"run": {}, "output": ["Paris"]}', '["Paris"]', None, "invalid", id="output is a list"),
        pytest.param(b'{"run": {"run_id": "r"}, "output": null}', None, None, "invalid", id="no output"),
        pytest.param(b'{"run": {"run_id": "r"}}', None, None, "invalid", id="output absent"),
        pytest.param(
            result({"x": ["a"]}, [{**entry("high"), "field": "x.0"}, {**entry("low"), "field": "x.1"}]),
            ["a"],
            "low",
            "invalid",
            id="basis of elements: as sure as the least sure",
        ),
    ],
)
def test_reading(raw: bytes, value: Any, confidence: Any, verdict: str) -> None:
    answer = read(raw)
    assert (answer.value, answer.confidence, answer.verdict) == (value, confidence, verdict)


@pytest.mark.parametrize(
    ("confidence", "reason"),
    [
        ("high", ""),
        ("medium", "confidence medium is below what is accepted"),
        ("low", "confidence low is below what is reviewed"),
        (0.25, "confidence 0.25 is below what is reviewed"),
        (None, "no confidence given is below what is accepted"),
        ("x" * 41, f"confidence {'x' * 39}… is below what is accepted"),
    ],
)
def test_a_doubt_says_what_it_is_below(confidence: Any, reason: str) -> None:
    assert read(result({"x": "a"}, [entry(confidence)])).reason == reason


def test_a_misfit_says_what_does_not_fit() -> None:
    assert read(result({"x": 7}, [entry()])).reason.startswith("does not fit its schema: 7 is not of type")


def test_citations_come_as_they_came_and_can_be_typed() -> None:
    answer = read(result({"x": "a"}, [entry()]))
    assert json.loads(answer.citations) == CITED
    assert msgspec.to_builtins(citations_of(answer.citations)) == CITED
    odd = '[{"url": 5, "excerpts": ["a", 7], "more": 1}, "x"]'
    assert msgspec.to_builtins(citations_of(odd)) == [{"url": None, "title": None, "excerpts": ["a"]}]


def test_the_interaction_of_a_result() -> None:
    assert interaction_of(result({})) == "i_1"


@pytest.mark.parametrize(("confidence", "strong"), [("high", True), ("low", False), (None, False)])
def test_no_source_says_so_is_settled_only_when_it_is_sure(confidence: Any, strong: bool) -> None:
    assert read(result({"x": None}, [entry(confidence)])).strong is strong


# ---------------------------------------------------------------------- which answer stands


def held(at: int, submission: int = 1, state: RunState = RunState.COMPLETED, error: str | None = None) -> Held:
    return Held(submission, 0, 0, state, frozenset({"x-1"}), "core", f"trun_{submission}", at, 1, 0, error)


def answered(verdict: str, value: str = "v") -> Answer:
    return Answer(value, "high", "", "[]", verdict, f"is {verdict}", strong=verdict in ("accept", "sure null"))


SURE = (held(10, 1), answered("accept", "old"))
DOUBT = (held(20, 2), answered("review", "new"))
FAILURE = held(30, 3, RunState.FAILED, "the service's words")


@pytest.mark.parametrize(
    ("candidates", "pending", "failed", "expected"),
    [
        pytest.param([], False, None, ("pending", None), id="never asked"),
        pytest.param([], True, None, ("pending", None), id="in flight"),
        pytest.param([], False, FAILURE, ("failed", None), id="failed"),
        pytest.param([SURE], False, None, ("accepted", "old"), id="accepted"),
        pytest.param([DOUBT], False, None, ("review", "new"), id="doubtful"),
        pytest.param([SURE, DOUBT], False, None, ("kept", "old"), id="tonight's doubt, last month's certainty"),
        pytest.param([SURE], False, FAILURE, ("kept", "old"), id="tonight's failure"),
        pytest.param([SURE], True, None, ("kept", "old"), id="asked again, no answer yet"),
        pytest.param([DOUBT], False, FAILURE, ("review", "new"), id="a doubtful answer and a failure"),
        pytest.param(
            [SURE, (held(20, 2), answered("accept", "new"))],
            False,
            None,
            ("accepted", "new"),
            id="the newest certainty",
        ),
        pytest.param(
            [DOUBT, (held(20, 4), answered("withhold", "w"))], False, None, ("review", "new"), id="the least doubtful"
        ),
        pytest.param(
            [(held(10, 1), answered("review", "a")), (held(20, 2), answered("review", "b"))],
            False,
            None,
            ("review", "b"),
            id="of equals the newest",
        ),
    ],
)
def test_choosing(candidates, pending, failed, expected) -> None:
    choice = choose(candidates, pending=pending, failed=failed)
    assert (choice.status, None if choice.answer is None else choice.answer.value) == expected


def ruled(ruling: str, value: bytes, run_id: str = "trun_2") -> Ruled:
    return Ruled(bytes(16), "x-1", ruling, value, run_id, "I looked", 50)


def fits(_: object) -> str:
    return ""


def test_an_answer_that_a_person_accepted_keeps_its_basis_and_its_run() -> None:
    run, _ = DOUBT
    confirmed = Answer("new", "high", "", "[]", "accept", "", strong=True)
    choice = by_a_person(ruled("accept", b'"new"'), fits, [SURE, DOUBT])
    assert choice == Choice("human", "decided by a person: accept", confirmed, run)


@pytest.mark.parametrize(
    "decision",
    [
        pytest.param(ruled("correct", b'"new"'), id="corrected to the very same"),
        pytest.param(ruled("accept", b'"new"', "trun_1"), id="of another run"),
        pytest.param(ruled("accept", b'"newer"'), id="another value"),
        pytest.param(ruled("reject", b"null"), id="rejected"),
    ],
)
def test_what_a_person_says_else_stands_with_their_note(decision: Ruled) -> None:
    value = json.loads(decision.value)
    own = Answer(value, None, "I looked", "[]", "accept", "", strong=True)
    said = Choice("human", f"decided by a person: {decision.ruling}", own, None)
    assert by_a_person(decision, fits, [SURE, DOUBT]) == said


def test_a_decision_that_fits_no_more_does_not_stand_and_no_answer_always_fits() -> None:
    assert by_a_person(ruled("correct", b'"new"'), lambda _: "is no number") is None
    assert by_a_person(ruled("reject", b"null"), lambda _: "is no number") is not None


def test_a_failure_is_told_in_the_services_words() -> None:
    assert choose([], pending=False, failed=FAILURE).reason == "the service's words"
    assert choose([], pending=False, failed=None, too_long="too long").reason == "too long"


@pytest.mark.parametrize("fields", [["a"], "a", None, 3])
def test_a_paid_answer_with_an_odd_basis_is_read_all_the_same(fields: Any) -> None:
    odd = read(result('{"x":"a"}', {"fields": fields}))
    assert (odd.value, odd.confidence, odd.verdict) == ("a", None, "review")


@pytest.mark.parametrize(
    ("odd", "url", "title", "excerpts"),
    [
        pytest.param({"url": "https://a.example", "title": 5}, "https://a.example", None, None, id="title"),
        pytest.param({"url": 5, "title": "T"}, None, "T", None, id="address"),
        pytest.param({"url": "https://a.ex", "excerpts": ["e", 5]}, "https://a.ex", None, ["e"], id="excerpts"),
    ],
)
def test_a_source_keeps_what_is_good_beside_what_is_odd(odd: Any, url: Any, title: Any, excerpts: Any) -> None:
    (cited,) = citations_of(json.dumps([odd]))
    assert (cited.url, cited.title, cited.excerpts) == (url, title, excerpts)
