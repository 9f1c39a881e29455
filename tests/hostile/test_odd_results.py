"""Results that are not quite JSON, or of another shape than expected: each row is judged alone, none is lost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from enrich.errors import ExitCode
from enrich.text.mending import mended
from tests.hostile.desk import Desk, read_csv, serving
from tests.hostile.middleman import Tamper, between, tampering

CONFIG = """\
name: odd
inputs: {company: name}
outputs:
  city: {type: string, description: City.}
  year: {type: [integer, "null"], description: Year.}
  tags: {type: array, items: {type: string}, description: Tags.}
  share: {type: number, description: Share.}
  thing: {type: object, properties: {a: {type: integer}, b: {type: array, items: {type: number}}}, description: Thing.}
processor: lite
confidence: {accept: low, review: low}
"""
GOOD: dict[str, Any] = {"city": "Bonn", "year": 1990, "tags": ["x"], "share": 0.5, "thing": {"a": 1, "b": [0.5]}}


def content(**values: Any) -> Tamper:
    """Other values for some fields."""

    def tamper(said: dict[str, Any]) -> None:
        if said.get("output"):
            said["output"]["content"] = {**GOOD, **values}

    return tamper


def text(old: str, new: str) -> Tamper:
    """The text of a good result with something else in its place."""

    def tamper(said: dict[str, Any]) -> bytes:
        content()(said)
        return json.dumps(said["run"] if said.keys() == {"run"} else said).replace(old, new).encode()

    return tamper


def basis(**members: Any) -> Tamper:
    """Other members in every basis entry of a good result."""

    def tamper(said: dict[str, Any]) -> None:
        content()(said)
        for entry in (said.get("output") or {}).get("basis", []):
            entry.update(members)

    return tamper


def run(**members: Any) -> Tamper:
    """Other members of the run."""

    def tamper(said: dict[str, Any]) -> None:
        content()(said)
        said["run"].update(members)

    return tamper


def output(value: Any) -> Tamper:
    """Another output."""

    def tamper(said: dict[str, Any]) -> None:
        if "output" in said:
            said["output"] = value

    return tamper


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


class Case(NamedTuple):
    tamper: Tamper
    values: dict[str, Any] = GOOD
    detail: str | None = ""  # a part of enrich_detail; None for whatever it says


NOT_FOUND = dict.fromkeys(GOOD)
CASES = {
    "a lone surrogate": Case(content(city="a\ud800b\udfffc"), {**GOOD, "city": "a\ufffdb\ufffdc"}),
    "a lone surrogate in a key": Case(content(**{"\ud83d": 1})),
    "a backslash that looks like one": Case(content(city="\\ud800"), {**GOOD, "city": "\\ud800"}),
    "a character as a pair of surrogates": Case(text('"Bonn"', '"\\ud83d\\ude00"'), {**GOOD, "city": "\U0001f600"}),
    "control characters": Case(text("Bonn", "B\x01\x1b[31m\tn"), {**GOOD, "city": "B\x01\x1b[31m\tn"}),
    "NaN": Case(content(share=float("nan")), {**GOOD, "share": None}, 'share: does not fit its schema: "NaN"'),
    "infinity": Case(content(share=float("-inf")), {**GOOD, "share": None}, '"-Infinity" is not of type "number"'),
    "a number beyond a double": Case(text("0.5,", "1e999,"), {**GOOD, "share": None}, '"1e999" is not of type'),
    "an integer of 5,000 digits": Case(text("1990", "1" * 5000), {**GOOD, "year": None}, "year: does not fit"),
    "an integer beyond 64 bits": Case(content(year=10**30), {**GOOD, "year": None}, "year: does not fit its column"),
    "the largest integer": Case(content(year=2**63 - 1), {**GOOD, "year": 2**63 - 1}),
    "the smallest integer": Case(content(year=-(2**63)), {**GOOD, "year": -(2**63)}),
    "one more": Case(content(year=2**63), {**GOOD, "year": None}, "year: does not fit its column"),
    "an integer with a point": Case(text("1990", "1990.0"), GOOD),
    "an integer with an exponent": Case(text("1990", "199e1"), GOOD),
    "an integer beyond 64 bits with an exponent": Case(text("1990", "1e30"), {**GOOD, "year": None}, "its column"),
    "an integer for a number": Case(content(share=5), {**GOOD, "share": 5.0}),
    "an integer of 400 digits for a number": Case(text("0.5,", "1" * 400 + ","), {**GOOD, "share": None}, "share: "),
    "an inner integer beyond 64 bits": Case(
        content(thing={"a": 10**30, "b": []}), {**GOOD, "thing": None}, "thing: does not fit its column"
    ),
    "inner numbers of all kinds": Case(
        content(thing={"a": 5.0, "b": [1, 2.5, 2**90, 1e30]}),
        {**GOOD, "thing": {"a": 5, "b": [1.0, 2.5, 2.0**90, 1e30]}},
    ),
    "a whole number that a float would change": Case(
        content(share=10**30), {**GOOD, "share": None}, "share: does not fit its column"
    ),
    "an inner whole number that a float would change": Case(
        content(thing={"a": 1, "b": [0.5, 10**30]}), {**GOOD, "thing": None}, "thing: does not fit its column"
    ),
    "a key too many": Case(content(thing={"a": 1, "b": [], "c": 1}), {**GOOD, "thing": None}, "'c' was unexpected"),
    "a key twice": Case(text('"city": "Bonn"', '"city": "Rome", "city": "Bonn"')),
    "90 levels": Case(content(tags=json.loads(deep(90))), {**GOOD, "tags": None}, "tags: does not fit its schema"),
    "900 levels": Case(text('["x"]', deep(900)), {**GOOD, "tags": None}, "tags: does not fit its schema"),
    "9,000 levels": Case(text('["x"]', deep(9_000)), {**GOOD, "tags": None}, "tags: does not fit its schema"),
    "9,000 levels of something else": Case(text('"city":', f'"more": {deep(9_000)}, "city":')),
    "no content": Case(output({"type": "json", "basis": []}), NOT_FOUND, "the result has no value for this field"),
    "content that is a list": Case(output({"content": [1], "basis": []}), NOT_FOUND, "no value for this field"),
    "content that is text": Case(output({"content": "no JSON", "basis": []}), NOT_FOUND, "no value for this field"),
    "content that is odd JSON as text": Case(
        output({"content": json.dumps({**GOOD, "city": "\ud800"}), "basis": []}), {**GOOD, "city": "\ufffd"}, None
    ),
    "output that is a list": Case(output([1]), NOT_FOUND, "no value for this field"),
    "output that is text": Case(output("text"), NOT_FOUND, "no value for this field"),
    "basis that is text": Case(output({"content": GOOD, "basis": "text"}), GOOD, None),
    "confidence NaN": Case(basis(confidence=float("nan")), GOOD, "confidence NaN"),
    "confidence beyond a double": Case(basis(confidence=10**400), GOOD, "no confidence given"),
    "confidence that is a list": Case(basis(confidence=["high"]), GOOD, "no confidence given"),
    "confidence that is a page of text": Case(basis(confidence="\x1b[31m=1+1" * 99_999), GOOD, "confidence =1+1=1+1"),
    "reasoning that is a number": Case(basis(reasoning=5), GOOD, None),
    "citations null": Case(basis(citations=None), GOOD, None),
    "citations that are text": Case(basis(citations="text"), GOOD, None),
    "citations of all kinds": Case(basis(citations=[{"url": 5, "title": [], "excerpts": 1}, None, [0]]), GOOD, None),
    "citations with a number beyond a double": Case(text('"url":', '"score": 1e999, "url":'), GOOD, None),
    "citations of 900 levels": Case(text('"url":', f'"more": {deep(900)}, "url":'), GOOD, None),
    "a basis entry without a name": Case(basis(field=5), GOOD, None),
    "warnings that are text": Case(run(warnings="text")),
    "members of other types": Case(run(is_active="no", created_at=5, modified_at=[], interaction_id={}, processor=1)),
    "an error that is text": Case(run(error="text"), GOOD),
    "metadata that is odd": Case(run(metadata={"enrich_task": ["x"]}), GOOD),
}  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """All the cases are rows of one table: each is a danger to the others."""
    folder = tmp_path_factory.mktemp("odd")
    tampers = {name: case.tamper for name, case in CASES.items()}
    with serving() as url, between(url, change=tampering(url, tampers)) as man:
        desk = Desk(folder, man.base_url)
        desk.lay(CONFIG, ["name"], [[name] for name in ("before", *CASES, "after")])
        report = desk.run("first.csv")
        assert report.exit_code is ExitCode.DONE
        assert report.receipt.runs_paid == len(CASES) + 2
        yield desk


@pytest.fixture(scope="module")
def typed(desk: Desk) -> dict[str, dict[str, Any]]:
    frame = pl.read_parquet(desk.run("out.parquet").output)
    return {row["name"]: row for row in frame.iter_rows(named=True)}


@pytest.fixture(scope="module")
def cells(desk: Desk) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in read_csv(desk.run("out.csv").output)}


@pytest.mark.parametrize("name", CASES)
def test_an_odd_result_is_read_as_far_as_it_says_something(
    typed: dict[str, dict[str, Any]], cells: dict[str, dict[str, str]], name: str
) -> None:
    case = CASES[name]
    row = typed[name]
    assert {field: row[field] for field in GOOD} == case.values
    assert (row["enrich_detail"] or "") == cells[name]["enrich_detail"]
    if case.detail is not None:
        assert case.detail in (row["enrich_detail"] or "")
    assert row["enrich_status"] in ("complete", "review")


def test_the_rows_beside_odd_ones_are_whole(typed: dict[str, dict[str, Any]]) -> None:
    assert [typed[name]["enrich_run_id"] is not None for name in ("before", "after")] == [True, True]


def test_a_result_that_makes_no_sense_leaves_its_row_pending_and_the_command_ends(tmp_path: Path) -> None:
    tampers = {"b": lambda said: b'{"type": "task_run.state", "run": oops'}
    with serving() as url, between(url, change=tampering(url, tampers)) as man:
        desk = Desk(tmp_path, man.base_url)
        desk.lay(CONFIG, ["name"], [["a"], ["b"], ["c"]])
        report = desk.run(speed=200)
        rows = read_csv(report.output)
        assert report.exit_code is ExitCode.STOPPED
        assert report.receipt.runs_paid == 2
        assert [row["enrich_status"] == "pending" for row in rows] == [False, True, False]
        assert rows[1]["enrich_detail"] == "asked, no answer yet"
        man.change = lambda method, path, reply: None
        assert desk.run().receipt.runs_paid == 1  # the same one, which is readable now
        assert sum(b"POST" in request and b"/runs" in request for request in man.requests) == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b'{"a": [1, "\\ud800"]}', b'{"a":[1,"\xef\xbf\xbd"]}', id="surrogate"),
        pytest.param(b'\xef\xbb\xbf{"a": "\xff"}', b'{"a":"\xef\xbf\xbd"}', id="byte order mark, no UTF-8"),
        pytest.param(b"[NaN, Infinity, -Infinity, 1e999]", b'["NaN","Infinity","-Infinity","1e999"]', id="no numbers"),
        pytest.param(b'"\x00\n"', b'"\\u0000\\n"', id="control characters"),
        pytest.param(b"[" * 101 + b"]" * 101, b"[" * 100 + b"null" + b"]" * 100, id="a level too many"),
        pytest.param(b'"' + b"[{" * 500 + b'"', b'"' + b"[{" * 500 + b'"', id="brackets in a string are no levels"),
        pytest.param(b'{"a": 1', None, id="cut short"),
        pytest.param(b"[" * 100_000, None, id="cut short, and deep"),
        pytest.param(b"]" * 100, None, id="closed too often"),
        pytest.param(b'"' + b"\\" * 99_999, None, id="a string without an end"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"[DONE]", None, id="no JSON"),
    ],
)
def test_what_is_nearly_json_is_mended(data: bytes, expected: bytes | None) -> None:
    assert mended(data) == expected
