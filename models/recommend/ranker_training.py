"""Training of rankers at past moments: the newest one chooses among them, all of them train the chosen one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.recommend.choice import Choice, choose
from models.recommend.config import RankerName, RecommenderConfig
from models.recommend.history import Numbers, ProductNumbers
from models.recommend.merging import Candidates
from models.recommend.new_products import with_ease
from models.recommend.rankers import BoostedRanker, Ranker, TrainingRows, fitted, joined
from models.recommend.ranking_metrics import NOTHING, Targets, Values, hits, ndcg
from models.recommend.recommender import best_lists

Places = NDArray[np.integer]
Progress = Callable[[str], None]
_FREQUENCY: RankerName = "frequency"


class Moment(Protocol):
    """A past moment: candidates of customers as of then, and what they took after it."""

    @property
    def taken(self) -> Targets:
        """Products that customers took after the moment."""
        ...

    @property
    def of_products(self) -> ProductNumbers:
        """Numbers of all products at the moment."""
        ...

    def blocks(self, places: Places) -> Iterator[tuple[Places, Candidates, Numbers]]:
        """Yield some of the places in `taken` at a time, with candidates and their features."""
        ...


def chosen_ranker(
    moments: Sequence[Moment], config: RecommenderConfig, repeat_share: float, progress: Progress = lambda _: None
) -> tuple[Ranker, Choice]:
    """Return the ranker that the newest moment chose, trained on all of them.

    Args:
        moments: the newest first, one or more; with one alone no ranker that learns can be chosen.
        config: kinds of rankers, their settings, and the length of the lists that are compared.
        repeat_share: share of taken products that their customers had before.
        progress: called with what is being done.
    """
    rows: list[TrainingRows] = []
    for number, moment in enumerate(moments, 1):
        progress(f"candidates of cut-off {number} of {len(moments)}")
        rows.append(training_rows(moment, config))
    older = [each for each in rows[1:] if each.labels.size]
    possible: list[RankerName] = [kind for kind in config.ranker.kinds if older or not kind.startswith("xgboost")]
    names: list[RankerName] = [_FREQUENCY, *possible]
    progress(f"train rankers on {sum(each.labels.size for each in older):,} rows")
    rankers = _fitted(names, older, config)
    values, taken_at = validation_values(moments[0], rankers, config)
    choice = choose(values, repeat_share, taken_at)
    progress(f"train {choice.name} on {sum(each.labels.size for each in rows):,} rows")
    ranker = _fitted([choice.name], [each for each in rows if each.labels.size], config)[choice.name]
    if not isinstance(ranker, BoostedRanker):
        return ranker, choice
    weight = _ease_weight(moments[0], rankers[choice.name], config)
    return replace(ranker, ease_weight=weight), replace(choice, ease_weight=weight)


def training_rows(moment: Moment, config: RecommenderConfig) -> TrainingRows:
    """Return the candidates of customers of whom at least one candidate was taken, and which were."""
    parts: list[TrainingRows] = []
    for places, found, features in moment.blocks(_sampled(moment, config)):
        labels = hits(found.product, moment.taken.of(places), moment.of_products.count.size)
        kept = (found.product != NOTHING) & labels.any(axis=1, keepdims=True)
        groups = kept.sum(axis=1)
        parts.append(TrainingRows(features[kept], labels[kept].astype(np.int8), groups[groups > 0]))
    return joined(parts)


def validation_values(
    moment: Moment, rankers: Mapping[RankerName, Ranker], config: RecommenderConfig
) -> tuple[dict[RankerName, Values], dict[RankerName, Values]]:
    """Return the NDCG of each customer by each ranker, and the share of customers who took what is at each place."""
    parts: dict[RankerName, list[Values]] = {name: [] for name in rankers}
    counts: dict[RankerName, Values] = {name: np.zeros(config.candidates) for name in rankers}
    for places, found, features in moment.blocks(_sampled(moment, config)):
        taken = moment.taken.of(places)
        for name, ranker in rankers.items():
            scores = ranked_by(ranker, found, features, moment.of_products)
            hit = hits(best_lists(found, scores, config.candidates)[0], taken, moment.of_products.count.size)
            parts[name].append(ndcg(hit[:, : config.k], taken.sizes()))
            counts[name] += hit.sum(axis=0)
    values: dict[RankerName, Values] = {name: np.concatenate(each) for name, each in parts.items()}
    return values, {name: each / max(values[name].size, 1) for name, each in counts.items()}


def _ease_weight(moment: Moment, ranker: Ranker, config: RecommenderConfig) -> float:
    """Return the weight of EASE in the order of new products; 0 where it loses NDCG of them."""
    weight, lost = config.ranker.ease_weight, list[Values]()
    if not weight:
        return 0.0
    for places, found, features in moment.blocks(_sampled(moment, config)):
        scores, taken = ranker.scores(found, features, moment.of_products), moment.taken.of(places)
        products, is_new = moment.of_products.count.size, ~found.is_own & (found.product != NOTHING)
        again = (hits(found.product, taken, products) & found.is_own).sum(axis=1)
        before, after = (
            ndcg(hits(best_lists(found, ranked, config.k)[0], taken, products), taken.sizes() - again)
            for each in (0.0, weight)
            for ranked in [np.where(is_new, with_ease(scores, found, each), -np.inf).astype(np.float32)]
        )
        lost.append(before - after)
    every = np.concatenate(lost)
    return 0.0 if every[np.isfinite(every)].sum() > 0 else weight


def ranked_by(ranker: Ranker, found: Candidates, features: Numbers, of_products: ProductNumbers) -> Numbers:
    """Return the score of each candidate, -inf where there is none."""
    scores = ranker.scores(found, features, of_products)
    return np.where(found.product == NOTHING, -np.inf, scores).astype(np.float32)


def repeats_of(taken: Targets, customer: Places, product: Places, products: int) -> tuple[int, int]:
    """Return how many of the taken products their customers had before, and how many were taken.

    Args:
        taken: products of customers.
        customer: code of the customer of each earlier interaction.
        product: code of its product.
        products: number of all products.
    """
    keys = taken.customers[taken.owner()].astype(np.int64) * products + taken.product
    return int(np.isin(keys, customer.astype(np.int64) * products + product).sum()), keys.size


def _sampled(moment: Moment, config: RecommenderConfig) -> NDArray[np.int64]:
    """Return the places of customers that give rows, all of them or as many as allowed."""
    n, most = moment.taken.customers.size, config.ranker.max_customers
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(config.seed).permutation(n)[:most])


def _fitted(
    names: Sequence[RankerName], rows: Sequence[TrainingRows], config: RecommenderConfig
) -> dict[RankerName, Ranker]:
    return fitted(list(dict.fromkeys(names)), joined(rows), config.ranker, seed=config.seed)
