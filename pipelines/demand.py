"""Jobs and schedules of demand: predictions every night, a challenger every Monday."""

from datetime import timedelta

import dagster as dg

from assets.demand import assets as demand
from assets.demand.app import DEMAND
from pipelines import automation
from resources.stack.loader import Stack

_LEARNING = dg.AssetSelection.groups("shop") | dg.AssetSelection.assets(demand.features, demand.champion)

NIGHTLY = automation.job(
    "demand_nightly",
    DEMAND.name,
    _LEARNING | dg.AssetSelection.assets(demand.scores, demand.publication),
    "Ingest, compute features, train if there is no champion, predict, audit, publish.",
)
TRAINING = automation.job(
    "demand_training",
    DEMAND.name,
    _LEARNING,
    "Train a challenger on the newest weeks; it becomes champion only if it passes the gate.",
    config={"demand__champion": {"train": "always"}},
)


def definitions(stack: Stack) -> dg.Definitions:
    """Assets, jobs and schedules of demand."""
    nightly = "Every night: the predictions as of the day that just ended."
    training = "Every Monday: a challenger for the champion."
    return dg.Definitions(
        assets=automation.assets_of(demand, stack),
        jobs=[NIGHTLY, TRAINING],
        schedules=[
            automation.daily(NIGHTLY, stack, nightly, after=timedelta(minutes=30), needs=DEMAND.made_from),
            automation.weekly(TRAINING, stack, training, weekday=1, after=timedelta(hours=3), needs=DEMAND.made_from),
        ],
    )
