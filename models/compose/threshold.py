"""Thresholds of a router, chosen on a replay for a target of quality or of cost, held as a mean or with confidence.

Of all thresholds, the one that looks best on some records is partly luck. Where a target is a promise about other
records, `confidence` keeps the bound of an interval to it instead of the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.compose.replay import Frontier, Replay
from models.errors import TesseraError
from models.training.model import Vector

#: Rounding of sums decides nothing.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Choice:
    """A threshold, and what it does on the records that it was chosen on.

    Attributes:
        threshold: records with a lower score are escalated.
        share: of records that it escalates, 0 to 1.
        quality: mean over the records.
        cost: mean over the records.
    """

    threshold: float
    share: float
    quality: float
    cost: float


def cheapest(replay: Replay, *, quality: float, confidence: float | None = None) -> Choice:
    """Return the cheapest threshold whose quality is at least `quality`.

    Args:
        replay: of records that choose.
        quality: at least.
        confidence: of the one-sided lower bound that reaches it; None: the mean does. The bound is that of Agresti and
            Coull (1998, doi 10.1080/00031305.1998.10480550): the normal one after z squared records were added, half of
            them of a quality of 0 and half of 1, or of the lowest and the highest one where these lie beyond.

    Raises:
        TesseraError: none reaches it.
    """
    if confidence is None:
        return _least_cost(replay, replay.frontier.quality >= quality - _ROUNDING, f"a quality of {quality:g}")
    z = _quantile(confidence)
    ends = np.array([min(0.0, replay.cheap.min(), replay.dear.min()), max(1.0, replay.cheap.max(), replay.dear.max())])
    added = _Added(z**2, z**2 * ends.mean(), z**2 * (ends**2).mean())
    mean, deviation = _of_each_threshold(replay, replay.cheap, replay.dear, added)
    reached = mean - z * deviation / math.sqrt(replay.n + added.n) >= quality - _ROUNDING
    return _least_cost(replay, reached, f"a quality of {quality:g} with a confidence of {confidence:g}")


def cheapest_near_dear(replay: Replay, *, margin: float, confidence: float = 0.95, on: int | None = None) -> Choice:
    """Return the cheapest threshold that is not worse than always escalating by more than `margin`, with confidence.

    Without `on`, the lower end of the paired interval of the difference in quality is at least `-margin`: that of
    Agresti and Min (2005, doi 10.1002/sim.1781), the normal one after half a record of each pair of answers was added,
    so that few records without a loss do not pass for many. A loss counts 1 there, or the greatest one that is seen.

    With `on`, the rule is stricter: so many other records of the same kind will, with `confidence`, themselves give an
    interval whose lower end is at least `-margin`. Their mean differs from that of these records by the error of both
    samples, and their interval has a width of its own.

    Args:
        replay: of records that choose.
        margin: of quality, at least 0.
        confidence: of the two-sided intervals, and of the one-sided promise about other records.
        on: number of other records; None: the promise is about the mean of all.
    """
    loss = replay.cheap - replay.dear
    added = _Added(2.0, 0.0, max(1.0, float(np.abs(loss).max() ** 2)))
    mean, deviation = _of_each_threshold(replay, loss, np.zeros(replay.n), added)
    width, n = _quantile((1 + confidence) / 2), replay.n + added.n
    if on is None:
        error = width / math.sqrt(n)
    else:
        error = width / math.sqrt(on) + _quantile(confidence) * math.sqrt(1 / n + 1 / on)
    near = mean - error * deviation >= -margin - _ROUNDING
    near[-1] = True  # nothing is kept
    return _least_cost(replay, near, f"a quality within {margin:g} of the dear step's")


def best_within(replay: Replay, *, cost: float, confidence: float | None = None) -> Choice:
    """Return the threshold of the best quality whose cost is at most `cost`; of equals the cheapest.

    Args:
        replay: of records that choose.
        cost: at most.
        confidence: of the one-sided upper bound of the mean cost that keeps within it; None: the mean does.

    Raises:
        TesseraError: the cheap step alone costs more.
    """
    frontier = replay.frontier
    highest = frontier.cost
    if confidence is not None:
        mean, deviation = _of_each_threshold(replay, replay.cheap_cost, replay.cheap_cost + replay.dear_cost)
        highest = mean + _quantile(confidence) * deviation / math.sqrt(replay.n)
    affordable = highest <= cost + _ROUNDING
    if not affordable.any():
        raise TesseraError(
            f"A cost of {cost:g} was asked for, and the cheap step alone costs {frontier.cost[0]:g}.",
            expected=f"{highest[0]:g} or more",
            todo="Raise the limit, or name a cheaper step.",
        )
    return _choice(frontier, int(np.argmax(np.where(affordable, frontier.quality, -np.inf))))


def _least_cost(replay: Replay, allowed: np.ndarray, what: str) -> Choice:
    frontier = replay.frontier
    if not allowed.any():
        best = int(np.argmax(frontier.quality))
        raise TesseraError(
            f"No threshold reaches {what}.",
            expected=f"at most {frontier.quality[best]:g}, which a share of {frontier.share[best]:.1%} reaches",
            todo="Lower the target, or name a better dear step.",
        )
    return _choice(frontier, int(np.argmin(np.where(allowed, frontier.cost, np.inf))))


def _choice(frontier: Frontier, place: int) -> Choice:
    threshold, share = float(frontier.threshold[place]), float(frontier.share[place])
    return Choice(threshold, share, float(frontier.quality[place]), float(frontier.cost[place]))


@dataclass(frozen=True)
class _Added:
    """Records that an interval adds, so that few equal ones do not pass for many: number, sum and sum of squares."""

    n: float = 0.0
    total: float = 0.0
    squares: float = 0.0


def _of_each_threshold(
    replay: Replay, kept: Vector, escalated: Vector, added: _Added = _Added()
) -> tuple[Vector, Vector]:
    """Return mean and standard deviation, by threshold, of a number that depends on whether a record is escalated."""
    order = np.argsort(replay.score, kind="stable")
    counts = np.rint(replay.frontier.share * replay.n).astype(np.int64)
    totals, squares = (
        (np.append(0.0, np.cumsum(left[order])) + np.append(np.cumsum(right[order][::-1])[::-1], 0.0))[counts]
        for left, right in ((escalated, kept), (escalated**2, kept**2))
    )
    n = replay.n + added.n
    mean = (totals + added.total) / n
    return mean, np.sqrt(np.maximum((squares + added.squares) / n - mean**2, 0))


def _quantile(confidence: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(confidence))
