"""Off-policy estimates: how a ranker that was never shown would have done, from the log of one that was.

A slot's outcome is taken to depend on its product and its place, not on the other slots: the item-position model of
Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen (2018), "Offline evaluation of ranking policies with click
models", KDD. Each slot weighs target probability / propensity. SNIPS: Swaminathan and Joachims (2015), "The
self-normalized estimator for counterfactual learning", NeurIPS. DR: Dudik, Langford and Li (2011), "Doubly robust
policy evaluation and learning", ICML.
"""

# pyright: basic
# numpy's bincount has no precise types.

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.evaluation.bootstrap import Interval
from models.training.model import Groups, Vector

#: Two-sided 95 % of the normal distribution.
_Z = 1.959963984540054


@dataclass(frozen=True)
class LoggedSlots:
    """Slots that were shown, one element each, shapes `(n,)`.

    Attributes:
        outcome: what came of it, e.g. 1 for a click.
        propensity: chance with which its product was shown there, above 0 and at most 1.
        target: chance with which the ranker in question would show this product there; 0 or 1 of one without chance.
        group: number of its customer: slots of one customer are not independent.
        is_supported: the product that the ranker wants in this slot could have been shown there.
        predicted: outcome that a model expects of the product that was shown there; None: no DR.
        predicted_target: outcome that the model expects of the product that the ranker wants there.
    """

    outcome: Vector
    propensity: Vector
    target: Vector
    group: Groups
    is_supported: NDArray[np.bool_]
    predicted: Vector | None = None
    predicted_target: Vector | None = None


@dataclass(frozen=True)
class OffPolicy:
    """Mean outcome per slot of a ranker, estimated from the log of another, with 95 % intervals.

    Attributes:
        logged: mean outcome of the slots as they were shown.
        ips: inverse propensity estimate: unbiased, of high variance.
        snips: self-normalised: nearly unbiased, steadier.
        dr: doubly robust; None without predictions.
        effective_slots: slots without weights that would be worth as much: (sum w)^2 / sum w^2.
        max_weight: largest weight of a slot.
        supported_share: share of the wanted slots whose product could have been shown there; below 1 the estimates
            say nothing about the rest.
        slots: number of logged slots.
    """

    logged: Interval
    ips: Interval
    snips: Interval
    dr: Interval | None
    effective_slots: float
    max_weight: float
    supported_share: float
    slots: int


def off_policy(log: LoggedSlots) -> OffPolicy:
    """Estimate the mean outcome per slot of the target ranker.

    Raises:
        TesseraError: there is no slot, a propensity is no chance, nothing was shuffled, or no slot agrees.
    """
    _require_chances(log)
    weights = log.target / log.propensity
    if not weights.any():
        raise TesseraError(
            f"The ranker wants none of the {weights.size:,} logged products in the slot where it was shown.",
            expected="lists of the customers and days of the log",
            todo="Check that both lists are of the same days, or log more days.",
        )
    weighted = weights * log.outcome
    normalised = float(weighted.sum() / weights.sum())
    residual = (weighted - normalised * weights) / weights.mean()
    return OffPolicy(
        logged=_mean(log.outcome, log.group),
        ips=_mean(weighted, log.group),
        snips=_around(normalised, residual, log.group),
        dr=_doubly_robust(log, weights),
        effective_slots=float(weights.sum() ** 2 / (weights**2).sum()),
        max_weight=float(weights.max()),
        supported_share=float(log.is_supported.mean()),
        slots=weights.size,
    )


def _require_chances(log: LoggedSlots) -> None:
    chances = log.propensity
    if not chances.size:
        raise TesseraError(
            "The log holds no slot.", expected="exposures with propensities", todo="Log exposures before estimating."
        )
    wrong = ~((chances > 0) & (chances <= 1))
    if wrong.any():
        raise TesseraError(
            f"{int(wrong.sum()):,} of {chances.size:,} propensities are no chance, e.g. {chances[wrong][0]:g}.",
            expected="propensities above 0 and at most 1",
            todo="Correct the log of exposures.",
        )
    if (chances == 1).all():
        raise TesseraError(
            "No slot of the log was shuffled (every propensity is 1): what another ranker would have done cannot be"
            " estimated from it.",
            expected="`shuffled_share` above 0 while the log was made",
            todo="Set `shuffled_share` of the experiment, e.g. to 0.2, and log some days.",
        )


def _doubly_robust(log: LoggedSlots, weights: Vector) -> Interval | None:
    if log.predicted is None or log.predicted_target is None:
        return None
    return _mean(log.predicted_target + weights * (log.outcome - log.predicted), log.group)


def _mean(values: Vector, group: Groups) -> Interval:
    value = float(values.mean())
    return _around(value, values - value, group)


def _around(value: float, residual: Vector, group: Groups) -> Interval:
    """Return the normal interval of a mean whose residuals are dependent within groups (Liang and Zeger 1986)."""
    _, codes = np.unique(group, return_inverse=True)
    sums = np.bincount(codes, weights=residual)
    n = max(sums.size, 2)
    half = _Z * sqrt(float(sums @ sums) * n / (n - 1)) / residual.size
    return Interval(value, value - half, value + half)
