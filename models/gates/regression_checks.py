"""Checks of the gate that only predicted numbers with intervals allow."""

import numpy as np

from models.gates.check import GateCheck
from models.gates.config import RegressionGateConfig
from models.gates.context import GateContext
from models.gates.leakage import feature_correlations
from models.gates.leakage_checks import control_problems
from models.training.model import IntervalModel, Vector


def limits_of(context: GateContext) -> RegressionGateConfig:
    """Return the limits of a regression model's gate.

    Raises:
        TypeError: they are those of another task.
    """
    if not isinstance(context.config, RegressionGateConfig):
        raise TypeError(f"limits of a regression model are needed, not a {type(context.config).__name__}")
    return context.config


def interval_of(context: GateContext) -> tuple[Vector, Vector]:
    """Return both ends of the candidate's interval of each hold-out row.

    Raises:
        TypeError: the candidate gives none.
        ValueError: they are no intervals around its predictions.
    """
    model = context.model
    if not isinstance(model, IntervalModel):
        raise TypeError(f"a model of kind {model.kind!r} gives no prediction interval")
    rows = context.holdout.rows
    predicted, (lower, upper) = model.predict(rows), model.interval(rows)
    if not ((lower <= predicted) & (predicted <= upper)).all():
        raise ValueError("some intervals do not hold their prediction, or are not numbers")
    return lower, upper


def rows(context: GateContext) -> GateCheck:
    """Check that the hold-out has enough rows."""
    count, limit = len(context.holdout), context.config.min_rows
    return GateCheck("rows", count >= limit, float(count), float(limit), f"{count} hold-out rows (at least {limit})")


def entities(context: GateContext) -> GateCheck:
    """Check that there are enough entities to learn from, and labels that differ."""
    train, limit = context.split.train, context.config.min_train_entities
    count, distinct = np.unique(train.groups).size, np.unique(train.labels).size
    says = f"{len(train)} training rows of {count} entities (at least {limit}), {distinct} different labels"
    return GateCheck("entities", count >= limit and distinct > 1, float(count), float(limit), says)


def leakage(context: GateContext) -> GateCheck:
    """Check that no single feature is the label, and that shuffled labels teach the trainer nothing."""
    limits, split = limits_of(context), context.split
    found = feature_correlations(split.encoder.feature_names, split.train.rows, split.train.labels)
    plain = max((value for name, value in found.items() if name in context.evidence.plain_features), default=1.0)
    most = min(limits.max_feature_correlation, plain + limits.max_feature_lead)
    problems = [f"{name} alone has the rank correlation {value:.3f}" for name, value in found.items() if value > most]
    stopped, control = control_problems(context)
    problems += stopped
    top = max(found, key=lambda name: found[name])
    fine = f"best single feature {top} (rank correlation {found[top]:.3f}); {control}"
    return GateCheck("leakage", not problems, found[top], most, "; ".join(problems) or fine)


def coverage(context: GateContext) -> GateCheck:
    """Check that the candidate's intervals hold as many labels of the hold-out as they promise."""
    limits, labels = limits_of(context), context.holdout.labels
    lower, upper = interval_of(context)
    share = float(((labels >= lower) & (labels <= upper)).mean())
    passed = limits.min_coverage <= share <= limits.max_coverage
    says = (
        f"{share:.1%} of the labels lie within their interval ({limits.min_coverage:.0%} to "
        f"{limits.max_coverage:.0%}), mean width {float((upper - lower).mean()):.4g}"
    )
    return GateCheck("coverage", passed, share, limits.min_coverage, says)
