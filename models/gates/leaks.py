"""Signs that a feature knows what it cannot know."""

from dataclasses import dataclass

import numpy as np

from models.evaluation.metrics import auc
from models.training.fitted import Labels, Matrix, Vector

#: A pure share counts only if this many rows of the absent class were to be expected in it.
_MIN_EXPECTED = 30.0


@dataclass(frozen=True)
class FeatureTell:
    """How much one feature alone says about the label.

    Attributes:
        name: of the feature.
        auc: of the feature as it is, in the better direction, missing values lowest.
        pure_share: largest share of rows that one cut on it separates without a single row of the other class.
    """

    name: str
    auc: float
    pure_share: float


def feature_tells(names: tuple[str, ...], rows: Matrix, labels: Labels) -> list[FeatureTell]:
    """What each column says about the label on its own, the most telling first."""
    tells = [_tell(name, rows[:, index].astype(np.float64), labels) for index, name in enumerate(names)]
    return sorted(tells, key=lambda tell: (-max(tell.auc, tell.pure_share), tell.name))


def _tell(name: str, values: Vector, labels: Labels) -> FeatureTell:
    lowest = np.where(np.isnan(values), -np.inf, values)
    area = auc(labels, lowest)
    return FeatureTell(name, max(area, 1 - area), max(_pure_share(lowest, labels), _pure_share(-lowest, labels)))


def _pure_share(values: Vector, labels: Labels) -> float:
    """Share of the rows at or below the highest cut that has one class only on its lower side."""
    order = np.argsort(values, kind="stable")
    ordered: Vector = values[order]
    other = labels[order] != labels[order[0]]
    lowest_other = float(ordered[other].min())
    rows = int(np.count_nonzero(ordered < lowest_other))
    absent = np.count_nonzero(other) / labels.size
    return rows / labels.size if rows * absent >= _MIN_EXPECTED else 0.0
