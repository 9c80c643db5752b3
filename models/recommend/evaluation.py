"""Evaluation of the recommender on what customers took later, beside popularity, own frequency and EASE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import Interval, Resampling, mean_interval
from models.recommend.choice import Choice
from models.recommend.config import FittedConfig
from models.recommend.fitting import fit_recommender
from models.recommend.history import Numbers, Profiles
from models.recommend.interactions import Codes, Ids, Interactions
from models.recommend.ranking_metrics import NOTHING, Targets, Values, coverage, hits, ndcg, novelty, recall, targets
from models.recommend.recommender import Recommender, best_lists, codes_of

SHIPPED = "recommender"
MethodName = Literal["recommender", "popularity", "own_frequency", "ease"]
METHODS: tuple[MethodName, ...] = get_args(MethodName)
Part = Literal["all", "repeat", "new"]
PARTS: tuple[Part, ...] = get_args(Part)
_IS_OWN: dict[Part, bool | None] = {"all": None, "repeat": True, "new": False}
_RESAMPLING = Resampling(n=2000, seed=0, confidence=0.95)


@dataclass(frozen=True)
class Measured:
    """Recall and NDCG of one method on one part of the products; lists hold only products of that part.

    Attributes:
        recall: mean over customers, 95 % interval.
        ndcg: mean over customers.
        recall_lead: recall of the recommender minus that of this method, paired; None for the recommender.
        ndcg_lead: the same of NDCG.
    """

    recall: Interval
    ndcg: Interval
    recall_lead: Interval | None
    ndcg_lead: Interval | None


@dataclass(frozen=True)
class MethodResult:
    """Results of one method.

    Attributes:
        parts: `all`, `repeat` (products the customer has) and `new`; a part of which no product was taken is missing.
        coverage: share of known products that stand in at least one list.
        novelty: mean over the lists of `-log2(share of customers who have the product)`.
    """

    parts: Mapping[Part, Measured]
    coverage: float
    novelty: float


@dataclass(frozen=True)
class Evaluation:
    """Results by method, and the rows that they come from.

    Attributes:
        results: of each method.
        choice: ranker that earlier cut-offs chose.
        k: length of the lists.
        customers: evaluated ones.
        products: known ones.
        interactions: distinct ones that were trained on.
        taken: products that evaluated customers took.
        unknown_customers: customers of the test rows who have no earlier row: not evaluated.
        unknown_products: products taken that no earlier row has: no method can find them, and they are left out.
        ceiling: highest recall that a list of `k` products can have.
        is_timed: the interactions have times.
    """

    results: Mapping[MethodName, MethodResult]
    choice: Choice
    k: int
    customers: int
    products: int
    interactions: int
    taken: int
    unknown_customers: int
    unknown_products: int
    ceiling: float
    is_timed: bool


def evaluate_recommendations(
    events: Interactions,
    test_customers: Ids,
    test_products: Ids,
    config: FittedConfig,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Evaluation | None:
    """Return results of the shipped recommender on later rows; None if no test customer or product is known.

    Args:
        events: interactions to train on; every choice is made on them.
        test_customers: customer of each later row.
        test_products: product of each later row.
        config: of the recommender.
        progress: called with what is being done.
    """
    customer, product = codes_of(test_customers, events.customers), codes_of(test_products, events.products)
    known = (customer >= 0) & (product >= 0)
    if not known.any():
        return None
    as_of = float(events.day.max()) + 1
    fitted = fit_recommender(events, as_of, config, progress=progress)
    taken = targets(customer[known], product[known])
    progress(f"recommend to {taken.customers.size:,} customers")
    lists = _lists(fitted, taken.customers, config.k)
    return Evaluation(
        _results(lists, fitted, taken),
        fitted.choice,
        config.k,
        taken.customers.size,
        events.products.size,
        events.size,
        taken.product.size,
        np.unique(test_customers[customer < 0]).size,
        np.unique(test_products[product < 0]).size,
        float(np.minimum(1.0, config.k / taken.sizes()).mean()),
        events.is_timed,
    )


def _lists(fitted: Recommender, customers: Codes, k: int) -> dict[tuple[MethodName, Part], Codes]:
    """Return the list of each method of each part for all customers, shape `(n_customers, k)`."""
    parts: dict[tuple[MethodName, Part], list[Codes]] = {(m, p): [] for m in METHODS for p in PARTS}
    for block in fitted.blocks(customers):
        asked = fitted.profiles(block)
        found = fitted.candidates(asked)
        ranked = fitted.rank(found, asked)
        owned = asked.matrix(fitted.products.size).toarray() > 0
        for part, own in _IS_OWN.items():
            kept = ranked if own is None else np.where(found.is_own == own, ranked, -np.inf)
            parts[SHIPPED, part].append(best_lists(found, kept.astype(np.float32), k)[0])
            for name, values in _baselines(fitted, asked, owned).items():
                allowed = _allowed(owned, own, fitted.repeats)
                parts[name, part].append(_highest(np.where(allowed, values, -np.inf), k))
    return {key: np.concatenate(each) for key, each in parts.items()}


def _allowed(owned: NDArray[np.bool_], own: bool | None, repeats: bool) -> NDArray[np.bool_]:
    if own is None:
        return ~owned | repeats
    return owned == own


def _baselines(fitted: Recommender, asked: Profiles, owned: NDArray[np.bool_]) -> dict[MethodName, Numbers]:
    """Return scores of all products by popularity of late, own frequency (ties by popularity) and EASE."""
    n = fitted.products.size
    popular = np.broadcast_to(fitted.tables.popular[0], owned.shape)
    count = asked.matrix(n, asked.count).toarray()
    tie = popular / (popular.max() + 1)
    return {
        "popularity": popular,
        "own_frequency": count + tie,
        "ease": (asked.matrix(n) @ fitted.tables.ease).toarray(),
    }


def _highest(values: Numbers, k: int) -> Codes:
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    there = np.isfinite(np.take_along_axis(values, order, axis=1))
    lists = np.where(there, order, NOTHING).astype(np.int32)
    return np.pad(lists, ((0, 0), (0, k - lists.shape[1])), constant_values=NOTHING)


def _results(
    lists: Mapping[tuple[MethodName, Part], Codes], fitted: Recommender, taken: Targets
) -> dict[MethodName, MethodResult]:
    n = fitted.products.size
    asked = fitted.profiles(taken.customers)
    owned = np.isin(taken.owner() * n + taken.product, asked.owner() * n + asked.product)
    wanted: dict[Part, Targets] = {"all": taken, "repeat": taken.kept(owned), "new": taken.kept(~owned)}
    share = fitted.of_products.customers / fitted.customers.size
    values = {key: _values(each, wanted[key[1]], n) for key, each in lists.items()}
    return {
        name: MethodResult(
            {part: _measured(values, name, part) for part in PARTS if wanted[part].product.size},
            coverage(lists[name, "all"], n),
            novelty(lists[name, "all"], share),
        )
        for name in METHODS
    }


def _values(lists: Codes, wanted: Targets, products: int) -> tuple[Values, Values]:
    hit, there = hits(lists, wanted, products), wanted.sizes() > 0
    return recall(hit, wanted.sizes())[there], ndcg(hit, wanted.sizes())[there]


def _measured(
    values: Mapping[tuple[MethodName, Part], tuple[Values, Values]], name: MethodName, part: Part
) -> Measured:
    own, shipped = values[name, part], values[SHIPPED, part]
    leads = (None, None) if name == SHIPPED else tuple(_mean(a - b) for a, b in zip(shipped, own, strict=True))
    return Measured(*(_mean(each) for each in own), *leads)


def _mean(values: Values) -> Interval:
    return mean_interval(values, _RESAMPLING)
