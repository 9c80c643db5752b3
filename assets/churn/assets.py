"""Churn: which customers will not buy again. Read top to bottom = the lineage.

orders -> daily features -> point-in-time training set -> candidate -> gate -> champion -> scores -> publication.
The modules beside this one hold the steps' bodies. They import `models/` when they run: loading the definitions must
not pay for ibis, scikit-learn or xgboost.
"""

from datetime import date

import dagster as dg

from assets.churn import features as churn_features
from assets.churn import replacement as churn_replacement
from assets.churn import scoring as churn_scoring
from assets.churn import skew as churn_skew
from assets.churn import training as churn_training
from assets.partitions import daily
from assets.stages import metadata_keys as keys
from assets.stages import skew as served_skew
from assets.stages.builders import LearningConfig, champion_of
from assets.stages.checked_asset import CheckedDay, checked_asset, day_of, of_selection
from assets.stages.cutoff_performance import performance_asset
from assets.stages.publishing_assets import publication_asset, scores_asset
from assets.stages.replacement.replacement_assets import replacement_asset
from assets.stages.training import ChampionRun
from resources.stack.ports import (
    EngineResource,
    FeatureStoreResource,
    LakeResource,
    NotifierResource,
    RegistryResource,
    SettingsResource,
    SinkResource,
)

_OWNERS = ["team:data-science"]


@dg.asset(
    key=["churn", "features"],
    deps=[["shop", "orders"]],
    partitions_def=daily,
    group_name="churn",
    kinds={"engine", "lake"},
    owners=_OWNERS,
)
def features(
    context: dg.AssetExecutionContext, lake: LakeResource, engine: EngineResource, settings: SettingsResource
) -> dg.MaterializeResult:
    """Features of each active customer at the end of the day: one row per customer, one partition per day."""
    day = date.fromisoformat(context.partition_key)
    written = churn_features.write_features(lake.open(), engine.open(), settings.open().churn, [day])
    return dg.MaterializeResult(metadata=written.metadata())


@champion_of(
    "churn",
    rows="Labelled customers at past cut-offs, with the features that were known then (point-in-time join).",
    judged_on="customers at a later cut-off",
)
def champion(
    context: dg.AssetExecutionContext,
    config: LearningConfig,
    lake: LakeResource,
    engine: EngineResource,
    feature_store: FeatureStoreResource,
    registry: RegistryResource,
    settings: SettingsResource,
    notifier: NotifierResource,
):  # no return type: Dagster refuses any but a tuple where a step may leave out results
    """Train, evaluate and promote; with a champion and `train: if_no_champion`, only reports it."""
    churn = settings.open().churn
    computed = churn_scoring.computed_features
    run = ChampionRun(context, "churn", config.train, registry, notifier, churn.candidates, computed)
    yield from run.results(
        lambda: churn_training.training_set(lake.open(), engine.open(), feature_store.open(), churn, run.day),
        lambda rows: churn_training.training_task(rows, churn),
    )


scores = scores_asset(
    "churn",
    lambda settings: churn_scoring.scoring_task(settings.churn),
    description="Churn probability of each active customer: written, read back and audited, not yet published.",
    kinds=("trainer", "sink"),
)

publication = publication_asset("churn")
replacement = replacement_asset("churn", churn_replacement.replacement_plan)
performance = performance_asset(
    "churn",
    lambda settings: churn_training.cutoff_plan(settings.churn),
    lambda settings: (settings.churn, settings.churn.gate),
)


@dg.asset(
    key=["churn", "online_features"],
    deps=[["churn", "features"]],
    partitions_def=daily,
    group_name="churn",
    kinds={"feature_store"},
    owners=_OWNERS,
)
def online_features(
    context: dg.AssetExecutionContext, lake: LakeResource, feature_store: FeatureStoreResource
) -> dg.MaterializeResult:
    """The day's features in the online store, for applications that ask for one customer at a time."""
    day = date.fromisoformat(context.partition_key)
    served = churn_features.materialize(lake.open(), feature_store.open(), day)
    note = {keys.NOTE: "The feature store of this profile serves no features online."} if served is None else {}
    return dg.MaterializeResult(metadata={keys.ROW_COUNT: served or 0, **note})


@checked_asset(
    ["churn", "served_features"],
    deps=[["churn", "features"], ["churn", "online_features"]],
    kinds={"feature_store", "lake"},
    checks=[
        dg.AssetCheckSpec(
            served_skew.CHECK,
            asset=["churn", "served_features"],
            description="Served features against the point-in-time join, each by itself: other values, stale, missing.",
        )
    ],
)
def served_features(
    context: dg.AssetExecutionContext,
    config: CheckedDay,
    lake: LakeResource,
    sink: SinkResource,
    feature_store: FeatureStoreResource,
    settings: SettingsResource,
):  # no return type: Dagster refuses any but a tuple where a step may leave out results
    """Sampled features served online during the day, compared with the features that training would have seen."""
    day = day_of(context, config, lambda: sink.open().published_days("churn"))
    compared = churn_skew.compare(lake.open(), feature_store.open(), settings.open().churn.skew, day)
    found = dg.MaterializeResult(metadata=compared.metadata(), check_results=[compared.check()])
    yield from of_selection(context, [found])
