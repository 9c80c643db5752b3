"""Freshness of a table: days without rows, against its contract and against the gaps that it usually has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

#: Days of history below which usual gaps are unknown, and rows of a usual day below which one empty day is chance.
_FEWEST_DAYS, _FEW_ROWS = 14, 8
_DAY_HOURS = 24


@dataclass(frozen=True)
class Freshness:
    """State of the newest rows of a table at the end of a day.

    Attributes:
        is_late: rows are missing for longer than contract and usual gaps explain.
        newest: last day with rows; None: there is none.
        empty_days: days without rows up to the assessed one, in a row.
        usual_gap: longest such row of days before.
    """

    is_late: bool
    newest: date | None
    empty_days: int
    usual_gap: int


def freshness(
    rows: dict[date, int], complete: Collection[date], day: date, *, freshness_hours: int, history_days: int
) -> Freshness:
    """Return the freshness of a table at the end of a day.

    Args:
        rows: of each day that has any.
        complete: days that were ingested, also those without rows.
        day: the assessed one.
        freshness_hours: of the contract: rows of a day are there so many hours after its end.
        history_days: days before the newest rows in which usual gaps are looked for.
    """
    newest = max((each for each in rows if each <= day), default=None)
    if newest is None:
        return Freshness(is_late=False, newest=None, empty_days=0, usual_gap=0)
    first = max(min(complete, default=newest), newest - timedelta(days=history_days))
    days = [first + timedelta(days=n) for n in range((newest - first).days + 1)]
    empty, gap = (day - newest).days, _longest_gap(days, rows)
    usual = sorted(rows.get(each, 0) for each in days)[len(days) // 2]
    is_known = len(days) >= _FEWEST_DAYS
    allowed = gap + 1 if gap or usual < _FEW_ROWS else 0
    is_late = is_known and empty > max(allowed, 1.5 * gap) and empty * _DAY_HOURS > freshness_hours
    return Freshness(is_late, newest, empty, gap)


def _longest_gap(days: list[date], rows: dict[date, int]) -> int:
    longest = here = 0
    for each in days:
        here = 0 if rows.get(each) else here + 1
        longest = max(longest, here)
    return longest
