"""Candidates of several generators merged to so many per customer, each with the generators that named it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.recommend.config import GeneratorName, GeneratorsConfig
from models.recommend.generators import GENERATORS, Scores, SharedScores
from models.recommend.history import Numbers, Profiles
from models.recommend.interactions import Codes
from models.recommend.ranking_metrics import NOTHING

#: Constant of reciprocal rank fusion: Cormack et al. (2009), https://doi.org/10.1145/1571941.1572114.
_FUSION = 60.0

#: Generators that look beside the products that the customer has.
_FROM_OWN: tuple[GeneratorName, ...] = ("ease", "walks", "factors", "knn")
_OWN = np.uint8(1 << GENERATORS.index("own"))
#: Added to the fused rank of the customer's own products, which stay whatever else is named: above the highest sum.
_FIRST = np.float32(1.0)
#: Names of the generators whose bits are set, by the number that these bits make.
_NAMES: tuple[tuple[GeneratorName, ...], ...] = tuple(
    tuple(name for bit, name in enumerate(GENERATORS) if bits >> bit & 1) for bits in range(256)
)

Places = NDArray[np.int64]


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
        wants: how often the candidate is expected to be wanted, in proportion among those of a customer; None: unknown.
    """

    product: Codes
    sources: NDArray[np.uint8]
    fused: Numbers
    scores: Mapping[GeneratorName, Numbers]
    ranks: Mapping[GeneratorName, Numbers]
    is_own: NDArray[np.bool_]
    wants: Numbers | None = None

    def take(self, rows: NDArray[np.int64]) -> Candidates:
        """Return the candidates of some of the customers."""
        return replace(
            self,
            product=self.product[rows],
            sources=self.sources[rows],
            fused=self.fused[rows],
            scores={name: each[rows] for name, each in self.scores.items()},
            ranks={name: each[rows] for name, each in self.ranks.items()},
            is_own=self.is_own[rows],
            wants=None if self.wants is None else self.wants[rows],
        )

    def source_names(self, customer: int, place: int) -> tuple[GeneratorName, ...]:
        """Return the generators that named one candidate."""
        return _NAMES[int(self.sources[customer, place])]


@dataclass(frozen=True)
class _Named:
    """Products that a generator named: their places in a table of customers times products, laid out flat, and ranks.

    `rank` counts from 1.
    """

    at: Places
    rank: Numbers


def merged(scores: Mapping[GeneratorName, Scores], asked: Profiles, config: GeneratorsConfig, n: int) -> Candidates:
    """Return the candidates of `own`, and the best others by reciprocal rank fusion, `n` in all.

    Generators other than `own` leave out what the customer has; those that look beside it name nothing to a customer
    without any product.

    Args:
        scores: of each generator.
        asked: profiles of the customers.
        config: candidates of each generator.
        n: candidates of a customer.
    """
    rows, width = scores["own"].shape
    size, limits, named = rows * width, config.limits(), dict[GeneratorName, _Named]()
    fused, sources = np.zeros(size, np.float32), np.zeros(size, np.uint8)
    for bit, name in enumerate(GENERATORS):
        count = min(limits[name], width)
        if count == 0 or name not in scores:
            continue
        found = named[name] = _named(name, scores[name], asked, count)
        fused[found.at] += (1.0 / (_FUSION + found.rank)).astype(np.float32)
        sources[found.at] |= np.uint8(1 << bit)
    chosen, there = _chosen(fused, sources, rows, min(n, width))
    at = chosen + np.arange(rows)[:, None] * width
    is_own = np.zeros(size, np.bool_)
    is_own[_owned(asked, width)] = True
    return Candidates(
        np.where(there, chosen, NOTHING).astype(np.int32),
        sources[at],
        fused[at],
        {name: each.take(chosen) for name, each in scores.items()},
        _ranks(named, at, size),
        is_own[at],
    )


def _owned(asked: Profiles, width: int) -> Places:
    """Return the places of the customers' products in a flat table of customers times products."""
    return asked.owner() * width + asked.product


