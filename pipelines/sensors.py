"""What reacts to events."""

import dagster as dg

from pipelines import jobs

_PARTITION = "dagster/partition"


@dg.run_failure_sensor(
    monitored_jobs=[jobs.churn_nightly],
    request_job=jobs.churn_fallback,
    description="A failed night still publishes something, flagged: older features, else the last good scores.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def churn_fallback(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
    """One fallback run for each day whose nightly run failed before it published."""
    day = context.dagster_run.tags.get(_PARTITION)
    if day is None:
        return dg.SkipReason("The failed run had no day.")
    return dg.RunRequest(run_key=f"{day}:{context.dagster_run.run_id}", partition_key=day)
