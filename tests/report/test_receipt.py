"""The receipt adds up or is an error, and says in few lines what a person wants to know."""

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from enrich.errors import ReceiptError
from enrich.report import DoubleCharge, Onward, Receipt, by_question, next_steps

ONWARD = Onward(
    again="`enrich run c.yaml t.csv`",
    retry="`enrich run c.yaml t.csv --retry-failed`",
    review="`enrich review c.yaml t.review.csv`",
)
TWICE = DoubleCharge(task_key="3fa2c1d4", run_ids=("trun_a", "trun_b"), usd=Decimal("0.025"))
NOTHING = Receipt(
    rows_in=0,
    rows={},
    answers_wanted=0,
    answers={},
    runs_paid=0,
    usd=Decimal(0),
    runs_by_processor={},
    usd_by_processor={},
    distinct_inputs=0,
    runs_submitted=0,
    runs_failed=0,
    usd_at_stake=Decimal(0),
)


@pytest.mark.parametrize("changes", [{}, {"double_charges": (TWICE,)}])
def test_a_receipt_that_adds_up_passes(receipt: Receipt, changes: Mapping[str, Any]) -> None:
    replace(receipt, **changes).check()


def test_an_empty_receipt_adds_up() -> None:
    NOTHING.check()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"rows_in": 1251}, "rows in 1251, but complete 902 + review 280", id="a row lost"),
        pytest.param({"answers_wanted": 9}, "answers wanted 9, but accepted 5404", id="answers too many"),
        pytest.param({"rows": {}}, "rows in 1250, but nothing = 0", id="no rows out"),
        pytest.param({"rows": {"done": 1250}}, "rows in: no such status: done", id="unknown status"),
        pytest.param({"rows": {"complete": 1251, "failed": -1}}, "failed -1 = 1250", id="a negative part"),
        pytest.param({"runs_paid": 9}, "runs paid 9, but core 1000 + pro 204 = 1204", id="a run too many"),
        pytest.param({"usd": Decimal("45.41")}, "45.41, but the runs paid come to 45.4", id="a cent"),
    ],
)  # fmt: skip
def test_a_receipt_that_does_not_add_up_is_an_error(receipt: Receipt, changes: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ReceiptError) as raised:
        replace(receipt, **changes).check()
    assert said in str(raised.value)
    assert "every result is in the ledger" in str(raised.value)


def test_every_wrong_sum_is_named_at_once(receipt: Receipt) -> None:
    with pytest.raises(ReceiptError, match=r"rows in 1;.*|.*answers wanted 2") as raised:
        replace(receipt, rows_in=1, answers_wanted=2, runs_paid=3).check()
    assert [name in str(raised.value) for name in ("rows in 1,", "answers wanted 2,", "runs paid 3,")] == [True] * 3


def test_runs_are_shown_at_the_price_they_were_asked_at(receipt: Receipt) -> None:
    """And added up at it: the price list may be another one since, or lack the processor."""
    paid = {"core9x": Decimal("40.00"), "pro": Decimal("5.40")}
    changed = replace(receipt, runs_by_processor={"core9x": 1000, "pro": 204}, usd_by_processor=paid)
    changed.check()
    text = changed.to_text()
    assert "  core9x   1,000  $40.00\n" in text
    assert "  pro        204   $5.40\n" in text


