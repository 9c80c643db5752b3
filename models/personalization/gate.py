"""The gate of lists: by what customers wanted later, against popularity, own frequency, EASE and the champion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import Interval, Resampling, mean_interval
from models.gates.check import GateCheck
from models.gates.report import GateReport
from models.personalization.config import RankingLimits
from models.recommend.ranking_metrics import Targets, Values, coverage, diversity, hits, ndcg, novelty, recall

Codes = NDArray[np.int32]
Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]
#: Baselines that a list must not be behind, and the two of them whose customers are asked by segment.
POPULARITY, FREQUENCY, EASE = "popularity", "frequency", "ease"
#: The check against the champion, whatever its version.
CHAMPION = "champion"


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
    """The hold-out: what each customer wanted later.

    Attributes:
        taken: products of each customer.
        is_new: of each product in `taken`, whether the customer had it in no basket before.
        popularity: interactions with each product in the last 28 days.
        segments: name -> customers of it.
        kinds: category of each product, -1 where it has none; None: none has.
    """

    taken: Targets
    is_new: Mask
    popularity: Counts
    segments: Mapping[str, Mask]
    kinds: Counts | None = None

    @property
    def products(self) -> int:
        """Number of all products."""
        return self.popularity.size


@dataclass(frozen=True)
class Quality:
    """NDCG@k and recall@k of each customer, of everything, of what they had before and of what was new; NaN: none."""

    ndcg: Values
    recall: Values
    repeat: Values
    explore: Values


def gate_report(
    name: str, models: Mapping[str, Judged], wanted: Wanted, limits: RankingLimits, champion: str = ""
) -> GateReport:
    """Return the report on the lists of `name` beside those of the others.

    Args:
        name: of the candidate, a key of `models`.
        models: name -> lists for the same customers; `popularity`, `frequency` and `ease` are among them.
        wanted: the hold-out.
        limits: of the gate.
        champion: name of the champion among the models; "": there is none.
    """
    quality = {model: quality_of(one.lists, wanted) for model, one in models.items()}
    checks = [_enough(wanted, limits), *_floors(models[name], wanted, limits)]
    others = [other for other in (POPULARITY, FREQUENCY, EASE, champion) if other and other != name]
    for other in others:
        found = _against(other, quality[name], quality[other], limits, apart=name != FREQUENCY)
        checks += (replace(check, name=CHAMPION) for check in found) if other == champion else found
    checks.append(_segments(name, champion or FREQUENCY, quality, wanted, limits))
    return GateReport(
        candidate=name,
        checks=checks,
        metrics={model: {**_means(quality[model]), **_breadth(models[model], wanted)} for model in models},
        slices=(),
        picture=b"",
        notes=(),
        columns=(
            "ndcg_at_20",
            "recall_at_20",
            "repeat_ndcg",
            "explore_ndcg",
            "coverage",
            "novelty_bits",
            "diversity",
            "lost_share",
        ),
        slice_metric="ndcg_at_20",
    )


def leads(mine: Codes, theirs: Codes, wanted: Wanted, limits: RankingLimits) -> Interval:
    """Return the gain in NDCG of lists over others, with its paired interval over the customers."""
    return _gain(quality_of(mine, wanted).ndcg, quality_of(theirs, wanted).ndcg, limits)


def quality_of(lists: Codes, wanted: Wanted) -> Quality:
    """Return the quality of the list of each customer."""
    everything = wanted.taken
    parts = [everything, everything.kept(~wanted.is_new), everything.kept(wanted.is_new)]
    found = [(hits(lists, part, wanted.products), part.sizes()) for part in parts]
    return Quality(ndcg(*found[0]), recall(*found[0]), ndcg(*found[1]), ndcg(*found[2]))


def _means(quality: Quality) -> dict[str, float]:
    named = {"ndcg_at_20": quality.ndcg, "recall_at_20": quality.recall, "repeat_ndcg": quality.repeat}
    return {name: _mean(values) for name, values in {**named, "explore_ndcg": quality.explore}.items()}


def errors_of(quality: Quality) -> dict[str, float]:
    """Return the standard errors of the means that a version promises, under `<metric>_error`."""
    named = {"ndcg_at_20": quality.ndcg, "recall_at_20": quality.recall}
    return {f"{name}_error": float(np.std(values) / max(values.size, 1) ** 0.5) for name, values in named.items()}


def _mean(values: Values) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def _breadth(judged: Judged, wanted: Wanted) -> dict[str, float]:
    """Return coverage, novelty (bits: -log2 of a product's share of late interactions) and the share lost to rules."""
    share = (wanted.popularity + 1) / (wanted.popularity.sum() + wanted.products)
    return {
        "coverage": coverage(judged.lists, wanted.products),
        "novelty_bits": novelty(judged.lists, share),
        "diversity": diversity(judged.lists, np.full(wanted.products, -1) if wanted.kinds is None else wanted.kinds),
        "lost_share": float(judged.lost.mean() / judged.lists.shape[1]),
    }


def _enough(wanted: Wanted, limits: RankingLimits) -> GateCheck:
    n = wanted.taken.customers.size
    says = f"{n:,} customers wanted something later (at least {limits.min_customers:,})"
    return GateCheck("customers", n >= limits.min_customers, float(n), float(limits.min_customers), says)


def _floors(judged: Judged, wanted: Wanted, limits: RankingLimits) -> Iterator[GateCheck]:
    found = _breadth(judged, wanted)
    share, bits, lost = found["coverage"], found["novelty_bits"], found["lost_share"]
    says = f"{share:.1%} of the products are in any list (at least {limits.min_coverage:.1%})"
    yield GateCheck("coverage", share >= limits.min_coverage, share, limits.min_coverage, says)
    says = (
        f"{bits:.2f} bits of novelty (at least {limits.min_novelty_bits:g}): -log2 of a product's share of interactions"
    )
    yield GateCheck("novelty", bits >= limits.min_novelty_bits, bits, limits.min_novelty_bits, says)
    if wanted.kinds is not None and np.unique(wanted.kinds[wanted.kinds >= 0]).size > 1:
        apart, least = found["diversity"], limits.min_diversity
        says = f"{apart:.1%} of the pairs of a list are of different categories (at least {least:.0%})"
        yield GateCheck("diversity", apart >= least, apart, least, says)
    says = f"rules take {lost:.1%} of the best places from their products (at most {limits.max_lost:.0%})"
    yield GateCheck("lost_to_rules", lost <= limits.max_lost, lost, limits.max_lost, says)


def _against(other: str, mine: Quality, theirs: Quality, limits: RankingLimits, *, apart: bool) -> Iterator[GateCheck]:
    """Yield the check against another model: of all products and, `apart`, of own and of new ones by themselves."""
    gain, most = _gain(mine.ndcg, theirs.ndcg, limits), limits.max_part_loss
    parts = {"recall@20": ("recall", limits.max_loss)}
    if apart:
        parts |= {"own products": ("repeat", most), "new products": ("explore", most)}
    losses = [f"NDCG@20 {gain}"] if gain.high < -limits.max_loss else []
    shown: list[str] = []
    for words, (name, limit) in parts.items():
        one = _gain(getattr(mine, name), getattr(theirs, name), limits)
        shown.append(f"{words} {one.value:+.4f}")
        if one.high < -limit:
            losses.append(f"{words} {one}")
    worse = f"; measurably worse: {', '.join(losses)}" if losses else ""
    says = f"gain in NDCG@20 over {other}: {gain}; {', '.join(shown)}{worse}"
    yield GateCheck(other, not losses, gain.value, 0.0 - limits.max_loss, says)


def _segments(
    name: str, other: str, quality: Mapping[str, Quality], wanted: Wanted, limits: RankingLimits
) -> GateCheck:
    worse: list[str] = []
    for segment, who in wanted.segments.items():
        if int(who.sum()) >= limits.min_segment and name != other:
            one = _gain(quality[name].ndcg[who], quality[other].ndcg[who], limits)
            if one.high < -limits.max_loss:
                worse.append(f"{segment} {one}")
    counted = sum(int(who.sum()) >= limits.min_segment for who in wanted.segments.values())
    says = f"worse than {other} in {', '.join(worse)}" if worse else f"none of {counted} segments is worse than {other}"
    return GateCheck("segments", not worse, float(len(worse)), 0.0, says)


def _gain(mine: Values, theirs: Values, limits: RankingLimits) -> Interval:
    differences = mine - theirs
    known = differences[np.isfinite(differences)]
    if not known.size:
        return Interval(0.0, 0.0, 0.0)
    return mean_interval(known, Resampling(limits.resamples, 0, limits.confidence))
