"""A ledger that is lost is rebuilt from the service's records, for free, and nothing is asked again."""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from recovery_desk import Desk

import enrich
from enrich.api.errors import BaseUrlError, UnauthorizedError
from enrich.backends.metadata import run_metadata
from enrich.errors import ExitCode, LedgerBusyError, LedgerError, MissingKeyError, UsageError
from enrich.host.clock import SYSTEM
from enrich.job import Options
from enrich.ledger.groups import groups_file, read_groups
from enrich.ledger.lock import InstanceLock
from enrich.ledger.salvage import set_aside
from enrich.ledger.store import Ledger
from enrich.records import Ruled
from enrich.spec.identity import fieldset_key, input_key, task_key
from enrich.upkeep.adopt import adopt
from enrich.upkeep.recover import RecoverRequest, Recovery, recover

FIELD = "f" * 16


def rebuild(desk, **options: Any) -> Recovery:
    request = RecoverRequest(**{"ledger": desk.ledger, "environ": desk.service.environ, **options})
    return anyio.run(recover, request)


def delete(path: Path) -> None:
    path.unlink()


def delete_with_its_list(path: Path) -> None:
    path.unlink()
    groups_file(path).unlink()


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip_a_result(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        (data,) = database.execute("SELECT data FROM block").fetchone()
    database.close()
    content = bytearray(path.read_bytes())
    content[content.index(data) + len(data) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("ruin", "options"),
    [
        pytest.param(delete, {}, id="deleted"),
        pytest.param(delete_with_its_list, {"groups": True}, id="deleted with its list"),
        pytest.param(zero, {"replace": True}, id="zeroed"),
        pytest.param(flip_a_result, {"replace": True}, id="a result flipped"),
    ],
)
def test_after_recovery_the_same_command_pays_nothing_and_writes_the_same(
    desk, ruin: Callable[[Path], None], options: dict[str, Any]
) -> None:
    first = desk.run()
    before, bill, posts = desk.result(first), desk.service.bill(), desk.service.posts()
    ruin(desk.ledger)
    if "groups" in options:
        options = {"groups": first.outcome.groups}

    found = rebuild(desk, **options)
    again = desk.run()

    assert (found.groups, found.listed, found.completed, found.exit_code) == (1, 12, 12, ExitCode.DONE)
    assert found.usd == first.receipt.usd
    assert desk.result(again) == before
    assert (desk.service.bill(), desk.service.posts()) == (bill, posts)
    assert again.receipt.ledger_usd == first.receipt.ledger_usd


def test_a_ladder_with_failures_is_rebuilt_run_by_run(desk, make_service) -> None:
    desk.service = make_service(faults=("run-failed=0.3", "no-confidence=0.3"))
    desk.config.write_text(desk.config.read_text().replace("processor: lite", "processor: [lite, base, pro]"))
    desk.rows(40)
    first = desk.run()
    before, bill, posts = desk.result(first), desk.service.bill(), desk.service.posts()
    rows = _runs(desk.ledger)
    desk.ledger.unlink()

    found = rebuild(desk)
    again = desk.run()

    assert found.groups == len(first.outcome.groups) > 2
    assert found.failed == first.receipt.runs_failed > 0
    assert _runs(desk.ledger) == rows
    assert desk.result(again) == before
    assert (desk.service.bill(), desk.service.posts()) == (bill, posts)


def _runs(path: Path) -> set[tuple[Any, ...]]:
    database = sqlite3.connect(path)
    rows = database.execute(
        "SELECT batch_ref, run_id, processor, submission.usd_micro, field_ids, input_key, generation, run.state, error"
        " FROM run JOIN submission USING (submission_id) JOIN fieldset USING (fieldset_id)"
    ).fetchall()
    database.close()
    return set(rows)


def test_it_can_be_done_again_and_leaves_what_is_known(desk) -> None:
    desk.run()
    desk.ledger.unlink()

    first, second = rebuild(desk), rebuild(desk)

    assert (first.known, first.completed) == (0, 12)
    assert (second.known, second.completed, second.usd) == (12, 0, 0)


def test_an_old_copy_is_brought_up_to_date(desk) -> None:
    desk.run(limit=5)
    copy = desk.ledger.read_bytes()
    report = desk.run()
    before, posts = desk.result(report), desk.service.posts()
    desk.ledger.write_bytes(copy)

    found = rebuild(desk)

    assert (found.known, found.completed) == (5, 7)
    assert desk.result(desk.run()) == before
    assert desk.service.posts() == posts


def test_runs_that_have_not_ended_are_collected_by_the_next_run(desk, make_service) -> None:
    desk.service = make_service(latency_s=(1.5, 1.5))
    group, posts = _asked(desk, 12)

    found = rebuild(desk, groups=[group])
    report = desk.run()

    assert (found.listed, found.completed, found.to_collect) == (12, 0, 12)
    assert desk.service.posts() == posts
    assert report.receipt.runs_paid == 12
    assert report.receipt.rows["pending" if "pending" in report.receipt.rows else "review"] >= 0


def _asked(desk, count: int) -> tuple[str, int]:
    """A group as `enrich run` would have made it, by a ledger that is gone at once: its id, and POSTs so far."""
    from enrich.config.loading import load
    from enrich.planning.comparison import spec_of

    config = load(desk.config)
    documents = [
        json.dumps(
            {"company": f"Company {i}", "website": f"company-{i}.example"}, sort_keys=True, separators=(",", ":")
        )
        for i in range(count)
    ]
    ids = [one.id for one in config.fields]
    inputs = [_run_input(document.encode(), ids, "lite") for document in documents]
    group = desk.service.post("/v1/tasks/groups", {})["taskgroup_id"]
    desk.service.post(
        f"/v1/tasks/groups/{group}/runs", {"default_task_spec": spec_of(config, config.fields), "inputs": inputs}
    )
    return group, desk.service.posts()


def _run_input(document: bytes, ids: list[str], processor: str, generation: int = 0) -> dict[str, Any]:
    key = input_key(document)
    task = task_key(key, fieldset_key(ids), processor, generation)
    return {
        "input": json.loads(document),
        "processor": processor,
        "metadata": run_metadata(task, key, ids, generation),
    }


def _group(desk, inputs: list[dict[str, Any]]) -> str:
    spec = {"output_schema": {"type": "json", "json_schema": _SCHEMA}}
    group = desk.service.post("/v1/tasks/groups", {"metadata": {"enrich_job": "test"}})["taskgroup_id"]
    desk.service.post(f"/v1/tasks/groups/{group}/runs", {"default_task_spec": spec, "inputs": inputs})
    return group


_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "City."}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("apart", [pytest.param(False, id="in one group"), pytest.param(True, id="in two groups")])
def test_two_runs_of_one_task_are_a_double_charge(desk, *, apart: bool) -> None:
    run = _run_input(b'{"company":"Acme"}', [FIELD], "core")
    groups = [_group(desk, [run]), _group(desk, [run])] if apart else [_group(desk, [run, run])]
    _settle(desk, groups)

    found = rebuild(desk, groups=groups)

    assert found.exit_code is ExitCode.DOUBLE_CHARGE
    assert (found.listed, found.completed, found.extras, found.to_collect) == (2, 1, 1, 0)
    (charge,) = found.double_charges
    assert charge.task_key == run["metadata"]["enrich_task"]
    assert len(set(charge.run_ids)) == 2
    assert str(charge.usd) == "0.025"
    ledger = Ledger.reader(desk.ledger)
    assert ledger.totals().usd_micro_paid == 50_000  # as billed
    ledger.close()
    again = rebuild(desk, groups=groups)
    assert (again.known, again.extras, again.exit_code) == (2, 0, ExitCode.DONE)  # it was reported once


