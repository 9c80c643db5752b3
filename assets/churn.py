"""Churn: which customers will not buy again. Read top to bottom = the lineage.

orders -> daily features -> point-in-time training set -> candidate -> gate -> champion -> scores -> publication.
Modules of `models/` are imported inside the bodies: they bring ibis, scikit-learn or xgboost, which loading the
definitions must not pay for.
"""

from collections.abc import Iterator
from datetime import date
from typing import Literal

import dagster as dg

from assets.partitions import daily
from models.publishing import Publication
from resources.ports import (
    EngineResource,
    FeatureStoreResource,
    LakeResource,
    NotifierResource,
    RegistryResource,
    SettingsResource,
    SinkResource,
    TrainerResource,
)

APP = "churn"
VIEW, SERVICE = "churn_customer", "churn_v1"
FEATURES_TABLE = "churn_features"
OWNERS = ["team:data-science"]


@dg.asset(
    key=["churn", "features"],
    deps=[["shop", "orders"]],
    partitions_def=daily,
    group_name="features",
    kinds={"duckdb", "deltalake"},
    owners=OWNERS,
)
def features(
    context: dg.AssetExecutionContext, lake: LakeResource, engine: EngineResource, settings: SettingsResource
) -> dg.MaterializeResult:
    """What is known of each active customer at the end of the day: one row per customer, one partition per day."""
    from assets.features import write_features

    day = date.fromisoformat(context.partition_key)
    written = write_features(lake.open(), engine.open(), settings.open().churn, [day])
    return dg.MaterializeResult(metadata=written.metadata())
