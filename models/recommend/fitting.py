"""Fitting a recommender: earlier cut-offs train rankers, the last of them chooses, all of them train the chosen one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.recommend.choice import Choice, choose, unseen
from models.recommend.config import RankerName, RecommenderConfig
from models.recommend.folds import Fold, folds
from models.recommend.generators import Tables, tables_of
from models.recommend.history import History, Numbers, history
from models.recommend.interactions import Interactions
from models.recommend.ranker_features import ranker_features
from models.recommend.rankers import FrequencyRanker, Ranker, TrainingRows, fitted, joined, simple_ranker
from models.recommend.ranking_metrics import NOTHING, Targets, Values, hits, ndcg
from models.recommend.recommender import Recommender, best_lists, blocks_of, candidates_of

#: Share of taken products that customers had already, from which on products of theirs are candidates.
LEAST_REPEAT_SHARE = 0.005
_CHAMPION: RankerName = "frequency"
#: Numbers of all products at a moment (day since 1970-01-01), by name, in the order of `Interactions.products`.
Added = Callable[[float], Mapping[str, Numbers]]
Progress = Callable[[str], None]


def fit_recommender(
    events: Interactions,
    as_of: float,
    config: RecommenderConfig,
    *,
    segments: NDArray[np.int64] | None = None,
    added: Added = lambda _: {},
    progress: Progress = lambda _: None,
) -> Recommender:
    """Return the recommender of interactions before `as_of`.

    Args:
        events: interactions, all before `as_of`.
        as_of: day since 1970-01-01 that recommendations are made for.
        config: one for all data.
        segments: number of each customer's segment; None: one for all.
        added: numbers of products for the ranker, as they were known at a moment.
        progress: called with what is being done.
    """
    earlier = folds(events, as_of, config.ranker, seed=config.seed)
    repeat_share = _repeat_share(earlier)
    repeats = repeat_share >= LEAST_REPEAT_SHARE
    trained = _Trainer(config, repeats, added, progress)
    ranker, choice = trained.chosen(earlier, repeat_share)
    progress("fit tables of all interactions")
    known = history(events, as_of)
    tables = tables_of(known, config.generators, seed=config.seed)
    return Recommender(
        config,
        known.customers,
        known.products,
        known.profiles,
        known.of_products,
        tables,
        repeats,
        ranker,
        choice,
        np.zeros(known.customers.size, np.int64) if segments is None else segments,
        added(as_of),
    )


def _repeat_share(earlier: list[Fold]) -> float:
    """Return the share of next products that customers had before; 0 if nothing was taken."""
    again = total = 0
    for fold in earlier:
        taken, n = fold.taken, fold.known.products.size
        keys = taken.customers[taken.owner()].astype(np.int64) * n + taken.product
        again += int(np.isin(keys, fold.known.customer.astype(np.int64) * n + fold.known.product).sum())
        total += keys.size
    return again / max(total, 1)


@dataclass(frozen=True)
class _Known:
    """History, tables and added numbers at a fold's moment."""

    fold: Fold
    history: History
    tables: Tables
    added: Mapping[str, Numbers]


@dataclass(frozen=True)
class _Trainer:
    config: RecommenderConfig
    repeats: bool
    added: Added
    progress: Progress

    def chosen(self, earlier: list[Fold], repeat_share: float) -> tuple[Ranker, Choice]:
        """Return the ranker that the latest fold chose, trained on all folds."""
        if not earlier:
            return FrequencyRanker(), unseen()
        known: list[_Known] = []
        for number, fold in enumerate(earlier, 1):
            self.progress(f"candidates of cut-off {number} of {len(earlier)}")
            known.append(self._known(fold))
        rows = [self._rows(each) for each in known]
        names: list[RankerName] = [
            name for name in self.config.ranker.kinds if len(rows) > 1 or not name.startswith("xgboost")
        ]
        self.progress(f"train rankers on {sum(each.labels.size for each in rows[1:]):,} rows")
        candidates = self._fitted(list(dict.fromkeys((_CHAMPION, *names))), rows[1:])
        choice = choose(self._values(known[0], candidates), repeat_share)
        self.progress(f"train {choice.name} on {sum(each.labels.size for each in rows):,} rows")
        return self._fitted([choice.name], rows)[choice.name], choice

    def _fitted(self, names: Sequence[RankerName], rows: list[TrainingRows]) -> dict[RankerName, Ranker]:
        if not rows:
            return {name: simple_ranker(name) for name in names}
        return fitted(names, joined(rows), self.config.ranker, seed=self.config.seed)

    def _known(self, fold: Fold) -> _Known:
        known = history(fold.known, fold.now)
        tables = tables_of(known, self.config.generators, seed=self.config.seed)
        return _Known(fold, known, tables, self.added(fold.now))

    def _sampled(self, taken: Targets) -> NDArray[np.int64]:
        """Return the places of customers that give rows, all of them or as many as allowed."""
        n, most = taken.customers.size, self.config.ranker.max_customers
        return np.arange(n) if n <= most else np.sort(np.random.default_rng(self.config.seed).permutation(n)[:most])

    def _rows(self, known: _Known) -> TrainingRows:
        parts = []
        for _, found, features, later in self._blocks(known):
            labels = hits(found.product, later, known.history.products.size)
            kept = (found.product != NOTHING) & labels.any(axis=1, keepdims=True)
            groups = kept.sum(axis=1)
            parts.append(TrainingRows(features[kept], labels[kept].astype(np.int8), groups[groups > 0]))
        return joined(parts)

    def _values(self, known: _Known, rankers: Mapping[RankerName, Ranker]) -> dict[RankerName, Values]:
        """Return the NDCG of each customer by each ranker."""
        parts: dict[RankerName, list[Values]] = {name: [] for name in rankers}
        of = known.history.of_products
        for _, found, features, later in self._blocks(known):
            for name, ranker in rankers.items():
                ranked = np.where(found.product == NOTHING, -np.inf, ranker.scores(found, features, of))
                lists, _ = best_lists(found, ranked.astype(np.float32), self.config.k)
                parts[name].append(ndcg(hits(lists, later, known.history.products.size), later.sizes()))
        return {name: np.concatenate(each) for name, each in parts.items()}

    def _blocks(self, known: _Known):
        taken, of = known.fold.taken, known.history.of_products
        for places in blocks_of(self._sampled(taken), known.history.products.size):  # type: ignore[arg-type]
            asked = known.history.profiles.of(taken.customers[places])
            found = candidates_of(asked, known.tables, of, self.config, repeats=self.repeats)
            yield asked, found, ranker_features(found, asked, of, known.added), taken.of(places)
