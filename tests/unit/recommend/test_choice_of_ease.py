"""EASE changes the order of new products only where validation rows say that it does not lose."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from models.recommend.config import FittedConfig, RankerConfig
from models.recommend.generators import GENERATORS
from models.recommend.history import Numbers, ProductNumbers
from models.recommend.merging import Candidates
from models.recommend.ranker_training import Places, chosen_ranker
from models.recommend.ranking_metrics import Targets, targets

CUSTOMERS, PRODUCTS = 300, 12
CONFIG = FittedConfig(
    ranker=RankerConfig(kinds=("xgboost_binary",), rounds=20, min_child_weight=1.0, ease_weight=0.2), k=5
)


@dataclass(frozen=True)
class Moment:
    """Customers who have nothing, and take one product each; a column knows it with noise, EASE as `right` says."""

    right: float
    seed: int

    @property
    def product(self) -> np.ndarray:
        return np.random.default_rng(self.seed).integers(0, PRODUCTS, CUSTOMERS).astype(np.int32)

    @property
    def taken(self) -> Targets:
        return targets(np.arange(CUSTOMERS, dtype=np.int32), self.product)

    @property
    def of_products(self) -> ProductNumbers:
        ones = np.ones(PRODUCTS, np.float32)
        return ProductNumbers(**dict.fromkeys(ProductNumbers.__dataclass_fields__, ones))

    def blocks(self, places: Places) -> Iterator[tuple[Places, Candidates, Numbers]]:
        draws, is_taken = np.random.default_rng(self.seed + 1), np.eye(PRODUCTS, dtype=np.float32)[self.product[places]]
        candidates = np.tile(np.arange(PRODUCTS, dtype=np.int32), (places.size, 1))
        nothing = np.zeros(candidates.shape, np.float32)
        known = is_taken + draws.normal(size=candidates.shape)
        ease = self.right * is_taken + draws.normal(size=candidates.shape)
        found = Candidates(
            candidates,
            np.ones(candidates.shape, np.uint8),
            nothing,
            {**dict.fromkeys(GENERATORS, nothing), "ease": ease.astype(np.float32)},
            dict.fromkeys(GENERATORS, nothing),
            np.zeros(candidates.shape, np.bool_),
        )
        yield places, found, np.stack([nothing, known.astype(np.float32)], axis=2)


@pytest.mark.parametrize(("right", "weight"), [(2.0, 0.2), (-2.0, 0.0)])
def test_ease_has_its_weight_where_it_does_not_lose(right: float, weight: float) -> None:
    ranker, choice = chosen_ranker([Moment(right, seed) for seed in (1, 5)], CONFIG, repeat_share=0.0)
    assert (ranker.name, choice.ease_weight) == ("xgboost_binary", weight)


@pytest.mark.parametrize("seed", [1, 20, 40])
def test_ease_that_loses_a_little_has_no_weight_either(seed: int) -> None:
    _, choice = chosen_ranker([Moment(-0.1, each) for each in (seed, seed + 7)], CONFIG, repeat_share=0.0)
    assert choice.ease_weight == 0
