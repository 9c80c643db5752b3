"""Jobs, schedule and sensor of experiments: exposures and outcomes every night, then a report of each experiment."""

from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg

from assets.experiments import assets as experiments
from assets.shop import assets as shop
from assets.stages.experiments.report import REPORT_JOB, experiments_partitions, report_config
from models.settings import Settings
from pipelines import automation, run_tags
from resources.lake.port import Lake
from resources.stack.loader import Stack
from resources.stack.ports import LakeResource, SettingsResource

NEEDS = ("exposures", "outcomes")
NIGHTLY = automation.job(
    "experiments_nightly",
    "experiments",
    dg.AssetSelection.assets(*(["shop", table] for table in ("products", "orders", *NEEDS)))
    | dg.AssetSelection.assets(experiments.logged_events, experiments.impressions),
    "Store exposures and outcomes of the source and of the queue, label the impressions whose outcomes had their time, "
    "measure popularity bias.",
)
REPORT = automation.job(
    REPORT_JOB,
    "experiments",
    dg.AssetSelection.assets(experiments.report),
    "Evaluate one experiment: effects, sample ratio, guardrails, verdict. `tessera experiments --evaluate` runs it.",
)
CHECKS = automation.checks_job("experiments", [getattr(shop, table) for table in NEEDS])


def due(lake: Lake, settings: Settings) -> Iterator[tuple[str, date]]:
    """Yield each experiment whose newest ingested day has no report yet, with that day.

    An experiment is evaluated from its first day until the day on which its last window is over.
    """
    if not settings.experiments.trials:
        return
    from assets.stages.experiments.log import known_days
    from assets.stages.experiments.results import table_of

    known = known_days(lake)
    for name, one in settings.experiments.trials.items():
        days = [day for day in known if one.first_day <= day <= one.matures_on]
        if days and max(days) not in lake.days(table_of(name)):
            yield name, max(days)


@dg.sensor(
    job=REPORT,
    minimum_interval_seconds=300,
    description="Evaluates each experiment of the profile once a day of exposures and outcomes is ingested.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def experiments_due(lake: LakeResource, settings: SettingsResource) -> dg.SensorResult | dg.SkipReason:
    """Ask for the reports that are due; an experiment becomes a partition with its first one."""
    trials = settings.open().experiments.trials
    found = list(due(lake.open(), settings.open()))
    if not found:
        return dg.SkipReason("Every experiment has a report of the newest ingested day.")
    requests = [
        dg.RunRequest(
            run_key=f"{name} {day}",
            partition_key=name,
            run_config={"ops": report_config(day)},
            tags={run_tags.APP: trials[name].app} if trials[name].app else {},
        )
        for name, day in found
    ]
    added = experiments_partitions.build_add_request([name for name, _ in found])
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=[added])


def definitions(stack: Stack) -> dg.Definitions:
    """Assets, jobs, schedule and sensor of experiments."""
    night = "Every night: what was shown on the day that just ended, and what came of it."
    return dg.Definitions(
        assets=automation.assets_of(experiments, stack),
        jobs=[NIGHTLY, REPORT, CHECKS],
        schedules=[automation.daily(NIGHTLY, stack, night, after=timedelta(hours=1, minutes=15), needs=NEEDS)],
        sensors=[experiments_due],
    )
