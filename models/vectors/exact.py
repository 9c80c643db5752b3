"""Exact search in numpy: what approximate search is measured against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.vectors.spec import Metric

Vectors = NDArray[np.float32]

#: Queries scored at once, so that their scores fit into memory: 64 x 1 million rows are 256 MB.
_QUERIES = 64
#: A length that differs from 1 by less is left as it is.
AS_GOOD_AS_1 = 1e-6


def scores(queries: Vectors, rows: Vectors, metric: Metric) -> Vectors:
    """Return the score of each row (columns) for each query (rows): the greater, the nearer."""
    if metric == "euclid":
        squares = (queries**2).sum(1)[:, None] + (rows**2).sum(1)[None, :] - 2 * (queries @ rows.T)
        return -np.sqrt(np.maximum(squares, 0))
    if metric == "cosine":
        queries, rows = normalised(queries), normalised(rows)
    return queries @ rows.T


def nearest(queries: Vectors, rows: Vectors, metric: Metric, k: int) -> tuple[NDArray[np.int64], Vectors]:
    """Return places and scores of the `k` nearest rows of each query, the nearest first; fewer if there are fewer.

    Rows at the same distance come in the order of their places.
    """
    k = min(k, len(rows))
    places, found = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    for start in range(0, len(queries), _QUERIES):
        part = scores(queries[start : start + _QUERIES], rows, metric)
        for at, line in enumerate(part, start):
            places[at] = _best(line, k)
            found[at] = line[places[at]]
    return places, found


def normalised(vectors: Vectors) -> Vectors:
    """Return the vectors at length 1; those that are as good as that, and zero, stay as they are, to the bit."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    lengths[(lengths == 0) | (np.abs(lengths - 1) < AS_GOOD_AS_1)] = 1
    return (vectors / lengths[:, None]).astype(np.float32)


def recall(found: Sequence[Sequence[str]], exact: Sequence[Sequence[str]]) -> list[float]:
    """Return the share of the exact hits of each query that was found, 0 to 1; 1 where there is nothing to find."""
    pairs = zip(found, exact, strict=True)
    return [len({*some} & {*every}) / len(every) if every else 1.0 for some, every in pairs]


def _best(line: Vectors, k: int) -> NDArray[np.int64]:
    if not k:
        return np.empty(0, np.int64)
    least = np.partition(line, len(line) - k)[len(line) - k]
    likely = np.flatnonzero(line >= least)
    return likely[np.argsort(-line[likely], kind="stable")][:k]
