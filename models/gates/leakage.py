"""Signs that a feature knows what it cannot know, or names the row instead of describing it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.metrics import auc
from models.evaluation.mid_ranks import mid_ranks
from models.training.model import Groups, Labels, Matrix, Vector

#: A pure share counts only if this many rows of the absent class were to be expected in it.
_MIN_EXPECTED = 30.0


@dataclass(frozen=True)
class FeatureLeak:
    """Leakage of the label by one feature alone.

    Attributes:
        name: of the feature.
        auc: of the feature as it is, in the better direction, missing values lowest.
        pure_share: largest share of rows that one cut on it separates without a single row of the other class.
    """

    name: str
    auc: float
    pure_share: float


def feature_leaks(names: tuple[str, ...], rows: Matrix, labels: Labels) -> list[FeatureLeak]:
    """Measure how well each column alone predicts the label, the strongest first."""
    leaks = [_leak(name, rows[:, index].astype(np.float64), labels) for index, name in enumerate(names)]
    return sorted(leaks, key=lambda leak: (-max(leak.auc, leak.pure_share), leak.name))


@dataclass(frozen=True)
class FeatureIdentity:
    """Degree to which one feature identifies the entity.

    Attributes:
        name: of the feature.
        share: of the entities with several rows, those that have one value in all of them which no other entity has.
        order: absolute rank correlation with the position of a row in time and key.
    """

    name: str
    share: float
    order: float


def feature_identities(
    names: tuple[str, ...], rows: Matrix, groups: Groups, cutoffs: NDArray[np.datetime64]
) -> list[FeatureIdentity]:
    """Measure how far each column identifies the entity or the row's position; rows are ordered as in a `Split`.

    Only entities with rows at several cut-offs count: at a single one, any exact number differs from all others.
    """
    several = np.unique(cutoffs).size > 1
    return [
        FeatureIdentity(name, *((_naming(rows[:, at], groups), _in_order(rows[:, at])) if several else (0.0, 0.0)))
        for at, name in enumerate(names)
    ]


def feature_correlations(names: tuple[str, ...], rows: Matrix, labels: Labels) -> dict[str, float]:
    """Return each column's absolute rank correlation (Spearman) with the labels, missing values lowest."""
    ranks = mid_ranks(labels.astype(np.float64))
    found: dict[str, float] = {}
    for index, name in enumerate(names):
        column = rows[:, index].astype(np.float64)
        found[name] = abs(correlation_with(ranks, np.where(np.isnan(column), -np.inf, column)))
    return found


def correlation_with(ranks: Vector, values: Vector) -> float:
    """Return the rank correlation (Spearman) of values with what has these ranks; 0 if one side is constant."""
    own = mid_ranks(values)
    return float(np.corrcoef(own, ranks)[0, 1]) if own.std() and ranks.std() else 0.0


def _naming(values: NDArray[np.float32], groups: Groups) -> float:
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(groups[order]) != 0))
    counts = np.diff(np.append(starts, groups.size))
    ordered = values[order].astype(np.float64)
    low, high = np.minimum.reduceat(ordered, starts), np.maximum.reduceat(ordered, starts)
    constant = (low == high) & (counts > 1)
    _, inverse, shared = np.unique(low[constant], return_inverse=True, return_counts=True)
    return float((shared[inverse] == 1).sum() / max(1, int((counts > 1).sum())))


def _in_order(values: NDArray[np.float32]) -> float:
    if np.isnan(values).any() or (values == values[0]).all():
        return 0.0
    # Equal values share a rank: in the order of the rows, a column of zeros would be that order.
    _, ranks = np.unique(values, return_inverse=True)
    return abs(float(np.corrcoef(ranks, np.arange(values.size))[0, 1]))


def _leak(name: str, values: Vector, labels: Labels) -> FeatureLeak:
    lowest = np.where(np.isnan(values), -np.inf, values)
    area = auc(labels, lowest)
    return FeatureLeak(name, max(area, 1 - area), max(_pure_share(lowest, labels), _pure_share(-lowest, labels)))


def _pure_share(values: Vector, labels: Labels) -> float:
    """Share of the rows at or below the highest cut that has one class only on its lower side."""
    order = np.argsort(values, kind="stable")
    ordered: Vector = values[order]
    other = labels[order] != labels[order[0]]
    lowest_other = float(ordered[other].min())
    rows = int(np.count_nonzero(ordered < lowest_other))
    absent = np.count_nonzero(other) / labels.size
    return rows / labels.size if rows * absent >= _MIN_EXPECTED else 0.0
