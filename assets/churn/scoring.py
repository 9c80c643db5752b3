"""Scoring of a day for churn: probabilities of customers, the highest of which are contacted within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assets.churn.app import CHURN, SERVICE
from assets.stages.scoring_task import ScoringTask
from models.settings import ChurnSettings

if TYPE_CHECKING:
    from models.scoring.batch import DecisionRule
    from models.training.computed_features import ComputedFeatures
    from models.training.model_package import LoadedModel


def computed_features() -> ComputedFeatures:
    """Return the features that this release computes."""
    from models.features.churn_definitions import CATEGORIES, FEATURES
    from models.training.computed_features import ComputedFeatures

    return ComputedFeatures(SERVICE.name, (*FEATURES, *CATEGORIES))


def scoring_task(settings: ChurnSettings) -> ScoringTask:
    """Return the scoring of a day's customers under these settings."""
    from models.scoring.contacts import ContactAudit, ContactBudget

    def rule(model: LoadedModel) -> DecisionRule:
        return ContactBudget(model.model, model.encoder.feature_names, settings.scoring)

    return ScoringTask(
        app=CHURN,
        audit=settings.audit,
        drift=settings.drift,
        segments=("country",),
        rule=rule,
        rule_checks=lambda: [ContactAudit(settings.scoring)],
        batch_rows=settings.scoring.batch_rows,
        max_stale_days=settings.max_stale_days,
        has_fallback=True,
        computed=computed_features(),
    )
