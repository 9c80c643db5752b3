"""Demand: units of each product in the next days. Read top to bottom = the lineage.

orders -> daily features -> training set -> candidate -> gate -> champion -> scores -> publication -> performance.
"""

from assets.demand.app import DEMAND
from assets.stages.cutoff_assets import champion_asset, features_asset
from assets.stages.cutoff_performance import performance_asset
from assets.stages.cutoff_quality import matured_labels
from assets.stages.cutoff_training import CutoffPlan
from assets.stages.feature_days import FeatureTable
from assets.stages.publishing_assets import publication_asset, scores_asset
from assets.stages.replacement.plan import ReplacementPlan
from assets.stages.replacement.replacement_assets import replacement_asset
from assets.stages.scoring_task import ScoringTask, numbers_with_intervals
from models.settings import Settings

#: Version of the features.
SERVICE = "demand_v1"


def cutoff_plan(settings: Settings) -> CutoffPlan:
    """Return how demand's training rows are made under these settings."""
    from models.features.demand import demand_features, demand_labels
    from models.features.demand_definitions import BASELINES, FEATURES, HISTORY_FEATURE, look_back_days

    days = {"population_days": settings.demand.population_days, "horizon_days": settings.demand.horizon_days}
    return CutoffPlan(
        app=DEMAND,
        kind="regression",
        table=FeatureTable(DEMAND.features, demand_features, days),
        features=FEATURES,
        entity="product_id",
        label="units",
        labels=demand_labels,
        baselines=BASELINES,
        slices=("units_last_4", "tenure_days"),
        service=SERVICE,
        history=HISTORY_FEATURE,
        look_back_days=look_back_days(settings.demand.horizon_days),
        counts=lambda rows: {"mean_units": float(rows["units"].to_numpy().mean())},
    )


def scoring_task(settings: Settings) -> ScoringTask:
    """Return the scoring of a day's products under these settings."""
    from models.features.demand_definitions import FEATURES
    from models.training.computed_features import ComputedFeatures

    demand, computed = settings.demand, ComputedFeatures(SERVICE, FEATURES)
    return ScoringTask(
        app=DEMAND, audit=demand.audit, drift=demand.drift, predict=numbers_with_intervals, computed=computed
    )


def replacement_plan(settings: Settings) -> ReplacementPlan:
    """Return the replacement of demand under these settings: numbers decide nothing, their errors are compared."""
    demand = settings.demand
    labels = matured_labels(cutoff_plan(settings), demand.horizon_days)
    return ReplacementPlan(demand.replacement, None, labels)


features = features_asset(
    "demand", cutoff_plan, description="Sales history of each product in the assortment at the end of the day."
)
champion = champion_asset(
    "demand",
    cutoff_plan,
    lambda settings: (settings.demand, settings.demand.gate),
    rows="Products at past cut-offs with the units that were ordered in the days after.",
    judged_on="products at a later cut-off",
)
scores = scores_asset(
    "demand",
    scoring_task,
    description="Units of each product in the next days, with their interval: audited, not yet published.",
)
publication = publication_asset("demand")
replacement = replacement_asset("demand", replacement_plan)
performance = performance_asset("demand", cutoff_plan, lambda settings: (settings.demand, settings.demand.gate))
