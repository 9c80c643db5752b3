"""The gate of lists: by what customers wanted later, against popularity, own frequency, and the champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import Resampling, mean_interval
from models.gates.check import GateCheck
from models.gates.report import GateReport
from models.personalization.config import RankingLimits
from models.recommend.ranking_metrics import NOTHING, Targets, hits, ndcg, recall

Codes = NDArray[np.int32]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Lists of one model for the customers of the hold-out.

    Attributes:
        lists: product codes, `NOTHING` at the end of shorter ones, shape `(n_customers, k)`.
        lost: of the best `k` candidates of each, those that rules removed.
    """

    lists: Codes
    lost: Counts


@dataclass(frozen=True)
class Wanted:
    """The hold-out: what each customer wanted later, and whether it was new to them.

    Attributes:
        taken: products of each customer.
        owned: products that each had before, as sets of codes.
        products: number of all products.
    """

    taken: Targets
    owned: Sequence[frozenset[int]]
    products: int


def gate_report(
    name: str, models: Mapping[str, Judged], wanted: Wanted, limits: RankingLimits, champion: str = ""
) -> GateReport:
    """Return the report on the lists of `name` beside those of the others.

    Args:
        name: of the candidate, a key of `models`.
        models: name -> lists for the same customers; `popularity` is one of them.
        wanted: the hold-out.
        limits: of the gate.
        champion: name of the champion among the models; "": there is none.
    """
    quality = {
        model: ndcg(hits(one.lists, wanted.taken, wanted.products), wanted.taken.sizes())
        for model, one in models.items()
    }
    checks = [_enough(wanted, limits), _coverage(models[name], wanted, limits), _lost(models[name], limits)]
    checks.append(_against("popularity", quality[name], quality["popularity"], limits))
    if champion:
        checks.append(_against(champion, quality[name], quality[champion], limits))
    return GateReport(
        candidate=name,
        checks=checks,
        metrics={model: metrics_of(one, wanted) for model, one in models.items()},
        slices=(),
        picture=b"",
        notes=(),
        columns=("ndcg_at_20", "recall_at_20", "coverage"),
        slice_metric="ndcg_at_20",
    )


def metrics_of(judged: Judged, wanted: Wanted) -> dict[str, float]:
    """Return the numbers of lists on the hold-out."""
    hit, sizes = hits(judged.lists, wanted.taken, wanted.products), wanted.taken.sizes()
    return {
        "ndcg_at_20": float(np.nanmean(ndcg(hit, sizes))),
        "recall_at_20": float(np.nanmean(recall(hit, sizes))),
        "coverage": _covered(judged, wanted),
    }


def _covered(judged: Judged, wanted: Wanted) -> float:
    return np.unique(judged.lists[judged.lists != NOTHING]).size / max(wanted.products, 1)


def _enough(wanted: Wanted, limits: RankingLimits) -> GateCheck:
    n = wanted.taken.customers.size
    says = f"{n:,} customers wanted something later (at least {limits.min_customers:,})"
    return GateCheck("customers", n >= limits.min_customers, float(n), float(limits.min_customers), says)


def _coverage(judged: Judged, wanted: Wanted, limits: RankingLimits) -> GateCheck:
    share = _covered(judged, wanted)
    says = f"{share:.1%} of the products are in any list (at least {limits.min_coverage:.1%})"
    return GateCheck("coverage", share >= limits.min_coverage, share, limits.min_coverage, says)


def _lost(judged: Judged, limits: RankingLimits) -> GateCheck:
    share = float(judged.lost.mean() / judged.lists.shape[1])
    says = f"rules take {share:.1%} of the best places from their products (at most {limits.max_lost:.0%})"
    return GateCheck("lost_to_rules", share <= limits.max_lost, share, limits.max_lost, says)


def _against(other: str, mine: Values, theirs: Values, limits: RankingLimits) -> GateCheck:
    gain = mean_interval(mine - theirs, Resampling(limits.resamples, 0, limits.confidence))
    says = f"NDCG@20 {mine.mean():.4f}; gain over {other}: {gain}; the upper end must not be below 0"
    return GateCheck(other, gain.high >= 0, gain.value, 0.0, says)
