"""The recommender: candidates of several generators, and the ranker that validation rows chose.

Interface::

    events = interactions(customer_ids, product_ids, at)       # models.recommend.interactions
    fitted = fit_recommender(events, as_of, FittedConfig())  # as_of: day since 1970-01-01, after every event
    for block in fitted.blocks():                              # a few hundred customers at a time: flat memory
        asked = fitted.profiles(block)
        found = fitted.candidates(asked)                       # 100 products, their sources, scores and ranks
        scores = fitted.rank(found, asked)                     # higher is better
        lists, order = best_lists(found, scores, k=20)         # codes of `fitted.products`; NOTHING pads
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.recommend.choice import Choice
from models.recommend.config import RecommenderConfig
from models.recommend.generators import Tables, scores
from models.recommend.history import Numbers, ProductNumbers, Profiles
from models.recommend.interactions import Codes, Ids
from models.recommend.merging import Candidates, merged
from models.recommend.ranker_features import ranker_features, rounded
from models.recommend.rankers import Ranker
from models.recommend.ranking_metrics import NOTHING

_Integer = TypeVar("_Integer", bound=np.integer[Any])
#: Numbers of one score table of a block that are held at once: 2.5 million float32, 10 MB.
_BLOCK_NUMBERS = 2_500_000


@dataclass(frozen=True)
class Recommender:
    """Everything that recommending needs, at one moment.

    Attributes:
        config: as it was fitted.
        customers: ids; codes are their places.
        products: ids.
        known: profiles of all customers.
        of_products: numbers of all products.
        tables: of the generators.
        repeats: customers take products again; if not, what they have is never a candidate.
        ranker: order of the candidates.
        choice: how it was chosen.
    """

    config: RecommenderConfig
    customers: Ids
    products: Ids
    known: Profiles
    of_products: ProductNumbers
    tables: Tables
    repeats: bool
    ranker: Ranker
    choice: Choice

    def codes(self, customer_ids: Ids) -> Codes:
        """Return the code of each customer; -1 for one without any interaction."""
        return codes_of(customer_ids, self.customers)

    def blocks(self, customers: Codes | None = None) -> Iterator[Codes]:
        """Yield customers, all of them if none are named, so many at a time that memory stays flat."""
        every = np.arange(self.customers.size, dtype=np.int32) if customers is None else customers
        yield from blocks_of(every, self.products.size)

    def profiles(self, customers: Codes) -> Profiles:
        """Return profiles of customers."""
        return self.known.of(customers)

    def candidates(self, asked: Profiles) -> Candidates:
        """Return the merged candidates of customers, with sources, scores and ranks."""
        return candidates_of(asked, self.tables, self.of_products, self.config, repeats=self.repeats)

    def rank(self, found: Candidates, asked: Profiles) -> Numbers:
        """Return the score of each candidate; -inf where there is none."""
        ranked = self.ranker.scores(
            found, rounded(ranker_features(found, asked, self.of_products, self.tables)), self.of_products
        )
        return np.where(found.product == NOTHING, -np.inf, ranked).astype(np.float32)


def candidates_of(
    asked: Profiles,
    tables: Tables,
    of_products: ProductNumbers,
    config: RecommenderConfig,
    *,
    repeats: bool,
    segments: NDArray[np.int64] | None = None,
    taste: Numbers | None = None,
) -> Candidates:
    """Return the merged candidates of customers; arguments are those of `models.recommend.generators.scores`."""
    found = scores(asked, tables, of_products, config.generators, segments=segments, taste=taste)
    generators = config.generators if repeats else config.generators.model_copy(update={"own": 0})
    return merged(found, asked, generators, config.candidates)


def best_lists(found: Candidates, ranked: Numbers, k: int) -> tuple[Codes, NDArray[np.int64]]:
    """Return the first `k` products of each customer, `NOTHING` where there are fewer, and their places."""
    order = np.argsort(-ranked, axis=1, kind="stable")[:, :k]
    lists = np.take_along_axis(found.product, order, axis=1)
    scored = np.isfinite(np.take_along_axis(ranked, order, axis=1))
    lists = np.where(scored, lists, NOTHING).astype(np.int32)
    if lists.shape[1] < k:
        lists = np.pad(lists, ((0, 0), (0, k - lists.shape[1])), constant_values=NOTHING)
    return lists, order


def codes_of(ids: Ids, known: Ids) -> Codes:
    """Return the place of each id among ascending ones; -1 for one that is not there."""
    places = np.minimum(np.searchsorted(known, ids), known.size - 1)
    return np.where(known[places] == ids, places, -1).astype(np.int32)


def blocks_of(customers: NDArray[_Integer], products: int) -> Iterator[NDArray[_Integer]]:
    """Yield customers, so many at a time that a table of all products stays at 10 MB."""
    size = max(1, min(1024, _BLOCK_NUMBERS // max(1, products)))
    for first in range(0, customers.size, size):
        yield customers[first : first + size]
