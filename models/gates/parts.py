"""A merged candidate against its best part, on the hold-out that no part has seen."""

from __future__ import annotations

import numpy as np

from models.compose.gate import Measured
from models.evaluation.bootstrap import Interval, mean_interval
from models.gates.check import GateCheck
from models.gates.context import GateContext
from models.gates.names import BEST_PART
from models.training.dataset import Dataset
from models.training.model import FittedModel, Groups, Labels, Vector, members_of

_EDGE = 1e-15


def best_part(context: GateContext) -> GateCheck:
    """Check that a candidate that merges several models is better than each of them.

    The lower end of the paired interval of the gain in log-likelihood per row over the best part must be above 0, all
    rows of an entity drawn together. A merge costs the sum of its parts, so it cannot pass as the cheaper one. Where
    the merge is the champion's settings on newer rows, it passed this once, and is stopped only if it is behind.
    """
    held = context.holdout
    parts = {f"{place} ({part.kind})": _quality(part, held) for place, part in enumerate(members_of(context.model))}
    best = max(parts, key=lambda name: parts[name].mean())
    gain = mean_interval(_quality(context.model, held) - parts[best], context.resampling)
    champion = context.champion
    renewed = champion is not None and champion.is_renewed
    passed, value, wants = (
        (gain.high >= 0, gain.high, "which the champion's settings must not be behind")
        if renewed
        else (gain.low > 0, gain.low, "its lower end must be above 0")
    )
    says = f"log-likelihood per row {_signed(gain)} over its best part, {best}; {wants}"
    return GateCheck(BEST_PART, bool(passed), value, 0.0, says)


def log_likelihood(labels: Labels, probability: Vector) -> Vector:
    """Return the log-likelihood of each label, shape `(n,)`; probabilities are kept away from 0 and 1."""
    chance = np.clip(probability, _EDGE, 1 - _EDGE)
    return np.where(labels == 1, np.log(chance), np.log1p(-chance))


def measured_by_group(labels: Labels, groups: Groups, probability: Vector) -> Measured:
    """Return the sum of each entity's log-likelihoods, scaled so that their mean is that of the rows."""
    entities = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(entities, weights=log_likelihood(labels, probability))
    scaled = np.asarray(sums * (len(sums) / len(labels)), np.float64)
    return Measured(scaled, np.ones(len(sums)))


def _quality(model: FittedModel, held: Dataset) -> Vector:
    return measured_by_group(held.labels, held.groups, model.predict(held.rows)).quality


def _signed(found: Interval) -> str:
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
