"""Checks of the gate that only probabilities of several classes allow."""

import numpy as np

from models.evaluation.metrics import auc
from models.evaluation.multiclass_metrics import measure_classes
from models.gates.check import GateCheck
from models.gates.config import MulticlassGateConfig
from models.gates.context import CANDIDATE, GateContext
from models.gates.leakage_checks import control_problems

#: One-versus-rest AUC from which on a single feature is taken for the label itself.
_TELLS_ALL = 0.999


def limits_of(context: GateContext) -> MulticlassGateConfig:
    """Return the limits of the gate of several classes.

    Raises:
        TypeError: they are those of another task.
    """
    if not isinstance(context.config, MulticlassGateConfig):
        raise TypeError(f"limits of several classes are needed, not a {type(context.config).__name__}")
    return context.config


def rows(context: GateContext) -> GateCheck:
    """Check that the hold-out has enough rows of every class."""
    limits, labels = limits_of(context), context.holdout.labels
    counts = np.bincount(labels, minlength=int(context.split.train.labels.max()) + 1)
    passed = labels.size >= limits.min_rows and int(counts.min()) >= limits.min_class_rows
    says = (
        f"{labels.size} hold-out rows of {counts.size} classes, the rarest with {counts.min()} "
        f"(at least {limits.min_rows}, {limits.min_class_rows} of each class)"
    )
    return GateCheck("rows", passed, float(labels.size), float(limits.min_rows), says)


def classes(context: GateContext) -> GateCheck:
    """Check that there are enough entities of every class to learn from, and more than one class."""
    train, limit = context.split.train, context.config.min_train_entities
    found = [int(np.unique(train.groups[train.labels == value]).size) for value in range(int(train.labels.max()) + 1)]
    says = f"{len(train)} training rows of {len(found)} classes, the rarest of {min(found)} entities (at least {limit})"
    return GateCheck("classes", len(found) > 1 and min(found) >= limit, float(min(found)), float(limit), says)


def leakage(context: GateContext) -> GateCheck:
    """Check that no single feature separates the classes, and that shuffled labels teach the trainer nothing."""
    train, names = context.split.train, context.split.encoder.feature_names
    weights = np.bincount(train.labels) / train.labels.size
    found = {name: _separation(train.rows[:, at], train.labels, weights) for at, name in enumerate(names)}
    problems = [
        f"{name} alone separates the classes (AUC {value:.3f})" for name, value in found.items() if value > _TELLS_ALL
    ]
    stopped, control = control_problems(context)
    problems += stopped
    top = max(found, key=lambda name: found[name])
    fine = f"best single feature {top} (one-versus-rest AUC {found[top]:.3f}); {control}"
    return GateCheck("leakage", not problems, found[top], _TELLS_ALL, "; ".join(problems) or fine)


def calibration(context: GateContext) -> GateCheck:
    """Check that the probability of the chosen class is how often it is right."""
    limits = limits_of(context)
    gap = measure_classes(context.holdout.labels, context.scores(CANDIDATE))["confidence_gap"]
    says = f"mean probability of the chosen class minus accuracy {gap:+.3f} (at most {limits.max_confidence_gap:g})"
    return GateCheck("calibration", abs(gap) <= limits.max_confidence_gap, gap, limits.max_confidence_gap, says)


def _separation(values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Mean over the classes, weighted by their rows, of the AUC of one class against the rest, in either direction."""
    lowest = np.where(np.isnan(values), -np.inf, values.astype(np.float64))
    areas = [auc((labels == value).astype(np.int8), lowest) if share else 0.5 for value, share in enumerate(weights)]
    return float(weights @ np.array([max(area, 1 - area) for area in areas]))
