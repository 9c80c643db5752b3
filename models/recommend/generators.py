"""Named generators of candidates: each gives every product a score for each customer of a block."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from models.recommend.blas import one_thread
from models.recommend.config import GeneratorName, GeneratorsConfig
from models.recommend.factors import Exact, Factors, product_factors, solved
from models.recommend.history import RECENT_DAYS, History, Numbers, ProductNumbers, Profiles
from models.recommend.neighbours import ease, item_knn, no_neighbours, rp3beta
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
        knn: of item-kNN; empty where nothing asks for it.
        factors: of ALS, shape `(n_products, size)`: for dot products, never for cosine.
        popular: baskets of the last 28 days with the product, of each segment, shape `(n_segments, n_products)`.
        new: baskets per day of products first sold in the last 28 days; `NO_SCORE` for others.
    """

    ease: Sparse
    walks: Sparse
    knn: Sparse
    factors: Factors
    popular: Numbers
    new: Numbers

    @cached_property
    def popular_order(self) -> NDArray[np.int32]:
        """Products by `popular`, the highest first, of equals the lower code, shape `(n_segments, n_products)`."""
        return _order(self.popular)

    @cached_property
    def new_order(self) -> NDArray[np.int32]:
        """Products by `new`, shape `(1, n_products)`."""
        return _order(self.new[None, :])

    @cached_property
    def exact_factors(self) -> Exact:
        """The factors in the precision in which customers are solved for, shape `(n_products, size)`."""
        return self.factors.astype(np.float64)

    @cached_property
    def gram(self) -> Exact:
        """Products of the factors with each other, summed over all products, shape `(size, size)`."""
        with one_thread():
            return self.exact_factors.T @ self.exact_factors


def _order(values: Numbers) -> NDArray[np.int32]:
    return np.argsort(-values, axis=1, kind="stable").astype(np.int32)


@dataclass(frozen=True, eq=False)
class OwnScores:
    """Scores of all products for each customer.

    Attributes:
        values: shape `(n_customers, n_products)`.
    """

    values: Numbers

    @property
    def shape(self) -> tuple[int, int]:
        """Customers and products."""
        return self.values.shape[0], self.values.shape[1]

    def take(self, products: NDArray[np.int64]) -> Numbers:
        """Return the scores of products, a row of them for each customer."""
        return self.values[np.arange(products.shape[0])[:, None], products]


@dataclass(frozen=True, eq=False)
class SharedScores:
    """Scores of all products that customers of a segment share.

    Attributes:
        values: shape `(n_segments, n_products)`.
        order: products by them, the highest first, of equals the lower code.
        segments: of each customer, shape `(n_customers,)`.
    """

    values: Numbers
    order: NDArray[np.int32]
    segments: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """Customers and products."""
        return self.segments.size, self.values.shape[1]

    def take(self, products: NDArray[np.int64]) -> Numbers:
        """Return the scores of products, a row of them for each customer."""
        return self.values[self.segments[:, None], products]


Scores: TypeAlias = OwnScores | SharedScores


def tables_of(known: History, config: GeneratorsConfig, *, seed: int, popular: Numbers | None = None) -> Tables:
    """Return the tables of a history.

    Args:
        known: history.
        config: sizes and penalties.
        seed: of the factors.
        popular: of each segment, shape `(n_segments, n_products)`; None: one segment.
    """
    with one_thread():
        return _tables_of(known, config, seed, popular)


def _tables_of(known: History, config: GeneratorsConfig, seed: int, popular: Numbers | None) -> Tables:
    owned = known.profiles.matrix(known.products.size)
    return Tables(
        ease(owned, penalty=config.ease_penalty),
        rp3beta(owned, alpha=config.walks_alpha, beta=config.walks_beta),
        item_knn(owned, shrink=config.knn_shrink) if config.knn else no_neighbours(owned.shape[1]),
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
) -> Mapping[GeneratorName, Scores]:
    """Return the scores of all products for some customers by each generator.

    Args:
        asked: profiles of the customers.
        tables: of the generators.
        of_products: numbers of all products.
        config: settings of the generators.
        segments: of each of these customers; None: the first.
        taste: score of each product by traits that the customer likes; None: there are none, and no such candidates.
    """
    n = tables.popular.shape[1]
    nowhere = np.zeros(asked.size, np.int64)
    own = np.full((asked.size, n), NO_SCORE, np.float32)
    own[asked.owner(), asked.product] = repeat_rates(asked, of_products)
    found: dict[GeneratorName, Scores] = {
        "own": OwnScores(own),
        "ease": OwnScores(_summed(asked, tables.ease)),
        "walks": OwnScores(_summed(asked, tables.walks)),
        "factors": OwnScores(_by_factors(asked, tables, config)),
        "popular": SharedScores(tables.popular, tables.popular_order, nowhere if segments is None else segments),
        "new": SharedScores(tables.new[None, :], tables.new_order, nowhere),
    }
    if config.knn and tables.knn.nnz:  # an index of an earlier release has no such neighbours: every score would be 0
        found["knn"] = OwnScores(_summed(asked, tables.knn))
    return found if taste is None else {**found, "taste": OwnScores(taste)}


def _by_factors(asked: Profiles, tables: Tables, config: GeneratorsConfig) -> Numbers:
    """Return the dot products of customers and products; one customer's are too few to be shared out to threads."""
    with one_thread() if asked.size > 1 else nullcontext():
        weight, penalty = config.factor_weight, config.factor_penalty
        owned = asked.matrix(tables.popular.shape[1])
        customers = solved(owned, tables.exact_factors, weight=weight, penalty=penalty, gram=tables.gram)
        return (customers @ tables.exact_factors.T).astype(np.float32)


def _summed(asked: Profiles, neighbours: Sparse) -> Numbers:
    """Return the sum of the neighbours' weights of each customer's products, shape `(n_customers, n_products)`.

    The product of `asked.matrix` and the table, added up in the same order; scipy's costs ten times as much for one
    customer.
    """
    rows, products = asked.product, neighbours.shape[1]
    lengths = neighbours.indptr[rows + 1] - neighbours.indptr[rows]
    ends = np.cumsum(lengths)
    at = np.arange(ends[-1] if ends.size else 0) + np.repeat(neighbours.indptr[rows] - (ends - lengths), lengths)
    found = np.zeros(asked.size * products, np.float32)
    np.add.at(found, np.repeat(asked.owner() * products, lengths) + neighbours.indices[at], neighbours.data[at])
    return found.reshape(asked.size, products)


def repeat_rates(asked: Profiles, of_products: ProductNumbers) -> Numbers:
    """Return for each pair the estimated share of the customer's next baskets that hold the product.

    Baskets with the product over baskets since the first of them, drawn to the product's share of repeaters as by two
    baskets, times how near the customer is to the product's usual gap. The gamma prior of Bhagat et al. (2018), *Buy
    It Again*, https://doi.org/10.1145/3219819.3219891, over baskets instead of days.
    """
    owner = asked.owner()
    share = of_products.repeated[asked.product]
    return ((asked.count - 1 + 2 * share) / (asked.baskets[owner] + 2)).astype(np.float32)
