"""Named generators of candidates: each gives every product a score for each customer of a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from models.recommend.config import GeneratorName, GeneratorsConfig
from models.recommend.factors import Factors, product_factors, solved
from models.recommend.history import RECENT_DAYS, History, Numbers, ProductNumbers, Profiles
from models.recommend.neighbours import ease, rp3beta
from models.recommend.sparse import Sparse

# scipy's sparse arrays have no static types.
# pyright: basic

GENERATORS: tuple[GeneratorName, ...] = get_args(GeneratorName)
#: A product without this score is no candidate of the generator.
NO_SCORE = np.float32(-np.inf)


@dataclass(frozen=True)
class Tables:
    """Numbers per product that scores are computed from; rows and columns are codes of products.

    Attributes:
        ease: weights of neighbours, at most 200 per product.
        walks: of RP3beta.
        factors: of ALS, shape `(n_products, size)`: for dot products, never for cosine.
        popular: baskets of the last 28 days with the product, of each segment, shape `(n_segments, n_products)`.
        new: baskets per day of products first sold in the last 28 days; `NO_SCORE` for others.
    """

    ease: Sparse
    walks: Sparse
    factors: Factors
    popular: Numbers
    new: Numbers


def tables_of(known: History, config: GeneratorsConfig, *, seed: int, popular: Numbers | None = None) -> Tables:
    """Return the tables of a history.

    Args:
        known: history.
        config: sizes and penalties.
        seed: of the factors.
        popular: of each segment, shape `(n_segments, n_products)`; None: one segment.
    """
    owned = known.profiles.matrix(known.products.size)
    return Tables(
        ease(owned, penalty=config.ease_penalty),
        rp3beta(owned, alpha=config.walks_alpha, beta=config.walks_beta),
        product_factors(
            owned,
            size=min(config.factor_size, known.products.size),
            weight=config.factor_weight,
            penalty=config.factor_penalty,
            rounds=config.factor_rounds,
            seed=seed,
        ),
        _popular(known)[None, :] if popular is None else popular,
        _new(known),
    )


def _popular(known: History) -> Numbers:
    """Return recent baskets; of two products that sold alike the one sold more often overall comes first."""
    of = known.of_products
    return (of.recent + of.count / (of.count.max() + 1)).astype(np.float32)


def _new(known: History) -> Numbers:
    of = known.of_products
    is_new = (of.first <= RECENT_DAYS) & known.is_timed
    return np.where(is_new, of.count / np.maximum(of.first, 1), NO_SCORE).astype(np.float32)


def scores(
    asked: Profiles,
    tables: Tables,
    of_products: ProductNumbers,
    config: GeneratorsConfig,
    *,
    segments: NDArray[np.int64] | None = None,
    taste: Numbers | None = None,
) -> dict[GeneratorName, Numbers]:
    """Return the scores of all products for some customers by each generator, shape `(n_customers, n_products)`.

    Args:
        asked: profiles of the customers.
        tables: of the generators.
        of_products: numbers of all products.
        config: settings of the generators.
        segments: of each of these customers; None: the first.
        taste: score of each product by traits that the customer likes; None: there are none, and no such candidates.
    """
    n = tables.popular.shape[1]
    owned = asked.matrix(n)
    customers = solved(owned, tables.factors, weight=config.factor_weight, penalty=config.factor_penalty)
    own = np.full((asked.size, n), NO_SCORE, np.float32)
    own[asked.owner(), asked.product] = repeat_rates(asked, of_products)
    found: dict[GeneratorName, Numbers] = {
        "own": own,
        "ease": (owned @ tables.ease).toarray(),
        "walks": (owned @ tables.walks).toarray(),
        "factors": customers @ tables.factors.T,
        "popular": tables.popular[np.zeros(asked.size, np.int64) if segments is None else segments],
        "new": np.broadcast_to(tables.new, own.shape),
    }
    return found if taste is None else {**found, "taste": taste}


def repeat_rates(asked: Profiles, of_products: ProductNumbers) -> Numbers:
    """Return for each pair the estimated share of the customer's next baskets that hold the product.

    Baskets with the product over baskets since the first of them, drawn to the product's share of repeaters as by two
    baskets, times how near the customer is to the product's usual gap. The gamma prior of Bhagat et al. (2018), *Buy
    It Again*, https://doi.org/10.1145/3219819.3219891, over baskets instead of days.
    """
    owner = asked.owner()
    share = of_products.repeated[asked.product]
    return ((asked.count - 1 + 2 * share) / (asked.baskets[owner] + 2)).astype(np.float32)
