"""The number that a join compares says the same as event and creation, whatever their scale."""

from itertools import product

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.feature_store.offline.tie_order import Lags, Order, order_of

SECOND, HOUR, DAY = 10**6, 3600 * 10**6, 86400 * 10**6
YEAR = 365 * DAY
Rows = list[tuple[int, int | None]]


def chosen(rows: Rows, known_only: bool) -> Order:
    lags = [created - event for event, created in rows if created is not None]
    events = [event for event, _ in rows]
    found = Lags(min(events), max(events), min(lags, default=None), max(lags, default=None))
    return order_of(found, known_only, lambda us: all(event % us == 0 for event in events))


def compared(order: Order, rows: Rows, moments: list[int]) -> list[tuple[int, int, int | None, int, bool]]:
    """Per row and moment: t, event, created, the row's number, and whether it may match."""
    listed = ", ".join(f"({event}::BIGINT, {'NULL' if made is None else made}::BIGINT)" for event, made in rows)
    asked = ", ".join(f"({t}::BIGINT)" for t in moments)
    statement = f"""
        SELECT e.t, event, created, {order.moment}, {order.bound} >= {order.moment}
        FROM (VALUES {listed}) rows(event, created), (VALUES {asked}) e(t)"""  # noqa: S608
    with duckdb.connect() as connection:
        return connection.execute(statement).fetchall()


@st.composite
def histories(draw: st.DrawFn) -> Rows:
    """Events on a grid of some width, creations any scale later or earlier, some unknown."""
    grid, scale = draw(st.sampled_from([1, SECOND, HOUR, DAY])), draw(st.sampled_from([0, 1, HOUR, YEAR, 80 * YEAR]))
    events = st.integers(-3, 40).map(lambda n: n * grid)
    lags = st.one_of(st.none(), st.integers(draw(st.sampled_from([0, -scale])), scale))
    pairs = draw(st.lists(st.tuples(events, lags), min_size=1, max_size=8))
    far = draw(st.sampled_from([0, YEAR * 30 // grid * grid, -YEAR * 100 // grid * grid]))
    found = [(event + far * (n % 2), lag) for n, (event, lag) in enumerate(pairs)]
    return [(event, None if lag is None else event + lag) for event, lag in found]


@given(histories(), st.lists(st.integers(-2, 2), min_size=1, max_size=5))
@pytest.mark.slow
def test_all_rows_are_ordered_by_event_then_creation(rows: Rows, offsets: list[int]) -> None:
    moments = sorted({event + offset for (event, _), offset in product(rows, offsets)} | {-200 * YEAR, 200 * YEAR})
    found = compared(chosen(rows, known_only=False), rows, moments)
    assert all(may == (event <= t) for t, event, _, _, may in found)
    numbers = {(event, created): number for _, event, created, number, _ in found}
    by_number = sorted(numbers, key=lambda row: numbers[row])
    assert by_number == sorted(numbers, key=lambda row: (row[0], -(10**18) if row[1] is None else row[1]))


@given(histories(), st.lists(st.integers(-2, 2), min_size=1, max_size=5))
@pytest.mark.slow
def test_known_rows_are_ordered_by_event_then_creation_or_go_over_the_frontier(rows: Rows, offsets: list[int]) -> None:
    order = chosen(rows, known_only=True)
    known = [(event, created) for event, created in rows if created is not None]
    if not known:
        return
    moments = sorted({max(row) + offset for row, offset in product(known, offsets)})
    found = compared(order, [*known], moments)
    assert all(may == (max(event, event if created is None else created) <= t) for t, event, created, _, may in found)
    if order.frontier:
        return
    numbers = {(event, created): number for _, event, created, number, _ in found}
    assert sorted(numbers, key=lambda row: numbers[row]) == sorted(numbers, key=lambda row: (row[0], row[1] or 0))


@pytest.mark.parametrize(
    ("rows", "known_only", "expected"),
    [
        ([(0, HOUR), (YEAR, YEAR + HOUR)], False, "one number"),
        ([(0, 0), (YEAR, 2 * YEAR)], False, "one number"),  # on a grid of days
        ([(0, 0), (YEAR + 1, 2 * YEAR)], False, "two"),
        ([(0, HOUR), (YEAR, YEAR + HOUR)], True, "one number"),
        ([(0, HOUR), (DAY, DAY + 2 * HOUR)], True, "one number"),
        ([(0, -1), (DAY, DAY + HOUR)], True, "two"),
        ([(0, DAY), (DAY, DAY)], True, "frontier"),
        ([(0, DAY), (1, 1)], True, "frontier"),
    ],
)
def test_what_is_chosen(rows: Rows, known_only: bool, expected: str) -> None:
    order = chosen(rows, known_only)
    assert ("frontier" if order.frontier else "two" if "HUGEINT" in order.moment else "one number") == expected
    assert order.known_only == known_only


def test_a_history_without_creations_is_ordered_by_event() -> None:
    assert order_of(None, True, lambda _: False) == Order("event", "e.t")
