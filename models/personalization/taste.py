"""Taste of customers: categories and prices of what they looked at, beside those of the whole shop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.personalization.known import PRICE_BANDS, Known
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
    kind, band = np.maximum(known.shelf.category, -1) + 1, known.price_bands
    bands = PRICE_BANDS + 1
    of_kinds, of_bands = lifts(kind, popular, views), lifts(band, popular, views, bands)
    cells = (of_kinds[:, :, None] * of_bands[:, None, :]).reshape(views.size, -1).astype(np.float32)
    cell = kind * bands + band
    total = (cells * np.bincount(cell, popular, minlength=cells.shape[1]).astype(np.float32)).sum(axis=1)
    return cells[:, cell] * popular / np.maximum(total, 1e-12)[:, None]


def lifts(groups: Groups, popular: Numbers, views: Profiles, size: int = 0) -> NDArray[np.float64]:
    """Return the share of each group in what customers looked at over its share in the shop, drawn to 1.

    Args:
        groups: of each product, from 0.
        popular: how often each product was looked at.
        views: profiles of what the customers looked at.
        size: number of groups; 0: up to the highest of a product.
    """
    size = size or int(groups.max(initial=0)) + 1
    usual = np.bincount(groups, popular, minlength=size) + 1e-9
    usual = usual / usual.sum()
    counts = np.bincount(views.owner() * size + groups[views.product], views.count, minlength=views.size * size)
    counts = counts.reshape(views.size, size)
    return (counts + PRIOR * usual) / (counts.sum(axis=1, keepdims=True) + PRIOR) / usual