def test_the_printed_receipt(receipt: Receipt) -> None:
    text = receipt.to_text(
        title="companies",
        files={"companies.enriched.csv": "the table", "companies.review.csv": "427 answers to look at"},
        steps=next_steps(receipt, ONWARD, review_file="companies.review.csv", lines=600, stopped=True),
    )
    assert text == (
        "companies\n"
        "\n"
        "rows in     1,250    answers wanted  6,250    runs paid  1,204  $45.40\n"
        "  complete    902      accepted      5,404      core     1,000  $25.00\n"
        "  review      280      human             4      pro        204  $20.40\n"
        "  withheld     36      kept             12\n"
        "  failed       12      review          418\n"
        "  skipped      10      withheld        192\n"
        "  pending      10      not_found        51\n"
        "                       invalid           9\n"
        "                       failed           60\n"
        "                       skipped          50\n"
        "                       pending          50\n"
        "\n"
        "1,102 distinct inputs; 1,216 runs submitted, 12 failed (not billed)\n"
        "this table so far: $54.08 for 1,304 runs, $0.01 per accepted answer\n"
        "$0.25 at stake: sent, and not answered yet\n"
        "\n"
        "files\n"
        "  companies.enriched.csv  the table\n"
        "  companies.review.csv    427 answers to look at\n"
        "\n"
        "next\n"
        "  `enrich run c.yaml t.csv` goes on with 10 pending rows; nothing is paid for twice\n"
        "  600 lines of companies.review.csv wait for a decision, for 619 answers: 418 review, 192 withheld, 9 invalid"
        "; rows with the same input share a line\n"
        "  `enrich review c.yaml t.review.csv` takes the decisions, and `enrich run c.yaml t.csv` writes them into the "
        "table\n"
        "  12 rows failed: the column enrich_detail says why\n"
        "  `enrich run c.yaml t.csv --retry-failed` asks them again without waiting\n"
    )


def test_a_narrow_terminal_gets_the_blocks_one_under_another(receipt: Receipt) -> None:
    lines = receipt.to_text(40).splitlines()
    assert lines[:2] == ["rows in     1,250", "  complete    902"]
    assert "runs paid  1,204  $45.40" in lines


def test_an_empty_receipt_is_short() -> None:
    assert NOTHING.to_text() == (
        "rows in  0    answers wanted  0    runs paid  0  $0.00\n\n"
        "0 distinct inputs; 0 runs submitted, 0 failed (not billed)\n"
    )


def test_a_double_charge_is_shown_with_its_runs_and_dollars(receipt: Receipt) -> None:
    text = replace(receipt, double_charges=(TWICE,)).to_text()
    assert "DOUBLE CHARGE: 1 run paid for 1 question that was paid already, $0.025 too much\n" in text
    assert "  task 3fa2c1d4  $0.025  trun_a, trun_b\n" in text


def test_runs_and_questions_are_counted_apart(receipt: Receipt) -> None:
    charges = [
        DoubleCharge(task_key=f"{task:08}", run_ids=(f"trun_{task}_0", f"trun_{task}_{run}"), usd=Decimal("0.025"))
        for task in range(2)
        for run in (1, 2, 3)
    ]
    for double_charges in (tuple(charges), by_question(charges), by_question(by_question(charges))):
        text = replace(receipt, double_charges=double_charges).to_text()
        assert "DOUBLE CHARGE: 6 runs paid for 2 questions that were paid already, $0.15 too much\n" in text
        assert "  task 00000001  $0.075  trun_1_0, trun_1_1, trun_1_2, trun_1_3\n" in text
    assert [charge.runs for charge in by_question(charges)] == [3, 3]


def test_no_name_reaches_a_terminal_as_it_came(receipt: Receipt) -> None:
    hostile = "\x1b[2J\x9b31m\u202eevil\nnew line\x07"
    text = replace(
        receipt,
        runs_by_processor={hostile: 1204},
        usd_by_processor={hostile: receipt.usd},
        double_charges=(DoubleCharge(task_key=hostile, run_ids=(hostile,), usd=Decimal(1)),),
    ).to_text(title=hostile, files={hostile: hostile}, steps=[hostile, *next_steps(receipt, Onward(again=hostile))])
    assert not {"\x1b", "\x9b", "\u202e", "\x07"} & {*text}
    assert text.count("evil new line") == 8
    assert len(text.splitlines()) == 28


