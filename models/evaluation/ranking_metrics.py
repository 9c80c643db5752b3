"""Metrics of the order of items within an entity; labels are relevances, 0 for an item that is not relevant."""

import numpy as np

from models.evaluation.metric import Metric, Resample, Weights
from models.training.model import Groups, Labels, Vector

#: Orders drawn to find what chance alone reaches.
_RANDOM_ORDERS = 20


class Ndcg(Metric):
    """Mean over entities of the normalised discounted cumulative gain of their first `k` items.

    Gains are the relevances, discounts `log2(rank + 1)`: Järvelin and Kekäläinen (2002), *Cumulated gain-based
    evaluation of IR techniques*. Entities without any relevant item are left out; ties go by row order.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self.name, self.words = f"ndcg_at_{k}", f"NDCG@{k}"

    def value(self, labels: Labels, predictions: Vector, groups: Groups) -> float:
        """Return the NDCG; 0 if no entity has a relevant item."""
        return float(self.resample(labels, predictions, groups)(np.ones((1, labels.size)))[0])

    def resample(self, labels: Labels, predictions: Vector, groups: Groups) -> Resample:
        """Return the function that gives the NDCG of resamples of entities: all rows of one count alike."""
        gained, first = self._by_entity(labels, predictions, groups)

        def measure(weights: Weights) -> Vector:
            counts = weights[:, first]
            return counts @ gained / np.maximum(counts.sum(axis=1), 1.0)

        return measure

    def chance(self, labels: Labels, groups: Groups) -> float:
        """Return the mean over random orders of the items."""
        rng = np.random.default_rng(0)
        return float(np.mean([self.value(labels, rng.random(labels.size), groups) for _ in range(_RANDOM_ORDERS)]))

    def is_measurable(self, labels: Labels) -> bool:
        """At least 20 relevant items."""
        return int((labels > 0).sum()) >= 20

    def _by_entity(self, labels: Labels, predictions: Vector, groups: Groups) -> tuple[Vector, Groups]:
        """NDCG of each entity with a relevant item, and the number of its first row."""
        ranked, ideal = _discounted(labels, predictions, groups, self.k), _discounted(labels, labels, groups, self.k)
        _, first = np.unique(groups, return_index=True)
        relevant = ideal > 0
        return ranked[relevant] / ideal[relevant], first[relevant]


NDCG_AT_10 = Ndcg(10)


def _discounted(labels: Labels, order: Vector | Labels, groups: Groups, k: int) -> Vector:
    """Discounted gain of the first `k` rows of each entity by descending `order`; entities ascending."""
    by = np.lexsort((np.arange(groups.size), -order.astype(np.float64), groups))
    _, starts, inverse = np.unique(groups[by], return_index=True, return_inverse=True)
    rank = np.arange(groups.size) - starts[inverse]
    gains = np.where(rank < k, labels[by] / np.log2(rank + 2), 0.0)
    return np.add.reduceat(gains, starts)