def _settle(desk, groups: list[str]) -> None:
    for group in groups:
        while desk.service.get(f"/v1/tasks/groups/{group}")["status"]["is_active"]:
            pass


def test_runs_of_another_program_or_with_spoilt_metadata_are_counted_and_left_alone(desk) -> None:
    good = _run_input(b'{"company":"Acme"}', [FIELD], "core")
    spoilt = _run_input(b'{"company":"Beta"}', [FIELD], "core")
    spoilt["metadata"]["enrich_gen"] = "1"
    foreign = {"input": {"company": "Gamma"}, "processor": "core"}
    group = _group(desk, [good, spoilt, foreign, {**foreign, "metadata": {"mine": "1", "enrich_task": "x"}}])
    _settle(desk, [group])

    found = rebuild(desk, groups=[group])

    assert (found.listed, found.foreign, found.completed) == (1, 3, 1)
    assert (found.untied, found.untied_groups, found.exit_code) == (3, [group], ExitCode.FAILED_ROWS)


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_group_whose_runs_lost_their_metadata_is_not_paid_for_again_unawares(
    desk, make_service, *, by_hand: bool
) -> None:
    state = desk.folder / "service.ndjson"
    desk.service = make_service(state=state)
    first = desk.run()
    before, (group,) = desk.result(first), first.outcome.groups
    copy = desk.folder / "copy.ndjson"
    copy.write_bytes(state.read_bytes())
    desk.service = make_service(state=copy, faults=("no-metadata",))
    known = rebuild(desk)  # the ledger has them all
    assert (known.foreign, known.untied, known.exit_code) == (0, 0, ExitCode.DONE)
    if by_hand:
        groups_file(desk.ledger).unlink()

    found = rebuild(desk, replace=True, groups=[group] if by_hand else [])

    assert (found.listed, found.untied, found.untied_groups) == (0, 12, [group])
    assert found.exit_code is ExitCode.FAILED_ROWS
    with pytest.raises(LedgerError, match="1 more of the groups it paid through"):
        desk.run()
    options = Options(environ=desk.service.environ)
    anyio.run(adopt, group, desk.config, desk.table, options)
    again = desk.run()
    assert (desk.service.posts(), again.receipt.runs_paid) == (0, 0)
    assert desk.result(again) == before


