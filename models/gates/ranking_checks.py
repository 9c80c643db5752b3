"""Checks of the gate that only the order of items within an entity allows."""

import numpy as np

from models.gates.check import GateCheck
from models.gates.config import RankingGateConfig
from models.gates.context import GateContext
from models.gates.leakage import feature_leaks
from models.gates.leakage_checks import control_problems

#: AUC from which on a single feature is taken for the relevance itself.
_TELLS_ALL = 0.999


def limits_of(context: GateContext) -> RankingGateConfig:
    """Return the limits of a ranker's gate.

    Raises:
        TypeError: they are those of another task.
    """
    if not isinstance(context.config, RankingGateConfig):
        raise TypeError(f"limits of a ranker are needed, not a {type(context.config).__name__}")
    return context.config


def rows(context: GateContext) -> GateCheck:
    """Check that the hold-out has enough rows and relevant items."""
    limits, labels = limits_of(context), context.holdout.labels
    relevant = int((labels > 0).sum())
    passed = labels.size >= limits.min_rows and relevant >= limits.min_relevant_rows
    says = (
        f"{labels.size} hold-out rows, {relevant} relevant items "
        f"(at least {limits.min_rows}, {limits.min_relevant_rows})"
    )
    return GateCheck("rows", passed, float(labels.size), float(limits.min_rows), says)


def relevance(context: GateContext) -> GateCheck:
    """Check that enough entities have both a relevant and an irrelevant item to learn from."""
    train, limit = context.split.train, context.config.min_train_entities
    both = np.intersect1d(train.groups[train.labels > 0], train.groups[train.labels == 0]).size
    says = f"{both} training entities with relevant and with irrelevant items (at least {limit})"
    return GateCheck("relevance", both >= limit, float(both), float(limit), says)


def leakage(context: GateContext) -> GateCheck:
    """Check that no single feature is the relevance, and that shuffled labels teach the trainer nothing."""
    train = context.split.train
    leaks = feature_leaks(context.split.encoder.feature_names, train.rows, (train.labels > 0).astype(np.int8))
    problems = [f"{leak.name} alone has AUC {leak.auc:.3f}" for leak in leaks if leak.auc > _TELLS_ALL]
    stopped, control = control_problems(context)
    problems += stopped
    top = max(leaks, key=lambda leak: leak.auc)
    fine = f"best single feature {top.name} (AUC {top.auc:.3f}); {control}"
    return GateCheck("leakage", not problems, top.auc, _TELLS_ALL, "; ".join(problems) or fine)
