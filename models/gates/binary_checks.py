"""Checks of the gate that only probabilities of two classes allow."""

import numpy as np

from models.evaluation.metrics import entity_precision_at, reliability
from models.gates.check import GateCheck
from models.gates.config import BinaryGateConfig
from models.gates.context import CANDIDATE, GateContext
from models.gates.leakage import feature_leaks
from models.gates.leakage_checks import control_problems


def limits_of(context: GateContext) -> BinaryGateConfig:
    """Return the limits of a binary classifier's gate.

    Raises:
        TypeError: they are those of another task.
    """
    if not isinstance(context.config, BinaryGateConfig):
        raise TypeError(f"limits of a binary classifier are needed, not a {type(context.config).__name__}")
    return context.config


def rows(context: GateContext) -> GateCheck:
    """Check that the hold-out has enough rows of both classes."""
    limits, labels = limits_of(context), context.holdout.labels
    positives = int(labels.sum())
    fewest = min(positives, labels.size - positives)
    passed = labels.size >= limits.min_rows and fewest >= limits.min_class_rows
    says = (
        f"{labels.size} hold-out rows, {positives} positive "
        f"(at least {limits.min_rows}, {limits.min_class_rows} of each class)"
    )
    return GateCheck("rows", passed, float(labels.size), float(limits.min_rows), says)


def classes(context: GateContext) -> GateCheck:
    """Check that there are enough entities of both classes to learn from."""
    train, limit = context.split.train, context.config.min_train_entities
    fewest = {value: int(np.unique(train.groups[train.labels == value]).size) for value in (1, 0)}
    says = (
        f"{len(train)} training rows of {np.unique(train.groups).size} entities, {fewest[1]} with a positive label and "
        f"{fewest[0]} with a negative one (at least {limit} of each)"
    )
    value = min(fewest.values())
    return GateCheck("classes", value >= limit, float(value), float(limit), says)


def leakage(context: GateContext) -> GateCheck:
    """Check that no single feature gives the label away, and that shuffled labels teach the trainer nothing."""
    limits, split = limits_of(context), context.split
    leaks = feature_leaks(split.encoder.feature_names, split.train.rows, split.train.labels)
    plain = max((leak.auc for leak in leaks if leak.name in context.evidence.plain_features), default=1.0)
    most = min(limits.max_feature_auc, plain + limits.max_feature_lead)
    found = [leak for leak in leaks if leak.auc > most or leak.pure_share > limits.max_pure_share]
    problems = [
        f"{leak.name} alone has AUC {leak.auc:.3f} and sorts {leak.pure_share:.0%} without error" for leak in found
    ]
    stopped, control = control_problems(context)
    top = max(leaks, key=lambda leak: leak.auc)
    fine = f"best single feature {top.name} (AUC {top.auc:.3f}); {control}"
    problems += stopped
    return GateCheck("leakage", not problems, top.auc, most, "; ".join(problems) or fine)


def top_precision(context: GateContext, model: str, k: int) -> float:
    """Mean share of positives among the `k` entities of a day that a model puts first."""
    held = context.holdout
    days = held.cutoffs.astype("datetime64[D]")
    return entity_precision_at(held.labels, context.scores(model), held.groups, days, k)


def precision_at_k(context: GateContext) -> GateCheck:
    """Check that the top k of a day hold no fewer positives than the champion's, within the allowed drop."""
    limits = limits_of(context)
    k, drop = limits.top_per_day, limits.max_top_drop
    if k is None:
        return GateCheck("precision_at_k", True, None, None, "not checked: `top_per_day` is not set")
    mine, theirs = (top_precision(context, name, k) for name in (CANDIDATE, context.reference))
    says = f"precision among the first {k} of a day {mine:.4f}, {context.reference} {theirs:.4f}"
    return GateCheck("precision_at_k", mine - theirs >= -drop, mine - theirs, -drop, says)


def calibration(context: GateContext) -> GateCheck:
    """Check that probabilities match observed rates, beyond chance."""
    limits, labels, scores = limits_of(context), context.holdout.labels, context.scores(CANDIDATE)
    bins = reliability(labels, scores)
    excess, gap = max(0.0, bins.ece - bins.chance), float(scores.mean() - labels.mean())
    passed = excess <= limits.max_ece and abs(gap) <= limits.max_calibration_gap
    says = (
        f"calibration error {bins.ece:.4f} ({bins.chance:.4f} by chance); mean probability {scores.mean():.3f}, "
        f"observed rate {labels.mean():.3f} (gap at most {limits.max_calibration_gap:g})"
    )
    return GateCheck("calibration", passed, excess, limits.max_ece, says)
