"""A merged candidate against its best part, on the hold-out that no part has seen."""

from __future__ import annotations

import numpy as np

from models.compose.gate import CompositionGateConfig, Measured, composition_report
from models.training.dataset import Dataset
from models.training.model import FittedModel, Groups, Labels, Vector, members_of

_EDGE = 1e-15


def against_best_part(model: FittedModel, holdout: Dataset) -> list[str]:
    """Return a sentence on a candidate that merges several models, e.g. `stacking`; none on any other.

    The verdict is that of the gate of compositions: the lower end of the paired interval of the gain in log-likelihood
    per row over the best part, all rows of an entity drawn together. It stops no candidate: a merge that is no better
    than its best part may still be better than the champion, and the check `champion` says so.
    """
    parts = members_of(model)
    if not parts:
        return []
    report = composition_report(
        "merge",
        _measured(model, holdout),
        {f"{place} ({part.kind})": _measured(part, holdout) for place, part in enumerate(parts)},
        np.unique(holdout.groups).astype(str).tolist(),
        CompositionGateConfig(resamples=1_000),
    )
    check = next(one for one in report.checks if one.name == "beats_best_child")
    verdict = "beats its best part" if check.passed else "does not beat its best part"
    return [f"The merge {verdict} in log-likelihood per row: {check.says}."]


def log_likelihood(labels: Labels, probability: Vector) -> Vector:
    """Return the log-likelihood of each label, shape `(n,)`; probabilities are kept away from 0 and 1."""
    chance = np.clip(probability, _EDGE, 1 - _EDGE)
    return np.where(labels == 1, np.log(chance), np.log1p(-chance))


def _measured(model: FittedModel, holdout: Dataset) -> Measured:
    return measured_by_group(holdout.labels, holdout.groups, model.predict(holdout.rows))


def measured_by_group(labels: Labels, groups: Groups, probability: Vector) -> Measured:
    """Return the sum of each entity's log-likelihoods, scaled so that their mean is that of the rows."""
    entities = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(entities, weights=log_likelihood(labels, probability))
    scaled = np.asarray(sums * (len(sums) / len(labels)), np.float64)
    return Measured(scaled, np.ones(len(sums)))
