"""Neighbour tables: for each product those that customers of it have, with a weight; at most so many per product."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.recommend.sparse import Sparse

# scipy's sparse arrays have no static types.
# pyright: basic

#: Neighbours that a table holds of each product.
NEIGHBOURS = 200
#: Products that EASE is solved for at most, by customers: its matrix is dense, and its time grows with the third power.
EASE_PRODUCTS = 12_000


def ease(owned: Sparse, *, penalty: float, keep: int = NEIGHBOURS) -> Sparse:
    """Return the item-to-item weights of EASE: the ridge regression of each product on all others.

    Steck (2019), *Embarrassingly Shallow Autoencoders for Sparse Data*, https://arxiv.org/abs/1905.03375.

    Args:
        owned: customers times products, 1 where the customer has the product.
        penalty: of the squared weights.
        keep: weights kept of each product, the largest by magnitude.
    """
    from scipy.linalg import get_lapack_funcs

    popular = np.sort(np.argsort(-owned.sum(axis=0), kind="stable")[:EASE_PRODUCTS])
    columns = owned[:, popular]
    gram = (columns.T @ columns).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    factorise, invert = get_lapack_funcs(("potrf", "potri"), (gram,))
    factor, failed = factorise(gram, lower=False, overwrite_a=True)
    if failed:
        raise ValueError(f"the penalty of EASE must be above 0, not {penalty}")
    inverse, _ = invert(factor, lower=False, overwrite_c=True)
    inverse = np.triu(inverse) + np.triu(inverse, 1).T
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return _spread(strongest(weights.astype(np.float32), keep), popular, owned.shape[1])


def item_knn(owned: Sparse, *, shrink: float, keep: int = NEIGHBOURS) -> Sparse:
    """Return cosine similarities of products, shrunk: common / (sqrt(n_i n_j) + shrink)."""
    counts = np.asarray(owned.sum(axis=0), np.float32)

    def weigh(rows: NDArray[np.float32], first: int) -> NDArray[np.float32]:
        own = counts[first : first + rows.shape[0], None]
        return (rows / (np.sqrt(own * counts[None, :]) + shrink)).astype(np.float32)

    return _of_common(owned, owned, weigh, keep)


def no_neighbours(products: int) -> Sparse:
    """Return the table in which no product has a neighbour."""
    from scipy.sparse import csr_array

    return csr_array((products, products), dtype=np.float32)


def rp3beta(owned: Sparse, *, alpha: float, beta: float, keep: int = NEIGHBOURS) -> Sparse:
    """Return the probabilities of walks product - customer - product, divided by popularity^beta.

    Paudel et al. (2017), *Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive Applications*,
    https://doi.org/10.1145/2955101.
    """
    from scipy.sparse import diags_array

    per_customer, per_product = (np.asarray(owned.sum(axis=axis), np.float64) for axis in (1, 0))
    to_product = diags_array(_inverse(per_customer) ** alpha) @ owned
    to_customer = owned @ diags_array(_inverse(per_product) ** alpha)
    less = (_inverse(per_product) ** beta).astype(np.float32)
    return _of_common(to_customer.tocsr(), to_product.tocsr(), lambda rows, _: rows * less, keep)


def _inverse(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)


def _of_common(left: Sparse, right: Sparse, weigh: Any, keep: int, block: int = 500) -> Sparse:
    """Return `weigh(left^T right)` without its diagonal, the strongest `keep` of each row; blocks bound the memory."""
    from scipy.sparse import vstack

    rows, parts = left.T.tocsr(), []
    for first in range(0, rows.shape[0], block):
        dense = (rows[first : first + block] @ right).toarray().astype(np.float32)
        dense = weigh(dense, first)
        dense[np.arange(dense.shape[0]), np.arange(first, first + dense.shape[0])] = 0.0
        parts.append(strongest(dense, keep))
    return vstack(parts, format="csr")


def strongest(dense: NDArray[np.float32], keep: int) -> Sparse:
    """Return the `keep` weights of each row that are largest by magnitude."""
    from scipy.sparse import csr_array

    rows, columns = dense.shape
    if columns > keep:
        places = np.sort(np.argpartition(-np.abs(dense), keep - 1, axis=1)[:, :keep], axis=1)
    else:
        places = np.broadcast_to(np.arange(columns), dense.shape)
    values = np.take_along_axis(dense, places, axis=1)
    starts = np.arange(rows + 1) * places.shape[1]
    table = csr_array((values.ravel(), places.ravel().astype(np.int32), starts), shape=dense.shape)
    table.eliminate_zeros()
    return table


def _spread(table: Sparse, places: NDArray[np.intp], products: int) -> Sparse:
    """Return a table of some products as one of all; the others have no neighbours."""
    from scipy.sparse import csr_array

    if places.size == products:
        return table
    lengths = np.zeros(products, np.int64)
    lengths[places] = np.diff(table.indptr)
    return csr_array(
        (table.data, places[table.indices].astype(np.int32), np.r_[0, np.cumsum(lengths)]), shape=(products, products)
    )
