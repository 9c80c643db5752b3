"""Replacements of churn: contacts within the budget decide, and a label is known 90 days later."""

from __future__ import annotations

from assets.churn.training import cutoff_plan
from assets.stages.cutoff_quality import matured_labels
from assets.stages.replacement.plan import ReplacementPlan
from models.settings import Settings


def replacement_plan(settings: Settings) -> ReplacementPlan:
    """Return the replacement of churn under these settings."""
    from models.scoring.contacts import contacted

    churn = settings.churn
    labels = matured_labels(cutoff_plan(churn), churn.horizon_days)
    return ReplacementPlan(churn.replacement, lambda scores: contacted(scores, churn.scoring), labels)
