"""Jobs, schedules and sensors that look after a home: unused files, old events, lost runs, ingested days."""

from datetime import timedelta

import dagster as dg

from assets.maintenance import assets as storage
from assets.maintenance import status
from pipelines import automation
from pipelines.heartbeats import night_succeeded
from pipelines.ingested_days import ingested_days
from pipelines.lost_runs import end_lost_runs
from pipelines.run_notices import notify_of_run
from pipelines.stream_conditions import streams_sensor
from pipelines.stuck_runs import stuck_runs
from resources.outbox import Outbox
from resources.stack.loader import Stack
from resources.stack.ports import NotifierResource, SinkResource

WEEKLY = automation.job(
    "storage_weekly",
    "storage",
    dg.AssetSelection.assets(storage.vacuum, storage.old_events, storage.old_traces),
    "Remove files that no table has used for `storage.keep_hours`, events older than `storage.keep_event_days`, and "
    "spans older than `traces.keep_days`. The day only names the run.",
)
STATUS = automation.job(
    "storage_status",
    "storage",
    dg.AssetSelection.assets(status.status),
    "Write the page of `tessera status` as it is now. The day only names the run.",
)
#: After nights begin: the nights have run and their deadlines passed.
_STATUS_AFTER = timedelta(hours=3)


@dg.sensor(
    minimum_interval_seconds=30,
    description="Ends runs whose process is gone (power cut, kill) as failed, so that they hold up nothing: they are "
    "repeated or replaced like any failed run.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def lost_runs(context: dg.SensorEvaluationContext, notifier: NotifierResource) -> dg.SkipReason:
    """Asks for no run: it ends those that no process executes any more."""
    swept = end_lost_runs(context.instance, notifier.open())
    return dg.SkipReason(" ".join(swept.sentences()) or "Every run under way has a process.")


@dg.sensor(
    minimum_interval_seconds=60,
    description="Delivers notices that their receiver did not take when they were sent.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def waiting_notices(notifier: NotifierResource) -> dg.SkipReason:
    """Ask for no run: what waits in the outbox is sent again."""
    outbox = notifier.open()
    waiting = outbox.deliver() if isinstance(outbox, Outbox) else 0
    return dg.SkipReason(f"{waiting} notices wait for their receiver." if waiting else "No notice waits.")


def _of_runs(status: dg.DagsterRunStatus, stack: Stack) -> dg.SensorDefinition:
    """Return the sensor that sends the notices of runs that end so, and the heartbeat of nights."""

    @dg.run_status_sensor(
        run_status=status,
        name=f"notices_of_{status.value.lower()}",
        minimum_interval_seconds=30,
        description="Sends one notice for a failed run, and for each check that failed or warns.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def notices(context: dg.RunStatusSensorContext, notifier: NotifierResource, sink: SinkResource) -> None:
        subjects = notify_of_run(context.instance, context.dagster_run.run_id, notifier.open(), sink.open())
        missed = night_succeeded(stack, context.dagster_run)
        context.log.info("; ".join([*subjects, *filter(None, [missed])]) or "nothing to tell")

    return notices


def definitions(stack: Stack) -> dg.Definitions:
    """Assets, job, schedule and sensor of storage and runs."""
    sunday = "Every Sunday: what no table uses any more is removed."
    page = "Every night, after the applications: the page of `tessera status`."
    return dg.Definitions(
        assets=[*automation.assets_of(storage, stack), *automation.assets_of(status, stack)],
        jobs=[WEEKLY, STATUS],
        schedules=[
            automation.weekly(WEEKLY, stack, sunday, weekday=0, after=timedelta(hours=3)),
            automation.daily(STATUS, stack, page, after=_STATUS_AFTER),
        ],
        sensors=[
            lost_runs,
            stuck_runs(stack),
            ingested_days(stack.calendar.first_day),
            waiting_notices,
            streams_sensor(stack),
            *(_of_runs(status, stack) for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)),
        ],
    )
