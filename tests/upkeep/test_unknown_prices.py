"""Runs of a processor that this version does not know were paid for, at a price that nobody can tell: so it says."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing

import anyio
import pytest
from recovery_desk import Desk

from enrich.backends.metadata import identity_in_metadata
from enrich.cli import main
from enrich.errors import ExitCode
from enrich.ledger.store import Ledger
from enrich.records import Intent, Outcome, Stamp
from enrich.spec.identity import fieldset_key, task_key
from enrich.spec.money import known_price_micro, price_micro, rank_micro
from enrich.upkeep import recover, verify
from tests.hostile.middleman import Middleman, Reply, between

NOW = Stamp(1_800_000_000, 0, "boot")
WORDS = "12 runs at a price that is not known any more"


@pytest.fixture
def retired(desk: Desk) -> Iterator[Middleman]:
    """The service as it shows twelve runs that were asked by a name which their processor has no more."""
    (group,) = desk.run().outcome.groups
    words = {b'"processor":"lite"': b'"processor":"retired"'}
    for run in desk.service.runs(group):
        told = identity_in_metadata(run["metadata"], "lite")
        assert told is not None
        task = task_key(told.input_key, fieldset_key(told.field_ids), "retired", told.generation)
        words[told.task.encode()] = task.encode()

    def rename(method: str, path: str, reply: Reply) -> None:
        for old, new in words.items():
            reply.body = reply.body.replace(old, new)

    with between(desk.service.base_url, change=rename) as man:
        desk.ledger.unlink()
        yield man


def rebuild(desk: Desk, service: Middleman) -> recover.Recovery:
    request = recover.RecoverRequest(ledger=desk.ledger, environ=service.environ())
    return anyio.run(recover.recover, request)


def test_they_are_recovered_as_paid_at_a_price_not_known(desk: Desk, retired: Middleman) -> None:
    found = rebuild(desk, retired)
    assert (found.completed, found.usd, found.unpriced, found.exit_code) == (12, 0, 12, ExitCode.DONE)
    with closing(Ledger.reader(desk.ledger)) as ledger:
        totals = ledger.totals()
        assert (totals.runs_completed, totals.runs_paid, totals.runs_unpriced) == (12, 12, 12)
        assert totals.usd_micro_paid == 0
        (one,) = [ledger.submission(1)]
        assert (one.origin, one.price_micro, one.usd_micro) == ("recovered", None, 0)


def test_verify_holds_them_against_the_service_like_all_others(desk: Desk, retired: Middleman) -> None:
    rebuild(desk, retired)
    request = verify.VerifyRequest(ledger=desk.ledger, environ=retired.environ())
    found = anyio.run(verify.verify, request)
    assert (found.counts, found.unpriced_ledger, found.unpriced_service) == (Counter(), 12, 12)
    with closing(Ledger.open(desk.ledger)) as ledger:
        ledger.connection.execute("UPDATE run SET generation = 1 WHERE n = 0")
    assert anyio.run(verify.verify, request).counts == {"task": 1}


def test_every_command_says_so(
    desk: Desk, retired: Middleman, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in retired.environ().items():
        monkeypatch.setenv(name, value)
    words = {
        ("recover", "--ledger", str(desk.ledger)): f"and {WORDS}",
        ("status", "--ledger", str(desk.ledger)): f"paid        $0.00, and {WORDS}",
        ("verify", "--ledger", str(desk.ledger)): f"price that is not known any more, {12} runs by the ledger, 12 by",
    }
    for argv, said in words.items():
        assert main([*argv]) == 0
        assert said in capsys.readouterr().out
        if argv[0] != "recover":  # which has nothing to say of them the second time
            main([*argv, "--json"])
            assert json.loads(capsys.readouterr().out)["runs_unpriced"] in (12, {"ledger": 12, "service": 12})


def test_the_receipt_counts_them_and_says_that_they_are_in_no_sum(desk: Desk, retired: Middleman) -> None:
    rebuild(desk, retired)
    receipt = desk.run().receipt
    assert (receipt.table_runs_unpriced, receipt.ledger_runs_unpriced) == (12, 12)
    assert receipt.table_runs_paid == 12 + receipt.runs_paid
    assert receipt.table_usd == receipt.usd
    assert "(12 of them at a price that is not known any more)" in receipt.to_text()
    assert receipt.to_json()["table_runs_unpriced"] == 12


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with closing(Ledger.in_memory()) as opened:
        opened.start_job(name="job", config="", source="", fields={})
        yield opened


@pytest.fixture
def enter(ledger: Ledger) -> Callable[..., int]:
    """Enter a submission of two completed runs."""

    def enter(usd_micro: int | None, *, own: int | None = None, **options: str) -> int:
        tasks = tuple((bytes([n]) * 16, 0) for n in range(2))
        intent = Intent(1, "tgrp_1", "core", ("f" * 16,), usd_micro, b"body", NOW, tasks, **options)
        number = ledger.record_intent(intent)
        ledger.record_accepted(number, [f"trun_{number}_{n}" for n in range(2)], None)
        costs = (own, None)
        ledger.record_outcomes(
            number,
            [Outcome(n, f"trun_{number}_{n}", completed=True, raw=b"{}", usd_micro=costs[n]) for n in range(2)],
        )
        return number

    return enter


def test_a_run_may_have_a_price_of_its_own(ledger: Ledger, enter: Callable[..., int]) -> None:
    asked, unknown = enter(25_000, own=40_000), enter(None, own=7_000, origin="recovered")
    enter(0, origin="adopted")
    totals = ledger.totals()
    assert totals.usd_micro_paid == 40_000 + 25_000 + 7_000
    assert (totals.runs_completed, totals.runs_paid, totals.runs_unpriced) == (6, 4, 1)
    assert ledger.paid_by_processor() == {"core": 72_000}
    assert ledger.prices({1, 2, 3}) == {asked: 25_000, unknown: None}
    assert ledger.own_prices() == {(asked, 0): 40_000, (unknown, 0): 7_000}


def test_a_second_run_at_a_price_not_known_is_a_double_charge_all_the_same(
    ledger: Ledger, enter: Callable[..., int]
) -> None:
    number = enter(None, origin="recovered")
    assert ledger.record_extra(number, 0, "trun_twice") == 0
    assert ledger.record_extra(number, 0, "trun_twice") is None  # known by now
    ledger.record_extra_outcome("trun_twice", completed=True, raw=b"{}")
    (extra,) = ledger.extra_runs()
    assert (extra.usd_micro, extra.is_charge) == (None, True)
    assert ledger.totals().runs_unpriced == 3


def test_what_is_not_known_has_no_price_and_ranks_below_all() -> None:
    assert known_price_micro("retired") is None
    assert rank_micro("retired") < min(map(rank_micro, ("lite", "core", "pro")))
    assert (known_price_micro("lite"), price_micro("lite"), rank_micro("lite")) == (5_000, 5_000, 5_000)
    with pytest.raises(KeyError):
        price_micro("retired")
