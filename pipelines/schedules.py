"""Schedules. All times are UTC, like the days they score."""

import warnings
from datetime import date, datetime, timedelta

import dagster as dg

from pipelines import jobs
from resources.stack.loader import active_stack
from resources.stack.ports import SourceResource

_AT = active_stack().calendar.nightly_at


def _cron(*, hours: int = 0, minutes: int = 0, weekday: str = "*") -> str:
    """So long after the time at which nights begin."""
    at = datetime.combine(date.min, _AT) + timedelta(hours=hours, minutes=minutes)
    return f"{at.minute} {at.hour} * * {weekday}"


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
    cron_schedule=_cron(hours=1),
    execution_timezone="UTC",
    description="An hour after the scores: the online store follows.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def churn_online(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """One run for the day that ended before the tick."""
    return _yesterday(context)


@dg.schedule(
    job=jobs.churn_training,
    cron_schedule=_cron(hours=2, weekday="1"),
    execution_timezone="UTC",
    description="Every Monday: a challenger for the champion.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def churn_training(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """One run for the day that ended before the tick."""
    return _yesterday(context)


@dg.schedule(
    job=jobs.fraud_nightly,
    cron_schedule=_cron(minutes=30),
    execution_timezone="UTC",
    description="Every night: scores and missing alerts of the day that just ended, quality of the day a week before.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def fraud_nightly(context: dg.ScheduleEvaluationContext, source: SourceResource) -> dg.RunRequest | dg.SkipReason:
    """One run for the day that ended before the tick, if there are payments at all."""
    return _yesterday_with_payments(context, source)


@dg.schedule(
    job=jobs.fraud_training,
    cron_schedule=_cron(hours=2, minutes=30, weekday="1"),
    execution_timezone="UTC",
    description="Every Monday: a challenger for the fraud champion.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def fraud_training(context: dg.ScheduleEvaluationContext, source: SourceResource) -> dg.RunRequest | dg.SkipReason:
    """One run for the day that ended before the tick, if there are payments at all."""
    return _yesterday_with_payments(context, source)


@dg.schedule(
    job=jobs.storage_weekly,
    cron_schedule=_cron(hours=3, weekday="0"),
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


def _yesterday_with_payments(
    context: dg.ScheduleEvaluationContext, source: SourceResource
) -> dg.RunRequest | dg.SkipReason:
    if "payments" not in source.open().tables():
        return dg.SkipReason(f"The source of profile {active_stack().name} delivers no payments.")
    return _yesterday(context)
