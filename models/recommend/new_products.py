"""The order of products that are new to a customer: the ranker's and that of EASE together.

The ranker is trained on the whole list, most of whose gain is in products that come again. The places that it gives to
new products are kept; which of them has which is decided by its score and that of EASE.
"""

from __future__ import annotations

import numpy as np

from models.recommend.history import Numbers
from models.recommend.merging import Candidates
from models.recommend.ranking_metrics import NOTHING


def with_ease(scores: Numbers, found: Candidates, weight: float) -> Numbers:
    """Return scores in which new products have changed places among each other.

    Args:
        scores: of the ranker, in deviations, shape `(n_customers, n_candidates)`.
        found: the candidates.
        weight: of a deviation of EASE's score among the customer's new candidates; 0: nothing changes.
    """
    if not weight:
        return scores
    is_new = ~found.is_own & (found.product != NOTHING)
    together = scores + weight * _deviations(found.scores["ease"], is_new)
    before, after = (np.argsort(-np.where(is_new, each, -np.inf), axis=1, kind="stable") for each in (scores, together))
    moved = np.empty_like(scores)
    np.put_along_axis(moved, after, np.take_along_axis(scores, before, axis=1), axis=1)
    return moved


def _deviations(values: Numbers, counts: np.ndarray) -> np.ndarray:
    """Return how far each value is from the mean of those of its row that count, in deviations."""
    n = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    known = np.where(counts, values, 0).astype(np.float64)
    away = np.where(counts, known - known.sum(axis=1, keepdims=True) / n, 0)
    spread = np.sqrt((away**2).sum(axis=1, keepdims=True) / n)
    return away / np.maximum(spread, 1e-6)
