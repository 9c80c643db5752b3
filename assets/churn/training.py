"""The training set and training task of churn; the shared training stage is `assets.stages.training`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from assets.churn import app
from assets.churn import features as churn_features
from assets.stages.cutoff_training import CutoffPlan, CutoffRows, cutoff_rows, cutoff_task
from assets.stages.training_task import TrainingTask
from models.settings import ChurnSettings
from resources.engine.port import Engine
from resources.feature_store.port import FeatureStore
from resources.lake.port import Lake

if TYPE_CHECKING:
    from models.training.columns import Direction

APP = app.CHURN.name
SERVICE = app.SERVICE.name

#: Parts of the hold-out that the gate compares one by one.
SLICES = ("country", "tenure_days", "orders_total")
#: What one number alone knows; the candidate must not be behind it.
BASELINES = {"recency only": "recency_days", "frequency only": "orders_total"}
#: Directions of the chance of churn as a feature grows: up with silence, down with purchases.
DIRECTIONS: dict[str, Direction] = {
    **dict.fromkeys(("recency_days", "recency_share", "overdue_ratio", "overdue_z"), 1),
    **dict.fromkeys(("orders_7", "orders_30", "orders_90", "orders_180", "orders_total", "orders_per_30_days"), -1),
    **dict.fromkeys(("purchase_days_90", "purchase_days_total", "active_months_180"), -1),
    **dict.fromkeys(("spend_30", "spend_90", "spend_180", "spend_total", "products_90", "products_total"), -1),
    **dict.fromkeys(("orders_trend_30", "orders_trend_90"), -1),
}
#: Features that describe a customer's purchase history: days with a purchase, recency, tenure.
PURCHASES = ("purchase_days_total", "recency_days", "tenure_days")


def cutoff_plan(settings: ChurnSettings) -> CutoffPlan:
    """Return how churn's training rows are made under these settings."""
    from models.features.churn import CATEGORIES, FEATURES, churn_labels
    from models.features.churn_definitions import HISTORY_FEATURE, LOOK_BACK_DAYS

    return CutoffPlan(
        app=app.CHURN,
        kind="binary",
        table=churn_features.feature_table(settings),
        features=[*FEATURES, *CATEGORIES],
        entity="customer_id",
        label="churned",
        labels=churn_labels,
        baselines=BASELINES,
        slices=SLICES,
        service=SERVICE,
        counts=lambda rows: {"churn_rate": float(np.mean(rows["churned"].to_numpy()))},
        directions=DIRECTIONS,
        purchases=PURCHASES,
        history=HISTORY_FEATURE,
        look_back_days=LOOK_BACK_DAYS,
    )


def training_set(lake: Lake, engine: Engine, store: FeatureStore, settings: ChurnSettings, as_of: date) -> CutoffRows:
    """Return the point-in-time training set as of the end of `as_of`, also written to the lake."""

    def join(labelled: pa.Table, days: Sequence[date]) -> pa.Table:
        store.apply()
        files = lake.files(churn_features.TABLE, first=days[0], last=days[-1])
        return store.historical(SERVICE, labelled, files={churn_features.VIEW: files})

    return cutoff_rows(lake, engine, cutoff_plan(settings), settings, as_of, join)


def training_task(rows: CutoffRows, settings: ChurnSettings) -> TrainingTask:
    """Build churn's training task from this training set."""
    return cutoff_task(cutoff_plan(settings), rows, settings, settings.gate)
