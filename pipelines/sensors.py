"""What reacts to events."""

import dagster as dg

from assets import fraud, fraud_catch_up
from assets.fraud_learning import APP
from assets.fraud_stream import GROUP
from pipelines import jobs
from resources.home import doing_now
from resources.ports import EventsResource, RegistryResource, StreamStoreResource
from resources.stack import active_stack

_PARTITION = "dagster/partition"
#: Tag of a run: the offsets it takes in.
_OFFSETS = "tessera/offsets"
_FINISHED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
_UNDER_WAY = [status for status in dg.DagsterRunStatus if status not in _FINISHED]


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


@dg.sensor(
    job=jobs.fraud_catch_up,
    minimum_interval_seconds=60,
    description="Takes in events that no worker (`tessera stream fraud`) takes in. The cursor is the offset of the "
    "last event asked for. Set it back (to 0 for all that are kept), and what came after it is taken in again, without "
    "effect where it had its effect. Clear it to begin where the stream stands.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def fraud_events(
    context: dg.SensorEvaluationContext,
    events: EventsResource,
    stream_store: StreamStoreResource,
    registry: RegistryResource,
) -> dg.SensorResult:
    """One run for each batch of offsets after the cursor, unless somebody is taking them in."""
    if waiting := _runs_under_way(context):
        return _nothing(context.cursor, f"{waiting} runs are under way.")
    queue, (position, _) = events.open(), stream_store.open().position()
    if who := doing_now(active_stack(), fraud_catch_up.LOCK):
        # What a worker takes in need not be asked for when it ends.
        reached = max(fraud_catch_up.offset_of(context.cursor, position), position)
        return _nothing(str(reached), f"The cursor follows who takes in events: {who}. End that before a replay.")
    due = fraud_catch_up.due(newest=queue.newest_offset(), position=position, cursor=context.cursor)
    if not due.runs:
        left = queue.backlog(GROUP)
        missed = f"{left:,} events wait for which a run was asked and failed: repeat it, or set the cursor back."
        return _nothing(str(due.cursor), missed if left else "No event waits.")
    if registry.open().champion(APP) is None:
        return _nothing(context.cursor, "No fraud model is in charge: run fraud_training.")
    return dg.SensorResult([_catch_up(context, *offsets) for offsets in due.runs], cursor=str(due.cursor))


def _catch_up(context: dg.SensorEvaluationContext, first: int, last: int) -> dg.RunRequest:
    """Dagster remembers run keys for ever, and drops a request with a known one: a replay needs another."""
    tags = {_OFFSETS: f"{first}-{last}"}
    before = context.instance.get_runs_count(dg.RunsFilter(job_name=jobs.fraud_catch_up.name, tags=tags))
    key = f"fraud:{first}-{last}" + (f":{before + 1}" if before else "")
    config = dg.RunConfig(ops={"fraud__stream": fraud.Offsets(first=first, last=last)})
    return dg.RunRequest(run_key=key, run_config=config, tags=tags)


def _runs_under_way(context: dg.SensorEvaluationContext) -> int:
    here = dg.RunsFilter(job_name=jobs.fraud_catch_up.name, statuses=_UNDER_WAY)
    return context.instance.get_runs_count(here)


def _nothing(cursor: str | None, why: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=why, cursor=cursor)
