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
    popular = known.seen
    found = np.broadcast_to(popular / max(float(popular.sum()), 1.0), (views.size, popular.size))
    for groups in (np.maximum(known.shelf.category, -1) + 1, known.price_bands):
        found = found * lifts(groups, popular, views)[:, groups]
    return (found / np.maximum(found.sum(axis=1, keepdims=True), 1e-12)).astype(np.float32)


def lifts(groups: Groups, popular: Numbers, views: Profiles) -> NDArray[np.float64]:
    """Return the share of each group in what customers looked at over its share in the shop, drawn to 1.

    Args:
        groups: of each product, from 0.
        popular: how often each product was looked at.
        views: profiles of what the customers looked at.
    """
    size = int(groups.max(initial=0)) + 1
    usual = np.bincount(groups, popular, minlength=size) + 1e-9
    usual = usual / usual.sum()
    counts = np.bincount(views.owner() * size + groups[views.product], views.count, minlength=views.size * size)
    counts = counts.reshape(views.size, size)
    return (counts + PRIOR * usual) / (counts.sum(axis=1, keepdims=True) + PRIOR) / usual
