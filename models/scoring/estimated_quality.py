"""Quality of scores whose labels are not known yet, from calibrated probabilities alone (CBPE).

Confidence-based performance estimation: where probabilities are calibrated, a row of probability p is positive in a
share p of all worlds; the metric is measured in many of them. It sees that scores become less certain, and it is blind
to labels that follow other rules than before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.scoring.audit_checks import Check
from models.scoring.night_numbers import bin_values

if TYPE_CHECKING:
    from models.scoring.score_reference import AcceptedQuality

#: Metrics that can be estimated.
ESTIMATED: tuple[str, ...] = ("auc", "average_precision")
_WORLDS, _SEED = 200, 0
#: Standard errors on either side of an estimate: 95 % of normal errors.
WIDTH = 1.96


@dataclass(frozen=True)
class Estimate:
    """An estimated number and its standard error."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - WIDTH * self.error

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + WIDTH * self.error

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimated(bins: NDArray[np.float64], metric: str) -> Estimate | None:
    """Return the metric that calibrated probabilities promise; None where no world has both classes.

    Args:
        bins: rows in each bin of `models.scoring.night_numbers.float_histogram` of the probabilities.
        metric: to estimate.
    """
    rows, chances = _used(bins)
    if not rows.size:
        return None
    positive = np.random.default_rng(_SEED).binomial(rows.astype(np.int64), chances, (_WORLDS, rows.size)).astype(float)
    negative = rows - positive
    both = (positive.sum(axis=1) > 0) & (negative.sum(axis=1) > 0)
    if not both.any():
        return None
    measure = _aucs if metric == "auc" else _average_precisions
    values = measure(positive[both], negative[both])
    return Estimate(float(values.mean()), float(values.std()))


def estimated_precision(bins: NDArray[np.float64], count: int) -> Estimate | None:
    """Return the share of positives that the `count` highest probabilities promise; None without rows."""
    rows, chances = _used(bins)
    taken = np.clip(count - (np.cumsum(rows[::-1]) - rows[::-1]), 0, rows[::-1])[::-1]
    if taken.sum() < 1:
        return None
    variance = float(taken @ (chances * (1 - chances)))
    return Estimate(float(taken @ chances / taken.sum()), float(np.sqrt(variance) / taken.sum()))


def _used(bins: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    used = np.flatnonzero(bins)
    return bins[used], np.clip(bin_values(used), 0.0, 1.0)


def _aucs(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> NDArray[np.float64]:
    below = np.cumsum(negative, axis=1) - negative / 2
    return np.einsum("ij,ij->i", positive, below) / (positive.sum(axis=1) * negative.sum(axis=1))


def _average_precisions(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = positive[:, ::-1], negative[:, ::-1]
    found = np.cumsum(first, axis=1)
    seen = np.maximum(found + np.cumsum(second, axis=1), 1.0)
    return np.einsum("ij,ij->i", first, found / seen) / found[:, -1]


def promised_now(
    bins: NDArray[np.float64], accepted: AcceptedQuality, *, max_drop: float
) -> tuple[Estimate, Check] | None:
    """Return the quality that tonight's probabilities promise beside the one that the gate accepted; None: neither can.

    The estimate is moved by what it missed on the hold-out, and its error holds that of the hold-out.

    Args:
        bins: rows in each bin of the probabilities.
        accepted: quality on the hold-out.
        max_drop: by how much the interval's upper end may fall below it.
    """
    if accepted.promised is None or accepted.metric not in ESTIMATED:
        return None
    raw = estimated(bins, accepted.metric)
    if raw is None:
        return None
    missed = accepted.value - accepted.promised
    found = Estimate(raw.value + missed, float(np.hypot(raw.error, accepted.error)))
    kept = found.high >= accepted.value - max_drop
    says = f"{accepted.metric} {found} is promised by the probabilities; the gate accepted {accepted.value:.3f}"
    if not kept:
        says += ". Scores are less certain than they were: look at `drift`, and train on newer rows"
    return found, Check("estimated quality", kept, "warn", says, compares=True)
