"""Training of the ranker at past cut-offs, and the choice between it and own frequency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.personalization.block import Block, block_features, block_of
from models.personalization.fields import EMPTY_VISIT
from models.personalization.known import Known
from models.personalization.tables import known_tables
from models.recommend.choice import Choice
from models.recommend.config import RecommenderConfig
from models.recommend.generators import Tables
from models.recommend.history import Numbers, ProductNumbers
from models.recommend.merging import Candidates
from models.recommend.ranker_training import Places, chosen_ranker, repeats_of
from models.recommend.rankers import Ranker
from models.recommend.ranking_metrics import Targets
from models.recommend.recommender import blocks_of


@dataclass(frozen=True)
class PastCutoff:
    """A past cut-off: what was known then, and the products that known customers wanted after it."""

    known: Known
    wanted: Targets


@dataclass(frozen=True)
class TrainedRanker:
    """The ranker that validation customers chose, and how each did."""

    ranker: Ranker
    choice: Choice


def trained_ranker(cutoffs: Sequence[PastCutoff], config: RecommenderConfig) -> TrainedRanker:
    """Return the ranker: trained on all cut-offs but the newest, chosen on that one, trained again on all.

    Args:
        cutoffs: the newest first; with one alone no ranker that learns can be chosen.
        config: generators, rankers and their settings.
    """
    moments = [_CutoffMoment(cutoff, config) for cutoff in cutoffs]
    return TrainedRanker(*chosen_ranker(moments, config, _repeated(cutoffs[0])))


def blocks(
    known: Known, tables: Tables, customers: np.ndarray, config: RecommenderConfig
) -> Iterator[tuple[np.ndarray, Block]]:
    """Yield places among `customers` and their candidates, some hundreds at a time."""
    for places in blocks_of(np.arange(customers.size, dtype=np.int32), known.offers.ids.size):
        asked = customers[places].astype(np.int64)
        countries = [str(country) for country in known.countries[asked]]
        yield places, block_of(known, tables, config, asked, countries, [EMPTY_VISIT] * places.size)


@dataclass(frozen=True)
class _CutoffMoment:
    """A past cut-off as the training of rankers reads it (`models.recommend.ranker_training.Moment`)."""

    cutoff: PastCutoff
    config: RecommenderConfig

    @property
    def taken(self) -> Targets:
        """Products that customers wanted after the cut-off."""
        return self.cutoff.wanted

    @property
    def of_products(self) -> ProductNumbers:
        """Numbers of all products at the cut-off."""
        return self.cutoff.known.history.of_products

    def blocks(self, places: Places) -> Iterator[tuple[Places, Candidates, Numbers]]:
        """Yield some of the places in `taken` at a time, with candidates and their features."""
        for some, block in blocks(self.cutoff.known, self._tables, self.taken.customers[places], self.config):
            yield places[some], block.found, block_features(block)

    @cached_property
    def _tables(self) -> Tables:
        return known_tables(self.cutoff.known, self.config.generators, seed=self.config.seed)


def _repeated(cutoff: PastCutoff) -> float:
    """Return the share of wanted products that their customers had before."""
    profiles = cutoff.known.history.profiles
    again, total = repeats_of(cutoff.wanted, profiles.owner(), profiles.product, cutoff.known.offers.ids.size)
    return again / max(total, 1)
