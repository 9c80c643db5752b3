"""Candidates of a customer from several named generators, merged to one list with the source of each."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.personalization.known import Known

Codes = NDArray[np.int64]
#: Generators, in the order in which they name a product that several of them found.
Source = Literal["visit", "own", "bought_together", "vectors", "popular", "new"]
SOURCES: tuple[Source, ...] = ("visit", "own", "bought_together", "vectors", "popular", "new")


def merged(found: dict[Source, Codes], most: int) -> tuple[Codes, Codes]:
    """Return the distinct products of all generators, in the order of `SOURCES`, and the code of each one's source."""
    products = np.concatenate([found.get(source, np.empty(0, np.int64)) for source in SOURCES])
    sources = np.repeat(np.arange(len(SOURCES)), [len(found.get(source, ())) for source in SOURCES])
    _, first = np.unique(products, return_index=True)
    kept = np.sort(first)[:most]
    return products[kept], sources[kept]


def own_products(known: Known, customer: int) -> tuple[Codes, NDArray[np.float64]]:
    """Return the products of a customer by their baskets with them, most first, and these; ties by popularity."""
    if customer < 0:
        return np.empty(0, np.int64), np.empty(0)
    pairs = known.history.pairs
    begin, end = pairs.starts[customer], pairs.starts[customer + 1]
    product, count = pairs.product[begin:end].astype(np.int64), pairs.count[begin:end].astype(np.float64)
    order = np.lexsort((product, -known.history.of_products.recent[product], -count))
    return product[order], count[order]
