"""When jobs run by themselves. All times are UTC, like the days they score."""

import warnings
from datetime import timedelta

import dagster as dg

from pipelines import jobs
from resources.stack import active_stack

_AT = active_stack().calendar.nightly_at

with warnings.catch_warnings():  # Dagster's builder uses an argument that Dagster itself deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    churn_nightly = dg.build_schedule_from_partitioned_job(
        jobs.churn_nightly,
        hour_of_day=_AT.hour,
        minute_of_hour=_AT.minute,
        description="Every night: the scores of the day that just ended.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


@dg.schedule(
    job=jobs.churn_online,
    cron_schedule=f"{_AT.minute} {(_AT.hour + 1) % 24} * * *",
    execution_timezone="UTC",
    description="An hour after the scores: the online store follows.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def churn_online(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """One run for the day that ended before the tick."""
    return _yesterday(context)


@dg.schedule(
    job=jobs.churn_training,
    cron_schedule=f"{_AT.minute} {(_AT.hour + 2) % 24} * * 1",
    execution_timezone="UTC",
    description="Every Monday: a challenger for the champion.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def churn_training(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """One run for the day that ended before the tick."""
    return _yesterday(context)


@dg.schedule(
    job=jobs.storage_weekly,
    cron_schedule=f"{_AT.minute} {(_AT.hour + 3) % 24} * * 0",
    execution_timezone="UTC",
    description="Every Sunday: what no table uses any more is removed.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def storage_weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """One run, named by the day that ended before the tick."""
    return _yesterday(context)


def _yesterday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
    return dg.RunRequest(run_key=day, partition_key=day)
