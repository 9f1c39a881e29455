"""A double charge is reported once: by the command that found it or, if that was killed, by the next one."""

import pytest

from enrich.errors import ExitCode
from enrich.ledger import Ledger


@pytest.mark.parametrize(
    ("completed", "codes"),
    [
        pytest.param(True, [ExitCode.DOUBLE_CHARGE, ExitCode.DONE], id="charged"),
        pytest.param(False, [ExitCode.DONE, ExitCode.DONE], id="failed, and so not charged"),
    ],
)
def test_what_a_killed_command_found_is_reported_by_the_next_one(make_scene, completed, codes) -> None:
    scene = make_scene(rows=3)
    scene.finish()
    ledger = Ledger.open(scene.ledger)
    with ledger.transaction():
        ledger.start_job(name="killed", config="", source="", fields={})
        ledger.record_extra(1, 0, "trun_extra")
        ledger.record_extra_outcome("trun_extra", completed=completed, raw=b"{}")
    ledger.close()
    reports = [scene.run(), scene.run()]
    assert [report.exit_code for report in reports] == codes
    assert [len(report.receipt.double_charges) for report in reports] == [int(completed), 0]
    assert scene.service.posts() == 1
