"""Numbers that a ranker orders candidates by; all of them are of interactions before the moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.recommend.config import GeneratorName
from models.recommend.generators import NO_SCORE, Tables
from models.recommend.history import Numbers, ProductNumbers, Profiles
from models.recommend.merging import Candidates
from models.recommend.ranking_metrics import NOTHING
from models.recommend.recency import RECENT, recent_scores

#: Bits of a float32 that are rounded away: sums of another order must not move a candidate over a tree's threshold.
_ROUNDED_BITS = 10
_SCORED: tuple[GeneratorName, ...] = ("ease", "walks", "factors")
#: Names of the features, in the order of the columns; numbers that an application adds come after them.
FEATURES = (
    "own_count",
    "own_short",
    "own_long",
    "own_rate",
    "own_rate_since_first",
    "own_last_days",
    "own_last_by_gap",
    "own_repeat_rate",
    "customer_baskets",
    "customer_products",
    "customer_products_per_basket",
    "customer_latest_days",
    "customer_gap_days",
    "product_recent",
    "product_count",
    "product_trend",
    "product_age_days",
    "product_repeated",
    "product_gap_days",
    *(f"{name}_score" for name in _SCORED),
    *(f"{name}_share" for name in _SCORED),
    *(f"{name}_rank" for name in _SCORED),
    "fused",
    *RECENT,
    *(f"{name}_place_of_new" for name in (*_SCORED, "ease_recent")),
    "ease_by_products",
)


def ranker_features(found: Candidates, asked: Profiles, of: ProductNumbers, tables: Tables) -> Numbers:
    """Return features of candidates, shape `(n_customers, n_candidates, n_features)`, NaN where unknown.

    Args:
        found: candidates.
        asked: profiles of the same customers.
        of: numbers of all products.
        tables: of the generators.
    """
    product = np.where(found.product == NOTHING, 0, found.product)
    parts = [
        stacked([*_own(found, asked, of, product), *_of_customers(asked, product.shape)]),
        of.features[product],
        stacked([*_of_generators(found), *_of_recent(found, asked, tables, product)]),
    ]
    return np.concatenate(parts, axis=2)


def stacked(columns: Sequence[NDArray]) -> Numbers:
    """Return columns of one shape as numbers of that shape and one axis more, the last."""
    found = np.empty((*columns[0].shape, len(columns)), np.float32)
    for place, each in enumerate(columns):
        found[..., place] = each
    return found


def _own(found: Candidates, asked: Profiles, of: ProductNumbers, product: NDArray[np.integer]) -> list[NDArray]:
    place = pair_places(asked, product)
    has = (place >= 0) & (found.product != NOTHING)

    def own(values: Numbers, without: float) -> NDArray:
        return np.where(has, values[place], without) if values.size else np.full(has.shape, without)

    count, last, first = own(asked.count, 0), own(asked.last, np.nan), own(asked.first, np.nan)
    baskets = np.maximum(asked.baskets, 1)[:, None]
    pace = np.maximum(asked.since, 1)[:, None] / baskets
    since_first = np.maximum(np.minimum(first / pace, baskets), count)
    gap = np.where(count > 1, (first - last) / np.maximum(count - 1, 1), of.gap[product])
    return [
        count,
        own(asked.short, 0),
        own(asked.long, 0),
        count / baskets,
        np.where(has, count / np.maximum(since_first, 1), 0),
        last,
        last / np.maximum(gap, 1),
        np.where(np.isfinite(found.scores["own"]), found.scores["own"], 0),
    ]


def pair_places(asked: Profiles, product: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the place of products among their customers' pairs, -1 where they have none; `product` is a row each."""
    if asked.product.size == 0:
        return np.full(product.shape, -1)
    width = int(max(asked.product.max(), product.max())) + 1
    keys = asked.owner() * width + asked.product
    wanted = np.arange(asked.size)[:, None] * width + product
    places = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[places] == wanted, places, -1)


def _of_customers(asked: Profiles, shape: tuple[int, ...]) -> list[NDArray]:
    products = np.diff(asked.starts)
    baskets = np.maximum(asked.baskets, 1)
    gap = (asked.since - asked.latest) / np.maximum(baskets - 1, 1)
    each = (asked.baskets, products, asked.count_of_customers() / baskets, asked.latest, gap)
    return [np.broadcast_to(values[:, None], shape) for values in each]


def _of_generators(found: Candidates) -> list[NDArray]:
    scores = [found.scores[name] for name in _SCORED]
    highest = [np.maximum(np.max(each, axis=1, keepdims=True), 1e-9) for each in scores]
    ranks = [_places(np.where(found.product == NOTHING, NO_SCORE, each)) for each in scores]
    return [*scores, *(s / h for s, h in zip(scores, highest, strict=True)), *ranks, found.fused]


def _of_recent(
    found: Candidates, asked: Profiles, tables: Tables, product: NDArray[np.integer]
) -> list[NDArray[np.number]]:
    """Return scores by recent products, and places among the candidates that the customer does not have."""
    recent = recent_scores(asked, tables, product)
    is_new = (found.product != NOTHING) & ~found.is_own
    ordered = (*(found.scores[name] for name in _SCORED), recent[0])
    places = [_places(np.where(is_new, each, NO_SCORE)) for each in ordered]
    products = np.maximum(np.diff(asked.starts), 1)[:, None]
    return [*recent, *places, found.scores["ease"] / np.sqrt(products)]


def _places(scores: Numbers) -> NDArray[np.int64]:
    """Return the place of each candidate by one score, from 0."""
    return np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")


def rounded(values: Numbers) -> Numbers:
    """Return numbers to about four digits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(1 << (_ROUNDED_BITS - 1))
    found = ((bits + half) & ~np.uint32((1 << _ROUNDED_BITS) - 1)).view(np.float32)
    return np.where(np.isfinite(values), found, values).astype(np.float32)
