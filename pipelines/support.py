"""Jobs and schedules of support triage: tickets every night, a challenger every Monday."""

from datetime import timedelta

import dagster as dg

from assets.support import assets as support
from assets.support.app import SUPPORT
from pipelines import automation
from pipelines.overdue import overdue
from resources.stack.loader import Stack

_ROWS = (
    dg.AssetSelection.groups("tickets")
    | dg.AssetSelection.assets(["shop", "products"], ["shop", "orders"])
    | dg.AssetSelection.assets(support.features)
)
NIGHTLY = automation.job(
    "support_nightly",
    SUPPORT.name,
    _ROWS
    | dg.AssetSelection.assets(support.knowledge_base, support.champion, support.scores, support.publication)
    | dg.AssetSelection.assets(support.performance),
    "Ingest tickets, labels and articles, index the articles, train if there is no champion, triage the day's tickets, "
    "audit, publish, evaluate the day whose labels have arrived.",
)
TRAINING = automation.job(
    "support_training",
    SUPPORT.name,
    _ROWS | dg.AssetSelection.assets(support.knowledge_base, support.champion),
    "Train a challenger on the newest labels; it becomes champion only if it passes the gate.",
    config={"support__champion": {"train": "always"}},
)


def definitions(stack: Stack) -> dg.Definitions:
    """Assets, jobs and schedules of support triage."""
    after = timedelta(minutes=45)
    night, monday = "Every night: the day that just ended.", "Every Monday: a challenger for the champion."
    needs = SUPPORT.made_from
    return dg.Definitions(
        assets=automation.assets_of(support, stack, nightly_after=after),
        jobs=[NIGHTLY, TRAINING, automation.checks_of(SUPPORT, support)],
        schedules=[
            automation.daily(NIGHTLY, stack, night, after=after, needs=needs),
            automation.weekly(
                TRAINING, stack, monday, weekday=1, after=after + timedelta(hours=2, minutes=30), needs=needs
            ),
        ],
        sensors=[overdue(SUPPORT, stack, after)],
    )
