"""A result that is not as it was written is found when it is read: an error that says so, never another answer."""

from pathlib import Path

import pytest

from enrich.errors import LedgerError
from enrich.ledger import blocks
from enrich.ledger.store import Ledger
from enrich.records import Intent, Outcome, Stamp

RESULTS = [b'{"run": %d, "text": "%s"}' % (n, b"words " * 40) for n in range(20)]


def test_a_block_gives_back_what_was_packed() -> None:
    assert blocks.unpack(*blocks.pack(RESULTS)) == RESULTS


def test_no_flipped_bit_of_a_block_goes_unnoticed() -> None:
    size, crc, data = blocks.pack(RESULTS)
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(blocks.CorruptBlockError):
            blocks.unpack(size, crc, bytes(flipped))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda size, crc, data: (size + 1, crc, data), id="size"),
        pytest.param(lambda size, crc, data: (2**60, crc, data), id="absurd size"),
        pytest.param(lambda size, crc, data: (size, crc ^ 1, data), id="checksum"),
        pytest.param(lambda size, crc, data: (size, crc, data[:-1]), id="shorter"),
        pytest.param(lambda size, crc, data: (size, crc, b""), id="empty"),
        pytest.param(lambda size, crc, data: (None, crc, data), id="size lost"),
        pytest.param(lambda size, crc, data: (size, None, data), id="checksum lost"),
        pytest.param(lambda size, crc, data: (size, crc, None), id="bytes lost"),
    ],
)
def test_nothing_else_of_a_block_may_change(change) -> None:
    with pytest.raises(blocks.CorruptBlockError):
        blocks.unpack(*change(*blocks.pack(RESULTS)))


def test_the_ledger_names_the_block_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(path)
    with ledger.transaction():
        job_id = ledger.start_job(name="job", config="", source="", fields={})
        intent = Intent(job_id, "tgrp_1", "core", ("f" * 16,), 25_000, b"", Stamp(0, 0, ""), ((b"k" * 16, 0),))
        submission_id = ledger.record_intent(intent)
        ledger.record_outcomes(submission_id, [Outcome(0, "trun_1", completed=True, raw=RESULTS[0])])
    ledger.close()
    content = bytearray(path.read_bytes())
    *_, data = blocks.pack(RESULTS[:1])
    content[content.index(data) + 20] ^= 0x20
    path.write_bytes(content)

    ledger = Ledger.open(path)  # SQLite itself does not see it
    with pytest.raises(LedgerError, match=r"ledger is damaged \(block 1: its checksum does not match\)"):
        list(ledger.results([1]))
    ledger.close()
