"""Training of the ranker at past cut-offs, and the choice between it and own frequency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.personalization.block import Block, block_features, block_of
from models.personalization.known import Known
from models.personalization.tables import known_tables
from models.recommend.choice import Choice, choose
from models.recommend.config import RankerName, RecommenderConfig
from models.recommend.generators import Tables
from models.recommend.history import Numbers
from models.recommend.rankers import Ranker, TrainingRows, fitted, joined
from models.recommend.ranking_metrics import NOTHING, Targets, Values, hits, ndcg
from models.recommend.recommender import best_lists, blocks_of

_FREQUENCY: RankerName = "frequency"
#: For rankers that learn nothing.
NO_ROWS = TrainingRows(np.empty((0, 0), np.float32), np.empty(0, np.int8), np.empty(0, np.int64))
_NO_VISIT = {"products": [], "carted": [], "unknown": 0}


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
    rows = [_training_rows(cutoff, config) for cutoff in cutoffs]
    older = [one for one in rows[1:] if one.labels.any()]
    learn = bool(older)
    possible: list[RankerName] = [kind for kind in config.ranker.kinds if learn or not kind.startswith("xgboost")]
    kinds: list[RankerName] = [_FREQUENCY, *possible]
    rankers = _fitted([*dict.fromkeys(kinds)], older, config)
    choice = choose(_values(cutoffs[0], rankers, config), _repeated(cutoffs[0]))
    again = _fitted([choice.name], [one for one in rows if one.labels.any()], config)
    return TrainedRanker(again[choice.name], choice)


def blocks(
    known: Known, tables: Tables, customers: np.ndarray, config: RecommenderConfig
) -> Iterator[tuple[np.ndarray, Block]]:
    """Yield places among `customers` and their candidates, some hundreds at a time."""
    for places in blocks_of(np.arange(customers.size, dtype=np.int32), known.offers.ids.size):
        asked = customers[places].astype(np.int64)
        countries = [str(country) for country in known.countries[asked]]
        yield places, block_of(known, tables, config, asked, countries, [_NO_VISIT] * places.size)


def _training_rows(cutoff: PastCutoff, config: RecommenderConfig) -> TrainingRows:
    tables = known_tables(cutoff.known, config.generators, seed=config.seed)
    wanted, parts = _sampled(cutoff.wanted, config), list[TrainingRows]()
    for places, block in blocks(cutoff.known, tables, wanted.customers, config):
        product, features = block.found.product, block_features(block)
        labels = hits(product, wanted.of(places), cutoff.known.offers.ids.size)
        kept = (product != NOTHING) & labels.any(axis=1, keepdims=True)
        groups = kept.sum(axis=1)
        parts.append(TrainingRows(features[kept], labels[kept].astype(np.int8), groups[groups > 0]))
    return joined(parts)


def _sampled(wanted: Targets, config: RecommenderConfig) -> Targets:
    n, most = wanted.customers.size, config.ranker.max_customers
    return wanted if n <= most else wanted.of(np.sort(np.random.default_rng(config.seed).permutation(n)[:most]))


def _fitted(
    names: Sequence[RankerName], rows: Sequence[TrainingRows], config: RecommenderConfig
) -> dict[RankerName, Ranker]:
    return fitted(names, joined(rows) if rows else NO_ROWS, config.ranker, seed=config.seed)


def _values(
    cutoff: PastCutoff, rankers: Mapping[RankerName, Ranker], config: RecommenderConfig
) -> dict[RankerName, Values]:
    """Return the NDCG of each customer of a cut-off by each ranker."""
    known, wanted = cutoff.known, cutoff.wanted
    tables = known_tables(known, config.generators, seed=config.seed)
    found: dict[RankerName, list[Values]] = {name: [] for name in rankers}
    for places, block in blocks(known, tables, wanted.customers, config):
        features, taken = block_features(block), wanted.of(places)
        for name, ranker in rankers.items():
            lists, _ = best_lists(block.found, ranked_by(ranker, block, features), config.k)
            found[name].append(ndcg(hits(lists, taken, known.offers.ids.size), taken.sizes()))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def ranked_by(ranker: Ranker, block: Block, features: Numbers) -> Numbers:
    """Return the score of each candidate, -inf where there is none."""
    scores = ranker.scores(block.found, features, block.known.history.of_products)
    return np.where(block.found.product == NOTHING, -np.inf, scores).astype(np.float32)


def _repeated(cutoff: PastCutoff) -> float:
    """Return the share of wanted products that their customers had before."""
    wanted, profiles, n = cutoff.wanted, cutoff.known.history.profiles, cutoff.known.offers.ids.size
    keys = wanted.customers[wanted.owner()].astype(np.int64) * n + wanted.product
    return float(np.isin(keys, profiles.owner() * n + profiles.product).mean()) if keys.size else 0.0
