"""How the results of another program's group are read: together, on and on, and one by one only where that breaks."""

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from enrich.api.errors import ApiError, ForbiddenError, StreamCut, UnauthorizedError
from enrich.config.loading import parse
from enrich.host.clock import SYSTEM
from enrich.progress import QuietProgress
from enrich.protocol.effects import FetchRun, ReadRuns
from enrich.protocol.replies import ReadRun, RunsRead
from enrich.upkeep.adopt import _Enter, _Work

CONFIG = {
    "name": "companies",
    "inputs": {"company": "name"},
    "outputs": {"hq": {"type": "string", "description": "City."}},
    "processor": "core",
}
RAW = b'{"run":{"run_id":"r"},"output":{"content":{"hq":"Bern"},"basis":[]}}'
CUT = StreamCut("cut", last_event_id=None, events=1, bytes_read=1)


def reading(*run_ids: str) -> Generator[Any, Any, None]:
    """The steps in which a group's results are read that match inputs of the table."""
    job = cast(Any, SimpleNamespace(config=parse(CONFIG), clock=SYSTEM))
    unused = cast(Any, None)
    work = _Work("tgrp_1", job, unused, unused, QuietProgress())
    wanted = {run_id: run_id.encode() * 8 for run_id in run_ids}
    return work._read(1, wanted, dict.fromkeys(run_ids, "core"))


def completed(run_id: str) -> ReadRun:
    return ReadRun(run_id, None, "completed", RAW, has_output=True, error=None)


def entered(step: Any) -> list[str]:
    assert isinstance(step, _Enter)
    return [run.run_id for _, run in step.results]


def test_a_long_listing_is_read_on_and_not_run_by_run() -> None:
    steps = reading("r1", "r2")
    assert next(steps) == ReadRuns("tgrp_1", None, None)
    assert entered(steps.send(RunsRead([completed("r1")], "c1", 7))) == ["r1"]
    assert steps.send(None) == ReadRuns("tgrp_1", None, 7)
    assert entered(steps.send(RunsRead([completed("r2")], "c2", None))) == ["r2"]
    with pytest.raises(StopIteration):
        steps.send(None)


def test_what_a_broken_listing_did_not_show_is_fetched_by_its_id() -> None:
    steps = reading("r1", "r2")
    next(steps)
    assert entered(steps.send(RunsRead([completed("r1")], "c1", 7))) == ["r1"]
    assert steps.send(None) == ReadRuns("tgrp_1", None, 7)
    assert steps.throw(CUT) == FetchRun("r2")
    assert entered(steps.send(completed("r2"))) == ["r2"]
    with pytest.raises(StopIteration):
        steps.send(None)


@pytest.mark.parametrize("refusal", [ForbiddenError("x", status=403), UnauthorizedError("x", status=401)], ids=repr)
def test_a_refused_key_ends_the_reading_at_once(refusal: ApiError) -> None:
    steps = reading("r1")
    next(steps)
    with pytest.raises(type(refusal)):
        steps.throw(refusal)
