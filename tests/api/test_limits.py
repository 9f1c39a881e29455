"""The account's quota as the environment and the config say it; a pause of free requests."""

from __future__ import annotations

import pytest

from enrich.api.limits import Pause, runs_per_minute
from enrich.errors import UsageError
from tests.api.fake_time import FakeTime

pytestmark = pytest.mark.anyio


async def test_nothing_is_held_back_without_a_reason() -> None:
    time = FakeTime()
    await Pause(clock=time.clock, sleep=time.sleep).over()
    assert time.slept == []


async def test_a_pause_ends_and_the_longest_one_counts() -> None:
    time = FakeTime()
    pause = Pause(clock=time.clock, sleep=time.sleep)
    pause.lengthen(30)
    pause.lengthen(5)
    await pause.over()
    assert time.slept == [30]
    await pause.over()
    assert time.slept == [30]


@pytest.mark.parametrize(
    ("environ", "configured", "quota"),
    [
        pytest.param({}, None, 2000, id="the usual one"),
        pytest.param({}, 300, 300, id="the config's"),
        pytest.param({"ENRICH_RUNS_PER_MINUTE": " 60 "}, 300, 60, id="the environment's"),
        pytest.param({"ENRICH_RUNS_PER_MINUTE": " "}, None, 2000, id="empty"),
        pytest.param({"ENRICH_REQUESTS_PER_MINUTE": ""}, None, 2000, id="the older one, empty"),
    ],
)
def test_the_quota_is_the_environments_else_the_configs(
    environ: dict[str, str], configured: int | None, quota: int
) -> None:
    assert runs_per_minute(environ, configured) == quota


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "²"])
def test_a_quota_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"ENRICH_RUNS_PER_MINUTE: expected .* got '{text}'"):
        runs_per_minute({"ENRICH_RUNS_PER_MINUTE": text})


def test_the_older_variable_is_refused_and_the_new_one_named() -> None:
    with pytest.raises(UsageError, match=r"ENRICH_REQUESTS_PER_MINUTE: .* set ENRICH_RUNS_PER_MINUTE"):
        runs_per_minute({"ENRICH_REQUESTS_PER_MINUTE": "600"})
