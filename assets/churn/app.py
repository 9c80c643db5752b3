"""The record of the application `churn`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from assets.stages.app import App, FeatureService, golden_customers
from models.scoring.output import binary_output

if TYPE_CHECKING:
    from assets.stages.operation import Operation
    from assets.stages.replacement.plan import ReplacementPlan
    from assets.stages.scoring_task import ScoringTask
    from assets.stages.training_task import TrainingTask
    from models.settings import Settings
    from resources.engine.port import Engine
    from resources.lake.port import Lake
    from resources.stack.ports import Ports


def _write_features(lake: Lake, engine: Engine, settings: Settings, days: Sequence[date]) -> object:
    from assets.churn.features import write_features

    return write_features(lake, engine, settings.churn, days)


def _scoring(settings: Settings, _: Ports) -> ScoringTask:
    from assets.churn.scoring import scoring_task

    return scoring_task(settings.churn)


def _operations() -> Sequence[Operation]:
    from assets.stages.score_now import score_now

    return (score_now(lambda: CHURN),)


def _training(ports: Ports, settings: Settings, day: date) -> TrainingTask:
    from assets.churn.training import training_set, training_task

    rows = training_set(ports.lake, ports.engine, ports.feature_store, settings.churn, day)
    return training_task(rows, settings.churn)


def _replacement(settings: Settings) -> ReplacementPlan:
    from assets.churn.replacement import replacement_plan

    return replacement_plan(settings)


SERVICE = FeatureService(name="churn_v1", view="churn_customer", entity="customer_id", write=_write_features)
CHURN = App(
    name="churn",
    title="Customers who will not buy again: a nightly score per active customer.",
    made_from=("orders",),
    features="churn_features",
    training_set="churn_training_set",
    golden_ids=golden_customers,
    service=SERVICE,
    output=binary_output("customer_id", decisions=("leave", "contact")),
    scoring=_scoring,
    operations=_operations,
    training=_training,
    replacement=_replacement,
)
