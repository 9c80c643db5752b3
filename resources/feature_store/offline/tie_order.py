"""Row order within a key of an ASOF join, which decides between rows of equal timestamps.

Rows are ordered by (event, created), and a row may match from its event on, or, if only what was known counts, from
max(event, created) on. One 64-bit number that says the same is found for most histories; a join on it takes less time
and memory than one on the 128-bit number that always does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resources.feature_store.offline.time_ranges import DAY_US

#: Two moments in one HUGEINT: the first decides, the second breaks ties. Holds for years -71000 to 75000.
SHIFT = 1 << 62
OLDEST = -(1 << 61)
#: Events may lie on a grid: every µs, whole seconds, minutes, hours, days. Each divides the next.
_GRIDS_US = (1, 1_000_000, 60_000_000, 3_600_000_000, DAY_US)


@dataclass(frozen=True)
class Lags:
    """First and last event, least and greatest `created - event` of a history, µs; None where there is none."""

    first_us: int | None
    last_us: int | None
    least_us: int | None
    greatest_us: int | None


@dataclass(frozen=True)
class Order:
    """Comparison of a join: `moment` of a row (over its `event` and `created`) is at most `bound` (over `e.t`).

    Attributes:
        known_only: drop rows without a created timestamp.
        frontier: drop rows that are never the newest known row: another row, created no later, has a greater
            (event, created). The remaining rows have one order.
    """

    moment: str
    bound: str
    known_only: bool = False
    frontier: bool = False


_BY_EVENT = Order("event", "e.t")
_BY_EVENT_THEN_CREATED = Order(
    f"event::HUGEINT * {SHIFT} + coalesce(created, {OLDEST})", f"e.t::HUGEINT * {SHIFT} + {-OLDEST - 1}"
)
_KNOWN = "greatest(event, created)"
_BY_KNOWN = Order(_KNOWN, "e.t", known_only=True)
_BY_KNOWN_THEN_CREATED = Order(f"{_KNOWN}::HUGEINT * {SHIFT} + created", _BY_EVENT_THEN_CREATED.bound, known_only=True)
_FRONTIER = Order(_KNOWN, "e.t", known_only=True, frontier=True)


def order_of(lags: Lags | None, known_only: bool, on_grid: Callable[[int], bool]) -> Order:
    """Return the cheapest order that is right.

    Args:
        lags: of the history; None if it does not say when its rows were created.
        known_only: a row counts from its creation on.
        on_grid: whether all events are multiples of so many µs.
    """
    if lags is None or lags.first_us is None:
        return _BY_EVENT
    return _of_what_was_known(lags, on_grid) if known_only else _of_all(lags, on_grid)


def _of_all(lags: Lags, on_grid: Callable[[int], bool]) -> Order:
    """By (event, created): the event's place on its grid, times the number of lags, plus the lag.

    An unknown creation counts as the least lag of all. Right if the events lie on the grid and the largest fits.
    """
    first_us, last_us, least_us = lags.first_us or 0, lags.last_us or 0, lags.least_us or 0
    width = (lags.greatest_us or 0) - least_us + 2
    grid_us = next((us for us in _GRIDS_US if ((last_us - first_us) // us + 1) * width < 1 << 63), None)
    if grid_us is None or not _lie_on(grid_us, on_grid):
        return _BY_EVENT_THEN_CREATED
    lag = f"coalesce(created - event - {least_us} + 1, 0)"
    last = f"(least(e.t, {last_us}) - {first_us}) // {grid_us} * {width} + {width - 1}"
    return Order(
        f"(event - {first_us}) // {grid_us} * {width} + {lag}", f"CASE WHEN e.t >= {first_us} THEN {last} ELSE -1 END"
    )


def _of_what_was_known(lags: Lags, on_grid: Callable[[int], bool]) -> Order:
    """By the moment at which a row becomes known, if that order is the one of (event, created).

    A row becomes known `lag = max(created - event, 0)` after its event. If all events lie on a grid that is wider than
    the largest lag minus the smallest, then of two events of one key the later one becomes known later; and two rows of
    one event become known in the order of their creation, or are known at the event both.
    """
    least_us, greatest_us = lags.least_us or 0, lags.greatest_us or 0
    differ_us = max(greatest_us, 0) - max(least_us, 0)
    grid_us = next((us for us in _GRIDS_US if us > differ_us), None)
    if grid_us is None or not _lie_on(grid_us, on_grid):
        return _FRONTIER
    return _BY_KNOWN if least_us >= 0 else _BY_KNOWN_THEN_CREATED


def _lie_on(grid_us: int, on_grid: Callable[[int], bool]) -> bool:
    return grid_us == _GRIDS_US[0] or on_grid(grid_us)
