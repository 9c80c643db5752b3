"""Fusion of several rankings into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Hit(NamedTuple):
    """One row that a search found.

    Attributes:
        id: of the row.
        score: the greater, the better: cosine, dot product, minus the Euclidean distance, BM25 or a fused score.
        payload: name -> value of the fields that the row has.
    """

    id: str
    score: float
    payload: dict[str, object]


def reciprocal_ranks(
    rankings: Sequence[Sequence[Hit]], k: int, *, weights: Sequence[float] | None = None, damping: float = 60
) -> list[Hit]:
    """Return the `k` best rows of several rankings by reciprocal rank fusion (Cormack et al. 2009).

    A row's score is the sum of weight / (damping + rank), its rank in a ranking counted from 1; where scores are equal,
    the smaller id comes first.

    Args:
        rankings: best first.
        k: rows wanted.
        weights: of each ranking; None: all 1.
        damping: how little the first ranks count more than those that follow.
    """
    scores: dict[str, float] = {}
    known: dict[str, Hit] = {}
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        for rank, hit in enumerate(ranking, start=1):
            scores[hit.id] = scores.get(hit.id, 0.0) + weight / (damping + rank)
            known.setdefault(hit.id, hit)
    best = sorted(scores, key=lambda id: (-scores[id], id))[:k]
    return [Hit(id, scores[id], known[id].payload) for id in best]