def test_an_unknown_group_is_named_and_the_others_are_recovered(desk) -> None:
    report = desk.run()
    desk.ledger.unlink()

    found = rebuild(desk, groups=["tgrp_nobody_knows", *report.outcome.groups])

    assert (found.unknown_groups, found.completed, found.exit_code) == (["tgrp_nobody_knows"], 12, ExitCode.USAGE)


def test_a_group_without_runs_of_ours_is_taken_off_the_list(desk) -> None:
    desk.run()
    empty = desk.service.post("/v1/tasks/groups", {})["taskgroup_id"]
    with groups_file(desk.ledger).open("a") as file:
        file.write(f"{empty}\n")
    with pytest.raises(LedgerError, match="lists 1 more of the groups"):
        desk.run()

    rebuild(desk)

    assert empty not in read_groups(groups_file(desk.ledger))
    assert desk.run().receipt.runs_paid == 0


def test_a_group_that_was_not_looked_at_stays_on_the_list(desk) -> None:
    first = desk.run(limit=5).outcome.groups
    second = desk.run().outcome.groups
    desk.ledger.unlink()

    rebuild(desk, groups=first)

    with pytest.raises(LedgerError, match=f"lists 1 more .* such as {second[0]}"):
        desk.run()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("cut-clean=3,1x", id="listing cut"),
        pytest.param("listing-by-change", id="by change"),
        pytest.param("duplicates", id="duplicates"),
        pytest.param("read-error=503,2x", id="503"),
        pytest.param("cut-reset=4,1x", id="reset"),
        pytest.param("reordered", id="reordered"),
        pytest.param("string-content", id="content as text"),
    ],
)
def test_it_is_whole_however_the_service_lists(tmp_path: Path, make_service, fault: str) -> None:
    state = tmp_path / "service.ndjson"
    desk = Desk(tmp_path, make_service(state=state))
    report = desk.run()
    before = desk.result(report)
    desk.ledger.unlink()
    copy = tmp_path / "copy.ndjson"
    copy.write_bytes(state.read_bytes())
    desk.service = make_service(state=copy, faults=(fault,))

    found = rebuild(desk)

    assert (found.completed, found.to_collect) == (12, 0)
    if fault != "string-content":
        assert desk.result(desk.run()) == before
    assert desk.service.posts() == 0


