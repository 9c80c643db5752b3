"""Fitting a recommender: earlier moments train and choose the ranker, tables are of all interactions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from models.recommend.choice import unseen
from models.recommend.config import FittedConfig
from models.recommend.folds import Fold, folds
from models.recommend.generators import Tables, tables_of
from models.recommend.history import History, Numbers, ProductNumbers, history
from models.recommend.interactions import Interactions
from models.recommend.merging import Candidates
from models.recommend.ranker_features import ranker_features, rounded
from models.recommend.ranker_training import Places, Progress, chosen_ranker, repeats_of
from models.recommend.rankers import FrequencyRanker
from models.recommend.ranking_metrics import Targets
from models.recommend.recommender import Recommender, blocks_of, candidates_of

#: Share of taken products that customers had already, from which on products of theirs are candidates.
LEAST_REPEAT_SHARE = 0.005


def fit_recommender(
    events: Interactions, as_of: float, config: FittedConfig, *, progress: Progress = lambda _: None
) -> Recommender:
    """Return the recommender of interactions before `as_of`.

    Args:
        events: interactions, all before `as_of`.
        as_of: day since 1970-01-01 that recommendations are made for.
        config: one for all data.
        progress: called with what is being done.
    """
    earlier = folds(events, as_of, config.folds, seed=config.seed)
    repeat_share = _repeat_share(earlier)
    repeats = repeat_share >= LEAST_REPEAT_SHARE
    ranker, choice = FrequencyRanker(), unseen()
    if earlier:
        moments = [_FoldMoment(fold, config, repeats) for fold in earlier]
        ranker, choice = chosen_ranker(moments, config, repeat_share, progress)
    progress("fit tables of all interactions")
    known = history(events, as_of)
    tables = tables_of(known, config.generators, seed=config.seed)
    return Recommender(
        config, known.customers, known.products, known.profiles, known.of_products, tables, repeats, ranker, choice
    )


def _repeat_share(earlier: list[Fold]) -> float:
    """Return the share of next products that customers had before; 0 if nothing was taken."""
    counts = [
        repeats_of(fold.taken, fold.known.customer, fold.known.product, fold.known.products.size) for fold in earlier
    ]
    return sum(again for again, _ in counts) / max(sum(total for _, total in counts), 1)


@dataclass(frozen=True)
class _FoldMoment:
    """A fold as the training of rankers reads it (`models.recommend.ranker_training.Moment`)."""

    fold: Fold
    config: FittedConfig
    repeats: bool

    @property
    def taken(self) -> Targets:
        """Next baskets."""
        return self.fold.taken

    @property
    def of_products(self) -> ProductNumbers:
        """Numbers of all products at the fold's moment."""
        return self._history.of_products

    def blocks(self, places: Places) -> Iterator[tuple[Places, Candidates, Numbers]]:
        """Yield some of the places in `taken` at a time, with candidates and their features."""
        of = self.of_products
        for some in blocks_of(places, self._history.products.size):
            asked = self._history.profiles.of(self.taken.customers[some])
            found = candidates_of(asked, self._tables, of, self.config, repeats=self.repeats)
            yield some, found, rounded(ranker_features(found, asked, of, self._tables))

    @cached_property
    def _history(self) -> History:
        return history(self.fold.known, self.fold.now)

    @cached_property
    def _tables(self) -> Tables:
        return tables_of(self._history, self.config.generators, seed=self.config.seed)
