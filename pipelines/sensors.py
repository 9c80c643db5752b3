"""Sensors: runs that react to events."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.fraud import assets as fraud
from assets.fraud.stream import catch_up as fraud_catch_up
from assets.fraud.stream.processor import GROUP
from assets.fraud.training import APP
from pipelines import jobs
from pipelines.lost_runs import end_lost_runs
from resources.home import doing_now
from resources.stack.loader import active_stack
from resources.stack.ports import EventsResource, NotifierResource, RegistryResource, StreamStoreResource

_PARTITION = "dagster/partition"
#: Tag that Dagster gives a failed run which it will repeat.
_WILL_RETRY = "dagster/will_retry"
#: Tag of a run: the offsets it takes in.
_OFFSETS = "tessera/offsets"
#: After so many failures in a row, runs are asked for only so often.
_FAILURES, _PAUSE = 3, timedelta(hours=1)
_FINISHED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
_UNDER_WAY = [status for status in dg.DagsterRunStatus if status not in _FINISHED]


@dg.run_failure_sensor(
    monitored_jobs=[jobs.churn_nightly],
    request_job=jobs.churn_fallback,
    description="A failed or blocked night still publishes something, flagged: the champion before, older features, "
    "else the last good scores.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def churn_fallback(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
    """One fallback run for each day whose nightly run failed, or was stopped by a blocking check, for the last time."""
    day = context.dagster_run.tags.get(_PARTITION)
    if day is None:
        return dg.SkipReason("The failed run had no day.")
    if context.dagster_run.tags.get(_WILL_RETRY) == "true":
        return dg.SkipReason("The failed run is repeated first.")
    return dg.RunRequest(run_key=f"{day}:{context.dagster_run.run_id}", partition_key=day)


@dg.sensor(
    job=jobs.fraud_catch_up,
    minimum_interval_seconds=60,
    description="Takes in events that no worker (`tessera stream fraud`) takes in. To take events in again, set the "
    "cursor to the offset before the first of them, 0 for all that are kept: what had its effect does not have it "
    "again. Clear it to begin where the stream stands.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def fraud_events(
    context: dg.SensorEvaluationContext,
    events: EventsResource,
    stream_store: StreamStoreResource,
    registry: RegistryResource,
) -> dg.SensorResult | dg.SkipReason:
    """One run for each batch of offsets that nobody took in or asked for, unless somebody is taking events in."""
    if under_way := _runs_under_way(context):
        return dg.SkipReason(f"{under_way} runs are under way.")
    if who := doing_now(active_stack(), fraud_catch_up.LOCK):
        return dg.SkipReason(f"Events are taken in by {who}.")
    queue, (position, _) = events.open(), stream_store.open().position()
    newest, waiting = queue.newest_offset(), queue.backlog(GROUP)
    due = fraud_catch_up.due(newest=newest, waiting=waiting, position=position, cursor=context.cursor)
    if not due.runs:
        return dg.SkipReason("No event waits.")
    if _fails(context):
        return dg.SkipReason(f"{waiting:,} events wait, and the last {_FAILURES} runs failed: next try after an hour.")
    if registry.open().champion(APP) is None:
        return dg.SkipReason(f"{len(due.runs)} runs are due, but no fraud model is in charge: run fraud_training.")
    return dg.SensorResult([_catch_up(context, *offsets) for offsets in due.runs], cursor=due.cursor.model_dump_json())


@dg.sensor(
    minimum_interval_seconds=30,
    description="Ends runs whose process is gone (power cut, kill) as failed, so that they hold up nothing: they are "
    "repeated or replaced like any failed run.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def lost_runs(context: dg.SensorEvaluationContext, notifier: NotifierResource) -> dg.SkipReason:
    """Asks for no run: it ends those that nobody executes any more."""
    swept = end_lost_runs(context.instance, notifier.open())
    return dg.SkipReason(" ".join(swept.sentences()) or "Every run under way has a process.")


def _catch_up(context: dg.SensorEvaluationContext, first: int, last: int) -> dg.RunRequest:
    """Dagster remembers run keys for ever, and drops a request with a known one: each attempt needs its own."""
    config = dg.RunConfig(ops={"fraud__stream": fraud.Offsets(first=first, last=last)})
    tags = {_OFFSETS: f"{first}-{last}"}
    before = context.instance.get_runs_count(dg.RunsFilter(job_name=jobs.fraud_catch_up.name, tags=tags))
    key = f"fraud:{first}-{last}" + (f":{before + 1}" if before else "")
    return dg.RunRequest(run_key=key, run_config=config, tags=tags)


def _runs_under_way(context: dg.SensorEvaluationContext) -> int:
    here = dg.RunsFilter(job_name=jobs.fraud_catch_up.name, statuses=_UNDER_WAY)
    return context.instance.get_runs_count(here)


def _fails(context: dg.SensorEvaluationContext) -> bool:
    """Return True if the last runs all failed, the newest one recently: another run would not repair the cause."""
    last = context.instance.get_run_records(dg.RunsFilter(job_name=jobs.fraud_catch_up.name), limit=_FAILURES)
    failed = [record for record in last if record.dagster_run.status == dg.DagsterRunStatus.FAILURE]
    return len(failed) == _FAILURES and last[0].create_timestamp > datetime.now(UTC) - _PAUSE
