"""Expected values of a day and their spread, estimated from the days before it: weekday, level, trend, chance.

Values are compared on scales on which their noise is about even: logarithms of counts and sizes, arcsines of shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from models.watch.calendar import is_campaign
from models.watch.config import WatchConfig
from models.watch.measures import Kind, Measure
from models.watch.profile import DayProfile, Name, Value

Floats = NDArray[np.float64]
#: Days whose median is the level; weekdays with fewer values than this have no pattern of their own.
_LEVEL_DAYS, _FEWEST_WEEKDAYS = 7, 3
#: Days whose median is the level if the last week does not have one.
_LATELY_DAYS = 28
#: Values of a measure below which nothing is expected of it.
_FEWEST = 14
#: Spread that is never undercut, on the scale of each kind: what no shop keeps more closely from day to day.
_LEAST: Mapping[Kind, float] = {"count": 0.02, "share": 0.012, "amount": 0.03, "distance": 0.01}
#: Days around the same date of last year that say how unlike its neighbours that date is.
_AROUND = 10
#: Degrees of freedom of a spread for each value that it is estimated from (about those of a median absolute
#: deviation), and their limits; tails are that much heavier than normal ones.
_FREEDOM, _LEAST_FREEDOM, _MOST_FREEDOM = 0.37, 8, 40
#: Spread of the arcsine of a share measured on one row: binomial, and with rows that come together.
_BINOMIAL = (0.5, 0.6)
#: Variance over mean of counts, as the history shows it: below 1 some rows come every day, above 1 they come together.
_DISPERSION = (0.2, 1.5)
#: The same of a distance between two distributions.
_DISTANCE_OF_ONE_ROW = 0.2
#: Earlier values without which the level before a day is unknown.
_FEWEST_BEFORE = 7


@dataclass(frozen=True)
class Limits:
    """Limits of one number, in its own units.

    Attributes:
        expected: most likely value.
        low: lowest usual value.
        high: highest usual value.
        distance: of the found value from the expected one, in limits: above 1 it is unusual, negative is below.
        certain: the same against the limit of `block`.
    """

    expected: float
    low: float
    high: float
    distance: float
    certain: float


class History:
    """The numbers of the days before a day, as one matrix: days x names, by calendar day, NaN where there is none."""

    def __init__(self, day: date, profiles: Sequence[DayProfile], measures: Mapping[str, Measure], days: int) -> None:
        self.day = day
        by_day = {profile.day: profile for profile in profiles if profile.day < day}
        self.days = [day - timedelta(days=back) for back in range(days, 0, -1)]
        self.profiles = [by_day.get(each) for each in self.days]
        self._last_year = by_day
        self.names = sorted({name for one in self.profiles if one for name in one.values if name[0] in measures})
        self.place = {name: column for column, name in enumerate(self.names)}
        found = [_row(one, self.names) for one in self.profiles]
        self.values: Floats = np.array([row[0] for row in found]).reshape(days, len(self.names))
        self.n: Floats = np.array([row[1] for row in found]).reshape(days, len(self.names))
        self.usable = np.array([one is not None and not one.faulty for one in self.profiles], bool)

    def last_year(self) -> list[list[DayProfile]]:
        """Return profiles around the same date and the same weekday of last year, that day last, if they are held."""
        found: list[list[DayProfile]] = []
        for back in (364, 365, 366):
            then = self.day - timedelta(days=back)
            before = [self._last_year.get(then - timedelta(days=n)) for n in range(_AROUND, 0, -1)]
            around = [one for one in before if one is not None and one.rows]
            if then in self._last_year and len(around) >= _LEVEL_DAYS:
                found.append([*around, self._last_year[then]])
        return found


def _row(one: DayProfile | None, names: Sequence[Name]) -> tuple[list[float], list[float]]:
    none = Value(np.nan, np.nan)
    if one is None or not one.rows:
        return [np.nan] * len(names), [np.nan] * len(names)
    get = one.values.get
    found = [get(name) or (name[2] and one.value(name)) or none for name in names]
    return [value.value for value in found], [value.n for value in found]


class Estimates:
    """Limits of every number of a day, estimated at once from its history."""

    def __init__(self, history: History, measures: Mapping[str, Measure], config: WatchConfig) -> None:
        self._history, self._config = history, config
        self._kinds: list[Kind] = [measures[name.measure].kind for name in history.names]
        names = np.array(self._kinds, dtype=str)
        self._of_kind: dict[Kind, NDArray[np.bool_]] = {kind: names == kind for kind in set(self._kinds)}
        self._floors = [measures[name.measure].least for name in history.names]
        self._unit = _units(history.values)
        scaled = self._scaled(history.values)
        scaled[~history.usable] = np.nan
        weekdays = np.array([day.weekday() for day in history.days])
        pattern = _pattern(scaled, weekdays)
        flat = scaled - pattern[weekdays]
        level = _levels(flat)
        residuals = np.where(_earlier(flat) >= _FEWEST_BEFORE, flat - level[:-1], np.nan)
        drift = _median(residuals)
        self._centre = level[-1] + pattern[history.day.weekday()] + np.nan_to_num(drift)
        off = residuals - drift
        found = 1.4826 * np.nan_to_num(_median(np.abs(off)))
        self._spread = np.maximum(found, self._least())
        #: Spread by chance of a share or size measured on a single row, of a count by one, as the history shows it.
        one_row = found * np.sqrt(np.nan_to_num(_median(history.n), nan=1.0))
        self._of_one_row = np.where(names == "share", np.clip(one_row, *_BINOMIAL), np.minimum(one_row, 2.0))
        dispersion = np.clip(found**2 * (np.nan_to_num(_median(history.values)) + 1), *_DISPERSION)
        self._of_one_row = np.where(names == "count", np.sqrt(dispersion), self._of_one_row)
        with np.errstate(invalid="ignore"):
            unlike = off / np.maximum(self._spread, self._chance(history.n, history.values))
        self._closely = np.array([measures[name.measure].closely for name in history.names], bool)
        self._widest = self._widest_of(unlike)
        self._enough = np.sum(~np.isnan(scaled), axis=0) >= _FEWEST
        self._z_warn, self._z_block = self._bounds(off / self._spread)
        self._candidates = [self._centre, *self._after_campaign(history, flat), *self._of_last_year(history)]

    def of(self, name: Name, found: Value) -> Limits | None:
        """Return the limits of a number for the found value; None if the history does not hold enough of it."""
        place = self._history.place.get(name)
        if place is None or not self._enough[place] or np.isnan(self._centre[place]):
            return None
        value = float(_scaled(self._kinds[place], found.value, self._unit[place]))
        centre = self._inside(
            min(
                (float(one[place]) for one in self._candidates if not np.isnan(one[place])),
                key=lambda one: abs(value - one),
            ),
            place,
        )
        expected = self._unscaled(centre, place)
        one_row = float(self._of_one_row[place])
        chance = float(_by_chance(self._kinds[place], max(found.n, 1.0), max(expected, 0.0), one_row))
        spread = max(float(self._spread[place]), chance)
        widest = self._config.margin * self._widest[:, place]
        warn = np.maximum(self._z_warn[place], widest) * spread
        block = np.maximum(self._z_block[place], 1.2 * widest) * spread
        if self._kinds[place] == "count":
            by_chance = min(chance / spread, 1.0) ** 2
            warn[0], block[0] = (one + by_chance * (_below(one) - one) for one in (float(warn[0]), float(block[0])))
        low, high = self._unscaled(centre - float(warn[0]), place), self._unscaled(centre + float(warn[1]), place)
        side = int(value > centre)
        return Limits(expected, low, high, (value - centre) / float(warn[side]), (value - centre) / float(block[side]))

    def _after_campaign(self, history: History, flat: Floats) -> list[Floats]:
        """Return the centres that follow if the day is as those before a campaign that has ended."""
        of_campaign = np.array([is_campaign(day, self._config) for day in history.days], bool)
        if not of_campaign.any() or is_campaign(history.day, self._config):
            return []
        level = _median(np.where(of_campaign[:, None], np.nan, flat)[-_LATELY_DAYS:])
        return [level + (self._centre - _levels(flat)[-1])]

    def _of_last_year(self, history: History) -> list[Floats]:
        """Return the centres that follow if the day is as unlike its neighbours as the same date was last year."""
        found: list[Floats] = []
        for profiles in history.last_year():
            rows = [_row(one, history.names)[0] for one in profiles]
            scaled = self._scaled(np.array(rows))
            moved = scaled[-1] - _median(scaled[:-1])
            found.append(self._centre + np.nan_to_num(moved))
        return found

    def _widest_of(self, unlike: Floats) -> Floats:
        """Return how far, in spreads, the most unusual days lay below and above what was expected: 2 x names.

        Of measures of completeness it is the second such day on each side: neither a busy day nor a single odd one
        excuses lost rows. Of others it is the first one of either side.
        """
        far = np.max(np.abs(np.nan_to_num(unlike)), axis=0, initial=0.0)
        sides = [np.sort(np.maximum(np.nan_to_num(side * unlike), 0), axis=0)[-2] for side in (-1, 1)]
        return np.where(self._closely, np.array(sides), far)

    def _bounds(self, off: Floats) -> tuple[Floats, Floats]:
        """Return both limits of every measure in spreads, by the budget of false alarms of the whole table.

        Half of it is that of measures of completeness, half that of all others.
        """
        both = [self._bounds_of(off, group) for group in (~self._closely, self._closely)]
        warn, block = (np.where(self._closely, both[1][place], both[0][place]) for place in (0, 1))
        return warn, block

    def _bounds_of(self, off: Floats, group: NDArray[np.bool_]) -> tuple[float, float]:
        """Return both limits of a group of measures.

        Correlated measures count once: the number of independent ones is the participation ratio of their correlation.
        """
        usable = off[:, group & self._enough & (np.nanstd(np.nan_to_num(off), axis=0) > 0)]
        independent = 1.0
        if usable.shape[1]:
            clipped = np.clip(np.nan_to_num(usable), -6, 6)
            correlation = np.corrcoef(clipped, rowvar=False).reshape(usable.shape[1], usable.shape[1])
            independent = max(1.0, usable.shape[1] ** 2 / float(np.sum(np.nan_to_num(correlation) ** 2)))
        values = float(np.median(np.sum(~np.isnan(usable), axis=0))) if usable.shape[1] else 0.0
        freedom = min(max(_FREEDOM * values, _LEAST_FREEDOM), _MOST_FREEDOM)
        warn, block = (
            _quantile(budget / 100 / 2 / independent, freedom)
            for budget in (self._config.warn_budget, self._config.block_budget)
        )
        return warn, max(block, 1.25 * warn)

    def _least(self) -> Floats:
        both = zip(self._kinds, self._floors, strict=True)
        return np.array([_LEAST[kind] if floor is None else floor for kind, floor in both])

    def _chance(self, n: Floats, values: Floats) -> Floats:
        """Return the spread by chance alone of every number of some days, each measured on `n` rows."""
        chance = np.full_like(values, _LEAST["distance"])
        rows, found = np.maximum(np.nan_to_num(n, nan=1.0), 1.0), np.maximum(np.nan_to_num(values), 0)
        for kind, at in self._of_kind.items():
            chance[:, at] = _by_chance(kind, rows[:, at], found[:, at], self._of_one_row[at])
        return chance

    def _scaled(self, values: Floats) -> Floats:
        scaled = np.empty_like(values)
        for kind, at in self._of_kind.items():
            scaled[:, at] = _scaled(kind, values[:, at], self._unit[at])
        return scaled

    def _inside(self, centre: float, place: int) -> float:
        """Return an expected value on its scale, not beyond what a share can be."""
        return min(max(centre, 0.0), np.pi / 2) if self._kinds[place] == "share" else centre

    def _unscaled(self, value: float, place: int) -> float:
        kind = self._kinds[place]
        if kind == "count":
            return max(float(np.exp(min(value, 60.0))) - 1, 0.0)
        if kind == "share":
            return float(np.sin(np.clip(value, 0, np.pi / 2)) ** 2)
        if kind == "distance":
            return float(np.clip(value, 0, 1))
        return max(float(np.exp(min(value, 60.0))) - 0.01 * self._unit[place], 0.0)


def _scaled(kind: Kind, values: Floats | float, units: Floats | float) -> Floats:
    """Return values on the scale of their kind; sizes beside the usual ones, `units`."""
    found = np.asarray(values, np.float64)
    if kind == "count":
        return np.log(found + 1)
    if kind == "share":
        return np.arcsin(np.sqrt(np.clip(found, 0, 1)))
    return np.log(np.abs(found) + 0.01 * units) if kind == "amount" else found


def _below(distance: float) -> float:
    """Return how far below the expected value, as a logarithm, a count is as unlikely as `distance` above it.

    The square root of a count is even on both sides, its logarithm is not: few rows are further off than many.
    """
    return -2 * float(np.log(1 - min(distance, 1.9) / 2))


def _by_chance(kind: Kind, rows: Floats | float, values: Floats | float, one_row: Floats | float) -> Floats:
    """Return the spread by chance alone: of counts, shares and sizes by that of one row."""
    if kind == "count":
        return np.asarray(one_row) / np.sqrt(np.asarray(values) + 1)
    if kind == "distance":
        return np.maximum(_DISTANCE_OF_ONE_ROW / np.sqrt(rows), _LEAST["distance"])
    return np.asarray(one_row) / np.sqrt(rows)


def _units(values: Floats) -> Floats:
    """Return the usual size of each number, which separates tiny ones from none."""
    usual = np.nan_to_num(_median(np.abs(values)))
    return np.where(usual > 0, usual, 1.0)


def _quantile(tail: float, nu: float) -> float:
    """Return the two-sided quantile of a t distribution with `nu` degrees, by its expansion around the normal."""
    z = NormalDist().inv_cdf(1 - min(tail, 0.5) / 2)
    return z + (z**3 + z) / (4 * nu) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * nu**2)


def _pattern(scaled: Floats, weekdays: NDArray[np.int64]) -> Floats:
    """Return how each weekday lies above the week around it: 7 x names, 0 where too little is known."""
    half = _LEVEL_DAYS // 2
    around = _windows(np.vstack([_gap(scaled, half), scaled, _gap(scaled, half)]))
    off = scaled - _median(around, axis=-1)
    pattern = np.zeros((7, scaled.shape[1]))
    for weekday in range(7):
        of_day = off[weekdays == weekday]
        known = np.sum(~np.isnan(of_day), axis=0) >= _FEWEST_WEEKDAYS
        pattern[weekday] = np.where(known, np.nan_to_num(_median(of_day)), 0.0)
    return pattern


def _levels(flat: Floats) -> Floats:
    """Return the median of the week before each day, and before the day after the last one; of four weeks if empty."""
    level = _median(_windows(np.vstack([_gap(flat, _LEVEL_DAYS), flat])), axis=-1)
    for fallback in (_medians_of_four_weeks, _medians_of_all):
        empty = np.isnan(level)
        if empty.any():
            level[empty] = fallback(flat, empty)
    return level


def _medians_of_four_weeks(flat: Floats, wanted: NDArray[np.bool_]) -> Floats:
    return _median(_windows(np.vstack([_gap(flat, _LATELY_DAYS), flat]), _LATELY_DAYS)[wanted], axis=-1)


def _medians_of_all(flat: Floats, wanted: NDArray[np.bool_]) -> Floats:
    return np.broadcast_to(_median(flat), wanted.shape)[wanted]


def _earlier(flat: Floats) -> NDArray[np.int64]:
    """Return the number of values in the four weeks before each day."""
    before = np.vstack([np.zeros((1, flat.shape[1]), np.int64), np.cumsum(~np.isnan(flat), axis=0)])
    far = np.vstack([np.zeros((_LATELY_DAYS, flat.shape[1]), np.int64), before])[: len(flat)]
    return before[:-1] - far


def _gap(like: Floats, rows: int) -> Floats:
    return np.full((rows, like.shape[1]), np.nan)


def _windows(values: Floats, width: int = _LEVEL_DAYS) -> Floats:
    return np.lib.stride_tricks.sliding_window_view(values, width, axis=0)


def _median(values: Floats, axis: int = 0) -> Floats:
    """Return the median without NaN; NaN where there is nothing else."""
    ordered = np.sort(values, axis=axis)  # NaN last
    counts = np.sum(~np.isnan(values), axis=axis, keepdims=True)
    low, high = np.maximum((counts - 1) // 2, 0), np.minimum(counts // 2, values.shape[axis] - 1)
    middle = (np.take_along_axis(ordered, low, axis) + np.take_along_axis(ordered, high, axis)) / 2
    return np.squeeze(middle, axis=axis)
