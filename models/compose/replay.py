"""Calibration of a router by replay: both steps' answers to held-out records, and every threshold between them.

Measures as in RouteLLM (arXiv 2406.18665): PGR(t) = (q(t) - q_cheap) / (q_dear - q_cheap), the share of the quality gap
that a threshold recovers; APGR, its mean over the share of escalated records; CPT(x), the least share with PGR >= x.
AIQ as in RouterBench (arXiv 2403.12031): mean quality of the non-decreasing convex hull over cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.errors import TesseraError
from models.evaluation.bootstrap import Interval, Resampling, interval, resample_weights
from models.training.model import Vector


@dataclass(frozen=True)
class Replay:
    """Answers of a cheap and a dear step to the same records, which neither was trained on.

    Attributes:
        score: the cheap step's number that the rule compares, shape `(n,)`; lower is escalated first.
        cheap: quality of the cheap answers, e.g. 1 if right and 0 if wrong, shape `(n,)`.
        dear: quality of the dear answers, shape `(n,)`.
        cheap_cost: of the cheap step for each record, in any unit, shape `(n,)`.
        dear_cost: of the dear step for each record, in the same unit; an escalated record costs both.
    """

    score: Vector
    cheap: Vector
    dear: Vector
    cheap_cost: Vector
    dear_cost: Vector

    def __post_init__(self) -> None:
        sizes = {name: np.shape(values) for name, values in vars(self).items()}
        if len(set(sizes.values())) > 1 or self.score.ndim != 1 or self.score.size < 2:
            raise TesseraError(
                f"A replay has the shapes {sizes}.", expected="one of (n,) with n >= 2", todo="Give each record's."
            )
        for name, values in vars(self).items():
            if not np.isfinite(values).all():
                raise TesseraError(
                    f"A replay has {name} that are missing.", expected="numbers", todo="Leave failed records out."
                )

    @property
    def n(self) -> int:
        """Number of records."""
        return self.score.size

    @cached_property
    def frontier(self) -> Frontier:
        """Every threshold's share, quality and cost, from never to always escalating."""
        order = np.argsort(self.score, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(self.score[order]) > 0) + 1, self.n)  # equal scores escalate together
        return self._escalating(order, np.append(0, ends))

    @cached_property
    def oracle(self) -> Frontier:
        """The same of a rule that knows both answers: records that gain most for their cost are escalated first."""
        gain = (self.dear - self.cheap) / np.maximum(self.dear_cost, 1e-12)
        return self._escalating(np.argsort(-gain, kind="stable"), np.arange(self.n + 1))

    def _escalating(self, order: np.ndarray, counts: np.ndarray) -> Frontier:
        gained = np.append(0.0, np.cumsum((self.dear - self.cheap)[order]))
        paid = np.append(0.0, np.cumsum(self.dear_cost[order]))
        # A threshold lies between two scores, so that rounding decides nothing.
        scores = np.concatenate([[-np.inf], self.score[order], [np.inf]])
        with np.errstate(invalid="ignore"):
            thresholds = (scores[counts] + scores[counts + 1]) / 2
        return Frontier(
            threshold=np.where(np.isnan(thresholds), np.inf, thresholds),
            share=counts / self.n,
            quality=(self.cheap.sum() + gained[counts]) / self.n,
            cost=(self.cheap_cost.sum() + paid[counts]) / self.n,
        )


@dataclass(frozen=True)
class Frontier:
    """Thresholds by the share of records that they escalate, ascending; all of shape `(n_thresholds,)`.

    Attributes:
        threshold: records with a lower score are escalated.
        share: of the records, 0 to 1.
        quality: mean over the records.
        cost: mean over the records.
    """

    threshold: Vector
    share: Vector
    quality: Vector
    cost: Vector

    @cached_property
    def recovered(self) -> Vector:
        """PGR of each threshold; NaN where the dear step is no better than the cheap one."""
        gap = self.quality[-1] - self.quality[0]
        return (self.quality - self.quality[0]) / gap if gap > 0 else np.full(self.share.shape, np.nan)

    @property
    def apgr(self) -> float:
        """Mean PGR over the share of escalated records; 0.5 of random escalation."""
        return float(np.trapezoid(self.recovered, self.share))

    def cpt(self, recovered: float) -> float:
        """Least share of escalated records that recovers so much of the gap; NaN where none does."""
        enough = self.recovered >= recovered - 1e-12
        return float(self.share[enough].min()) if enough.any() else math.nan

    @property
    def aiq(self) -> float:
        """Mean quality of the non-decreasing convex hull over cost, from the cheapest to the dearest point."""
        cost, quality = self.hull()
        width = cost[-1] - cost[0]
        return float(np.trapezoid(quality, cost) / width) if width > 0 else float(quality[-1])

    def hull(self) -> tuple[Vector, Vector]:
        """Return cost and quality of the corners of the non-decreasing convex hull."""
        best = np.maximum.accumulate(self.quality)
        corners: list[int] = []
        for place in range(best.size):
            while len(corners) > 1 and _below(corners[-2], corners[-1], place, self.cost, best):
                corners.pop()
            corners.append(place)
        return self.cost[corners], best[corners]


