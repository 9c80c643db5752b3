"""Candidates of several requests, and the numbers that a ranker orders them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.features.personalization_definitions import FEATURES as OF_PROFILES
from models.personalization.asked import asked_profiles
from models.personalization.known import Known
from models.personalization.taste import taste
from models.personalization.wants import expected_wants
from models.recommend.config import RecommenderConfig
from models.recommend.generators import Tables
from models.recommend.history import Numbers, Profiles
from models.recommend.merging import Candidates
from models.recommend.ranker_features import FEATURES as OF_INTERACTIONS
from models.recommend.ranker_features import pair_places, ranker_features, rounded, stacked
from models.recommend.ranking_metrics import NOTHING
from models.recommend.recommender import candidates_of

#: Numbers of a candidate beside those of interactions (`models.recommend.ranker_features.FEATURES`).
FEATURES = (
    *OF_INTERACTIONS,
    "in_stock",
    "is_promoted",
    "price",
    "margin",
    "launched_days",
    "popular_in_segment",
    "views",
    "last_view_days",
    "category_share",
    "price_distance",
    "taste",
    "seen_by_taste",
    *(f"profile_{name}" for name in OF_PROFILES),
)
#: Weight of the shop's mix of categories in a customer's share of a category, in interactions.
_PRIOR = 3.0


@dataclass(frozen=True, eq=False)
class Block:
    """Candidates of some requests.

    Attributes:
        known: the day.
        asked: profiles of those who ask.
        views: the same with what they looked at.
        customers: place of each among the known customers, -1 for strangers.
        segments: segment of each (`Known.segments`).
        found: candidates.
        tables: that they come from.
    """

    known: Known
    asked: Profiles
    views: Profiles
    customers: NDArray[np.int64]
    segments: NDArray[np.int64]
    found: Candidates
    tables: Tables

    def take(self, rows: NDArray[np.int64]) -> Block:
        """Return some of the requests."""
        found = self.found
        if np.array_equal(rows, np.arange(found.product.shape[0])):
            return self
        return replace(
            self,
            asked=self.asked.of(rows),
            views=self.views.of(rows),
            customers=self.customers[rows],
            segments=self.segments[rows],
            found=found.take(rows),
        )


def block_of(
    known: Known,
    tables: Tables,
    config: RecommenderConfig,
    customers: NDArray[np.int64],
    countries: Sequence[str],
    visits: Sequence[Mapping[str, Any]],
) -> Block:
    """Return the candidates of some requests.

    Args:
        known: the day.
        tables: of the generators, by the codes of `known`.
        config: candidates of each generator.
        customers: places among the known customers, -1 for strangers.
        countries: of each, "" if not known.
        visits: of each (`models.personalization.parts.visited`).
    """
    asked = asked_profiles(known, known.events, known.history.profiles, customers, visits)
    views = asked_profiles(known, known.looked, known.views, customers, visits)
    number = {name: place for place, name in enumerate(known.segments)}
    segments = np.array([number.get(country, 0) for country in countries], dtype=np.int64)
    share = taste(known, views)
    found = candidates_of(
        asked, tables, known.history.of_products, config, repeats=True, segments=segments, taste=share
    )
    if known.has_visits:
        found = replace(found, wants=_wants(known, customers, views, share, found.product))
    return Block(known, asked, views, customers, segments, found, tables)


def _wants(
    known: Known, customers: NDArray[np.int64], views: Profiles, share: Numbers, product: NDArray[np.int32]
) -> Numbers:
    """Return how often each candidate is expected to be wanted."""
    lines = np.where(customers >= 0, known.sources.lines_of[customers], 0)
    every = expected_wants(views, lines, share, known.sources)
    return np.take_along_axis(every, np.where(product == NOTHING, 0, product), axis=1)


def block_features(block: Block) -> Numbers:
    """Return the numbers of each candidate, shape `(n_requests, n_candidates, len(FEATURES))`, NaN where unknown."""
    known, found = block.known, block.found
    product = np.where(found.product == NOTHING, 0, found.product)
    seen, last_view = _views(block, product)
    columns = [
        np.log1p(block.tables.popular[block.segments[:, None], product]),
        seen,
        last_view,
        _category_share(block, product),
        _price_distance(block, product),
        *_taste(block, seen),
    ]
    parts = [
        ranker_features(found, block.asked, known.history.of_products, block.tables),
        known.offered[product],
        stacked(columns),
        np.broadcast_to(known.numbers_of(block.customers)[:, None], (*product.shape, len(OF_PROFILES))),
    ]
    return rounded(np.concatenate(parts, axis=2))


def _views(block: Block, product: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Return how often each candidate was looked at or chosen, and days since the last time."""
    views = block.views
    if not views.product.size:
        return [np.zeros(product.shape), np.full(product.shape, np.nan)]
    place = pair_places(views, product)
    return [np.where(place >= 0, views.count[place], 0), np.where(place >= 0, views.last[place], np.nan)]


def _category_share(block: Block, product: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of the candidate's category in what the customer looked at, drawn to the shop's."""
    kinds, usual, views = block.known.kinds, block.known.usual_kinds, block.views
    size = usual.size
    counts = np.bincount(views.owner() * size + kinds[views.product], views.count, minlength=views.size * size)
    counts = counts.reshape(views.size, size)
    share = (counts + _PRIOR * usual) / (counts.sum(axis=1, keepdims=True) + _PRIOR)
    return np.take_along_axis(share, kinds[product], axis=1)


def _taste(block: Block, seen: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the logarithm of each candidate's share by taste, and how often it was looked at beside that share."""
    share = block.found.scores["taste"].astype(np.float64)
    expected = share * block.views.count_of_customers()[:, None]
    return [np.log(share + 1e-6), (seen + 1) / (expected + 1) * share]


def _price_distance(block: Block, product: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logarithm of the candidate's price over the customer's usual one; NaN where either is unknown."""
    price, views = block.known.log_price, block.views
    paid, weight = price[views.product], views.count * ~np.isnan(price[views.product])
    total = np.bincount(views.owner(), weight, minlength=views.size)
    summed = np.bincount(views.owner(), np.where(np.isnan(paid), 0, paid) * weight, minlength=views.size)
    usual = np.divide(summed, total, out=np.full(views.size, np.nan), where=total > 0)
    return price[product] - usual[:, None]
