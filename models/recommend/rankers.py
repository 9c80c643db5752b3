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
from models.recommend.ranking_metrics import NOTHING

if TYPE_CHECKING:
    from xgboost import Booster

# XGBoost is only partly typed.
# pyright: basic


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
class BoostedRanker:
    """Trees of XGBoost."""

    name: RankerName
    booster: Booster

    def scores(self, found: Candidates, features: Numbers, of: ProductNumbers) -> Numbers:  # noqa: ARG002
        """Return the margins of the trees."""
        rows = features.reshape(-1, features.shape[2])
        return self.booster.inplace_predict(rows, predict_type="margin").reshape(found.product.shape)


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
    """Return the rows of several cut-offs."""
    return TrainingRows(
        *(np.concatenate([getattr(each, name) for each in parts]) for name in ("features", "labels", "groups"))
    )


def no_rows() -> TrainingRows:
    """Return no rows, for rankers that learn nothing."""
    return TrainingRows(np.empty((0, 0), np.float32), np.empty(0, np.int8), np.empty(0, np.int64))


def fitted(name: RankerName, rows: TrainingRows, config: RankerConfig, *, seed: int) -> Ranker:
    """Return a ranker of a kind; those that learn nothing need no rows."""
    simple: dict[RankerName, Ranker] = {"frequency": FrequencyRanker(), "fused": FusedRanker(), "ease": EaseRanker()}
    return simple.get(name) or BoostedRanker(name, _trained(name, rows, config, seed))


def _trained(name: RankerName, rows: TrainingRows, config: RankerConfig, seed: int) -> Booster:
    import xgboost

    matrix = xgboost.QuantileDMatrix(rows.features, rows.labels)
    if name == "xgboost_ndcg":
        matrix.set_group(rows.groups)
    parameters = {
        "objective": "rank:ndcg" if name == "xgboost_ndcg" else "binary:logistic",
        "max_depth": config.depth,
        "eta": config.learning_rate,
        "min_child_weight": config.min_child_weight if name == "xgboost_binary" else 1.0,
        "subsample": 0.8,
        "colsample_bynode": 0.5,
        "seed": seed,
        "nthread": 1,
    }
    return xgboost.train(parameters, matrix, num_boost_round=config.rounds)