def _named(name: GeneratorName, scores: Scores, asked: Profiles, count: int) -> _Named:
    """Return the `count` products of each customer with the highest scores, of those that the generator may name."""
    if isinstance(scores, SharedScores):
        return _best_of_order(scores, asked, count)
    below = np.negative(scores.values, order="C")
    if name != "own":
        below.ravel()[_owned(asked, scores.shape[1])] = np.inf
    if name in _FROM_OWN:
        below[np.diff(asked.starts) == 0] = np.inf
    return _flat(*_lowest(below, count), np.arange(below.shape[0]), below.shape[1])


def _best_of_order(scores: SharedScores, asked: Profiles, count: int) -> _Named:
    """Return the same of scores that customers share: the first of their order that the customer does not have.

    Where the last one is tied with the next, all products are looked at, so that ties fall as for any other generator.
    """
    rows, width = scores.shape
    beside = np.diff(asked.starts)
    length = min(width, count + int(beside.max(initial=0)) + 1)
    codes = scores.order[scores.segments, :length].astype(np.int64)
    is_owned = np.zeros(rows * width, np.bool_)
    is_owned[_owned(asked, width)] = True
    free = ~is_owned[codes + np.arange(rows)[:, None] * width]
    rank = np.cumsum(free, axis=1)
    values = scores.values[scores.segments[:, None], codes]
    fits = free & (rank <= count) & np.isfinite(values)
    last = np.where(free & (rank == count), values, np.inf).min(axis=1)
    tied = (np.where(free & (rank == count + 1), values, -np.inf).max(axis=1) == last).nonzero()[0]
    fits[tied] = False
    row, place = fits.nonzero()
    found = _Named(codes[row, place] + row * width, rank[row, place].astype(np.float32))
    if not tied.size:
        return found
    below = -scores.values[scores.segments[tied]]
    below[is_owned.reshape(rows, width)[tied]] = np.inf
    rest = _flat(*_lowest(below, count), tied, width)
    return _Named(np.r_[found.at, rest.at], np.r_[found.rank, rest.rank])


def _flat(places: Places, there: NDArray[np.bool_], rows: Places, width: int) -> _Named:
    rank = np.broadcast_to(np.arange(1, places.shape[1] + 1, dtype=np.float32), places.shape)
    return _Named((places + rows[:, None] * width)[there], rank[there])


def _chosen(fused: Numbers, sources: NDArray[np.uint8], rows: int, count: int) -> tuple[Places, NDArray[np.bool_]]:
    """Return the candidates of each customer, own products first, and which of them a generator named."""
    below = np.full(fused.size, np.inf, np.float32)
    at = sources.nonzero()[0]
    sums = fused[at]
    below[at] = -np.where(sources[at] & _OWN > 0, sums + _FIRST, sums)
    return _lowest(below.reshape(rows, -1), count)


def _ranks(named: Mapping[GeneratorName, _Named], at: Places, size: int) -> dict[GeneratorName, Numbers]:
    """Return the rank by each generator of the candidates, whose flat places are `at`; 0 where it did not name them."""
    slot = np.full(size, at.size, np.int32)  # the place after the last one takes what was not chosen
    slot[at.ravel()] = np.arange(at.size, dtype=np.int32)
    found: dict[GeneratorName, Numbers] = {}
    for name in GENERATORS:
        ranks = np.zeros(at.size + 1, np.float32)
        if name in named:
            ranks[slot[named[name].at]] = named[name].rank
        found[name] = ranks[:-1].reshape(at.shape)
    return found


def _lowest(values: Numbers, count: int) -> tuple[Places, NDArray[np.bool_]]:
    """Return the places of the lowest values of each row, the lowest first, and which of them are finite."""
    if count < values.shape[1]:
        places = np.sort(np.argpartition(values, count - 1, axis=1)[:, :count], axis=1)
    else:
        places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    rows = np.arange(values.shape[0])[:, None]
    found = values[rows, places]
    order = np.argsort(found, axis=1, kind="stable")
    return places[rows, order], np.isfinite(found[rows, order])
