"""Metrics of recommended lists against what customers took later, one value per customer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.recommend.interactions import Codes

Values = NDArray[np.float64]
#: Stands at the end of a list that has fewer products than places.
NOTHING = -1


@dataclass(frozen=True)
class Targets:
    """Products that customers took later, ordered by customer.

    Attributes:
        customers: codes of customers with one product or more, ascending, shape `(n,)`.
        starts: place of the first product of each of them, shape `(n + 1,)`.
        product: codes.
    """

    customers: Codes
    starts: NDArray[np.int64]
    product: Codes

    def owner(self) -> NDArray[np.int64]:
        """Return the place in `customers` of each product's customer."""
        return np.repeat(np.arange(self.customers.size), np.diff(self.starts))

    def kept(self, chosen: NDArray[np.bool_]) -> Targets:
        """Return some of the products; customers who have none left stay, with none."""
        counts = np.bincount(self.owner()[chosen], minlength=self.customers.size)
        return Targets(self.customers, np.r_[0, np.cumsum(counts)], self.product[chosen])

    def of(self, places: NDArray[np.integer]) -> Targets:
        """Return some of the customers, by their places in `customers`."""
        lengths = self.sizes()[places]
        starts = np.r_[0, np.cumsum(lengths)]
        chosen = np.arange(starts[-1]) + np.repeat(self.starts[places] - starts[:-1], lengths)
        return Targets(self.customers[places], starts, self.product[chosen])

    def sizes(self) -> NDArray[np.int64]:
        """Return the number of products of each customer."""
        return np.diff(self.starts)


def targets(customer: Codes, product: Codes) -> Targets:
    """Return the distinct products of each customer."""
    pairs = np.unique(np.column_stack([customer, product]), axis=0)
    customers, counts = np.unique(pairs[:, 0], return_counts=True)
    return Targets(customers, np.r_[0, np.cumsum(counts)], pairs[:, 1])


def hits(lists: Codes, taken: Targets, products: int) -> NDArray[np.bool_]:
    """Return which products of the lists were taken, shape of `lists`: `(n_customers, k)`."""
    keys = taken.owner() * products + taken.product
    asked = np.arange(lists.shape[0])[:, None] * products + lists
    return np.isin(asked, keys) & (lists != NOTHING)


def recall(hit: NDArray[np.bool_], sizes: NDArray[np.int64]) -> Values:
    """Return the share of the taken products that the list holds; NaN where nothing was taken."""
    return np.divide(hit.sum(axis=1), sizes, out=np.full(sizes.size, np.nan), where=sizes > 0)


def ndcg(hit: NDArray[np.bool_], sizes: NDArray[np.int64]) -> Values:
    """Return the discounted gain of the list over that of the best list; NaN where nothing was taken.

    Järvelin and Kekäläinen (2002), *Cumulated gain-based evaluation of IR techniques*.
    """
    discounts = 1.0 / np.log2(np.arange(hit.shape[1]) + 2)
    best = np.r_[0.0, np.cumsum(discounts)][np.minimum(sizes, hit.shape[1])]
    return np.divide(hit @ discounts, best, out=np.full(sizes.size, np.nan), where=best > 0)


def coverage(lists: Codes, products: int) -> float:
    """Return the share of all products that stand in at least one list."""
    return np.unique(lists[lists != NOTHING]).size / products


def novelty(lists: Codes, share: NDArray[np.floating]) -> float:
    """Return the mean over all places of `-log2(share of customers who have the product)`.

    Zhou et al. (2010), *Solving the apparent diversity-accuracy dilemma of recommender systems*, self-information.
    """
    listed = share[lists[lists != NOTHING]]
    return float(-np.log2(np.maximum(listed, 1e-9)).mean()) if listed.size else 0.0


def diversity(lists: Codes, kinds: NDArray[np.integer]) -> float:
    """Return the mean over lists of the share of their pairs of products that are of different kinds; 0 without pairs.

    Ziegler et al. (2005), *Improving Recommendation Lists Through Topic Diversification*: 1 - intra-list similarity,
    where products are similar (1) if they are of one kind.

    Args:
        lists: product codes, shape `(n_customers, k)`.
        kinds: of each product; below 0: it is of no kind together with any other.
    """
    there = lists != NOTHING
    n = there.sum(axis=1)
    alike = np.zeros(n.size)
    for kind in range(int(kinds.max(initial=-1)) + 1):
        count = (there & (kinds[lists] == kind)).sum(axis=1)
        alike += count * (count - 1)
    pairs = (n * (n - 1))[n > 1]
    return float((1 - alike[n > 1] / pairs).mean()) if pairs.size else 0.0
