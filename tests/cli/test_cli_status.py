"""`enrich status`: what the ledger holds, for people and as JSON; reads only."""

import json
import re
from pathlib import Path

from command_line import CONFIG, SURE, Enrich

from enrich.host.clock import SYSTEM
from enrich.ledger.store import Ledger
from enrich.records import Intent

EMPTY = "Error: {path}: there is no ledger here yet; `enrich run` makes one\n"

AFTER_A_RUN = """\
ledger      {path} (results of the sandbox)
groups      1
runs        2 completed
paid        $0.05
in flight   $0.00, 0 runs
unresolved  $0.00, 0 runs

jobs        1
  TIME  places  places.csv: 2 runs, 2 completed, $0.05; done
"""


def timeless(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\dZ| UTC)", "TIME", text)


def ledger_of(folder: Path) -> Path:
    return folder.resolve() / ".enrich" / "ledger.db"


def test_without_a_ledger_it_says_so(enrich: Enrich, folder: Path) -> None:
    ended = enrich("status", "places.yaml")
    assert (ended.code, ended.out, ended.err) == (2, "", EMPTY.format(path=ledger_of(folder)))
    assert not (folder / ".enrich").exists()


def test_after_a_run(enrich: Enrich, folder: Path, service: str) -> None:
    (folder / "places.yaml").write_text(CONFIG + SURE)
    enrich("run", "places.yaml", "places.csv", "--yes")
    ended = enrich("status", "places.yaml")
    assert (ended.code, ended.err) == (0, "")
    assert timeless(ended.out) == AFTER_A_RUN.format(path=ledger_of(folder))


def test_without_a_config_it_looks_in_this_folder(enrich: Enrich, folder: Path, service: str) -> None:
    enrich("run", "places.yaml", "places.csv", "--yes")
    named = enrich("status", "places.yaml", "--json")
    here = enrich("status", "--json")
    assert json.loads(here.out) == {**json.loads(named.out), "ledger": ".enrich/ledger.db"}


def test_as_json(enrich: Enrich, folder: Path, service: str) -> None:
    enrich("run", "places.yaml", "places.csv", "--yes", "--limit", "1")
    found = json.loads(timeless(enrich("status", "places.yaml", "--json").out))
    assert found == {
        "ledger": str(ledger_of(folder)),
        "service": "sandbox",
        "groups": 1,
        "runs": {"completed": 1},
        "usd": {"paid": 0.025, "in_flight": 0.0, "unresolved": 0.0},
        "runs_unpriced": 0,
        "unresolved": [],
        "double_charges": [],
        "jobs_in_all": 1,
        "jobs": [
            {
                "name": "places",
                "config": "places.yaml",
                "table": "places.csv",
                "started": "TIME",
                "ended": "TIME",
                "ending": "done",
                "groups": 1,
                "runs": 1,
                "completed": 1,
                "usd": 0.025,
            }
        ],
    }


def test_what_is_not_known_yet_and_what_was_charged_twice(enrich: Enrich, folder: Path) -> None:
    path = folder / "some.db"
    ledger = Ledger.open(path)
    with ledger.transaction():
        job_id = ledger.start_job(name="n", config="c.yaml", source="t.csv", fields={})
        for group in ("tgrp_known", "tgrp_lost"):
            intent = Intent(
                job_id=job_id,
                group_id=group,
                processor="core",
                field_ids=("0123456789abcdef",),
                usd_micro=25_000,
                body_hash=b"hash",
                stamp=SYSTEM.stamp(),
                tasks=((b"a" * 16, 0), (b"b" * 16, 0)),
            )
            submission = ledger.record_intent(intent)
            if group == "tgrp_known":
                ledger.record_accepted(submission, ["run_1", "run_2"], None)
                ledger.record_extra(submission, 0, "run_3")
            else:
                ledger.record_unknown(submission, SYSTEM.stamp(), "no answer within 60 s")
    ledger.close()
    out = timeless(enrich("status", "--ledger", "some.db").out)
    assert "runs        2 sent, 2 accepted\n" in out
    assert "in flight   $0.075, 3 runs\nunresolved  $0.05, 2 runs\n" in out
    assert "  tgrp_lost: 2 runs, $0.05, sent TIME: no answer within 60 s\n" in out
    assert "double charges\n  $0.025 too much, found TIME: run_3\n" in out
    assert "4 runs, 0 completed, $0.00; not ended: it runs now, was killed, or ended by an error\n" in out
