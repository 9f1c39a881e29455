"""How a command ends: what a person must look at first comes first."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from enrich.asking.asking import Asked
from enrich.errors import ExitCode
from enrich.host.interruption import Interruption
from enrich.outputs.books import exit_code
from enrich.report import DoubleCharge, Receipt

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
TWICE = DoubleCharge(task_key="3fa2c1d4", run_ids=("trun_a", "trun_b"), usd=Decimal("0.025"))
PENDING, FAILED = {"complete": 1, "pending": 1}, {"complete": 1, "failed": 2}


def ended(receipt: Receipt, asked: Asked, *, interrupted: bool = False) -> ExitCode:
    stop = Interruption()
    if interrupted:
        stop.request()
    return exit_code(receipt, asked, stop)


@pytest.mark.parametrize(
    ("rows", "asked", "code"),
    [
        pytest.param({"complete": 3}, {}, ExitCode.DONE, id="all complete"),
        pytest.param({}, {}, ExitCode.DONE, id="no rows"),
        pytest.param(FAILED, {}, ExitCode.FAILED_ROWS, id="rows that failed"),
        pytest.param(PENDING, {}, ExitCode.STOPPED, id="rows that are pending"),
        pytest.param({**PENDING, **FAILED}, {}, ExitCode.STOPPED, id="pending before failed"),
        pytest.param(FAILED, {"stopped": "the budget"}, ExitCode.STOPPED, id="stopped"),
        pytest.param(PENDING, {"stopped": "the key", "refused": True}, ExitCode.REFUSED, id="refused"),
    ],
)
def test_the_exit_code_of_what_was_written(rows: dict[str, int], asked: dict[str, Any], code: ExitCode) -> None:
    of = replace(NOTHING, rows=rows)
    assert ended(of, Asked(**asked)) is code
    assert ended(of, Asked(**asked), interrupted=True) is ExitCode.INTERRUPTED


def test_a_double_charge_is_told_before_all_else() -> None:
    twice = replace(NOTHING, rows=PENDING, double_charges=(TWICE,))
    assert ended(twice, Asked(stopped="the key", refused=True), interrupted=True) is ExitCode.DOUBLE_CHARGE
