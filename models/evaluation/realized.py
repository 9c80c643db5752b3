"""Realized quality of published predictions, once outcomes are known, beside the quality that the gate accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import hypot
from statistics import NormalDist, median

import numpy as np

from models.errors import TesseraError
from models.evaluation.bootstrap import Resampling, resampled
from models.evaluation.metric import Metric
from models.evaluation.shares import share_error
from models.training.model import Groups, Labels, Vector
from models.watch.calendar import is_public_holiday

#: Standard errors on either side of a number: 95 % of normal errors.
WIDTH = NormalDist().inv_cdf(0.975)
#: Resamples behind a standard error, and rows beyond which it is estimated from some of them.
_RESAMPLES, _MAX_ROWS = 100, 20_000
#: Cases below which a share of them means nothing.
_FEWEST_CASES = 20
#: Weeks whose same weekday says how many rows a day usually has, and rows below which a day says nothing.
_WEEKS, _FEWEST_ROWS = 8, 5
#: A day with a smaller share of its usual rows counts as not delivered.
_ARRIVED_SHARE = 0.1


@dataclass(frozen=True)
class Promise:
    """A metric that the gate accepted on the hold-out, and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class Realized:
    """A metric of published predictions by their outcomes.

    Attributes:
        metric: its name.
        words: its name in words.
        value: by the outcomes.
        error: its standard error.
        rows: with an outcome.
        promise: of the version that made the predictions; None: it promised nothing.
        max_drop: difference to the promise that does not matter.
    """

    metric: str
    words: str
    value: float
    error: float
    rows: int
    promise: Promise | None
    max_drop: float

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - WIDTH * self.error

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + WIDTH * self.error

    @property
    def is_kept(self) -> bool:
        """False if the realized metric is below the promise by more than chance in both and the tolerance."""
        if self.promise is None:
            return True
        chance = WIDTH * hypot(self.error, self.promise.error)
        return self.value + chance >= self.promise.value - self.max_drop

    def __str__(self) -> str:
        measured = f"{self.words} {self.value:.3f} [{self.low:.3f}, {self.high:.3f}] by {self.rows:,} outcomes"
        if self.promise is None:
            return f"{measured}; the version promised none"
        return f"{measured}; the gate accepted {self.promise.value:.3f}"


def realized(
    metric: Metric, labels: Labels, predictions: Vector, groups: Groups, promise: Promise | None, *, max_drop: float
) -> Realized | None:
    """Return the metric of predictions by their outcomes; None where it cannot be measured, e.g. with one class only.

    Args:
        metric: by which the gate compares.
        labels: outcomes.
        predictions: that were published.
        groups: number of each row's entity.
        promise: accepted by the gate.
        max_drop: difference to the promise that does not matter.
    """
    if labels.size < 2 or not metric.is_measurable(labels):
        return None
    step = -(-labels.size // _MAX_ROWS)
    some = slice(None, None, step)
    try:
        value = metric.value(labels, predictions, groups)
        draws = Resampling(_RESAMPLES, 0, 0.95)
        drawn = resampled(metric, labels[some], groups[some], {"": predictions[some]}, draws)[""]
    except TesseraError:
        return None
    error = float(np.std(drawn)) / step**0.5
    return Realized(metric.name, metric.words, value, error, labels.size, promise, max_drop)


def realized_share(
    metric: str, words: str, count: float, n: int, promised: tuple[float, float] | Promise | None, *, max_drop: float
) -> Realized | None:
    """Return a share of `n` cases with their outcome; None where they are too few to mean anything.

    Args:
        metric: name of the share.
        words: the same in words.
        count: of the cases.
        n: cases.
        promised: share on the hold-out, and the cases there or its standard error.
        max_drop: difference to it that does not matter.
    """
    if n < _FEWEST_CASES:
        return None
    promise = promised if isinstance(promised, Promise) else None
    if isinstance(promised, tuple) and promised[1]:
        promise = Promise(promised[0], share_error(*promised))
    return Realized(metric, words, count / n, share_error(count / n, n), n, promise, max_drop)


def realized_mean(
    metric: str, words: str, values: Vector, promised: Mapping[str, float], *, max_drop: float
) -> Realized | None:
    """Return the mean of a number that each case has; None where they are too few to mean anything.

    Args:
        metric: name of the number.
        words: the same in words.
        values: of each case; NaN: it has none.
        promised: metrics of the version, with the standard error under `<metric>_error`.
        max_drop: difference to the promise that does not matter.
    """
    known = values[np.isfinite(values)]
    if known.size < _FEWEST_CASES:
        return None
    error = float(np.std(known, ddof=1)) / known.size**0.5
    has = {metric, f"{metric}_error"} <= promised.keys()
    promise = Promise(promised[metric], promised[f"{metric}_error"]) if has else None
    return Realized(metric, words, float(np.mean(known)), error, known.size, promise, max_drop)


def undelivered_days(rows: Mapping[date, int], first: date, last: date) -> Sequence[date]:
    """Return the days of `first`..`last` with hardly any rows, although that weekday usually has some.

    Args:
        rows: of each day, those of the weeks before `first` among them.
        first: first day that outcomes are made of.
        last: last one.
    """
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    usual = {day.weekday(): _usual(rows, day) for day in (first - timedelta(days=n) for n in range(1, 8))}
    return [
        day
        for day in days
        if usual[day.weekday()] >= _FEWEST_ROWS
        and rows.get(day, 0) < _ARRIVED_SHARE * usual[day.weekday()]
        and not is_public_holiday(day)
    ]


def _usual(rows: Mapping[date, int], day: date) -> float:
    """Return the median number of rows of `day` and the same weekday before it, since the first day with any."""
    begin = min(rows, default=day)
    weeks = (day - timedelta(weeks=n) for n in range(_WEEKS))
    return median([rows.get(one, 0) for one in weeks if one >= begin] or [0])
