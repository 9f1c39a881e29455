"""One table whose every row ends in another way: each says why, the others go on, and the receipt adds up."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import enrich
from enrich.errors import ExitCode
from tests.hostile.desk import Desk, read_csv, serving
from tests.hostile.middleman import Reply, Tamper, between, tampering

CONFIG = """\
name: endings
inputs: {company: name}
outputs:
  city: {type: string, description: City.}
  year: {type: integer, description: Year.}
processor: lite
confidence: {accept: 0.9, review: 0.5, missing: review}
"""
CONTENT = {"city": "Bonn", "year": 1990}


def ended(status: str, *, message: str | None = "", **members: Any) -> Tamper:
    """A run that ended without an output."""

    def tamper(said: dict[str, Any]) -> None:
        said["run"] |= {"status": status, "is_active": False, **members}
        if message is not None:
            said["run"]["error"] = {"message": message, "ref_id": "r"} if message else None
        said.pop("output", None)

    return tamper


def answered(content: Any = CONTENT, basis: Any = ..., **members: Any) -> Tamper:
    """A run that ended with this output."""

    def tamper(said: dict[str, Any]) -> None:
        said["run"] |= members
        if "output" in said:
            given = [entry(name, "high") for name in CONTENT] if basis is ... else basis
            said["output"] = {"type": "json", "content": content, "basis": given}

    return tamper


def entry(field: str, confidence: Any) -> dict[str, Any]:
    return {"field": field, "reasoning": "Because.", "citations": [], "confidence": confidence}


class Case(NamedTuple):
    tamper: Tamper
    status: str
    detail: str = ""


NO_VALUE = "the result has no value for this field"
UNSURE = "no confidence given is below what is accepted"
CASES = {
    "good": Case(answered(), "complete"),
    "failed": Case(ended("failed", message="No such company."), "failed", "No such company."),
    "failed without a word": Case(ended("failed"), "failed", "the run failed, and the service does not say why"),
    "failed without an error": Case(ended("failed", message=None), "failed", "does not say why"),
    "cancelled": Case(ended("cancelled"), "failed", "the run was cancelled at the service"),
    "action required": Case(ended("action_required"), "failed", "an action that a batch can't take (action_required)"),
    "a status of tomorrow": Case(ended("expired\x1b[31m"), "failed", "the run ended as 'expired', which is not known"),
    "a status of tomorrow, with words": Case(ended("expired", message="Too late."), "failed", "Too late."),
    "a status of tomorrow, with an output": Case(answered(status="completed_with_warnings"), "complete"),
    "null": Case(answered(dict.fromkeys(CONTENT)), "complete"),
    "null for one": Case(answered({**CONTENT, "year": None}), "complete"),
    "content null": Case(answered(None), "review", NO_VALUE),
    "one field missing": Case(answered({"city": "Bonn"}), "review", f"year: {NO_VALUE}"),
    "of a wrong type": Case(answered({**CONTENT, "year": "1990"}), "review", 'year: does not fit its schema: "1990"'),
    "no basis": Case(answered(basis=[]), "review", UNSURE),
    "basis null": Case(answered(basis=None), "review", UNSURE),
    "basis of one": Case(answered(basis=[entry("city", "high")]), "review", f"year: {UNSURE}"),
    "no confidence": Case(answered(basis=[entry("city", None), entry("year", None)]), "review", UNSURE),
    "numbers": Case(answered(basis=[entry("city", 0.95), entry("year", 0.91)]), "complete"),
    "a number too low": Case(answered(basis=[entry("city", 0.95), entry("year", 0.3)]), "withheld", "confidence 0.3"),
    "a word of tomorrow": Case(answered(basis=[entry(name, "sure") for name in CONTENT]), "review", "confidence sure"),
    "the other shape": Case(answered(basis={"fields": {name: {"confidence": 0.99} for name in CONTENT}}), "complete"),
    "content as text": Case(answered('{"city": "Bonn", "year": 1990}'), "complete"),
    "a megabyte": Case(answered({**CONTENT, "city": "x" * 1_000_000}), "complete"),
    "warnings": Case(answered(warnings=[{"type": "w", "message": "Careful."}]), "complete"),
}  # fmt: skip


def with_noise(change: Any) -> Any:
    """Error events and events of unknown kinds in every stream."""

    def changed(method: str, path: str, reply: Reply) -> None:
        change(method, path, reply)
        if reply.headers.get("content-type", "").startswith("text/event-stream"):
            error = b'data: {"type": "error", "error": {"message": "Oops.", "ref_id": "r"}}\n\n'
            unknown = b'event: news\ndata: {"type": "news", "run": 7}\n\ndata: {"type": "\\ud800"}\n\n'
            reply.body = unknown + reply.body + error

    return changed


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[enrich.Report]:
    with serving() as url:
        change = tampering(url, {name: case.tamper for name, case in CASES.items()})
        with between(url, change=with_noise(change)) as man:
            desk = Desk(tmp_path_factory.mktemp("endings"), man.base_url)
            desk.lay(CONFIG, ["name"], [[name] for name in CASES])
            yield desk.run(speed=20)
            posts = [request for request in man.requests if request.startswith(b"POST") and b"/runs?" in request]
            assert len(posts) == 1


@pytest.mark.parametrize("name", CASES)
def test_a_row_says_how_it_ended(report: enrich.Report, name: str) -> None:
    row = next(row for row in read_csv(report.output) if row["name"] == name)
    case = CASES[name]
    assert row["enrich_status"] == case.status, row["enrich_detail"]
    assert case.detail in row["enrich_detail"]
    assert bool(row["enrich_detail"]) == bool(case.detail)
    assert row["enrich_run_id"]
    if case.status == "complete" and "null" not in name:
        assert row["year"] == "1990"


def test_the_receipt_adds_up(report: enrich.Report) -> None:
    receipt = report.receipt
    receipt.check()
    statuses = [case.status for case in CASES.values()]
    assert receipt.rows == {status: statuses.count(status) for status in sorted(set(statuses))}
    assert receipt.rows_in == len(CASES)
    assert receipt.runs_failed == statuses.count("failed")
    assert receipt.runs_paid == len(CASES) - receipt.runs_failed
    assert receipt.usd_at_stake == 0
    assert report.exit_code is ExitCode.FAILED_ROWS
