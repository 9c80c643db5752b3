"""Taste of customers: categories and prices of what they looked at, beside those of the whole shop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.personalization.known import Known
from models.recommend.history import Numbers, Profiles

Groups = NDArray[np.int64]
#: Weight of the shop's mix in a customer's, in products looked at.
PRIOR = 3.0


def taste(known: Known, views: Profiles) -> Numbers:
    """Return the estimated share of each product in what customers look at next, shape `(n_customers, n_products)`.

    The product's share in the shop, times the customer's lift of its category, times that of its band of prices, as if
    the two were independent (naive Bayes). A lift is the customer's share of a group, drawn to the shop's as by `PRIOR`
    products, over the shop's. One who looked at nothing has the shares of the shop.

    Args:
        known: the day.
        views: profiles of what the customers looked at (`Known.looked`).
    """
    of = known.cells
    of_kinds, of_bands = lifts(known.kinds, of.kinds, views), lifts(known.price_bands, of.bands, views)
    cells = (of_kinds[:, :, None] * of_bands[:, None, :]).reshape(views.size, -1).astype(np.float32)
    total = (cells * of.seen).sum(axis=1)
    return np.take(cells, of.cell, axis=1) * known.seen / np.maximum(total, 1e-12)[:, None]


def lifts(groups: Groups, usual: NDArray[np.float64], views: Profiles) -> NDArray[np.float64]:
    """Return the share of each group in what customers looked at over its share in the shop, drawn to 1.

    Args:
        groups: of each product, from 0.
        usual: share of each group in the shop (`models.personalization.known.shares`).
        views: profiles of what the customers looked at.
    """
    size = usual.size
    counts = np.bincount(views.owner() * size + groups[views.product], views.count, minlength=views.size * size)
    counts = counts.reshape(views.size, size)
    return (counts + PRIOR * usual) / (counts.sum(axis=1, keepdims=True) + PRIOR) / usual
