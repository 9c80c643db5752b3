"""Candidates of several generators merged to so many per customer, each with the generators that named it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.recommend.config import GeneratorName, GeneratorsConfig
from models.recommend.generators import GENERATORS, NO_SCORE
from models.recommend.history import Numbers
from models.recommend.interactions import Codes
from models.recommend.ranking_metrics import NOTHING

#: Constant of reciprocal rank fusion: Cormack et al. (2009), https://doi.org/10.1145/1571941.1572114.
_FUSION = 60.0

#: Generators that look beside the products that the customer has.
_FROM_OWN: tuple[GeneratorName, ...] = ("ease", "walks", "factors")
_OWN = np.uint8(1 << GENERATORS.index("own"))
#: Added to the fused rank of the customer's own products, which stay whatever else is named: above the highest sum.
_FIRST = np.float32(1.0)


@dataclass(frozen=True)
class Candidates:
    """Candidates of a block of customers, own products first, then by fused rank.

    Attributes:
        product: code, `NOTHING` where a customer has fewer, shape `(n_customers, n_candidates)`.
        sources: bit `i` is set if generator `GENERATORS[i]` named it.
        fused: sum over generators of `1 / (60 + rank)`.
        scores: of each generator that scored, whether it named the product or not; `NO_SCORE` where it has none.
        ranks: place of the candidate among those that the generator named, from 1; 0: not named.
        is_own: the customer has the product.
    """

    product: Codes
    sources: NDArray[np.uint8]
    fused: Numbers
    scores: Mapping[GeneratorName, Numbers]
    ranks: Mapping[GeneratorName, Numbers]
    is_own: NDArray[np.bool_]

    def source_names(self, customer: int, place: int) -> tuple[GeneratorName, ...]:
        """Return the generators that named one candidate."""
        bits = int(self.sources[customer, place])
        return tuple(name for bit, name in enumerate(GENERATORS) if bits >> bit & 1)


def merged(
    scores: Mapping[GeneratorName, Numbers],
    owned: NDArray[np.bool_],
    config: GeneratorsConfig,
    n: int,
    *,
    blank: NDArray[np.bool_],
) -> Candidates:
    """Return the candidates of `own`, and the best others by reciprocal rank fusion, `n` in all.

    Args:
        scores: of each generator, shape `(n_customers, n_products)`.
        owned: products that the customer has; generators other than `own` leave them out.
        config: candidates of each generator.
        n: candidates of a customer.
        blank: customers without any product, shape `(n_customers,)`; nothing is near to theirs.
    """
    left_out = owned | blank[:, None]
    shape = owned.shape
    fused, sources = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    ranks: dict[GeneratorName, Numbers] = {}
    limits = config.limits()
    for bit, name in enumerate(GENERATORS):
        count = min(limits[name], shape[1])
        ranks[name] = np.zeros(shape, np.float32)
        if count == 0 or name not in scores:
            continue
        theirs = left_out if name in _FROM_OWN else owned
        values = scores[name] if name == "own" else np.where(theirs, NO_SCORE, scores[name])
        best, named = _best(values, count)
        place = np.where(named, np.arange(1, count + 1, dtype=np.float32), 0)
        np.put_along_axis(ranks[name], best, place, axis=1)
        gained = np.where(named, 1.0 / (_FUSION + place), 0.0).astype(np.float32)
        np.put_along_axis(fused, best, np.take_along_axis(fused, best, axis=1) + gained, axis=1)
        bits = np.where(named, np.uint8(1 << bit), np.uint8(0))
        np.put_along_axis(sources, best, np.take_along_axis(sources, best, axis=1) | bits, axis=1)
    first = np.where(sources & _OWN > 0, fused + _FIRST, fused)
    chosen, there = _best(np.where(sources > 0, first, NO_SCORE), min(n, shape[1]))

    def taken(values: NDArray) -> NDArray:
        return np.take_along_axis(values, chosen, axis=1)

    return Candidates(
        np.where(there, chosen, NOTHING).astype(np.int32),
        taken(sources),
        taken(fused),
        {name: taken(each) for name, each in scores.items()},
        {name: taken(each) for name, each in ranks.items()},
        taken(owned),
    )


def _best(values: Numbers, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the places of the highest values of each row, the highest first, and which of them are scores."""
    if count < values.shape[1]:
        places = np.sort(np.argpartition(-values, count - 1, axis=1)[:, :count], axis=1)
    else:
        places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    found = np.take_along_axis(values, places, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1), np.isfinite(np.take_along_axis(found, order, axis=1))
