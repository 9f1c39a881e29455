"""Answers that 0.2.0 stored with the key cut out are found, and come back whole from the service, free of charge."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from recovery_desk import Desk, Service

from enrich.cli import main
from enrich.errors import ExitCode
from enrich.report import Selection
from enrich.upkeep.recover import RecoverRequest, recover
from enrich.upkeep.verify import CUT, OutputToCheck, Verification, VerifyRequest, verify
from tests.hostile.middleman import Reply, between


def check(desk: Desk, output: Path) -> Verification:
    wanted = OutputToCheck(path=output, config=desk.config, table=desk.table, selection=Selection())
    return anyio.run(verify, VerifyRequest(ledger=desk.ledger, environ=desk.service.environ, output=wanted))


def cut(desk: Desk, word: bytes) -> Path:
    """Run with a service that says `[redacted]` in place of a word, as 0.2.0 did of its key; gives the output."""

    def change(method: str, path: str, reply: Reply) -> None:
        if method == "GET":
            reply.body = reply.body.replace(word, b"[redacted]")

    with between(desk.service.base_url, change=change) as man:
        desk.service.environ["PARALLEL_BASE_URL"] = man.base_url
        output = desk.run().output
    desk.service.environ["PARALLEL_BASE_URL"] = desk.service.base_url
    return output


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_verify_names_them_and_recover_brings_them_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.rows(5)
    output = cut(desk, b"Invented city")
    ruined = rows(output)
    assert all("[redacted]" in row["city"] for row in ruined if row["city"])
    bill = desk.service.bill()

    found = check(desk, output)

    hit = [n for n, row in enumerate(ruined, 1) if row["city"]]
    assert found.exit_code == ExitCode.FAILED_ROWS
    assert found.counts[CUT] >= len(hit)
    told = [one for one in found.differences if one.kind == CUT]
    assert {int(one.where.split(",")[0].removeprefix("row ")) for one in told} >= {*hit}
    assert all(", city, trun_" in one.where and "[redacted]" in one.what for one in told)
    for name, value in desk.service.environ.items():
        monkeypatch.setenv(name, value)
    assert main(["verify", str(output)]) == 3
    assert "`enrich recover --replace`" in capsys.readouterr().out

    anyio.run(recover, RecoverRequest(ledger=desk.ledger, environ=desk.service.environ, replace=True))
    whole = desk.run()
    assert CUT not in check(desk, whole.output).counts
    assert not any("[redacted]" in cell for row in rows(whole.output) for cell in row.values())
    assert desk.service.bill() == bill


def test_what_the_service_says_itself_is_no_fault(
    desk: Desk, make_service: Callable[..., Service], tmp_path: Path
) -> None:
    said = {"value": "Tel. [redacted]", "confidence": "high", "reasoning": "[redacted] says so", "citations": []}
    facts = tmp_path / "f.ndjson"
    facts.write_text(json.dumps({"match": {"company": "Company 1"}, "answers": {"city": said}}) + "\n")
    desk.service = make_service(facts=facts)
    desk.rows(3)
    output = desk.run().output
    assert any("[redacted]" in row["city"] for row in rows(output))
    found = check(desk, output)
    assert (found.exit_code, found.counts) == (ExitCode.DONE, {})


def test_an_answer_that_was_accepted_when_it_was_cut_comes_back_whole(desk: Desk) -> None:
    config = desk.config.read_text() + "confidence: {accept: 1.0, review: 0.0}\n"
    desk.config.write_text(config)
    desk.rows(4)
    output = cut(desk, b"Invented city")
    review = output.with_name(output.name.replace(".enriched.csv", ".review.csv"))
    with review.open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        line["decision"] = "accept" if line["field"] == "city" else ""
    with review.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    assert main(["review", str(desk.config), str(review)]) == 0

    anyio.run(recover, RecoverRequest(ledger=desk.ledger, environ=desk.service.environ, replace=True))
    table = rows(desk.run().output)

    accepted = [row for row in table if row["city_status"] == "human"]
    assert accepted
    assert all(row["city"].startswith("Invented city") for row in accepted)
