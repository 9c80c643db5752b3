"""The record of the application `demand`."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from assets.stages.app import App
from models.scoring.output import regression_output

if TYPE_CHECKING:
    from assets.stages.replacement.plan import ReplacementPlan
    from assets.stages.scoring_task import ScoringTask
    from assets.stages.training_task import TrainingTask
    from models.settings import Settings
    from resources.stack.ports import Ports


def _scoring(settings: Settings, _: Ports) -> ScoringTask:
    from assets.demand.assets import scoring_task

    return scoring_task(settings)


def _training(ports: Ports, settings: Settings, day: date) -> TrainingTask:
    from assets.demand.assets import cutoff_plan
    from assets.stages.cutoff_training import cutoff_rows, cutoff_task

    plan = cutoff_plan(settings)
    rows = cutoff_rows(ports.lake, ports.engine, plan, settings.demand, day)
    return cutoff_task(plan, rows, settings.demand, settings.demand.gate)


def _replacement(settings: Settings) -> ReplacementPlan:
    from assets.demand.assets import replacement_plan

    return replacement_plan(settings)


DEMAND = App(
    name="demand",
    title="Units of each product in the next 7 days, with an 80 % interval.",
    made_from=("orders",),
    features="demand_features",
    training_set="demand_training_set",
    golden_ids=lambda _: [],  # its entities are products: no person is in a golden set
    output=regression_output("product_id", unit="units", at_least=0),
    scoring=_scoring,
    training=_training,
    replacement=_replacement,
    erases=(),
)
