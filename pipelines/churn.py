"""Jobs, schedules and the sensor of churn: scores every night, then the online store; a challenger every Monday."""

from datetime import timedelta

import dagster as dg

from assets.churn import assets as churn
from assets.churn.app import CHURN
from pipelines import automation, run_tags
from pipelines.overdue import overdue
from resources.stack.loader import Stack

_ROWS = dg.AssetSelection.groups("shop") | dg.AssetSelection.assets(churn.features)
_LEARNING = dg.AssetSelection.assets(churn.champion)
_PUBLISHING = dg.AssetSelection.assets(churn.scores, churn.publication)

NIGHTLY = automation.job(
    "churn_nightly",
    CHURN.name,
    _ROWS | _LEARNING | _PUBLISHING | dg.AssetSelection.assets(churn.performance, churn.replacement),
    "Ingest, check contracts, compute features, train if there is no champion, score, audit, publish, evaluate the day "
    "whose horizon has ended.",
)
TRAINING = automation.job(
    "churn_training",
    CHURN.name,
    _ROWS | _LEARNING,
    "Train a challenger on the newest mature labels; it becomes champion only if it passes the gate.",
    config={"churn__champion": {"train": "always"}},
)
FALLBACK = automation.job(
    "churn_fallback",
    CHURN.name,
    _PUBLISHING,
    "Publish flagged scores when the nightly job could not: below the source that failed, the champion before, older "
    "features, else the last good scores.",
    config={"churn__scores": {"worst": "last_good_scores"}},
)
ONLINE = automation.job(
    "churn_online",
    CHURN.name,
    dg.AssetSelection.assets(churn.online_features, churn.served_features),
    "Bring the online store up to the day's features; compare what was served that day with training.",
)


@dg.run_failure_sensor(
    name="churn_fallback",
    monitored_jobs=[NIGHTLY],
    request_job=FALLBACK,
    description="A failed or blocked night still publishes something, flagged: the champion before, older features, "
    "else the last good scores.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def fall_back(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
    """One fallback run for each day whose nightly run failed, or was stopped by a blocking check, for the last time."""
    day = context.dagster_run.tags.get(run_tags.PARTITION)
    if day is None:
        return dg.SkipReason("The failed run had no day.")
    if context.dagster_run.tags.get(run_tags.WILL_RETRY) == "true":
        return dg.SkipReason("The failed run is repeated first.")
    trace = {name: value for name, value in context.dagster_run.tags.items() if name == run_tags.TRACEPARENT}
    return dg.RunRequest(run_key=f"{day}:{context.dagster_run.run_id}", partition_key=day, tags=trace)


def definitions(stack: Stack) -> dg.Definitions:
    """Assets, jobs, schedules and the sensor of churn."""
    nightly = "Every night: the scores of the day that just ended."
    online = "An hour after the scores: the online store follows."
    training, hours = "Every Monday: a challenger for the champion.", timedelta(hours=1)
    needs = CHURN.made_from
    return dg.Definitions(
        assets=automation.assets_of(churn, stack),
        jobs=[NIGHTLY, TRAINING, FALLBACK, ONLINE, automation.checks_of(CHURN, churn)],
        schedules=[
            automation.daily(NIGHTLY, stack, nightly, needs=needs, name="churn_nightly_schedule"),
            automation.daily(ONLINE, stack, online, after=hours, needs=needs),
            automation.weekly(TRAINING, stack, training, weekday=1, after=2 * hours, needs=needs),
        ],
        sensors=[fall_back, overdue(CHURN, stack)],
    )