@pytest.mark.parametrize("calls", [6, 10, 14, 18])
def test_a_recovery_that_was_broken_off_goes_on(tmp_path: Path, make_service, calls: int) -> None:
    state = tmp_path / "service.ndjson"
    desk = Desk(tmp_path, make_service(state=state))
    for limit in (3, 6, 9, 12):
        report = desk.run(limit=limit)
    before, rows = desk.result(report), _runs(desk.ledger)
    desk.ledger.unlink()
    copies = [tmp_path / name for name in ("first.ndjson", "second.ndjson")]
    for copy in copies:
        copy.write_bytes(state.read_bytes())
    desk.service = make_service(state=copies[0], faults=(f"unauthorized=@{calls}",))

    with pytest.raises(UnauthorizedError):
        rebuild(desk)
    desk.service = make_service(state=copies[1])
    rebuild(desk)

    assert desk.result(desk.run()) == before
    assert _runs(desk.ledger) == rows
    assert desk.service.posts() == 0


def test_a_sound_ledger_is_never_replaced_by_accident(desk) -> None:
    desk.run()
    zero(desk.ledger)
    spoilt = desk.ledger.read_bytes()

    with pytest.raises(LedgerError, match="recover --replace"):
        rebuild(desk, groups=["tgrp_x"])

    assert desk.ledger.read_bytes() == spoilt


def test_what_is_replaced_is_renamed_and_never_deleted(desk) -> None:
    desk.run()
    before = desk.ledger.read_bytes()

    found = rebuild(desk, replace=True)

    assert found.aside is not None
    assert found.aside.name.startswith("ledger.db.damaged-")
    assert found.aside.read_bytes() == before
    assert found.completed == 12


def test_decisions_of_people_are_taken_over(desk) -> None:
    desk.run()
    ruled = Ruled(b"k" * 16, FIELD, "correct", b'"Paris"', "trun_1", "asked them", 1_700_000_000)
    ledger = Ledger.open(desk.ledger)
    with ledger.transaction():
        ledger.record_decisions([ruled])
    ledger.close()
    flip_a_result(desk.ledger)

    found = rebuild(desk, replace=True)

    ledger = Ledger.reader(desk.ledger)
    assert (found.decisions, ledger.decisions([b"k" * 16])) == (1, {b"k" * 16: {FIELD: ruled}})
    ledger.close()


def test_decisions_that_a_killed_recovery_set_aside_are_taken_over_by_the_next(desk) -> None:
    desk.run()
    old = Ruled(b"k" * 16, FIELD, "accept", b'"Lyon"', "trun_1", "", 1_700_000_000)
    new = Ruled(b"k" * 16, FIELD, "correct", b'"Paris"', "trun_1", "asked them", 1_700_000_001)
    for ruled in (new, old):  # the older one is in the ledger that comes later
        with closing(Ledger.open(desk.ledger, may_lack_groups=True)) as ledger, ledger.transaction():
            ledger.record_decisions([ruled])
        set_aside(desk.ledger, SYSTEM.moment())

    found = rebuild(desk, replace=True)

    with closing(Ledger.reader(desk.ledger)) as ledger:
        assert (found.decisions, ledger.decisions([b"k" * 16])) == (1, {b"k" * 16: {FIELD: new}})


def test_without_any_group_it_says_where_to_find_them(desk) -> None:
    with pytest.raises(UsageError, match=r"--group ID, or --manifest NAME\.run\.json"):
        rebuild(desk)
    assert not desk.ledger.exists()


def test_another_instance_is_respected(desk) -> None:
    desk.run()
    with InstanceLock(desk.ledger), pytest.raises(LedgerBusyError, match=f"in use by pid {os.getpid()}"):
        rebuild(desk)


