"""Popularity bias: whether the products shown become fewer and more popular, as rankers do that learn from their log.

Popularity lift compares what is shown with what customers buy anyway: Abdollahpouri, Mansoury, Burke and Mobasher
(2019), "The unfairness of popularity bias in recommendation", RMSE workshop at RecSys.
"""

# pyright: basic

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.training.model import Vector


@dataclass(frozen=True)
class PopularityBias:
    """Concentration of impressions, beside an earlier period.

    Attributes:
        products: products that were shown.
        coverage: share of the catalogue that was shown, 0 to 1.
        gini: Gini coefficient of impressions over the catalogue: 0 all alike, 1 one product alone.
        top_share: share of impressions of the most shown hundredth of the catalogue.
        lift: mean popularity of impressions over that of purchases, less 1; above 0 the lists are more popular than
            what customers buy; None without purchases.
        before: the same of the earlier period; None without one.
    """

    products: int
    coverage: float
    gini: float
    top_share: float
    lift: float | None
    before: PopularityBias | None = None

    def risen(self, limit: float) -> list[str]:
        """Return what has become worse by more than `limit` (absolute) since the earlier period, in words."""
        if self.before is None:
            return []
        pairs = {
            "Gini coefficient": (self.before.gini, self.gini),
            "share of the most shown hundredth": (self.before.top_share, self.top_share),
            "share of the catalogue never shown": (1 - self.before.coverage, 1 - self.coverage),
        }
        return [f"{name} {was:.3f} to {now:.3f}" for name, (was, now) in pairs.items() if now - was > limit]


def popularity_bias(
    shown: Mapping[str, int],
    bought: Mapping[str, int],
    catalogue: int,
    before: PopularityBias | None = None,
) -> PopularityBias:
    """Return the concentration of impressions over the catalogue.

    Args:
        shown: product -> impressions.
        bought: product -> units or orders that customers bought anyway, before or beside the lists.
        catalogue: number of products that could be shown; at least as many as were.
        before: of an earlier period.
    """
    size = max(catalogue, len(shown), 1)
    counts = np.zeros(size)
    counts[: len(shown)] = sorted(shown.values())
    counts.sort()
    total = float(counts.sum())
    top = max(1, size // 100)
    return PopularityBias(
        products=len(shown),
        coverage=len(shown) / size,
        gini=_gini(counts),
        top_share=float(counts[-top:].sum()) / total if total else 0.0,
        lift=_lift(shown, bought),
        before=before,
    )


def least_biased(periods: Sequence[PopularityBias]) -> PopularityBias:
    """Return the least concentrated of some periods, each measure by itself: narrowing step by step adds up to it."""
    return PopularityBias(
        products=max(one.products for one in periods),
        coverage=max(one.coverage for one in periods),
        gini=min(one.gini for one in periods),
        top_share=min(one.top_share for one in periods),
        lift=None,
    )


def _gini(ascending: Vector) -> float:
    total = float(ascending.sum())
    if not total:
        return 0.0
    places = np.arange(1, ascending.size + 1)
    return float(2 * (places @ ascending) / (ascending.size * total) - (ascending.size + 1) / ascending.size)


def _lift(shown: Mapping[str, int], bought: Mapping[str, int]) -> float | None:
    impressions, purchases = sum(shown.values()), sum(bought.values())
    squares = sum(count * count for count in bought.values())
    if not impressions or not purchases:
        return None
    of_lists = sum(count * bought.get(product, 0) for product, count in shown.items()) / impressions
    return of_lists / (squares / purchases) - 1
