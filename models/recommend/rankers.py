"""Rankers: the order of the candidates of a customer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from models.recommend.config import RankerConfig, RankerName
from models.recommend.history import Numbers, ProductNumbers
from models.recommend.merging import Candidates
from models.recommend.new_products import with_ease
from models.recommend.ranking_metrics import NOTHING

if TYPE_CHECKING:
    from xgboost import Booster

# XGBoost is only partly typed.
# pyright: basic

_NDCG, _BINARY = "rank:ndcg", "binary:logistic"
#: Wants below this count alike: e^-14 of one per view.
_LEAST_WANTS = 1e-6
#: Objectives of the boosters of each trained ranker.
_OBJECTIVES: dict[RankerName, tuple[str, ...]] = {
    "xgboost_ndcg": (_NDCG,),
    "xgboost_binary": (_BINARY,),
    "xgboost_mean": (_NDCG, _BINARY),
    "xgboost_wants": (_NDCG, _BINARY),
}


class Ranker(Protocol):
    """Scores of candidates; the higher, the earlier."""

    @property
    def name(self) -> RankerName:
        """Name of the kind."""
        ...

    def scores(self, found: Candidates, features: Numbers, of: ProductNumbers) -> Numbers:
        """Return scores, shape `(n_customers, n_candidates)`."""
        ...


@dataclass(frozen=True)
class FrequencyRanker:
    """Own purchase frequency, of equals the more popular of late first; what is not owned follows by fused rank."""

    name: RankerName = "frequency"

    def scores(self, found: Candidates, features: Numbers, of: ProductNumbers) -> Numbers:
        """Return baskets with the product, plus less than a half for popularity; fused rank below that."""
        product = np.where(found.product == NOTHING, 0, found.product)
        popular = of.recent[product] + of.count[product] / (of.count.max() + 1)
        tie = 0.5 * popular / (of.recent.max() + 1)
        return np.where(found.is_own, features[:, :, 0] + tie, found.fused - 1).astype(np.float32)


@dataclass(frozen=True)
class FusedRanker:
    """Reciprocal rank fusion of the generators."""

    name: RankerName = "fused"

    def scores(self, found: Candidates, features: Numbers, of: ProductNumbers) -> Numbers:  # noqa: ARG002
        """Return the fused rank."""
        return found.fused


@dataclass(frozen=True)
class EaseRanker:
    """The score of EASE."""

    name: RankerName = "ease"

    def scores(self, found: Candidates, features: Numbers, of: ProductNumbers) -> Numbers:  # noqa: ARG002
        """Return the score of EASE."""
        return found.scores["ease"]


@dataclass(frozen=True)
class Trees:
    """A booster of XGBoost, and the mean and deviation of its margins on the training rows."""

    booster: Booster
    mean: float
    deviation: float

    def scores(self, rows: Numbers) -> Numbers:
        """Return margins in deviations from their mean, shape `(n_rows,)`."""
        margins = self.booster.inplace_predict(rows, predict_type="margin")
        return ((margins - self.mean) / self.deviation).astype(np.float32)


@dataclass(frozen=True)
class BoostedRanker:
    """Trees of XGBoost, of several boosters the mean score; beside it expected wants, if they have a weight.

    Attributes:
        name: of the kind.
        trees: the boosters.
        ease_weight: of EASE in the order of products that are new to a customer (`models.recommend.new_products`).
        wants_weight: of the logarithm of expected wants; where candidates have none, the order is that of the trees.
    """

    name: RankerName
    trees: tuple[Trees, ...]
    ease_weight: float = 0.0
    wants_weight: float = 0.0

    def scores(self, found: Candidates, features: Numbers, of: ProductNumbers) -> Numbers:  # noqa: ARG002
        """Return the mean of the boosters' scores and the wants, new products in the order of it and EASE."""
        rows = features.reshape(-1, features.shape[2])
        mean = np.mean([each.scores(rows) for each in self.trees], axis=0).reshape(found.product.shape)
        if self.wants_weight and found.wants is not None:
            mean = mean + np.float32(self.wants_weight) * np.log(np.maximum(found.wants, _LEAST_WANTS))
        return with_ease(mean, found, self.ease_weight)


@dataclass(frozen=True)
class TrainingRows:
    """Candidates of customers and whether they were taken, of one cut-off or several.

    Attributes:
        features: shape `(n_rows, n_features)`.
        labels: 1 if the customer took the product, else 0.
        groups: number of rows of each customer, in the order of the rows.
    """

    features: Numbers
    labels: NDArray[np.int8]
    groups: NDArray[np.int64]


def joined(parts: Sequence[TrainingRows]) -> TrainingRows:
    """Return the rows of several cut-offs, none of none."""
    if not parts:
        return TrainingRows(np.empty((0, 0), np.float32), np.empty(0, np.int8), np.empty(0, np.int64))
    return TrainingRows(
        *(np.concatenate([getattr(each, name) for each in parts]) for name in ("features", "labels", "groups"))
    )


def simple_ranker(name: RankerName) -> Ranker:
    """Return a ranker that learns nothing."""
    return {"frequency": FrequencyRanker(), "fused": FusedRanker(), "ease": EaseRanker()}[name]


def fitted(
    names: Sequence[RankerName], rows: TrainingRows, config: RankerConfig, *, seed: int
) -> dict[RankerName, Ranker]:
    """Return rankers of kinds; a booster that two of them need is trained once."""
    needed = dict.fromkeys(objective for name in names for objective in _OBJECTIVES.get(name, ()))
    trees = {objective: _trained(objective, rows, config, seed) for objective in needed}
    return {
        name: BoostedRanker(
            name,
            tuple(trees[each] for each in _OBJECTIVES[name]),
            wants_weight=config.wants_weight if name == "xgboost_wants" else 0.0,
        )
        if name in _OBJECTIVES
        else simple_ranker(name)
        for name in names
    }


def _trained(objective: str, rows: TrainingRows, config: RankerConfig, seed: int) -> Trees:
    import xgboost

    matrix = xgboost.QuantileDMatrix(rows.features, rows.labels)
    if objective == _NDCG:
        matrix.set_group(rows.groups)
    parameters = {
        "objective": objective,
        "max_depth": config.depth,
        "eta": config.learning_rate,
        "min_child_weight": 1.0 if objective == _NDCG else config.min_child_weight,
        "subsample": 0.8,
        "colsample_bynode": 0.5,
        "seed": seed,
        "nthread": 1,
    }
    booster = xgboost.train(parameters, matrix, num_boost_round=config.rounds)
    margins = booster.inplace_predict(rows.features, predict_type="margin")
    return Trees(booster, float(margins.mean()), max(float(margins.std()), 1e-6))