def test_results_of_the_sandbox_are_not_mixed_with_real_ones(desk) -> None:
    ledger = Ledger.open(desk.ledger)
    with ledger.transaction():
        ledger.record_service("service")
    ledger.close()
    group = _group(desk, [_run_input(b'{"company":"Acme"}', [FIELD], "core")])

    with pytest.raises(LedgerError, match="never mixed"):
        rebuild(desk, groups=[group])


# ---------------------------------------------------------------------- what is set aside


def test_a_ledger_stays_where_it_is_until_the_service_answers(desk: Desk) -> None:
    report = desk.run()
    zero(desk.ledger)
    damaged = desk.ledger.read_bytes()
    key, address = desk.service.environ["PARALLEL_API_KEY"], desk.service.base_url

    for environ, groups, error in (
        ({}, (), MissingKeyError),
        ({"PARALLEL_API_KEY": key, "PARALLEL_BASE_URL": "nowhere"}, (), BaseUrlError),
        ({"PARALLEL_API_KEY": key, "PARALLEL_BASE_URL": address}, ("tgrp_0",), None),
    ):
        request = RecoverRequest(ledger=desk.ledger, environ=environ, groups=groups, replace=True)
        if error is None:
            assert anyio.run(recover, request).exit_code is ExitCode.USAGE
        else:
            with pytest.raises(error):
                anyio.run(recover, request)
        assert desk.ledger.read_bytes() == damaged
        assert not list(desk.ledger.parent.glob("*.damaged-*"))

    assert rebuild(desk, replace=True).completed == report.receipt.runs_paid


def somebody_elses_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE friend (name)")
    database.close()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        pytest.param(lambda path: path.write_text("name\nAcme\n"), "this file is no ledger", id="a table"),
        pytest.param(somebody_elses_database, "this file is no ledger", id="another program's database"),
        pytest.param(Path.mkdir, "this is a folder", id="a folder"),
        pytest.param(os.mkfifo, "this is no regular file", id="a named pipe"),
    ],
)
def test_what_never_was_a_ledger_is_not_touched(desk: Desk, make: Callable[[Path], Any], problem: str) -> None:
    path = desk.folder / "friends.csv"
    make(path)
    before = sorted(desk.folder.iterdir())

    for act in (
        lambda: rebuild(desk, ledger=path, replace=True, groups=["tgrp_0"]),
        lambda: desk.run(ledger=path),
        lambda: enrich.plan(desk.config, desk.table, ledger=path),
    ):
        with pytest.raises((LedgerError, UsageError), match=problem):
            act()

    assert sorted(desk.folder.iterdir()) == before


@pytest.mark.parametrize(
    "ruin",
    [
        pytest.param(lambda path: path.write_bytes(b""), id="emptied"),
        pytest.param(lambda path: path.write_bytes(bytes(2_000_000)), id="zeroed"),
        pytest.param(lambda path: path.write_bytes(b"what is this?"), id="overwritten"),
    ],
)
def test_what_once_was_a_ledger_is_set_aside(desk: Desk, ruin: Callable[[Path], Any]) -> None:
    desk.run()
    ruin(desk.ledger)

    found = rebuild(desk, replace=True)

    assert found.completed == 12
    assert found.aside is not None


@pytest.mark.parametrize(
    ("ledger", "output"),
    [
        pytest.param("table.csv", None, id="the table"),
        pytest.param("test.yaml", None, id="the config"),
        pytest.param("out.csv", "out.csv", id="the output"),
        pytest.param("out.review.csv", "out.csv", id="the review file"),
    ],
)
def test_a_ledger_is_no_other_file_of_the_command(desk: Desk, ledger: str, output: str | None) -> None:
    chosen = None if output is None else desk.folder / output
    with pytest.raises(UsageError, match="can't be the ledger too"):
        desk.run(ledger=desk.folder / ledger, output=chosen)
    assert not list(desk.folder.glob("*.lock"))
