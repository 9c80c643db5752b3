"""The registry's account of what was materialized: as short as the truth allows."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from resources.feature_store.feast.materialization import merged

DAY = timedelta(days=1)
D = datetime(2026, 3, 1, tzinfo=UTC)


def test_nights_become_one_window_and_repetitions_none() -> None:
    nights = [(D + n * DAY, D + (n + 1) * DAY) for n in range(400)]
    assert merged(nights) == [(D, D + 400 * DAY)]
    assert merged([*nights[:2], *nights[:2], *nights[5:6]]) == [(D, D + 2 * DAY), nights[5]]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)), max_size=12))
def test_the_same_time_in_as_few_windows_as_possible(spans: list[tuple[int, int]]) -> None:
    windows = [(D + start * DAY, D + (start + days) * DAY) for start, days in spans]
    found = merged(windows)

    def days(of: list[tuple[datetime, datetime]]) -> set[int]:
        return {n for n in range(40) if any(start <= D + n * DAY < end for start, end in of)}

    assert days(found) == days(windows)
    assert all(end < start for (_, end), (start, _) in pairwise(found))
