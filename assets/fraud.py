"""Fraud: which card payments were not made by the card's owner. Read top to bottom = the lineage.

payments, labels -> window features -> training set with mature labels -> candidate -> gate -> champion.
The steps' bodies stand in `fraud_features` and `fraud_learning`; events are scored by `fraud_stream`.
"""

from datetime import date

import dagster as dg

from assets import fraud_features, fraud_learning, learning
from assets.partitions import daily
from assets.stages import LearningConfig, champion_of
from resources.ports import EngineResource, LakeResource, RegistryResource, SettingsResource, TrainerResource


@dg.asset(
    key=["fraud", "features"],
    deps=[["shop", "payments"], ["shop", "payment_labels"]],
    partitions_def=daily,
    group_name="features",
    kinds={"duckdb", "deltalake"},
    owners=["team:data-science"],
)
def features(context: dg.AssetExecutionContext, lake: LakeResource, engine: EngineResource) -> dg.MaterializeResult:
    """What the windows say of each payment of the day: one row per payment, one partition per day."""
    rows = fraud_features.write(lake.open(), engine.open(), date.fromisoformat(context.partition_key))
    return dg.MaterializeResult(metadata={"dagster/row_count": rows})


@champion_of(
    "fraud",
    rows="Payments of past days whose labels are known, with the features of their moment.",
    judged_on="payments of later days, cards that were blocked by then left out",
)
def champion(
    context: dg.AssetExecutionContext,
    config: LearningConfig,
    lake: LakeResource,
    engine: EngineResource,
    registry: RegistryResource,
    trainer: TrainerResource,
    challenger: TrainerResource,
    settings: SettingsResource,
):  # no return type: Dagster refuses any but a tuple where a step may leave out results
    """Trains, judges and promotes; with a champion in charge and `train: if_no_champion`, only says who it is."""
    day, fraud, models = date.fromisoformat(context.partition_key), settings.open().fraud, registry.open()
    with models.lock(fraud_learning.APP):
        if config.train == "if_no_champion" and models.champion(fraud_learning.APP) is not None:
            yield learning.kept(fraud_learning.APP, models)
            return
        rows = fraud_learning.training_set(lake.open(), engine.open(), fraud, day)
        yield dg.MaterializeResult(asset_key=["fraud", "training_set"], metadata=rows.metadata())
        lesson = fraud_learning.lesson(rows, fraud)
        judged = learning.judged(lesson, [trainer.open(), challenger.open()], models, day)
        yield dg.MaterializeResult(asset_key=["fraud", "candidate"], metadata=judged.metadata())
        yield learning.decided(lesson, judged, models, run_id=context.run.run_id, who=context.run.job_name)
