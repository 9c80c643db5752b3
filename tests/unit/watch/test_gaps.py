"""The longest time without an event, by the pace of the events around it."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from models.contracts import CONTRACTS
from models.watch.columns import roles_of
from models.watch.gaps import gaps

DAY = date(2025, 3, 4)
MIDNIGHT = datetime(2025, 3, 4, tzinfo=UTC)
ROLES = roles_of(CONTRACTS["payments"])


def longest(*minutes: float, day: date = DAY) -> list[float]:
    """The value for payments of a day at so many minutes after its midnight."""
    times = [MIDNIGHT + timedelta(minutes=each) for each in minutes]
    rows = pl.DataFrame({"delivered_on": [day] * len(times), "paid_at": times})
    return [value for _, found in gaps(rows, ROLES) for value in found["value"].to_list()]


EVERY_MINUTE = [*range(1440)]


def test_half_an_hour_without_payments_is_as_many_as_the_pace_around_it_says() -> None:
    every = [minute for minute in EVERY_MINUTE if not 600 < minute < 630]
    assert longest(*every) == [30.0]


def test_the_pace_is_that_of_the_hour_not_of_the_day() -> None:
    slow = [minute for minute in EVERY_MINUTE if minute < 300 and minute % 10 == 0]
    fast = [300 + second / 6 for second in range(6000)]
    assert longest(*slow, *fast)[0] < 3
    without = [minute for minute in fast if not 700 < minute < 705]
    assert longest(*slow, *without) == [30.0]


def test_payments_at_the_same_time_are_one_event_and_those_of_other_days_none() -> None:
    every = [minute for minute in EVERY_MINUTE if not 600 < minute < 630]
    assert longest(*every, *every, *every) == [30.0]
    late = [-3000 + minute for minute in range(0, 900, 3)]
    assert longest(*every, *late) == [30.0]


def test_at_the_ends_of_the_day_the_other_side_tells_the_pace() -> None:
    assert longest(0, *range(31, 1440)) == [31.0]
    assert longest(*range(1400), 1430) == [31.0]


def test_few_payments_say_nothing() -> None:
    assert longest(*range(0, 1440, 30)) == []
    assert longest() == []
