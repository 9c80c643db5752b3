"""Expected wants of customers: what comes from looking around, by their taste, and what comes from orders, by sales.

A product is wanted in two ways. Customers put into the cart some of what they look at, and what they look at follows
their taste and what they looked at before. They also order products that they were never seen to look at, which follow
what the shop sells. Trees do not add two numbers; the ranker reads the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.recommend.history import Numbers, Profiles
from models.recommend.interactions import Interactions

Floats = NDArray[np.floating]
#: Views of a product, beside those by taste, that a customer's own are drawn to one by.
_PRIOR_VIEWS = 0.5
#: Views by which a customer's order lines per view are drawn to those of all customers.
_PRIOR_LINES = 100.0


@dataclass(frozen=True)
class Sources:
    """Carts and order lines per view, in the days of which views are known.

    Attributes:
        carts: products put into the cart and not ordered on that day, per view.
        lines: of orders, of all customers, per view.
        lines_of: of each customer, shape `(n_customers,)`.
        ordered: share of each product in the lines, one line more of each, shape `(n_products,)`.
    """

    carts: float
    lines: float
    lines_of: Numbers
    ordered: NDArray[np.float64]


def sources_of(events: Interactions, bought: Interactions, looked: Interactions) -> Sources:
    """Return the sources of what customers chose.

    Args:
        events: everything chosen.
        bought: those of them that are order lines, same codes.
        looked: views, same codes.
    """
    first, views = looked.day.min(initial=np.inf), max(looked.size, 1)
    since, n = bought.day >= first, events.products.size
    lines = int(since.sum())
    sold = np.bincount(bought.product[since], minlength=n) + 1.0
    of = np.bincount(bought.customer[since], minlength=events.customers.size).astype(np.float32)
    chosen = int((events.day >= first).sum())
    return Sources((chosen - lines) / views, lines / views, of, sold / sold.sum())


def expected_wants(views: Profiles, lines: Floats, share: Floats, of: Sources) -> Numbers:
    """Return how often each product is expected to be wanted per view of its customer, shape of `share`.

    Args:
        views: profiles of what the customers looked at.
        lines: order lines of each, shape `(n_customers,)`.
        share: of each product in what they look at next, by taste alone, shape `(n_customers, n_products)`.
        of: sources of what is wanted.
    """
    total = views.count_of_customers()[:, None]
    seen = share * _PRIOR_VIEWS / (share * total + _PRIOR_VIEWS)
    seen[views.owner(), views.product] *= 1 + views.count / _PRIOR_VIEWS
    seen /= np.maximum(seen.sum(axis=1, keepdims=True), 1e-12)
    rate = (lines[:, None] + _PRIOR_LINES * of.lines) / (total + _PRIOR_LINES)
    return (of.carts * seen + rate * of.ordered).astype(np.float32)
