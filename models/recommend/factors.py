"""Factors of customers and products by implicit alternating least squares; their dot product is the score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.recommend.sparse import Sparse

# scipy's sparse arrays have no static types.
# pyright: basic

Factors = NDArray[np.float32]
#: Solved in float64: kernels of another processor, or sums of several threads, then differ below what float32 holds.
Exact = NDArray[np.float64]
#: Ratings that are gathered at once: with 64 factors 64 MB.
_GATHERED = 125_000


def product_factors(confidence: Sparse, *, size: int, weight: float, penalty: float, rounds: int, seed: int) -> Factors:
    """Return factors of products, shape `(n_products, size)`.

    Hu, Koren and Volinsky (2008), *Collaborative Filtering for Implicit Feedback Datasets*: preference 1 with
    confidence `1 + weight * value` where there is a value, else 0 with confidence 1. Compare them by dot product, never
    by cosine.

    Args:
        confidence: customers times products, values above 0.
        size: number of factors.
        weight: of a value.
        penalty: of the squared factors.
        rounds: each solves customers, then products.
        seed: of the first factors.
    """
    by_product = confidence.T.tocsr()
    factors = np.random.default_rng(seed).standard_normal((confidence.shape[1], size)) * 0.01
    for _ in range(rounds):
        customers = solved(confidence, factors, weight=weight, penalty=penalty)
        factors = solved(by_product, customers, weight=weight, penalty=penalty)
    return factors.astype(np.float32)


def solved(values: Sparse, others: Exact, *, weight: float, penalty: float, gram: Exact | None = None) -> Exact:
    """Return the factors of each row of `values` that fit those of its columns best, shape `(n_rows, size)`.

    Args:
        values: rows times columns, values above 0.
        others: factors of the columns.
        weight: of a value.
        penalty: of the squared factors.
        gram: `others.T @ others`, where it is known already.
    """
    size = others.shape[1]
    gram = others.T @ others if gram is None else gram
    shared = gram + penalty * np.eye(size)
    found = np.zeros((values.shape[0], size))
    lengths = np.diff(values.indptr)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    first = 0
    while first < order.size:
        count = max(1, _GATHERED // int(lengths[order[min(first + 4096, order.size) - 1]]))
        rows = order[first : first + min(count, 4096)]
        found[rows] = _solved_block(values, rows, lengths[rows], others, shared, weight)
        first += rows.size
    return found


def _solved_block(
    values: Sparse,
    rows: NDArray[np.intp],
    lengths: NDArray[np.int64],
    others: Exact,
    shared: Exact,
    weight: float,
) -> Exact:
    """Solve rows of about equal length together; shorter ones are filled up with weight 0."""
    offsets = np.arange(int(lengths.max()))
    there = offsets[None, :] < lengths[:, None]
    places = np.where(there, values.indptr[rows][:, None] + offsets[None, :], 0)
    gathered = others[values.indices[places]]
    extra = np.where(there, weight * values.data[places], 0.0)
    left = shared + np.matmul(gathered.transpose(0, 2, 1) * extra[:, None, :], gathered)
    right = np.einsum("nl,nlf->nf", np.where(there, 1.0 + extra, 0.0), gathered)
    return np.linalg.solve(left, right[:, :, None])[:, :, 0]
