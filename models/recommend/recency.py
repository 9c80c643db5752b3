"""Neighbours of what a customer took lately: sums over neighbour tables in which recent products count more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.recommend.generators import Tables
from models.recommend.history import Numbers, Profiles
from models.recommend.sparse import Sparse

# scipy's sparse arrays have no static types.
# pyright: basic

#: Days in which a product of the customer loses 63 % of its weight.
_DECAY_DAYS = 60.0
#: Names of the columns.
RECENT: tuple[str, ...] = ("ease_recent", "ease_last_basket", "walks_recent", "walks_last_basket")


def recent_scores(asked: Profiles, tables: Tables, product: NDArray[np.integer]) -> list[Numbers]:
    """Return scores of candidates by recent products and by the last basket, in the order of `RECENT`.

    Args:
        asked: profiles of the customers.
        tables: with the neighbours.
        product: codes of the candidates, a row for each customer.
    """
    decayed = np.exp(-asked.last / np.float32(_DECAY_DAYS))
    in_last = asked.last <= asked.latest[asked.owner()] + 0.5
    return [
        _summed_at(asked, neighbours, weight, product)
        for neighbours in (tables.ease, tables.walks)
        for weight in (decayed, in_last.astype(np.float32))
    ]


def _summed_at(asked: Profiles, neighbours: Sparse, weight: Numbers, product: NDArray[np.integer]) -> Numbers:
    """Return the sum of the neighbours' weights of each customer's products, times their own, at the candidates."""
    counts = weight > 0
    rows, owner, weight = asked.product[counts], asked.owner()[counts], weight[counts]
    width = neighbours.shape[1]
    lengths = neighbours.indptr[rows + 1] - neighbours.indptr[rows]
    ends = np.cumsum(lengths)
    at = np.arange(ends[-1] if ends.size else 0) + np.repeat(neighbours.indptr[rows] - (ends - lengths), lengths)
    found = np.bincount(
        np.repeat(owner * width, lengths) + neighbours.indices[at],
        neighbours.data[at] * np.repeat(weight, lengths),
        minlength=asked.size * width,
    )
    return found[np.arange(asked.size)[:, None] * width + product].astype(np.float32)
