"""Files that are small when we wrote them, and of any size when somebody else did: read no further than they may go."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enrich.errors import LedgerError, UsageError
from enrich.ledger.groups import MAX_BYTES as MAX_LIST_BYTES
from enrich.ledger.store import Ledger
from enrich.report import is_manifest, read_manifest
from enrich.report.manifest import MAX_BYTES as MAX_MANIFEST_BYTES
from enrich.review.sheet import Sheet
from enrich.sandbox import SandboxError, facts
from enrich.sandbox.facts import load_facts
from enrich.sandbox.journal import Journal
from tests.hostile.evil import CONFIG
from tests.hostile.measuring import MOST_MB, measured

MB = 1 << 20
GB = 1 << 30
HEADER = "row,field,run_id,decision,correction,note\n"
LIST = b"# The groups that the ledger beside this file has paid through; kept by enrich\n"
SANDBOX = ("sandbox", "--port", "0")
CASES = [
    pytest.param("t.run.json", b"{", ("recover", "c.yaml", "--manifest", "t.run.json"), "larger than 16 MB", id="json"),
    pytest.param("t.ndjson", b"{", (*SANDBOX, "--facts", "t.ndjson"), ":1: a fact has at most 4 MB", id="facts"),
    pytest.param("t.state", b'{"enrich_sandbox":', (*SANDBOX, "--state", "t.state"), ":1: not a line of", id="state"),
    pytest.param("t.csv", HEADER.encode() + b'1,"', ("review", "c.yaml", "t.csv"), ":2: sheet row 2: the", id="review"),
    pytest.param("s.json", b"{", ("check", "schema.yaml"), "s.json: is larger than 1000000 bytes", id="schema"),
    pytest.param("big.yaml", b"a: ", ("check", "big.yaml"), "big.yaml: is larger than 1000000 bytes", id="config"),
    pytest.param(".enrich/ledger.db.groups", LIST, ("status", "c.yaml"), "no list of groups is", id="groups"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "start", "argv", "said"), CASES)
def test_two_gigabytes_in_the_place_of_a_small_file(
    name: str, start: bytes, argv: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    Ledger.open(tmp_path / ".enrich" / "ledger.db").close()
    (tmp_path / "c.yaml").write_text(CONFIG)
    (tmp_path / "schema.yaml").write_text("name: a\ninputs: {company: company}\noutputs: s.json\nprocessor: core\n")
    with (tmp_path / name).open("wb") as file:
        file.write(start)
        file.truncate(2 * GB)
        file.seek(2 * GB)
        file.write(b"\n")
    ended = measured(tmp_path, *argv, environ={"PARALLEL_API_KEY": "k", "PARALLEL_BASE_URL": "http://127.0.0.1:9"})
    assert ended.code == 2, ended.said
    assert said in ended.said
    assert len(ended.said) < 1000
    assert ended.peak_mb < MOST_MB


def test_a_manifest_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "t.run.json"
    text = b'{"schema":"enrich.run/1","more":"%b"}'
    path.write_bytes(text % (b"x" * (MAX_MANIFEST_BYTES - len(text) + 2)))
    assert is_manifest(path)
    path.write_bytes(text % (b"x" * (MAX_MANIFEST_BYTES - len(text) + 3)))
    assert not is_manifest(path)
    with pytest.raises(UsageError, match="larger than 16 MB"):
        read_manifest(path)


def test_a_list_of_groups_that_is_too_long_is_not_taken_for_none(tmp_path: Path) -> None:
    ledger = tmp_path / "x.db"
    Ledger.open(ledger).close()
    with (tmp_path / "x.db.groups").open("wb") as file:
        file.write(b"tgrp_1\n")
        file.truncate(MAX_LIST_BYTES + 1)
    with pytest.raises(LedgerError, match="larger than 64 MB"):
        Ledger.open(ledger)


@pytest.mark.slow
def test_rows_of_a_review_file_are_held_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    row = f"1,city,trun_1,,,{'x' * 30 * MB}\n"
    path.write_text(HEADER + row * 4)
    sheet = Sheet(path)
    assert len(list(sheet)) < 4
    (fault,) = sheet.faults
    assert (fault.line, fault.path) == (5, "sheet row 5")
    assert "rows in a row have more than 96 MB" in fault.message
    path.write_text(HEADER + row * 3)
    sheet = Sheet(path)
    assert (len(list(sheet)), sheet.faults) == (3, [])


FACT = {"match": {"company": "Acme"}, "answers": {"city": {"value": "Bonn"}}}


@pytest.mark.parametrize(("bound", "most"), [("left", 100 * len(json.dumps(FACT) + "\n")), ("values", 100 * 5)])
def test_facts_have_room_for_so_many_bytes_and_values(bound: str, most: int, tmp_path: Path) -> None:
    path = tmp_path / "f.ndjson"
    path.write_text(f"{json.dumps(FACT)}\n" * 100)
    assert len(list(facts._lines(path, facts._Room(path, **{bound: most})))) == 100
    with pytest.raises(SandboxError, match=r"f.ndjson:100: facts have at most"):
        list(facts._lines(path, facts._Room(path, **{bound: most - 1})))


@pytest.mark.slow
def test_facts_of_one_value_that_stands_in_every_row(tmp_path: Path) -> None:
    text = json.dumps(FACT["answers"] | {"note": {"value": "x" * MB}})
    answers = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array([text]))
    match = pa.array([json.dumps({"company": f"Company {n}"}) for n in range(2000)])
    table = pa.table({"match": match, "answers": answers})
    pq.write_table(table, tmp_path / "f.parquet", compression="zstd", store_schema=False)
    ended = measured(tmp_path, "sandbox", "--port", "0", "--facts", "f.parquet")
    assert ended.code == 2, ended.said
    assert "facts have at most 128 MB" in ended.said
    assert ended.peak_mb < MOST_MB


def test_facts_of_parquet_are_read_as_before(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([FACT] * 3), tmp_path / "f.parquet")
    load_facts(tmp_path / "f.parquet")
    (tmp_path / "f.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(SandboxError, match="it is no Parquet, or damaged"):
        load_facts(tmp_path / "f.parquet")


@pytest.mark.parametrize(
    "line",
    [
        {"match": {"a": "b"}, "answers": {"city": "x" * 9999}},
        {"match": {"a": "b"}, "answers": json.dumps(["y" * 9999])},
        {"match": {"a": "b"}, "processors": {"z" * 9999: {}}},
        {"match": {"a": "b"}, "answers": {"w" * 9999: {"confidence": "v" * 9999}}},
    ],
    ids=["an answer", "answers", "a processor", "a confidence"],
)
def test_what_is_wrong_in_a_fact_is_quoted_in_short(line: dict, tmp_path: Path) -> None:
    (tmp_path / "f.ndjson").write_text(json.dumps(line) + "\n")
    with pytest.raises(SandboxError) as caught:
        load_facts(tmp_path / "f.ndjson")
    assert len(str(caught.value).removeprefix(str(tmp_path))) < 400


def test_a_line_of_a_state_file_that_no_request_can_have_made_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.state"
    Journal(path, lambda body: []).close()
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + 200 * MB)
        file.seek(0, 2)
        file.write(b"\n")
    journal = Journal(path, lambda body: [])
    with pytest.raises(SandboxError, match=":2: not a line of a sandbox's state: it has more than"):
        list(journal.entries())
    journal.close()
