"""Absence: categories that have no row although chance explains none, and hours in a row without any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from models.watch.config import WatchConfig
from models.watch.findings import Finding
from models.watch.limits import Floats, History
from models.watch.measures import Measure
from models.watch.profile import DayProfile, Name, Value

#: Share of the days of the history on which a category may have had no row.
_ABSENT_DAYS = 0.01
#: The same, where a note is made of it although chance can explain it.
_RARELY_ABSENT_DAYS = 0.08
#: Rows that are expected of a category before its absence is tested.
_FEWEST_ROWS = 3.0
#: Expected rows of the longest row of silent hours, as factor of the most that the history had, and beside it.
_SILENT_FACTOR, _SILENT_ROWS = 1.5, 8.0
_HOUR, _HOURS = "hour", 24


class Absence:
    """Probabilities that a category has no row on a day, by chance: negative binomial, as clustered as its history."""

    def __init__(self, history: History, measures: Mapping[str, Measure], config: WatchConfig) -> None:
        vanishing = [name for name in history.names if measures[name.measure].vanishes]
        self._history = history
        self._dispersion: dict[Name, float] = {}
        self._rarely_absent: set[Name] = set()
        for name in vanishing:
            place = history.place[name]
            shares, rows = (found[history.usable, place] for found in (history.values, history.n))
            held = ~np.isnan(shares)
            absent = np.mean(shares[held] == 0) if held.any() else 1.0
            if absent <= _RARELY_ABSENT_DAYS:
                self._rarely_absent.add(name)
            if absent <= _ABSENT_DAYS:
                self._dispersion[name] = _dispersion(shares[held], rows[held])
        self._budget = config.warn_budget / 100 / max(len(self._dispersion), 1)

    def beyond_chance(self, name: Name, found: Value, expected: float) -> bool:
        """Return True if a category has no row, and chance makes that less likely than the budget of false alarms."""
        dispersion = self._dispersion.get(name)
        if found.value or dispersion is None:
            return False
        rows = expected * (found.n + self._rows_of_absent_days(name))
        if rows < _FEWEST_ROWS:
            return False
        return _none_by_chance(rows, dispersion) < self._budget

    def by_chance(self, name: Name, found: Value, expected: float) -> bool:
        """Return True if a category has no row, which is rare, and chance can explain it: worth a note."""
        return not found.value and name in self._rarely_absent and expected * found.n >= _FEWEST_ROWS

    def _rows_of_absent_days(self, name: Name) -> float:
        """Return the rows of the days just before, on which the category had none either."""
        place, rows = self._history.place[name], 0.0
        for share, n in zip(self._history.values[::-1, place], self._history.n[::-1, place], strict=True):
            if share != 0:
                break
            rows += float(n)
        return rows


def _dispersion(shares: Floats, rows: Floats) -> float:
    """Return variance over mean of the rows of a category: 1 is Poisson; lines of one order come together."""
    counts, expected = shares * rows, np.maximum(rows * shares.mean(), 1e-9)
    return max(1.0, float(np.mean((counts - expected) ** 2 / expected)))


def _none_by_chance(rows: float, dispersion: float) -> float:
    """Return the probability of no row where so many are expected, of a negative binomial distribution."""
    exponent = np.log(dispersion) / (dispersion - 1) if dispersion > 1.01 else 1.0
    return float(np.exp(-rows * exponent))


def silences(
    today: DayProfile, history: History, measures: Mapping[str, Measure], config: WatchConfig
) -> Iterator[tuple[Name, Finding]]:
    """Yield a finding for each time column whose longest row of silent hours no day before explains, nor chance.

    It is longer than any before, or it was never silent and chance makes that less likely than the budget of false
    alarms, shared among the hours.
    """
    budget = config.warn_budget / 100 / _HOURS
    for column in sorted({name.column for name in history.names if name.measure == _HOUR and _HOUR in measures}):
        shares = np.array([_shares(history, column, hour) for hour in range(_HOURS)]).T
        held = history.usable & ~np.isnan(shares).any(axis=1)
        now = np.array([(today.value(Name(_HOUR, column, str(hour))) or Value(0, 0)).value for hour in range(_HOURS)])
        if not held.any() or not now.any():
            continue
        usual, rows = shares[held].mean(axis=0), history.n[held, history.place[_any_hour(history, column)]]
        before = max(_longest(one, usual)[0] * n for one, n in zip(shares[held], rows, strict=True))
        share, first, last = _longest(now, usual)
        expected = share * today.rows
        these = shares[held, first : last + 1].sum(axis=1)
        is_longest = expected >= _SILENT_FACTOR * before + _SILENT_ROWS
        if not is_longest and not _beyond_chance(these, rows, expected, budget):
            continue
        says = f"no rows from {first}:00 to {last}:59 UTC by {column}: about {round(expected):,} are usual then"
        found = Finding(measures[_HOUR].check, f"silent hours {column}", "warn", says, today.day, 0.0, expected)
        yield Name("silence", column), found


def _beyond_chance(shares: Floats, rows: Floats, expected: float, budget: float) -> bool:
    """Return True if these hours had rows on nearly each day, and chance explains none less often than the budget."""
    if expected < _FEWEST_ROWS or np.mean(shares == 0) > _ABSENT_DAYS:
        return False
    return _none_by_chance(expected, _dispersion(shares, rows)) < budget


def _longest(now: Floats, usual: Floats) -> tuple[float, int, int]:
    """Return the usual share of the weightiest row of hours without rows, its first and its last hour."""
    best, first, begun, weight = (0.0, 0, 0), 0, False, 0.0
    for hour in range(_HOURS):
        if now[hour]:
            begun = False
            continue
        if not begun:
            first, begun, weight = hour, True, 0.0
        weight += float(usual[hour])
        best = max(best, (weight, first, hour))
    return best


def _shares(history: History, column: str, hour: int) -> Floats:
    """Return the shares of an hour by day; 0 where the day has other hours."""
    any_hour = history.values[:, history.place[_any_hour(history, column)]]
    place = history.place.get(Name(_HOUR, column, str(hour)))
    return np.where(np.isnan(any_hour), np.nan, 0.0 if place is None else history.values[:, place])


def _any_hour(history: History, column: str) -> Name:
    return next(name for name in history.names if name.measure == _HOUR and name.column == column)