@dataclass(frozen=True)
class Calibration:
    """A chosen threshold on records that it was not chosen on, with bootstrap intervals over the records.

    Attributes:
        n: records.
        threshold: of the choice.
        share: of escalated records.
        quality: of the router.
        cost: of the router.
        over_cheap: quality less that of the cheap step alone (paired).
        over_dear: quality less that of the dear step alone (paired).
        over_random: quality less that of escalating the same share at random.
        cost_share: cost over that of the dear step alone.
        wrong_cheap: share of records that the cheap step keeps although the dear one is better.
        needless: share of records that are escalated although the dear step is no better.
        apgr: of the frontier; `apgr_oracle` that of the oracle; random escalation has 0.5.
        cpt50: least share that recovers half of the gap; random escalation needs 0.5.
        cpt80: least share that recovers four fifths of it.
        aiq: of the frontier.
    """

    n: int
    threshold: float
    share: Interval
    quality: Interval
    cost: Interval
    over_cheap: Interval
    over_dear: Interval
    over_random: Interval
    cost_share: Interval
    wrong_cheap: Interval
    needless: Interval
    apgr: Interval
    apgr_oracle: float
    cpt50: Interval
    cpt80: Interval
    aiq: float


def calibrated(
    replay: Replay, threshold: float, *, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> Calibration:
    """Return measures of a threshold on a replay."""
    resampling = Resampling(resamples, seed, confidence)
    numbers = _measured(replay, threshold, resampling)
    curves = _curve_intervals(replay, resampling)
    return Calibration(
        n=replay.n,
        threshold=threshold,
        **numbers,
        **curves,
        apgr_oracle=replay.oracle.apgr,
        aiq=replay.frontier.aiq,
    )


def share_z(expected: float, calibrated_on: int, escalated: int, n: int) -> float:
    """Return how many standard errors the escalated share of `n` new records is from that of the calibration.

    Both are samples: the standard error is that of the difference of two proportions with the pooled share.
    """
    pooled = (expected * calibrated_on + escalated) / (calibrated_on + n)
    error = math.sqrt(pooled * (1 - pooled) * (1 / calibrated_on + 1 / n))
    difference = escalated / n - expected
    return difference / error if error else (0.0 if not difference else math.copysign(math.inf, difference))


def _below(first: int, middle: int, last: int, x: Vector, y: Vector) -> bool:
    """Return whether the middle point is not above the line from the first to the last."""
    return (y[middle] - y[first]) * (x[last] - x[first]) <= (y[last] - y[first]) * (x[middle] - x[first])


def _terms(replay: Replay, threshold: float) -> dict[str, Vector]:
    """Return what each record adds to the measures."""
    escalated = (replay.score < threshold).astype(np.float64)
    better = replay.dear > replay.cheap
    return {
        "share": escalated,
        "quality": np.where(escalated > 0, replay.dear, replay.cheap),
        "cost": replay.cheap_cost + escalated * replay.dear_cost,
        "cheap": replay.cheap,
        "dear": replay.dear,
        "dear_cost": replay.dear_cost,
        "wrong_cheap": (1 - escalated) * better,
        "needless": escalated * ~better,
    }


#: Name of a measure -> the measure of the records' mean terms.
_MEASURES = {
    "share": lambda m: m["share"],
    "quality": lambda m: m["quality"],
    "cost": lambda m: m["cost"],
    "over_cheap": lambda m: m["quality"] - m["cheap"],
    "over_dear": lambda m: m["quality"] - m["dear"],
    "over_random": lambda m: m["quality"] - m["cheap"] - m["share"] * (m["dear"] - m["cheap"]),
    "cost_share": lambda m: m["cost"] / m["dear_cost"],
    "wrong_cheap": lambda m: m["wrong_cheap"],
    "needless": lambda m: m["needless"],
}


def _measured(replay: Replay, threshold: float, resampling: Resampling) -> dict[str, Interval]:
    terms = _terms(replay, threshold)
    values = np.column_stack(list(terms.values()))
    means = dict(zip(terms, values.mean(axis=0), strict=True))
    drawn = np.vstack([weights @ values / replay.n for weights in _weights(replay, resampling)])
    resampled = dict(zip(terms, drawn.T, strict=True))
    return {
        name: interval(float(measure(means)), measure(resampled), resampling.confidence)
        for name, measure in _MEASURES.items()
    }


def _curve_intervals(replay: Replay, resampling: Resampling) -> dict[str, Interval]:
    order = np.argsort(replay.score, kind="stable")
    gain = (replay.dear - replay.cheap)[order]
    ends = np.rint(replay.frontier.share * replay.n).astype(np.int64)
    drawn: dict[str, list[Vector]] = {"apgr": [], "cpt50": [], "cpt80": []}
    for weights in _weights(replay, resampling):
        ordered = weights[:, order]
        zero = np.zeros((ordered.shape[0], 1))
        share = np.hstack([zero, np.cumsum(ordered, axis=1)])[:, ends] / replay.n
        gained = np.hstack([zero, np.cumsum(ordered * gain, axis=1)])[:, ends]
        gap = gained[:, -1:]
        recovered = np.divide(gained, gap, out=np.full_like(gained, np.nan), where=gap > 0)
        drawn["apgr"].append(np.trapezoid(recovered, share, axis=1))
        for name, needed in (("cpt50", 0.5), ("cpt80", 0.8)):
            drawn[name].append(np.where(recovered >= needed - 1e-12, share, np.inf).min(axis=1))
    frontier = replay.frontier
    values = {"apgr": frontier.apgr, "cpt50": frontier.cpt(0.5), "cpt80": frontier.cpt(0.8)}
    return {
        name: _finite_interval(values[name], np.concatenate(parts), resampling.confidence)
        for name, parts in drawn.items()
    }


def _finite_interval(value: float, drawn: Vector, confidence: float) -> Interval:
    """Return the interval over resamples in which the dear step is the better one; NaN where there are none."""
    finite = drawn[np.isfinite(drawn)]
    return interval(value, finite, confidence) if finite.size else Interval(value, math.nan, math.nan)


def _weights(replay: Replay, resampling: Resampling) -> Iterator[Vector]:
    """Yield the count of each record in each resample, some resamples at a time, shape `(resamples, n)`."""
    return resample_weights(np.arange(replay.n), resampling)
