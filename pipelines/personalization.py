"""Jobs and schedules of personalization: lists every night, a challenger every Monday."""

from datetime import timedelta

import dagster as dg

from assets.personalization import assets as personalization
from assets.personalization.app import PERSONALIZATION
from pipelines import automation
from pipelines.overdue import overdue
from resources.stack.loader import Stack

_LEARNING = (
    dg.AssetSelection.groups("shop")
    | dg.AssetSelection.groups("storefront")
    | dg.AssetSelection.assets(personalization.features, personalization.champion)
)
NIGHTLY = automation.job(
    "personalization_nightly",
    PERSONALIZATION.name,
    _LEARNING
    | dg.AssetSelection.assets(personalization.item_index, personalization.scores, personalization.publication)
    | dg.AssetSelection.assets(personalization.performance),
    "Ingest orders, visits and stock, compute profiles, train if there is no champion, make lists, audit, publish; "
    "measure the lists whose horizon ends now.",
)
TRAINING = automation.job(
    "personalization_training",
    PERSONALIZATION.name,
    _LEARNING,
    "Train a challenger on the newest weeks; it becomes champion only if it passes the gate.",
    config={"personalization__champion": {"train": "always"}},
)


def definitions(stack: Stack) -> dg.Definitions:
    """Assets, jobs and schedules of personalization."""
    after = timedelta(minutes=60)
    night, monday = "Every night: the day that just ended.", "Every Monday: a challenger for the champion."
    needs = PERSONALIZATION.made_from
    later = after + timedelta(hours=2, minutes=30)
    return dg.Definitions(
        assets=automation.assets_of(personalization, stack, nightly_after=after),
        jobs=[NIGHTLY, TRAINING, automation.checks_of(PERSONALIZATION, personalization)],
        schedules=[
            automation.daily(NIGHTLY, stack, night, after=after, needs=needs),
            automation.weekly(TRAINING, stack, monday, weekday=1, after=later, needs=needs),
        ],
        sensors=[overdue(PERSONALIZATION, stack, after)],
    )
