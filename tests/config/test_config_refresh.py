"""How long an outcome stands: short forms, defaults, and an answer's own durations."""

from __future__ import annotations

from datetime import timedelta

import pytest

from enrich.config import Refresh
from enrich.config.loading import parse
from enrich.spec import Json

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def config_with(refresh: Json, own: Json = None) -> tuple[Refresh, Refresh]:
    """The config's durations and those of an answer."""
    raw: dict[str, Json] = {
        "name": "a",
        "inputs": {"a": "b"},
        "outputs": {"x": {"type": "string"} if own is None else {"type": "string", "refresh": own}},
        "processor": "core",
    }
    config = parse(raw if refresh is None else {**raw, "refresh": refresh})
    return config.refresh, config.refresh_for("x")


@pytest.mark.parametrize(
    ("refresh", "answers", "not_found", "failed"),
    [
        pytest.param(None, None, 7 * DAY, 12 * HOUR, id="default"),
        pytest.param("never", None, 7 * DAY, 12 * HOUR, id="never"),
        pytest.param("30d", 30 * DAY, 7 * DAY, 12 * HOUR, id="duration"),
        pytest.param("5d", 5 * DAY, 5 * DAY, 12 * HOUR, id="not-found-no-longer"),
        pytest.param("1h", HOUR, HOUR, HOUR, id="failed-no-longer"),
        pytest.param({"not_found": "1d"}, None, DAY, 12 * HOUR, id="only-not-found"),
        pytest.param({"answers": "never", "not_found": "never"}, None, None, 12 * HOUR, id="never-at-all"),
        pytest.param({"answers": "1s"}, *[timedelta(seconds=1)] * 3, id="answers-alone"),
        pytest.param({"failed": "never"}, None, 7 * DAY, None, id="failed-never"),
        pytest.param({"answers": "2w", "failed": "90s"}, 14 * DAY, 7 * DAY, timedelta(seconds=90), id="whole"),
    ],
)
def test_forms_and_defaults(
    refresh: Json, answers: timedelta | None, not_found: timedelta | None, failed: timedelta | None
) -> None:
    common, own = config_with(refresh)
    assert (common.answers, common.not_found, common.failed) == (answers, not_found, failed)
    assert own == common


@pytest.mark.parametrize(
    ("refresh", "own", "answers", "not_found", "failed"),
    [
        pytest.param("30d", "never", None, 7 * DAY, 12 * HOUR, id="never"),
        pytest.param("30d", "3d", 3 * DAY, 3 * DAY, 12 * HOUR, id="shorter-takes-not-found-down"),
        pytest.param(
            {"answers": "30d", "not_found": "7d", "failed": "12h"},
            {"answers": "1s"},
            *[timedelta(seconds=1)] * 3,
            id="answers-alone",
        ),
        pytest.param("30d", {"not_found": "14d"}, 30 * DAY, 14 * DAY, 12 * HOUR, id="only-not-found"),
        pytest.param(
            {"answers": "30d", "failed": "2h"}, {"answers": "60d"}, 60 * DAY, 7 * DAY, 2 * HOUR, id="failed-inherited"
        ),
        pytest.param(
            {"answers": "never", "not_found": "never"}, "1d", DAY, DAY, 12 * HOUR, id="inherited-never-is-bounded"
        ),
        pytest.param({"failed": "never"}, "1d", DAY, DAY, DAY, id="failed-never-is-bounded"),
        pytest.param("30d", {"failed": "1h"}, 30 * DAY, 7 * DAY, HOUR, id="only-failed"),
    ],
)
def test_an_answer_has_durations_of_its_own(
    refresh: Json, own: Json, answers: timedelta | None, not_found: timedelta | None, failed: timedelta
) -> None:
    _, mine = config_with(refresh, own)
    assert (mine.answers, mine.not_found, mine.failed) == (answers, not_found, failed)