@pytest.mark.parametrize(
    ("changes", "arguments", "steps"),
    [
        pytest.param({}, {}, [], id="nothing to do"),
        pytest.param(
            {"answers": {"review": 1}},
            {"review_file": "a.review.csv", "lines": 1},
            [
                "1 line of a.review.csv waits for a decision, for 1 answer: 1 review",
                "`enrich review c.yaml t.review.csv` takes the decisions, and `enrich run c.yaml t.csv` writes them"
                " into the table",
            ],
            id="one waits",
        ),
        pytest.param(
            {},
            {"stopped": True},
            ["`enrich run c.yaml t.csv` goes on; nothing is paid for twice"],
            id="stopped with nothing pending",
        ),
        pytest.param(
            {},
            {"onward": replace(ONWARD, rest="`enrich run c t`", price="`enrich plan c t`")},
            [
                "`enrich run c t` asks about the rows that were not chosen",
                "`enrich plan c t` says what the service itself would cost",
            ],
            id="a rehearsal of some rows",
        ),
        pytest.param(
            {"rows": {"pending": 3}},
            {"onward": replace(ONWARD, rest="`enrich run c t`", price="`enrich plan c t`"), "stopped": True},
            ["`enrich run c.yaml t.csv` goes on with 3 pending rows; nothing is paid for twice"],
            id="first things first",
        ),
    ],
)
def test_the_next_steps(changes: Mapping[str, Any], arguments: Mapping[str, Any], steps: list[str]) -> None:
    given = {"onward": ONWARD, **arguments}
    assert list(next_steps(replace(NOTHING, **changes), **given)) == steps


def test_the_stored_receipt_has_every_status_and_exact_dollars(receipt: Receipt) -> None:
    stored = json.loads(json.dumps(replace(receipt, double_charges=(TWICE,)).to_json()))
    assert stored == {
        "rows_in": 1250,
        "rows": {"complete": 902, "review": 280, "withheld": 36, "failed": 12, "skipped": 10, "pending": 10},
        "answers_wanted": 6250,
        "answers": {
            "accepted": 5404, "human": 4, "kept": 12, "review": 418, "withheld": 192, "not_found": 51,
            "invalid": 9, "failed": 60, "skipped": 50, "pending": 50,
        },
        "distinct_inputs": 1102,
        "runs_submitted": 1216,
        "runs_failed": 12,
        "runs_paid": 1204,
        "runs_by_processor": {"core": 1000, "pro": 204},
        "usd": 45.4,
        "usd_at_stake": 0.25,
        "table_runs_paid": 1304,
        "table_usd": 54.08,
        "usd_per_accepted": 0.01,
        "ledger_runs_paid": 0,
        "ledger_usd": 0.0,
        "runs_unpriced": 0,
        "table_runs_unpriced": 0,
        "ledger_runs_unpriced": 0,
        "double_charges": [{"task_key": "3fa2c1d4", "run_ids": ["trun_a", "trun_b"], "usd": 0.025}],
    }  # fmt: skip


def test_what_earlier_commands_paid_is_told_where_there_were_any(receipt: Receipt) -> None:
    later = replace(receipt, ledger_runs_paid=1400, ledger_usd=Decimal("60.00"))
    assert "\nwith earlier commands the ledger has 1,400 paid runs, $60.00 in all\n" in later.to_text()
    assert "earlier commands" not in replace(receipt, ledger_runs_paid=1304).to_text()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        pytest.param({}, "this table so far: $54.08 for 1,304 runs, $0.01 per accepted answer", id="so far"),
        pytest.param(
            {"answers": {"review": 6250}}, "this table so far: $54.08 for 1,304 runs", id="nothing is accepted yet"
        ),
        pytest.param(
            {"runs_paid": 0, "usd": Decimal(0), "runs_by_processor": {}, "usd_by_processor": {}},
            "this table so far: $54.08 for 1,304 runs, $0.01 per accepted answer",
            id="a rerun that cost nothing",
        ),
    ],
)
def test_what_the_table_has_cost_so_far_is_told_apart(receipt: Receipt, changes: Mapping[str, Any], line: str) -> None:
    assert f"\n{line}\n" in replace(receipt, **changes).to_text()


def test_what_has_cost_nothing_yet_says_nothing_of_it() -> None:
    assert "so far" not in NOTHING.to_text()
