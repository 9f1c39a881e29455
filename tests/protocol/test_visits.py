"""When groups are visited: soon, seldom, and often again; all of them together not too often."""

from dataclasses import replace

import pytest

from enrich.protocol.visits import FEW, LONGEST_S, POLLS_PER_S, SOON_S, Visit, Visits, Waited

NEW = Waited(1, "core", age_s=0.0, quiet_s=0.0, left=1000, ended=0)


def crowd(number: int, **facts: float) -> Visits:
    """So many groups that are waited for, of which this is none."""
    visits = Visits(**facts)  # type: ignore[arg-type]
    for n in range(number):
        visits.plan(replace(NEW, submission_id=-1 - n))
    return visits


def test_a_few_groups_are_followed_and_each_of_many_is_asked() -> None:
    visits = crowd(FEW - 1)
    assert visits.plan(NEW) == Visit(follow=True)
    assert not visits.plan(replace(NEW, submission_id=2)).follow
    visits.over(-1, "core", None)
    assert visits.plan(replace(NEW, submission_id=2)).follow


@pytest.mark.parametrize(
    ("age_s", "quiet_s", "ended", "after_s"),
    [
        pytest.param(2.0, 2.0, 0, SOON_S, id="new"),
        pytest.param(120.0, 120.0, 0, 12.0, id="a tenth of its age"),
        pytest.param(36_000.0, 60.0, 100, LONGEST_S, id="old"),
        pytest.param(120.0, 3.0, 600, SOON_S, id="ending"),
        pytest.param(120.0, 50.0, 990, 5.0, id="a tenth of the time without news"),
    ],
)
def test_a_group_is_asked_the_more_seldom_the_older_it_is_and_often_near_its_end(
    age_s: float, quiet_s: float, ended: int, after_s: float
) -> None:
    visits = crowd(FEW)
    visits.plan(NEW)
    assert visits.plan(replace(NEW, age_s=age_s, quiet_s=quiet_s, ended=ended)) == Visit(False, pytest.approx(after_s))


def test_what_an_earlier_command_left_is_looked_at_soon() -> None:
    assert crowd(FEW).plan(replace(NEW, age_s=86_400.0)) == Visit(follow=False, after_s=SOON_S)


def test_thousands_of_groups_cost_so_many_questions_a_second_together() -> None:
    visits = crowd(0, few=0)
    first = [visits.plan(replace(NEW, submission_id=n)).after_s for n in range(4000)]
    for second in range(int(first[-1])):
        assert sum(second < after_s <= second + 1 for after_s in first) <= 1 + POLLS_PER_S * max(SOON_S, 1)
    assert visits.plan(replace(NEW, ended=900)).after_s == 4000 / POLLS_PER_S


def test_a_group_that_was_asked_is_not_followed_in_its_last_seconds() -> None:
    visits = crowd(FEW)
    ending = replace(NEW, age_s=28.0, quiet_s=0.4, ended=960)
    visits.plan(NEW)
    visits.over(-1, "core", None)
    assert not visits.plan(ending).follow
    assert visits.plan(replace(ending, quiet_s=20.0)).follow  # the last ones are slow: each is news
    assert visits.plan(ending).follow


def test_how_long_groups_take_is_learnt_from_those_that_were_seen_to_end() -> None:
    visits = crowd(FEW)
    other = replace(NEW, submission_id=2)
    visits.plan(other)
    visits.over(2, "core", 9_000.0)  # it had ended when it was looked at first
    assert visits.plan(NEW).after_s == SOON_S
    visits.plan(other)
    visits.plan(replace(other, age_s=5.0))
    visits.over(2, "core", 40.0)
    assert visits.plan(NEW).after_s == pytest.approx(28.0)
    assert visits.plan(replace(NEW, age_s=20.0)).after_s == pytest.approx(8.0)
    assert visits.plan(replace(NEW, age_s=30.0)).after_s == pytest.approx(3.0)
    assert visits.plan(replace(NEW, submission_id=3, processor="pro")).after_s == SOON_S


def test_a_group_that_has_not_ended_teaches_nothing() -> None:
    visits = crowd(FEW)
    visits.plan(NEW)
    visits.plan(NEW)
    visits.over(1, "core", None)
    assert visits.plan(NEW).after_s == SOON_S
